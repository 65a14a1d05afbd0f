# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a volume is as it should be, in words for people."""

from __future__ import annotations

import typing as t

from . import images, loops, mounts
from .engine import Engine
from .pool import Pool
from .record import MOUNT, Record
from .wire import csi


def problem(record: Record, image: int, taken: int, device_size: int, read_only: bool, available: int) -> str:
    """Sizes in bytes: `image` -1 when it is gone, `taken` what it takes in the pool, `device_size` 0 when detached."""
    if image < 0:
        return "its image is gone"
    if image < record.size:
        return f"its image has {image} bytes instead of {record.size}"
    if 0 < device_size < record.size:
        return f"its loop device shows {device_size} bytes instead of {record.size}"
    if read_only:
        return "its file system became read-only after an error"
    if record.thin and not available and taken < record.size:
        return "it is thin and the pool has no room left: writes may fail"
    return ""


def _failed(device: str) -> bool:
    """The file system's own state: a mount that was asked to be read-only is no error."""
    number = mounts.number(device)
    return any(mount.device == number and "ro" in mount.super_options for mount in mounts.listed())


def condition(engine: Engine, pool: Pool, record: Record) -> t.Any:
    image = engine.store.image(record.id)
    try:
        size = image.stat().st_size
    except FileNotFoundError:
        size = -1
    device = loops.find(image)
    found = problem(
        record,
        size,
        images.allocated(image),
        loops.size(device) if device else 0,
        bool(device) and record.mode == MOUNT and _failed(device),
        pool.usage().available,
    )
    return csi.VolumeCondition(abnormal=bool(found), message=found or "as it should be")
