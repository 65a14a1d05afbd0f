# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much room the pool has: what the file system says, less what is promised to volumes and what stays free."""

from __future__ import annotations

import collections
import os
import threading
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import images, whereabouts
from .errors import Busy, Full
from .filesystems import MIB
from .mounts import Mount, listed
from .record import Record, Store

# Kept free in percent of the file system: where the kubelet's own files are, it evicts pods below 10 % and collects
# images below 15 %; a file system of the pool's own only needs room for its metadata.
SHARED_RESERVE, OWN_RESERVE = 20, 1


class Usage(t.NamedTuple):
    """Bytes. `promised`: not written yet, but kept for volumes; `available`: the largest volume that can be made."""

    total: int
    free: int
    reserved: int
    committed: int
    promised: int
    available: int


def usage(total: int, free: int, reserve_percent: int, limit: int, records: t.Iterable[tuple[Record, int]]) -> Usage:
    """`records`: each with the bytes that its image takes now; `limit`: for all volumes together, 0 for none."""
    committed = promised = 0
    records = list(records)
    relatives = collections.Counter(record.family or record.id for record, _taken in records)
    for record, taken in records:
        committed += taken if record.kind == "snapshot" else record.committed
        whole = 0 if record.thin or (record.kind == "snapshot" and record.state == "ready") else record.committed
        # The last one of a family has its blocks for itself.
        alone = record.family and relatives[record.family] == 1
        promised += max(0, whole - taken) + (0 if alone else record.reserve)
    reserved = total * reserve_percent // 100
    available = free - reserved - promised
    if limit:
        available = min(available, limit - committed)
    return Usage(total, free, reserved, committed, promised, max(0, available) // MIB * MIB)


class Pool:
    def __init__(self, store: Store, reserve_percent: int, limit: int = 0) -> None:
        self.store = store
        self.reserve_percent = reserve_percent
        self.limit = limit
        # Held while room is looked for and taken, and while blocks are allocated; not while data is copied.
        self.lock = threading.Lock()
        self._reflinks: bool | None = None

    @property
    def reflinks(self) -> bool:
        """Whether a copy shares its blocks. A full pool can't tell, and can't hold a copy either; it is asked again."""
        if self._reflinks is None:
            self._reflinks = images.can_clone(self.store.directory)
        return bool(self._reflinks)

    def usage(self) -> Usage:
        # In this order: what is written in between counts twice rather than not at all.
        records = [(record, self._taken(record)) for record in self.store.records()]
        found = os.statvfs(self.store.directory)
        total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        return usage(total, free, self.reserve_percent, self.limit, records)

    def _taken(self, record: Record) -> int:
        """Bytes of the image, under either of its names."""
        return images.allocated(self.store.image(record.id)) or images.allocated(self.store.part(record.id))

    def require(self, size: int, what: str) -> None:
        available = self.usage().available
        if size > available:
            raise Full(
                f"{what} needs {size} bytes, the pool of this node has {available} available; "
                "delete volumes or snapshots, or give the pool a larger file system"
            )


def reserve_for(directory: Path, kubelet: Path, found: t.Sequence[Mount] | None = None) -> int:
    """Percent of the file system that volumes leave free; as much as the kubelet wants where the node's own files are.

    Those are not the kubelet's only: beside a disk for /var/lib/kubelet, images, logs and etcd are on the system's.
    """
    try:
        shared = directory.stat().st_dev == kubelet.stat().st_dev
    except FileNotFoundError:
        return SHARED_RESERVE
    return SHARED_RESERVE if shared or whereabouts.of_system(directory, found or listed()) else OWN_RESERVE


class Locks:
    """One call at a time for each id; a second one is told to come again instead of waiting."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, *ids: str) -> Iterator[None]:
        wanted = {identity for identity in ids if identity}
        with self._guard:
            taken = sorted(wanted & self._held)
            if taken:
                raise Busy(f"another call works on {', '.join(taken)}; try again")
            self._held |= wanted
        try:
            yield
        finally:
            with self._guard:
                self._held -= wanted
