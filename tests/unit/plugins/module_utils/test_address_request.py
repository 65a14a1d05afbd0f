# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._address_request import (
    AddressRequest,
    Zone,
    block_size,
    read_ranges,
)
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(10, 1000), st.sampled_from([1, 2]))
def test_a_block_has_room_for_its_pods_and_what_is_never_a_pods(pods: int, per_pod: int) -> None:
    size = block_size(pods, per_pod)
    assert size >= per_pod * pods and size - 3 >= pods
    assert size // 2 < per_pod * pods or size // 2 - 3 < pods


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, 24),
        ({"addresses_per_pod": 1}, 25),
        ({"previous": {"node_mask": 23}}, 23),
        ({"previous": {"node_mask": "23"}}, 23),
        # Too small for so many pods, or not of this kind of block.
        ({"previous": {"node_mask": 25}}, 24),
        ({"previous": {"node_mask": 23}, "zones": [Zone("i")]}, 24),
    ],
)
def test_a_cluster_keeps_its_blocks_as_long_as_they_are_large_enough(options: dict[str, Any], mask: int) -> None:
    assert AddressRequest(**options).block_mask == mask


def test_the_largest_of_what_is_planned_counts() -> None:
    assert AddressRequest(max_nodes=3, pods=330).planned_nodes == 3
    assert AddressRequest(max_nodes=3, pods=331).planned_nodes == 4


@pytest.mark.parametrize(("routed", "where"), [(True, "outside"), (False, "unrouted")])
def test_services_of_another_cluster_are_outside_only_when_routed(routed: bool, where: str) -> None:
    cluster = {"name": "b", "service_cidr": "10.96.0.0/20", "service_cidr_ipv6": "fd00::/112", "routed": routed}
    ranges = read_ranges(AddressRequest("10.244.0.0/16", "10.97.0.0/20", other_clusters=[cluster]))
    assert [item.cidr for item in getattr(ranges, where)] == ["10.96.0.0/20", "fd00::/112"]
    assert len(ranges.outside + ranges.unrouted) == 2 and not ranges.problems


def test_what_is_to_be_proposed_is_not_missed() -> None:
    assert not read_ranges(AddressRequest(propose=True)).problems
    assert [problem.path for problem in read_ranges(AddressRequest()).problems] == ["pod_cidr", "service_cidr"]
    assert [problem.path for problem in read_ranges(AddressRequest(zones=[Zone("i")])).problems] == ["service_cidr"]
