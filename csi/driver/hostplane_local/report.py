# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies around: files and devices that belong to no volume, volumes that are not as they should be.

Nothing is removed. A record comes first and goes last, so none of this is left by a driver that was killed; it is left
by people, by other programs and by damaged disks, and it is for people to look at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t
from pathlib import Path

from . import images, loops
from .pool import Pool
from .record import Store

JSON = dict[str, t.Any]
_SUFFIXES = (".img.part", ".json.part", ".img", ".json", ".gone")


def split(name: str) -> tuple[str, str]:
    """Id and suffix of a file of the pool; no suffix for a stranger."""
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def orphans(names: t.Iterable[str], records: t.Mapping[str, str], unreadable: t.Container[str]) -> list[JSON]:
    """`names`: files of the pool; `records`: state by id; `unreadable`: ids whose record cannot be understood."""
    found = []
    present = set(names)
    for name in sorted(present):
        identity, suffix = split(name)
        if suffix in (".json", ".gone") and identity in unreadable:
            found.append({"kind": "record_unreadable", "file": name})
        elif suffix in (".img", ".img.part") and identity not in records and identity not in unreadable:
            found.append({"kind": "image_without_record", "file": name})
        elif suffix == ".img.part" and records.get(identity) == "ready":
            found.append({"kind": "part_left", "file": name})
        elif not suffix:
            found.append({"kind": "stranger", "file": name})
        if suffix == ".json" and records.get(identity) == "ready" and f"{identity}.img" not in present:
            found.append({"kind": "image_missing", "file": f"{identity}.img"})
    return found


def may_be_ours(path: str, directory: Path) -> bool:
    """By the path that the kernel shows, which loses its directory when a container that was the node has ended."""
    return os.path.dirname(path) in (str(directory), "/") and split(path.removesuffix(" (deleted)"))[1] == ".img"


def lost_devices(backing: t.Mapping[int, tuple[str, int, int]], pool: int, inodes: t.Container[int]) -> list[JSON]:
    """Devices on files of the pool's file system that are no image any more.

    `backing`: path, device and inode by number, of what may be ours; `pool`: the file system as the kernel writes it.
    """
    return [
        {"kind": "device_without_volume", "device": f"/dev/loop{number}", "file": path}
        for number, (path, device, inode) in sorted(backing.items())
        if device == pool and inode not in inodes
    ]


def _lost(store: Store) -> list[JSON]:
    backing = {}
    for number, path in loops.backing_files().items():
        if may_be_ours(path, store.directory):
            found = loops.look(number)
            if found:
                backing[number] = (path, found.device, found.inode)
    inodes = set()
    for image in store.directory.glob("*.img"):
        # It may be removed right now.
        with contextlib.suppress(FileNotFoundError):
            inodes.add(image.stat().st_ino)
    return lost_devices(backing, loops.encode_device(store.directory.stat().st_dev), inodes)


def report(pool: Pool) -> JSON:
    """Room, records and orphans of a pool, for `report` and for the metrics."""
    store = pool.store
    unreadable, states = set(), {}
    for identity in store.identities():
        try:
            record = store.read(identity)
        except (ValueError, OSError):
            record = None
        if record:
            states[identity] = record.state
        else:
            unreadable.add(identity)
    names = [name for name in store.names() if name not in (LOCK, "lost+found") and not name.startswith(".")]
    return {
        "pool": pool.usage()._asdict(),
        "volumes": [
            {
                **dataclasses.asdict(record),
                "allocated": images.allocated(store.image(record.id)),
                "device": loops.find(store.image(record.id)),
            }
            for record in store.records()
        ],
        "orphans": orphans(names, states, unreadable) + _lost(store),
    }


LOCK = "lock"


def read_only(directory: Path, reserve_percent: int, limit: int) -> JSON:
    return report(Pool(Store(directory), reserve_percent, limit))
