# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a volume as pure functions: what is there in, the next step out, None when the goal is reached.

Nothing is remembered between steps. A driver that is killed anywhere looks again and goes on, or takes back what nobody
was told of. That works because the record is the first thing that is written and the last that is removed, and because
an image gets its name only when it is complete.
"""

from __future__ import annotations

import dataclasses
import enum

from .errors import InUse, VolumeError
from .record import CREATING, DELETING, MOUNT, READY, Record


class Step(enum.Enum):
    RESERVE = "write the record, which takes the room"
    FILL = "make the image under another name and rename it"
    COMMIT = "mark it as ready"
    MARK_DELETING = "mark it as being deleted"
    UNMOUNT = "unmount"
    DETACH = "detach the loop device"
    REMOVE_FILES = "remove image and part"
    FORGET = "remove the record"
    ATTACH = "attach a loop device"
    RESIZE_DEVICE = "tell the loop device the image's size"
    FORMAT = "make the file system and note it"
    MOUNT = "check the file system and mount it"
    GROW_FS = "grow the file system and note it"
    PLAN_GROWTH = "note the new size, which takes the room"
    GROW_IMAGE = "grow the image"
    COMMIT_GROWTH = "make the new size the size"
    DROP_GROWTH = "cut the image back to its size"


@dataclasses.dataclass(frozen=True)
class World:
    """What can be seen of one volume: sizes in bytes, -1 for an image that is not there."""

    record: Record | None = None
    image: int = -1
    part: bool = False
    device: str = ""
    device_size: int = 0
    mounted: bool = False
    # Whether a mounted file system can be grown; if not it is done before it is mounted.
    grows_online: bool = True


def create(world: World) -> Step | None:
    record = world.record
    if record is None:
        if world.image >= 0 or world.part:
            raise VolumeError("an image without a record has this name (see the orphans); nothing is overwritten")
        return Step.RESERVE
    if record.state == DELETING:
        return delete(world)
    if record.state == CREATING:
        return Step.COMMIT if world.image >= 0 else Step.FILL
    return None


def delete(world: World, unmount: bool = False) -> Step | None:
    """`unmount`: a volume that lives as long as its mount; every other one has to be unmounted before."""
    record = world.record
    if record is None:
        return None
    if world.mounted and not unmount:
        raise InUse(f"volume {record.id} is mounted on this node")
    if record.state != DELETING:
        return Step.MARK_DELETING
    if world.mounted:
        return Step.UNMOUNT
    if world.device:
        return Step.DETACH
    if world.image >= 0 or world.part:
        return Step.REMOVE_FILES
    return Step.FORGET


def _ready(world: World) -> Record:
    if world.record is None or world.record.state != READY:
        raise InUse("the volume is not ready")
    if world.image < 0:
        raise VolumeError(f"the image of volume {world.record.id} is gone")
    return world.record


def stage(world: World) -> Step | None:
    record = _ready(world)
    if not world.device:
        return Step.ATTACH
    if world.device_size < record.size:
        return Step.RESIZE_DEVICE
    if record.mode != MOUNT:
        return None
    if not record.formatted:
        # Mounting comes after it was noted, so nobody's data can be in there.
        return Step.FORMAT
    if record.fs_size < record.size and world.mounted == world.grows_online:
        return Step.GROW_FS
    return None if world.mounted else Step.MOUNT


def unstage(world: World) -> Step | None:
    if world.mounted:
        return Step.UNMOUNT
    return Step.DETACH if world.device else None


def expand(world: World, wanted: int, node: bool = True) -> Step | None:
    """`node`: the file system as well; the controller leaves it to the node."""
    record = _ready(world)
    if record.size < wanted:
        if record.target != wanted:
            return Step.PLAN_GROWTH if not record.target else Step.DROP_GROWTH
        return Step.COMMIT_GROWTH if world.image >= record.target else Step.GROW_IMAGE
    if record.target:
        return Step.DROP_GROWTH
    if world.device and world.device_size < record.size:
        return Step.RESIZE_DEVICE
    if not node or record.mode != MOUNT or not world.mounted or record.fs_size >= record.size:
        return None
    if not world.grows_online:
        raise InUse(f"a mounted {record.fs} can't be grown here; {record.id} grows when it is mounted the next time")
    return Step.GROW_FS


def recover(world: World) -> Step | None:
    """After a start: what was not finished was never answered, so it is taken back; deletions are finished."""
    record = world.record
    if record is None:
        return None
    if record.state != READY:
        return delete(world, unmount=True)
    return Step.DROP_GROWTH if record.target else None
