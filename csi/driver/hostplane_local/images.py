# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image files: allocated in full (thick) or sparse (thin), copied by reference where the file system can."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import typing as t
from pathlib import Path

from .errors import Full
from .record import Record, Store, sync_directory

FICLONE = 0x40049409
_CHUNK = 16 << 20


def allocate(handle: int, start: int, size: int) -> None:
    """Blocks for every byte from start to size; the size only grows with them, so a short file is an unfinished one."""
    try:
        if size > start:
            os.posix_fallocate(handle, start, size - start)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Full(f"the pool's file system has no room for {size - start} more bytes: {exc.strerror}") from exc
        raise


def allocated(path: Path) -> int:
    """Bytes that the file takes in the pool; on a file system with reflinks some of them may be shared."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def clone(source: int, target: int) -> bool:
    """By reference; False where the file system can't."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as exc:
        if exc.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS):
            return False
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(f"the pool's file system has no room for a clone: {exc.strerror}") from exc
        raise
    return True


def data_ranges(handle: int, size: int) -> t.Iterator[tuple[int, int]]:
    """The parts of a sparse file that hold data, as (start, end)."""
    end = 0
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            raise
        end = min(os.lseek(handle, start, os.SEEK_HOLE), size)
        yield start, end


def _copy_range(source: int, target: int, start: int, length: int) -> int:
    try:
        done = os.copy_file_range(source, target, length, start, start)
    except OSError as exc:
        if exc.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV, errno.ENOSYS):
            raise
        done = os.pwrite(target, os.pread(source, length, start), start)
    if not done:
        raise OSError(errno.EIO, "the source became shorter while it was copied")
    return done


def copy(source: int, target: int) -> None:
    size = os.fstat(source).st_size
    try:
        for start, end in data_ranges(source, size):
            while start < end:
                start += _copy_range(source, target, start, min(_CHUNK, end - start))
        if os.fstat(target).st_size < size:
            os.ftruncate(target, size)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(f"the pool's file system is full: {exc.strerror}") from exc
        raise


def can_clone(directory: Path) -> bool | None:
    """Whether the file system of the directory has reflinks; tried, because no flag tells. None while it is full.

    With files that have neither a name nor bytes: they take no block, and nobody comes across them.
    """
    try:
        with (
            tempfile.TemporaryFile(prefix=".reflink-", dir=directory) as source,
            tempfile.TemporaryFile(prefix=".reflink-", dir=directory) as target,
        ):
            return clone(source.fileno(), target.fileno())
    except Full:
        return None
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            return None
        raise


def fill(
    store: Store,
    record: Record,
    source: Path | None,
    quiet: t.Callable[[], t.ContextManager[None]],
    counting: t.ContextManager[t.Any],
) -> None:
    """Make the image of a record under its other name, then rename it.

    `quiet` holds back writes to the source while it is copied; `counting` keeps the room from being counted meanwhile.
    """
    part = store.part(record.id)
    part.unlink(missing_ok=True)
    with part.open("w+b") as target:
        os.fchmod(target.fileno(), 0o600)
        if source is not None:
            with source.open("rb") as origin, quiet():
                if not clone(origin.fileno(), target.fileno()):
                    copy(origin.fileno(), target.fileno())
        if record.thin or record.kind == "snapshot":
            os.ftruncate(target.fileno(), record.size)
        else:
            with counting:
                allocate(target.fileno(), 0, record.size)
        os.fsync(target.fileno())
    os.rename(part, store.image(record.id))
    sync_directory(store.directory)


def grow(store: Store, record: Record, counting: t.ContextManager[t.Any]) -> None:
    with store.image(record.id).open("r+b") as image:
        if record.thin:
            os.ftruncate(image.fileno(), record.target)
        else:
            with counting:
                allocate(image.fileno(), os.fstat(image.fileno()).st_size, record.target)
        os.fsync(image.fileno())


def cut(store: Store, record: Record) -> None:
    """Back to the size of the record; for a growth that did not get to its end."""
    with contextlib.suppress(FileNotFoundError), store.image(record.id).open("r+b") as image:
        if os.fstat(image.fileno()).st_size > record.size:
            os.ftruncate(image.fileno(), record.size)
            os.fsync(image.fileno())


def refill(store: Store, record: Record) -> bool:
    """Allocate again what was discarded from a thick image; False when the pool has no room for it."""
    if record.thin:
        return True
    with store.image(record.id).open("r+b") as image:
        try:
            allocate(image.fileno(), 0, record.size)
        except Full:
            return False
    return True
