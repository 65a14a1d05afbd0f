# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.filter.batches import FilterModule

batches = FilterModule().filters()["batches"]


def test_sizes_for_serial() -> None:
    assert batches(50) == [1, 2, 4, *[5] * 8, 3]
    assert batches("4", limit_percent=50) == [1, 2, 1]


@pytest.mark.parametrize("arguments", [("many",), (None,), (-1,), (10, 101), (10, "all")])
def test_wrong_use_is_explained(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(AnsibleFilterError, match="batches takes"):
        batches(*arguments)
