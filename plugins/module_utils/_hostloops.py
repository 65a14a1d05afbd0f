# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""Loop devices of node-local volumes, found by what they are on and never by a name.

losetup does not say which block device another loop device is on, so the kernel is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System

_CLR_FD, _GET_STATUS64 = 0x4C01, 0x4C05
# struct loop_info64 begins with device and inode of the file and, when it is a block device, its own number.
_INFO, _INFO_SIZE = struct.Struct("=3Q"), 232


class Loop(t.NamedTuple):
    """An attached device with its number, and that of the file or of the block device that it is on."""

    path: str
    number: int
    device: int
    inode: int
    on_device: int


def decode(number: int) -> int:
    """A device number as the kernel writes it, as os.stat() gives it."""
    return os.makedev((number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00))


def attached(system: System) -> list[Loop]:
    """All of this kernel, those of other nodes as well when nodes are containers."""
    found = []
    for entry in system.glob("/sys/block/loop*/loop"):
        path = f"/dev/{entry.split('/')[3]}"
        with contextlib.suppress(OSError):
            handle = os.open(system.path(path), os.O_RDONLY | os.O_CLOEXEC)
            try:
                buffer = bytearray(_INFO_SIZE)
                fcntl.ioctl(handle, _GET_STATUS64, buffer)
                device, inode, on_device = _INFO.unpack_from(buffer)
                found.append(Loop(path, os.fstat(handle).st_rdev, decode(device), inode, decode(on_device)))
            finally:
                os.close(handle)
    return found


def of_pools(system: System, pools: t.Iterable[str]) -> dict[str, str]:
    """Devices on volumes of the pools with the volume's file, those that are to be detached first at the beginning.

    The kubelet holds a raw volume by a loop device of its own, which is on the volume's device.
    """
    images = {}
    for pool in pools:
        for path in system.glob(f"{pool}/*.img"):
            info = os.stat(system.path(path))
            images[info.st_dev, info.st_ino] = path
    if not images:
        return {}
    every = attached(system)
    found = {loop: images[loop.device, loop.inode] for loop in every if (loop.device, loop.inode) in images}
    below = {loop.number: path for loop, path in found.items()}
    upper = {loop.path: below[loop.on_device] for loop in every if loop.on_device in below}
    return {**upper, **{loop.path: path for loop, path in found.items()}}


def detach(system: System, path: str) -> None:
    """At once, or when the last who has it open lets go."""
    with contextlib.suppress(OSError):
        handle = os.open(system.path(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(handle, _CLR_FD, 0)
        finally:
            os.close(handle)
