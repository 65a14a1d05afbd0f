# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts as the kernel lists them, and the two commands that change them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import subprocess
import typing as t
from pathlib import Path

from .errors import InUse, VolumeError

_FREEZE, _THAW = 0xC0045877, 0xC0045878
_ESCAPED = re.compile(r"\\([0-7]{3})")
# Where the kubelet has a pod's volumes: file systems, parts of them, and what it binds raw devices to.
_OF_POD = re.compile(r"/pods/([^/]+)/volume|/volumeDevices/(?:publish/[^/]+|[^/]+/dev)/([^/]+)$")


class Mount(t.NamedTuple):
    device: str  # major:minor of the file system
    root: str
    path: str
    options: frozenset[str]
    kind: str
    super_options: frozenset[str]


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), text)


def parse(text: str) -> list[Mount]:
    """Lines of /proc/self/mountinfo, the newest mount of a path last."""
    found = []
    for line in text.splitlines():
        left, _sep, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if len(fields) >= 6 and len(rest) >= 3:
            options, of_all = frozenset(fields[5].split(",")), frozenset(rest[2].split(","))
            found.append(Mount(fields[2], _unescape(fields[3]), _unescape(fields[4]), options, rest[0], of_all))
    return found


def listed() -> list[Mount]:
    return parse(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))


def at(path: str) -> Mount | None:
    """What is mounted at a path, the uppermost."""
    real = os.path.realpath(path)
    return next((mount for mount in reversed(listed()) if mount.path == real), None)


def number(device: str) -> str:
    found = os.stat(device).st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def of(device: str) -> list[str]:
    """Where the file system on a block device is mounted."""
    wanted = number(device)
    return [mount.path for mount in listed() if mount.device == wanted]


def shows(path: str, device: str) -> bool:
    """Whether a mount shows the file system on the device, or the device itself."""
    mount = at(path)
    if mount is None:
        return False
    if mount.device == number(device):
        return True
    return _is_node(path, device)


def bound_nodes(device: str) -> list[str]:
    """Where the device itself is bound to: raw block volumes."""
    name = os.path.basename(device)
    # Only mounts that can be it are looked at: stat of a dead NFS mount would never return.
    return [mount.path for mount in listed() if os.path.basename(mount.root) == name and _is_node(mount.path, device)]


def of_others(paths: t.Iterable[str], staged: str, target: str) -> list[str]:
    """Mounts of a volume that are of another pod than the target. The kubelet binds what one pod has more than once."""
    pod = pod_of(target)
    return [path for path in paths if path not in (staged, target) and not (pod and pod_of(path) == pod)]


def pod_of(path: str) -> str:
    """UID of the pod that a mount of the kubelet is for; empty for any other mount."""
    match = _OF_POD.search(path)
    return next(filter(None, match.groups())) if match else ""


def _is_node(path: str, device: str) -> bool:
    with contextlib.suppress(OSError):
        found = os.stat(path)
        return stat.S_ISBLK(found.st_mode) and found.st_rdev == os.stat(device).st_rdev
    return False


def run(*argv: str, accept: t.Container[int] = (0,)) -> str:
    """Output of a command; VolumeError with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode not in accept:
        said = " ".join((done.stderr or done.stdout).split())
        raise VolumeError(f"`{' '.join(argv)}` failed ({done.returncode}): {said}")
    return done.stdout


def mount(device: str, path: str, kind: str, options: t.Sequence[str]) -> None:
    run("mount", "-t", kind, *(["-o", ",".join(options)] if options else []), device, path)


def bind(source: str, path: str, read_only: bool) -> None:
    run("mount", "--bind", source, path)
    if read_only:
        try:
            make_read_only(path)
        except VolumeError:
            run("umount", path)
            raise


def make_read_only(path: str) -> None:
    run("mount", "-o", "remount,bind,ro", path)


def unmount(path: str) -> None:
    """Everything that is mounted at a path; nothing when nothing is."""
    while at(path) is not None:
        try:
            run("umount", path)
        except VolumeError as exc:
            if "busy" in str(exc):
                raise InUse(f"{path} is in use: {exc}") from exc
            if at(path) is not None:
                raise


def freeze(paths: t.Sequence[str]) -> None:
    """Hold back writes to the file system at the paths; what was written is on the device when this returns."""
    _on_any(paths, _FREEZE, errno.EBUSY)


def thaw(paths: t.Sequence[str]) -> None:
    _on_any(paths, _THAW, errno.EINVAL)


def _on_any(paths: t.Sequence[str], number: int, already: int) -> None:
    """One of the mounts will do. Not every one has to: a part of a volume that a pod has may be a file."""
    failed = None
    for path in paths:
        try:
            _ioctl(path, number, already)
            return
        except OSError as exc:
            failed = failed or exc
    if failed:
        raise failed


def _ioctl(path: str, number: int, already: int) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, number, 0)
    except OSError as exc:
        if exc.errno != already:
            raise
    finally:
        os.close(handle)
