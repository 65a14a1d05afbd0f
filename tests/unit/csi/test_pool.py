# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hostplane_local import mounts
from hostplane_local import pool as pools
from hostplane_local.errors import Busy, Full
from hostplane_local.filesystems import MIB
from hostplane_local.pool import Locks, Pool
from hostplane_local.record import Record, Store

GIB = 1 << 30


def record(size: int, **fields: object) -> Record:
    return Record(**{"id": "a", "name": "a", "kind": "volume", "size": size, "state": "ready", **fields})  # type: ignore[arg-type]


def available(*records: tuple[Record, int], limit: int = 0, free: int = 10 * GIB) -> int:
    return pools.usage(20 * GIB, free, 10, limit, records).available


def test_what_stays_free_is_not_offered() -> None:
    assert available() == 8 * GIB
    assert available(free=GIB) == 0


def test_a_thick_volume_is_paid_once() -> None:
    # Half written while it is made: the file system says so for one half, the record for the other.
    assert available((record(4 * GIB), 4 * GIB)) == 8 * GIB
    assert available((record(4 * GIB, state="creating"), GIB)) == 5 * GIB
    assert available((record(4 * GIB, target=6 * GIB), 4 * GIB)) == 6 * GIB


def test_a_thin_volume_takes_what_it_holds() -> None:
    assert available((record(4 * GIB, thin=True), GIB)) == 8 * GIB


def test_a_copy_by_reference_keeps_room_for_its_source() -> None:
    assert available((record(4 * GIB, kind="snapshot", reserve=GIB), GIB)) == 7 * GIB
    assert available((record(4 * GIB, kind="snapshot"), GIB)) == 8 * GIB


def test_the_last_of_a_family_shares_with_nobody() -> None:
    source = record(4 * GIB), 4 * GIB
    one = record(4 * GIB, id="b", reserve=4 * GIB, family="a"), 4 * GIB
    two = record(4 * GIB, id="c", reserve=4 * GIB, family="a", kind="snapshot"), 4 * GIB
    assert available(source, one) == available(one, source) == 4 * GIB
    assert available(one, two) == 0
    assert available(one) == available(two) == 8 * GIB


def test_the_limit_counts_sizes() -> None:
    assert available((record(4 * GIB, thin=True), 0), limit=5 * GIB) == GIB
    assert available((record(4 * GIB), 4 * GIB), limit=3 * GIB) == 0


def test_only_whole_mebibytes() -> None:
    assert available(free=2 * GIB + 3 * MIB + 5) == 3 * MIB


def test_room_that_is_not_there(tmp_path: Path) -> None:
    pool = Pool(Store(tmp_path), 1, limit=64 * MIB)
    pool.require(64 * MIB, "a")
    with pytest.raises(Full, match=f"a needs {65 * MIB} bytes, the pool of this node has {64 * MIB}"):
        pool.require(65 * MIB, "a")


def test_an_image_counts_once_while_it_is_made(tmp_path: Path) -> None:
    pool = Pool(Store(tmp_path), 1)
    before = pool.usage()
    pool.store.write(record(8 * MIB, state="creating"))
    assert pool.usage().promised == 8 * MIB
    with pool.store.part("a").open("wb") as part:
        os.posix_fallocate(part.fileno(), 0, 8 * MIB)
    assert pool.usage().promised == before.promised == 0


def test_where_the_kubelet_is_more_stays_free(tmp_path: Path) -> None:
    assert pools.reserve_for(tmp_path, tmp_path) == 20
    own = mounts.parse(f"36 35 8:1 / / rw - ext4 /dev/sda1 rw\n40 36 8:16 / {tmp_path.parent} rw - xfs /dev/sdb rw\n")
    assert pools.reserve_for(tmp_path, Path("/proc"), own) == 1
    assert pools.reserve_for(tmp_path, Path("/proc"), own[:1]) == 20
    assert pools.reserve_for(tmp_path, tmp_path / "none") == 20


def test_locks() -> None:
    locks = Locks()
    with locks.hold("a", "b", ""):
        with pytest.raises(Busy, match="b"), locks.hold("c", "b"):
            pass
        with locks.hold("c"):
            pass
    with pytest.raises(ZeroDivisionError), locks.hold("a"):
        raise ZeroDivisionError
    with locks.hold("a", "b"):
        pass
