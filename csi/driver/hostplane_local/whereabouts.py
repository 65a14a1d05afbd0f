# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file system the pool is in. A pool whose disk is not mounted looks like an empty one: it is not used."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from pathlib import Path

from .errors import VolumeError
from .mounts import Mount, listed

# Where systems are often divided, besides the root: images, logs and etcd are below all of them.
_SYSTEM = ("/var", "/var/lib")


def inside(pool: Path, mounts: t.Sequence[Mount]) -> str:
    """The pool's path from the top of its file system, which is not that of the node when a disk is mounted above."""
    real = os.path.realpath(pool)
    above = [mount for mount in mounts if f"{real}/".startswith(f"{mount.path.rstrip('/')}/")]
    deepest = max(above, key=lambda mount: (len(mount.path), above.index(mount)))
    return os.path.normpath(os.path.join(deepest.root, os.path.relpath(real, deepest.path)))


def of_system(pool: Path, mounts: t.Sequence[Mount]) -> bool:
    """Whether the node has its own files in the pool's file system, seen from a pod that has only the pool of it."""
    real, within = os.path.realpath(pool), inside(pool, mounts)
    # The root of btrfs may be a subvolume, and then the path within is longer.
    return within.endswith(real) or any(real == f"{top}{within}" for top in _SYSTEM)


def lost_its_disk(before: str, now: str) -> bool:
    """The same path, seen from further up: what was mounted in between is not there any more."""
    return now != before and now.endswith(before)


def check(pool: Path, memory: Path) -> None:
    """VolumeError when the pool is missing or not where it was; else remember where it is."""
    if not pool.is_dir():
        raise VolumeError(f"there is no directory {pool}; mount its disk, or make it on this node")
    now = inside(pool, listed())
    known: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError, ValueError):
        known = json.loads(memory.read_text(encoding="utf-8"))
    before = known.get(str(pool), now)
    if lost_its_disk(before, now):
        raise VolumeError(
            f"{pool} was {before} on a disk of its own and is {now} on the node's now. Mount the disk, then delete "
            f"this pod; if the pool is to be where it is now, remove {memory} on the node"
        )
    if known.get(str(pool)) != now:
        memory.parent.mkdir(parents=True, exist_ok=True)
        part = memory.with_name(f"{memory.name}.part")
        part.write_text(json.dumps({**known, str(pool): now}), encoding="utf-8")
        part.replace(memory)
