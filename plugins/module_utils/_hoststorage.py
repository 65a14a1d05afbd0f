# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What is wanted of a host's storage: directories, and disks with a file system and a mount point.

Read by the plan and, on the host, by the module host_storage. Standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable

# Adds a problem: code, variable, message, remedy.
Add = Callable[[str, str, str, str], None]

FILESYSTEMS = ("ext4", "xfs")
# Names that stay with a disk, or with its place, when the host starts again. /dev/sdb may be another disk then.
_STABLE = re.compile(r"/dev/(disk/by-(id|path|partuuid)|mapper)/[^/\s]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?|[0-9]+")
_OPTION = re.compile(r"[A-Za-z0-9_.=:%+/-]+")
_MODE = re.compile(r"0?[0-7]{3}")
# Directories that belong to the system, or to a program that empties them.
_FOREIGN = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/usr", "/var/lib/containerd", "/var/lib/etcd",
            "/var/lib/kubelet", "/var/tmp")  # fmt: skip
_TOP = ("/", "/home", "/opt", "/root", "/srv", "/var", "/var/lib", "/var/log", "/mnt", "/media")
_DISK_KEYS = {"device", "serial", "filesystem", "mount", "options", "reflink", "use_existing", "allow_data_loss_serial"}
_DIRECTORY_KEYS = {"path", "mode", "owner", "group"}


@dataclass(frozen=True)
class Directory:
    """A directory that has to be there. mode is octal text."""

    path: str
    mode: str = "0755"
    owner: str = "root"
    group: str = "root"

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Disk:
    """A disk, by a name that stays or by its serial, and what has to be on it."""

    mount: str
    device: str = ""
    serial: str = ""
    filesystem: str = "ext4"
    options: tuple[str, ...] = ()
    reflink: bool = False
    use_existing: bool = False
    allow_data_loss_serial: str = ""

    @property
    def title(self) -> str:
        return self.device or f"the disk with serial {self.serial}"

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "options": list(self.options)}


def path_problem(path: Any) -> str:
    """Why a directory can't be used for storage; empty when it can."""
    text = str(path)
    if not isinstance(path, str) or not text.startswith("/") or os.path.normpath(text) != text or "//" in text:
        return f"'{path}' is not an absolute path without '..' and a '/' at its end"
    if re.search(r"[\s\\#]", text):
        return f"'{path}' has a space, a backslash or a '#' in it"
    if text in _TOP or any(text == own or text.startswith(f"{own}/") for own in _FOREIGN):
        return f"{path} belongs to the system or to a program that empties it"
    return ""


def read_directory(entry: Any, path: str, add: Add) -> Directory | None:
    """A directory of node_storage: its path, or a mapping."""
    data = {"path": entry} if isinstance(entry, str) else entry
    if not isinstance(data, Mapping) or set(data) - _DIRECTORY_KEYS or not data.get("path"):
        add("storage_directory_invalid", path, f"{entry!r} is not a directory.",
            "Write its path, or {path: /srv/pool, mode: '0750', owner: root, group: root}.")  # fmt: skip
        return None
    wrong = path_problem(data["path"])
    if wrong:
        add("storage_path_invalid", path, f"{wrong}.", "Use a directory of its own, such as /srv/volumes.")
        return None
    made = Directory(str(data["path"]), *(str(data.get(key) or default) for key, default in
                     (("mode", "0755"), ("owner", "root"), ("group", "root"))))  # fmt: skip
    if not isinstance(data.get("mode", ""), str) or not _MODE.fullmatch(made.mode):
        add("storage_directory_invalid", path, f"{data.get('mode')!r} is not the mode of a directory.",
            "Write it as a text of octal digits, such as '0750'.")  # fmt: skip
    for name in (made.owner, made.group):
        if not _NAME.fullmatch(name):
            add("storage_directory_invalid", path, f"'{name}' cannot own a directory.", "Use a name or a number.")
    return made


