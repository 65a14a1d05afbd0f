# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._rollout import Quorum, batches, quorum_after
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [1]),
        (3, [1, 1, 1]),
        (20, [1, *[2] * 9, 1]),
        (50, [1, 2, 4, *[5] * 8, 3]),
        (100, [1, 2, 4, 8, *[10] * 8, 5]),
    ],
)
def test_batches_grow_to_a_tenth(count: int, expected: list[int]) -> None:
    assert batches(count) == expected


def test_a_part_of_a_pool_has_the_limit_of_the_whole_pool() -> None:
    assert batches(12, pool=50) == [1, 2, 4, 5]
    assert batches(12) == [1] * 12


@given(st.integers(0, 3000), st.integers(0, 100))
def test_batches_cover_the_pool_and_keep_the_limit(count: int, percent: int) -> None:
    sizes = batches(count, f"{percent}%")
    assert sum(sizes) == count
    assert all(0 < size <= max(1, count * percent // 100) for size in sizes)
    assert sizes[:1] in ([], [1])
    assert all(later <= 2 * earlier for earlier, later in zip(sizes, sizes[1:]))
    assert sizes[:-1] == sorted(sizes[:-1])


@pytest.mark.parametrize(
    ("members", "removed", "kept"),
    [
        ({"a": True, "b": True, "c": True}, ["a"], True),
        ({"a": True, "b": True, "c": True}, ["a", "b"], True),
        ({"a": True, "b": True, "c": True}, ["a", "b", "c"], False),
        ({"a": True, "b": True, "c": False}, ["c"], True),
        # With c dead, a is needed; when c goes first, b alone can be left.
        ({"a": True, "b": True, "c": False}, ["a"], False),
        ({"a": True, "b": True, "c": False}, ["a", "c"], True),
        ({"a": True, "b": False, "c": False}, ["b"], False),
        ({"a": True, "b": False}, ["b"], False),
        ({"a": True}, ["a"], False),
        ({"a": True}, ["x"], True),
    ],
)
def test_quorum(members: dict[str, bool], removed: list[str], kept: bool) -> None:
    assert quorum_after(members, removed).kept is kept


def test_the_reason_is_in_the_numbers() -> None:
    left = quorum_after({"a": True, "b": True, "c": False}, ["a"])
    assert (left.members, left.healthy, left.needed) == (2, 1, 2)


MEMBERS = st.dictionaries(st.sampled_from("abcdefg"), st.booleans(), min_size=1)


@given(MEMBERS, st.sets(st.sampled_from("abcdefgh")))
def test_a_kept_quorum_means_a_working_cluster_before_and_after(members: dict[str, bool], removed: set[str]) -> None:
    left = quorum_after(members, removed)
    if left.kept:
        assert Quorum(len(members), sum(members.values())).kept
        stay = [healthy for name, healthy in members.items() if name not in removed]
        assert (left.members, left.healthy) == (len(stay), sum(stay))


@given(MEMBERS, st.sets(st.sampled_from("abcdefg")), st.sampled_from("abcdefg"))
def test_a_healthier_cluster_never_loses_more(members: dict[str, bool], removed: set[str], healed: str) -> None:
    if quorum_after(members, removed).kept and healed in members:
        assert quorum_after({**members, healed: True}, removed).kept
