# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.filter.pool_batches import FilterModule
from hypothesis import given
from hypothesis import strategies as st

pool_batches = FilterModule().filters()["pool_batches"]
WEB = [f"web{number}" for number in range(1, 51)]
POOLS = {"web": WEB, "control_plane": ["cp1", "cp2", "cp3"], "gpu": ["gpu1", "gpu2"]}


def test_control_planes_one_by_one_then_pool_after_pool() -> None:
    hosts = ["web10", "gpu2", "cp3", "web2", "cp1", "gpu1", "web1"]
    assert pool_batches(hosts, POOLS) == [["cp1"], ["cp3"], ["gpu1"], ["gpu2"], ["web1"], ["web2", "web10"]]


def test_a_large_pool_grows_to_a_tenth_of_itself() -> None:
    assert [len(batch) for batch in pool_batches(WEB, POOLS)] == [1, 2, 4, *[5] * 8, 3]
    assert [len(batch) for batch in pool_batches(WEB[:12], POOLS)] == [1, 2, 4, 5]


@given(st.permutations([*WEB, "cp1", "cp2", "gpu1"]))
def test_the_order_of_the_hosts_does_not_matter(hosts: list[str]) -> None:
    batches = pool_batches(hosts, POOLS)
    assert batches == pool_batches(sorted(hosts), POOLS)
    assert sorted(host for batch in batches for host in batch) == sorted(hosts)


def test_nothing_to_do_and_hosts_of_no_pool() -> None:
    assert pool_batches([], POOLS) == []
    with pytest.raises(AnsibleFilterError, match="stranger: in no pool"):
        pool_batches(["cp1", "stranger"], POOLS)


@pytest.mark.parametrize(
    ("limit", "sizes"), [(3, [1, 2, 3, 3, 1]), ("30%", [1, 2, 3, 3, 1]), ("0%", [1] * 10), ("100%", [1, 2, 4, 3])]
)
def test_the_limit_is_a_number_or_a_part_of_the_pool(limit: int | str, sizes: list[int]) -> None:
    assert [len(batch) for batch in pool_batches(WEB[:10], {"web": WEB[:10]}, limit)] == sizes


def test_control_planes_are_never_changed_together() -> None:
    assert pool_batches(["cp1", "cp2", "cp3"], POOLS, "100%") == [["cp1"], ["cp2"], ["cp3"]]


@pytest.mark.parametrize("limit", ["many", "-1", "x%"])
def test_a_limit_that_is_none(limit: str) -> None:
    with pytest.raises(AnsibleFilterError, match="neither a number nor a part"):
        pool_batches(["web1"], POOLS, limit)
