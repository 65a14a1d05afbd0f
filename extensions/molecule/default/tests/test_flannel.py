# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node gets its network's configuration, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from waiting import until

CONFLIST = "/etc/cni/net.d/10-flannel.conflist"
SUBNET = "/run/flannel/subnet.env"
TABLE = "hostplane-test"


@pytest.fixture
def worker(hosts: dict[str, Any]) -> Iterator[Any]:
    yield hosts["worker1"]
    hosts["worker1"].run(f"nft delete table inet {TABLE}")


def test_a_kubelet_that_restarts_before_flannel_is_ready(worker: Any) -> None:
    held = worker.file(CONFLIST).content
    process = worker.check_output("pgrep -x flanneld")
    # Without the API flanneld waits, and does not know the node's subnet.
    rules = f"add table inet {TABLE}; add chain inet {TABLE} output {{ type filter hook output priority 0; }}"
    worker.check_output(f"nft '{rules}; add rule inet {TABLE} output tcp dport 6443 drop'")
    worker.check_output(f"rm {CONFLIST} {SUBNET} && crictl stop --timeout 0 $(crictl ps --quiet --name kube-flannel)")
    until("flanneld starts", lambda: worker.run("pgrep -x flanneld").stdout.strip() not in ("", process))
    worker.check_output("systemctl restart kubelet")
    assert not worker.file(SUBNET).exists and not worker.file(CONFLIST).exists
    worker.check_output(f"nft delete table inet {TABLE}")

    until("the configuration is there", lambda: worker.file(CONFLIST).exists)
    assert worker.file(CONFLIST).content == held
