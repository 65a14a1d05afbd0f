# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ext4 and xfs: made, checked, mounted and grown by their own tools."""

from __future__ import annotations

import os
from pathlib import Path

from . import mounts
from .errors import Invalid, VolumeError

MIB = 1 << 20
DEFAULT = "ext4"
# The smallest that their tools make by default; mkfs.xfs refuses less.
SMALLEST = {"": MIB, "ext4": 16 * MIB, "xfs": 300 * MIB}
# A clone has the same UUID as its source, and xfs refuses to mount the same UUID twice.
_OPTIONS = {"ext4": ("errors=remount-ro",), "xfs": ("nouuid",)}
# The oldest kernel that hosts may have; by itself mkfs.xfs turns on what kernels of its own time can mount. Its
# lts_5.10.conf says the same, but mkfs.xfs 6.1 refuses its own.
_XFS_OF_LINUX_5_10 = ("-m", "bigtime=0,inobtcount=0,rmapbt=0", "-i", "nrext64=0")
_FSCK_FIXED = 1
_CAP_SYS_RESOURCE = 24


def check_kind(kind: str) -> str:
    kind = kind or DEFAULT
    if kind not in _OPTIONS:
        raise Invalid(f"file system {kind!r} is not one of {', '.join(sorted(_OPTIONS))}")
    return kind


def make(device: str, kind: str) -> None:
    """Whatever is on the device is gone. Nothing is discarded and nothing zeroed later on: both would give back blocks
    of a thick image."""
    if kind == "ext4":
        options = "nodiscard,lazy_itable_init=0,lazy_journal_init=0"
        # No room for root: the whole size is the application's.
        mounts.run("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E", options, device)
    else:
        mounts.run("mkfs.xfs", "-q", "-f", "-K", *_XFS_OF_LINUX_5_10, device)


def mount(device: str, path: str, kind: str, flags: list[str]) -> None:
    if kind == "ext4":
        try:
            # Replays the journal and repairs what is safe to repair; xfs does the same when it is mounted.
            mounts.run("e2fsck", "-p", device, accept=(0, _FSCK_FIXED))
        except VolumeError as exc:
            raise VolumeError(f"{exc}. Nothing was mounted; repair it by hand: e2fsck -f {device}") from exc
    attach(device, path, kind, flags)


def attach(device: str, path: str, kind: str, flags: list[str]) -> None:
    os.makedirs(path, mode=0o750, exist_ok=True)
    mounts.mount(device, path, kind, [*_OPTIONS[kind], *flags])


def can_grow_online() -> bool:
    """ext4 asks for CAP_SYS_RESOURCE, which a container of containers may lack."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(text.partition("CapEff:")[2].split()[0], 16)
    return bool(effective >> _CAP_SYS_RESOURCE & 1)


def grow_unmounted(device: str) -> None:
    mounts.run("e2fsck", "-f", "-p", device, accept=(0, _FSCK_FIXED))
    mounts.run("resize2fs", device)


def grow(device: str, path: str, kind: str) -> None:
    """To the size of the device, while it is mounted."""
    if kind == "ext4":
        mounts.run("resize2fs", device)
    else:
        mounts.run("xfs_growfs", "-d", path)