def read_disk(entry: Any, path: str, add: Add) -> Disk | None:
    """A disk of node_storage."""
    if not isinstance(entry, Mapping) or set(entry) - _DISK_KEYS:
        add("storage_disk_invalid", path, f"{entry!r} is not a disk.",
            f"Write a mapping of {', '.join(sorted(_DISK_KEYS))}.")  # fmt: skip
        return None
    text = {key: str(entry.get(key) or "") for key in ("device", "serial", "mount", "allow_data_loss_serial")}
    disk = Disk(
        mount=text["mount"],
        device=text["device"],
        serial=text["serial"],
        filesystem=str(entry.get("filesystem") or "ext4"),
        options=_options(entry.get("options"), path, add),
        reflink=_flag(entry, "reflink", path, add),
        use_existing=_flag(entry, "use_existing", path, add),
        allow_data_loss_serial=text["allow_data_loss_serial"],
    )
    if not disk.device and not disk.serial:
        add("storage_disk_unnamed", path, f"The disk for {disk.mount or '?'} is not named.",
            "Set serial, or device to a link below /dev/disk/by-id.")  # fmt: skip
    if disk.device and not _STABLE.fullmatch(disk.device):
        add("storage_device_ambiguous", path, f"{disk.device} may be another disk after the next start.",
            "Set serial, or device to a link below /dev/disk/by-id or /dev/disk/by-path.")  # fmt: skip
    wrong = path_problem(disk.mount)
    if wrong:
        add("storage_path_invalid", path, f"{wrong}.", "Mount it at a directory of its own, such as /srv/volumes.")
    if disk.filesystem not in FILESYSTEMS:
        add("storage_filesystem_unknown", path, f"'{disk.filesystem}' is not a file system for volumes.",
            f"Use {' or '.join(FILESYSTEMS)}.")  # fmt: skip
    if disk.reflink and disk.filesystem != "xfs":
        add("storage_reflink_impossible", path, f"{disk.filesystem} cannot share blocks between files.",
            "Use filesystem: xfs, or leave reflink out.")  # fmt: skip
    if disk.use_existing and disk.allow_data_loss_serial:
        add(
            "storage_disk_invalid", path, "use_existing keeps what allow_data_loss_serial gives up.", "Set one of them."
        )
    if disk.allow_data_loss_serial and disk.serial not in ("", disk.allow_data_loss_serial):
        add("storage_serial_differs", path, f"serial is {disk.serial}, but allow_data_loss_serial is"
            f" {disk.allow_data_loss_serial}.", "Give up the data of the disk that is named.")  # fmt: skip
    return disk


def _flag(entry: Mapping[str, Any], key: str, path: str, add: Add) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        add("storage_disk_invalid", path, f"{key} is {value!r}, neither true nor false.", "Write true or false.")
    return value is True


def _options(value: Any, path: str, add: Add) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) and _OPTION.fullmatch(i) for i in items):
        add("storage_disk_invalid", path, f"{value!r} are no mount options.", "Write a list such as [noatime].")
        return ()
    return tuple(items)


def read_storage(value: Any, path: str, add: Add) -> tuple[list[Directory], list[Disk]]:
    """The variable node_storage. What is wrong is added, and left out of the result where it can't be used."""
    if not value:
        return [], []
    if not isinstance(value, Mapping) or set(value) - {"directories", "disks"}:
        add("storage_invalid", path, f"{path} is not a mapping of directories and disks.",
            "Write it as {disks: [{serial: S4E, mount: /srv/volumes}], directories: [/srv/volumes/pool]}.")  # fmt: skip
        return [], []
    lists = {}
    for key in ("directories", "disks"):
        lists[key] = value.get(key) or []
        if not isinstance(lists[key], (list, tuple)):
            add("storage_invalid", path, f"{key} of {path} is not a list.", "Write a list.")
            lists[key] = []
    directories = [item for entry in lists["directories"] if (item := read_directory(entry, path, add))]
    disks = [disk for entry in lists["disks"] if (disk := read_disk(entry, path, add))]
    _twice("storage_directory_twice", "The directory", [item.path for item in directories], path, add)
    _twice("storage_mount_twice", "The mount point", [item.mount for item in disks if item.mount], path, add)
    _twice("storage_disk_twice", "The disk", [item.device for item in disks if item.device], path, add)
    _twice("storage_disk_twice", "The serial", [item.serial for item in disks if item.serial], path, add)
    return directories, disks


def _twice(code: str, title: str, names: Iterable[str], path: str, add: Add) -> None:
    found = list(names)
    for name in sorted({name for name in found if found.count(name) > 1}):
        add(code, path, f"{title} {name} is listed more than once.", "Keep one of them.")
