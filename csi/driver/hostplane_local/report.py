# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies around: files and devices that belong to no volume, volumes that are not as they should be.

Nothing is removed. A record comes first and goes last, so none of this is left by a driver that was killed; it is left
by people, by other programs and by damaged disks, and it is for people to look at.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

from . import images, loops
from .pool import Pool
from .record import Store, from_json

JSON = dict[str, t.Any]
_SUFFIXES = (".img.part", ".json.part", ".img", ".json")


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
        if suffix == ".json" and identity in unreadable:
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


def lost_devices(backing: t.Mapping[int, str], directory: Path, known: t.Container[str]) -> list[JSON]:
    """Devices on files of this directory whose volume is gone, by the path that the kernel shows."""
    found = []
    for number, path in sorted(backing.items()):
        clean = path.removesuffix(" (deleted)")
        if os.path.dirname(clean) != str(directory):
            continue
        if clean != path or split(os.path.basename(clean))[0] not in known:
            found.append({"kind": "device_without_volume", "device": f"/dev/loop{number}", "file": path})
    return found


def report(pool: Pool) -> JSON:
    """Room, records and orphans of a pool, for `report` and for the metrics."""
    store = pool.store
    unreadable, states = set(), {}
    for path in sorted(store.directory.glob("*.json")):
        identity = path.name.removesuffix(".json")
        try:
            states[identity] = from_json(path.read_text(encoding="utf-8")).state
        except (ValueError, OSError):
            unreadable.add(identity)
    names = [name for name in store.names() if name not in (LOCK, "lost+found") and not name.startswith(".")]
    return {
        "pool": pool.usage()._asdict(),
        "reflinks": pool.reflinks,
        "volumes": [
            {
                **dataclasses.asdict(record),
                "allocated": images.allocated(store.image(record.id)),
                "device": loops.find(store.image(record.id)),
            }
            for record in store.records()
        ],
        "orphans": orphans(names, states, unreadable) + lost_devices(loops.backing_files(), store.directory, states),
    }


LOCK = "lock"


def read_only(directory: Path, reserve_percent: int, limit: int) -> JSON:
    return report(Pool(Store(directory), reserve_percent, limit))
