# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""How work rolls over many hosts: the sizes of its batches, and whether etcd survives that members leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


def largest_batch(limit: int | str, pool: int) -> int:
    """How many hosts of a pool may change at a time, at least 1: a number, or a part of it such as 10%.

    Raises ValueError when it is neither.
    """
    text = str(limit).strip()
    number = int(text[:-1]) * pool // 100 if text.endswith("%") else int(text)
    if number < 0:
        raise ValueError(f"{limit!r} is negative")
    return max(1, number)


def batches(count: int, limit: int | str = "10%", pool: int = 0) -> list[int]:
    """Sizes of the batches in which a pool of so many hosts is changed: 1, 2, 4 … up to the limit, at least 1.

    A mistake shows on one host first, and a large pool is done after few batches: 50 hosts are 1, 2, 4, eight times 5
    and 3. limit is a number of hosts or a part of the pool; pool is its size when only some of its hosts are changed.
    """
    largest = largest_batch(limit, pool or count)
    sizes: list[int] = []
    left, size = count, 1
    while left > 0:
        sizes.append(min(size, largest, left))
        left -= sizes[-1]
        size *= 2
    return sizes


@dataclass(frozen=True)
class Quorum:
    """Members of etcd, how many of them are healthy and how many must be."""

    members: int
    healthy: int

    @property
    def needed(self) -> int:
        return self.members // 2 + 1

    @property
    def kept(self) -> bool:
        """Whether etcd works. Without members there is nothing that could."""
        return self.members > 0 and self.healthy >= self.needed


def quorum_after(members: Mapping[str, bool], removed: Iterable[str]) -> Quorum:
    """What is left of etcd when members are removed one by one, the dead ones first; members: name to healthy.

    Every removal is itself a write that needs the quorum, so what is returned is the first state without it, or else
    the last one.
    """
    leaving = set(removed) & set(members)
    quorum = Quorum(len(members), sum(members.values()))
    for name in sorted(leaving, key=lambda name: (members[name], name)):
        if not quorum.kept:
            break
        quorum = Quorum(quorum.members - 1, quorum.healthy - members[name])
    return quorum
