# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices by ioctl.

All that the kernel has is seen here, that of other nodes as well when nodes are containers. So a device is only ours
when it is on a file with the same device and inode number as our image, never because of a name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import time
import typing as t
from pathlib import Path

from .errors import InUse, VolumeError

_MAJOR = 7
_CLR_FD, _GET_STATUS64, _SET_CAPACITY, _CONFIGURE, _CTL_GET_FREE = 0x4C01, 0x4C05, 0x4C07, 0x4C0A, 0x4C82
_DIRECT_IO = 16
# Always the same: left to the kernel it becomes 4096 once the image shares blocks, and a file system with smaller ones
# could not be mounted any more.
_SECTOR = 512
# struct loop_info64: device, inode, rdevice, offset, sizelimit; number, encryption (2), flags; names, key; init.
_INFO = struct.Struct("=5Q4I64s64s32s2Q")
_CONFIG = struct.Struct("=II")
_BUSY_SECONDS = 5.0
_TRIES = 64

SYS = Path("/sys/block")
DEV = Path("/dev")


class Status(t.NamedTuple):
    device: int
    inode: int
    flags: int


def encode_device(number: int) -> int:
    """A device number as the kernel writes it into loop_info64."""
    major, minor = os.major(number), os.minor(number)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def node(number: int) -> Path:
    """Path of a loop device; made when the kernel has the device and this /dev doesn't show it."""
    path = DEV / f"loop{number}"
    try:
        found = path.stat()
        if stat.S_ISBLK(found.st_mode) and found.st_rdev == os.makedev(_MAJOR, number):
            return path
        raise VolumeError(f"{path} is not loop device {number}")
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(_MAJOR, number))
    return path


def number_of(device: str) -> int:
    return int(Path(device).name[len("loop") :])


@contextlib.contextmanager
def opened(path: Path | str, flags: int) -> t.Iterator[int]:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def status(handle: int) -> Status | None:
    """What a device is on; None when on nothing."""
    buffer = bytearray(_INFO.size)
    try:
        fcntl.ioctl(handle, _GET_STATUS64, buffer)
    except OSError as exc:
        if exc.errno == errno.ENXIO:
            return None
        raise
    fields = _INFO.unpack(bytes(buffer))
    return Status(fields[0], fields[1], fields[8])


def is_on(handle: int, image: os.stat_result) -> bool:
    found = status(handle)
    return found is not None and (found.device, found.inode) == (encode_device(image.st_dev), image.st_ino)


def backing_files() -> dict[int, str]:
    """Number and file of every attached device, as the kernel spells it: the path may be that of another container."""
    found = {}
    for path in SYS.glob("loop*"):
        with contextlib.suppress(OSError):
            found[int(path.name[len("loop") :])] = (path / "loop/backing_file").read_text().rstrip("\n")
    return found


def find(image: Path) -> str:
    """The device on this very file, empty when there is none."""
    try:
        wanted = image.stat()
    except FileNotFoundError:
        return ""
    for number, backing in sorted(backing_files().items()):
        # The name only spares opening the devices of others; what decides is the inode.
        if os.path.basename(backing) != image.name:
            continue
        path = node(number)
        try:
            with opened(path, os.O_RDONLY) as handle:
                if is_on(handle, wanted):
                    return str(path)
        except (FileNotFoundError, PermissionError):
            continue
        except OSError as exc:
            # It went away in between. Any other error may hide a device that is ours.
            if exc.errno not in (errno.ENXIO, errno.ENODEV):
                raise
    return ""


def look(number: int) -> Status | None:
    """What a device is on; None when on nothing, or when it cannot be opened."""
    with contextlib.suppress(OSError, VolumeError), opened(node(number), os.O_RDONLY) as handle:
        return status(handle)
    return None


def size(device: str) -> int:
    """Bytes."""
    return int((SYS / Path(device).name / "size").read_text()) * 512


def _configure(handle: int, image: int, flags: int) -> None:
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, b"", b"", b"", 0, 0)
    fcntl.ioctl(handle, _CONFIGURE, bytearray(_CONFIG.pack(image, _SECTOR) + info + bytes(64)))


def attach(image: Path, keep_blocks: bool) -> str:
    """Attach a free device; `keep_blocks`: a discard must not give the image's blocks back to the pool."""
    for _attempt in range(_TRIES):
        with opened(DEV / "loop-control", os.O_RDWR) as control:
            path = node(fcntl.ioctl(control, _CTL_GET_FREE))
        with opened(image, os.O_RDWR) as backing, opened(path, os.O_RDWR) as handle:
            try:
                # Without direct I/O every block is in the page cache twice. The kernel leaves it out where it can't.
                _configure(handle, backing, _DIRECT_IO)
            except OSError as exc:
                # Someone else was faster.
                if exc.errno == errno.EBUSY:
                    continue
                raise VolumeError(f"no loop device for {image}: {exc.strerror}") from exc
        if keep_blocks:
            with contextlib.suppress(OSError):
                (SYS / path.name / "queue/discard_max_bytes").write_text("0")
        return str(path)
    raise VolumeError(f"no loop device for {image}: others took the free one {_TRIES} times")


def flush(device: str) -> None:
    with opened(device, os.O_RDONLY) as handle:
        os.fsync(handle)


def refresh(device: str, image: Path) -> None:
    """Tell the device that its file has grown."""
    with opened(device, os.O_RDWR) as handle:
        if is_on(handle, image.stat()):
            fcntl.ioctl(handle, _SET_CAPACITY, 0)


def detach(device: str, image: Path) -> None:
    """Detach a device that is on this file and wait until it is; InUse while something has it open."""
    wanted = image.stat()
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        with opened(device, os.O_RDONLY) as handle:
            if not is_on(handle, wanted):
                return
            try:
                fcntl.ioctl(handle, _CLR_FD, 0)
            except OSError as exc:
                if exc.errno not in (errno.EBUSY, errno.ENXIO):
                    raise
        if time.monotonic() > deadline:
            raise InUse(f"{device} on {image} is still open somewhere on this node")
        time.sleep(0.02)
