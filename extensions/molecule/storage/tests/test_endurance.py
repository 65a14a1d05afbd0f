# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many volumes: at the end nothing is left."""

from __future__ import annotations

from typing import Any

import pytest
from cluster import Volumes, until
from test_local_volume import CLASS, files_in, loops, orphans

SECONDS = 400


@pytest.fixture
def worker(hosts: dict[str, Any]) -> Any:
    return hosts["worker1"]


def test_nothing_is_left_of_200_volumes(volumes: Volumes, worker: Any) -> None:
    before, there = loops(worker), files_in(worker)
    for turn in range(8):
        names = [f"many-{turn}-{number}" for number in range(25)]
        for name in names:
            volumes.claim(name, "16Mi", CLASS)
        # Made, mounted, unmounted and removed one by one; a pod for each would only take its time.
        for first in range(0, 25, 5):
            volumes.pod(names[first], names[first], wait=False, more=names[first + 1 : first + 5])
        for name in names[::5]:
            until(f"{name} runs", lambda name=name: volumes.read(name).status.phase == "Running", SECONDS)
        assert loops(worker) >= before + 25
        volumes.clean(SECONDS)
    until("no loop device is left", lambda: loops(worker) <= before and files_in(worker) == there)
    assert orphans(volumes, "worker1") == []
