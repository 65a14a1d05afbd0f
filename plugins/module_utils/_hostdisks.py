# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The storage of a host made as wanted: what is there, what is missing, and doing it so that a killed run can go on."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _disks, _formatting
from ansible_collections.hostplane.cluster.plugins.module_utils._disks import DiskError, Found, run
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._fstab import fstab_above, fstab_line, fstab_with
from ansible_collections.hostplane.cluster.plugins.module_utils._hoststorage import Directory, Disk
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

FSTAB = "/etc/fstab"
_NAMESPACE = uuid.UUID("5b1f2f0e-6d0c-4bde-9d63-4f6a1d0d6c0e")


def filesystem_uuid(disk: Disk, found: Found) -> str:
    """The UUID that a file system of this disk gets: by it the disk is known again, whoever looks and whenever.

    A disk that tells who it is keeps its file system when the system of the host is installed anew.
    """
    identity = found.wwn or found.serial
    if not identity or found.kind != "disk":
        # What has no identity of its own is known by its name, and only on this host.
        with contextlib.suppress(OSError), open("/etc/machine-id", encoding="utf-8") as handle:
            identity = f"{identity}/{handle.read().strip()}/{disk.device or found.path}"
    return str(uuid.uuid5(_NAMESPACE, f"{identity}/{disk.mount}"))


@dataclass
class Plan:
    """One disk with what has to happen to it."""

    disk: Disk
    found: Found
    uuid: str
    action: str
    erase: list[str]

    def before(self) -> dict[str, Any]:
        types = [kind for kind, _uuid in self.found.signatures] or (["partitions"] if self.found.inside else [])
        return {"device": self.found.path, "content": "+".join(types), "mounted": self.action == "keep"}

    def after(self) -> dict[str, Any]:
        return {"device": self.found.path, "content": self.disk.filesystem, "mounted": True}


class HostStorage:
    """The disks and directories of one host. prepare() looks, apply() does what it found to be missing."""

    def __init__(self, directories: Sequence[Directory], disks: Sequence[Disk], host: str = "") -> None:
        self._directories = sorted(directories, key=lambda item: item.path)
        self._disks = sorted(disks, key=lambda item: item.mount)
        self._host = host
        self.problems: list[Problem] = []
        self.plans: list[Plan] = []
        self.wrong_directories: list[Directory] = []
        self.fstab_before = self.fstab_after = ""
        self._seen: dict[str, dict[str, Any] | None] = {}

    def _add(self, code: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy, host=self._host, path="node_storage"))

    @property
    def changed(self) -> bool:
        return (
            bool(self.wrong_directories)
            or self.fstab_before != self.fstab_after
            or any(plan.action != "keep" for plan in self.plans)
        )

    def prepare(self) -> None:
        """Look at everything; nothing is changed. Problems are collected."""
        with contextlib.suppress(FileNotFoundError), open(FSTAB, encoding="utf-8") as handle:
            self.fstab_before = self.fstab_after = handle.read()
        if self._disks:
            self._prepare_disks()
        for directory in self._directories:
            self._prepare_directory(directory)

    def _prepare_disks(self) -> None:
        trees = _disks.list_disks()
        chosen: dict[str, str] = {}
        for disk in self._disks:
            found, verdict = _disks.choose(disk, trees)
            if found is not None:
                other = chosen.setdefault(found.path, disk.mount)
                if other != disk.mount:
                    self._add("storage_disk_twice", f"{found.title} is wanted at {other} and at {disk.mount}.",
                              "Name another disk for one of them.")  # fmt: skip
                    continue
                found = _disks.look(found)
                wanted = filesystem_uuid(disk, found)
                verdict = _disks.judge(disk, found, wanted, _formatting.interrupted(wanted, found))
            if found is None or not verdict.action:
                self._add(verdict.code, verdict.message, verdict.remedy)
                continue
            self._prepare_disk(Plan(disk, found, self._uuid(disk, found, wanted, verdict.action), verdict.action,
                                    verdict.erase), trees)  # fmt: skip

    def _uuid(self, disk: Disk, found: Found, wanted: str, action: str) -> str:
        present = [number for kind, number in found.signatures if kind == disk.filesystem and number]
        return wanted if action == "format" or not present else present[0]

    def _prepare_disk(self, plan: Plan, trees: Sequence[Found]) -> None:
        disk, number = plan.disk, len(self.problems)
        if plan.action == "keep" and [kind for kind, _id in plan.found.signatures] != [disk.filesystem]:
            kinds = ", ".join(kind for kind, _id in plan.found.signatures) or "nothing known"
            self._add("storage_filesystem_differs", f"At {disk.mount} {kinds} is mounted, wanted is {disk.filesystem}.",
                      "Correct filesystem, or, to lose its data, unmount it and erase it with wipefs.")  # fmt: skip
        if plan.action != "keep":
            self._check_mount_point(disk, trees)
        if plan.action == "format" and not shutil.which(f"mkfs.{disk.filesystem}"):
            package = "xfsprogs" if disk.filesystem == "xfs" else "e2fsprogs"
            self._add("storage_tool_missing", f"mkfs.{disk.filesystem} is not installed.", f"Install {package}.")
        if plan.action != "format" and disk.reflink and "reflink=1" not in run("xfs_info", plan.found.path):
            self._add("storage_reflink_missing", f"The xfs on {plan.found.title} was made without reflink.",
                      "Leave reflink out, or, to lose its data, unmount it and erase it with wipefs.")  # fmt: skip
        own = [f"UUID={plan.uuid}", plan.found.path, disk.device, f"UUID={filesystem_uuid(disk, plan.found)}"]
        own += [f"UUID={known}" for _kind, known in plan.found.signatures if known]
        text, foreign = fstab_with(self.fstab_after, disk, fstab_line(disk, plan.uuid), own)
        if foreign:
            self._add("storage_fstab_differs", f"{FSTAB} has another device for {disk.mount}: {foreign}",
                      "Remove that line, or use another mount point.")  # fmt: skip
        if len(self.problems) == number:
            self.fstab_after = text
            self.plans.append(plan)

    def _check_mount_point(self, disk: Disk, trees: Sequence[Found]) -> None:
        for part in (part for tree in trees for part in tree.everything()):
            if disk.mount in part.mounts:
                self._add("storage_mount_taken", f"At {disk.mount} {part.title} is mounted.",
                          "Unmount it, or use another mount point.")  # fmt: skip
                return
        with contextlib.suppress(FileNotFoundError):
            try:
                if os.listdir(disk.mount):
                    self._add("storage_mount_hides", f"{disk.mount} has files in it that the mount would hide.",
                              "Move them away, or use another mount point.")  # fmt: skip
            except NotADirectoryError:
                self._add("storage_mount_taken", f"{disk.mount} is not a directory.", "Use another mount point.")

    def _prepare_directory(self, directory: Directory) -> None:
        try:
            owner, group = _numbers(directory)
        except KeyError as exc:
            self._add("storage_owner_unknown", f"{directory.path}: {exc.args[0]}.", "Use a name or number that exists.")
            return
        fresh = [plan.disk.mount for plan in self.plans if plan.action != "keep"]
        device, point = fstab_above(self.fstab_before, directory.path)
        if point and point not in [disk.mount for disk in self._disks] and not os.path.ismount(os.path.realpath(point)):
            self._add("storage_disk_not_mounted", f"{directory.path} is to be on {device}, which {FSTAB} mounts at"
                      f" {point}, and nothing is mounted there: volumes would fill the system's own disk.",
                      f"See `systemctl status` and `mount {point}` for the reason, or remove the line.")  # fmt: skip
            return
        try:
            info = os.stat(directory.path)
        except FileNotFoundError:
            info = None
        except OSError as exc:
            self._add("storage_directory_unusable", f"{directory.path}: {exc.strerror}.", "Use another path.")
            return
        # What is below a disk that is not mounted yet will be somewhere else.
        if info is None or any(f"{directory.path}/".startswith(f"{mount}/") for mount in fresh):
            self._seen[directory.path] = None
            self.wrong_directories.append(directory)
            return
        if not stat.S_ISDIR(info.st_mode):
            self._add("storage_directory_unusable", f"{directory.path} is not a directory.", "Use another path.")
            return
        self._seen[directory.path] = {
            "mode": f"{stat.S_IMODE(info.st_mode):04o}",
            "uid": info.st_uid,
            "gid": info.st_gid,
        }
        if (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) != (int(directory.mode, 8), owner, group):
            self.wrong_directories.append(directory)

    def diff(self) -> dict[str, Any]:
        """What differs, by path."""
        before: dict[str, Any] = {plan.disk.mount: plan.before() for plan in self.plans if plan.action != "keep"}
        after: dict[str, Any] = {plan.disk.mount: plan.after() for plan in self.plans if plan.action != "keep"}
        for directory in self.wrong_directories:
            owner, group = _numbers(directory)
            before[f"{directory.path}/"] = self._seen.get(directory.path)
            after[f"{directory.path}/"] = {"mode": f"{int(directory.mode, 8):04o}", "uid": owner, "gid": group}
        if self.fstab_before != self.fstab_after:
            before[FSTAB], after[FSTAB] = self.fstab_before.splitlines(), self.fstab_after.splitlines()
        return {"before": before, "after": after}

    def apply(self) -> list[str]:
        """Do what prepare() found; returns what could not be put into effect at once."""
        notes = []
        for plan in self.plans:
            if plan.action == "format":
                _format(plan)
        if self.fstab_before != self.fstab_after:
            atomic_write(f"{FSTAB}.hostplane", self.fstab_before.encode(), 0o644)
            atomic_write(FSTAB, self.fstab_after.encode(), 0o644)
            if os.path.isdir("/run/systemd/system"):
                # Units that systemd made of the old table would still win.
                run("systemctl", "daemon-reload")
        for plan in self.plans:
            if plan.action != "keep":
                os.makedirs(plan.disk.mount, mode=0o755, exist_ok=True)
                run(
                    "mount",
                    "--types",
                    plan.disk.filesystem,
                    "--options",
                    _now(plan.disk),
                    plan.found.path,
                    plan.disk.mount,
                )
            elif self.fstab_before != self.fstab_after:
                try:
                    run("mount", "--options", f"remount,{_now(plan.disk)}", plan.disk.mount)
                except DiskError as exc:
                    notes.append(f"{plan.disk.mount}: the new mount options count from the next start on ({exc})")
        for plan in self.plans:
            # What is mounted may be written to from now on, whoever mounted it: it is never formatted again.
            _formatting.forget(filesystem_uuid(plan.disk, plan.found))
        for directory in self.wrong_directories:
            os.makedirs(directory.path, mode=0o755, exist_ok=True)
            os.chown(directory.path, *_numbers(directory))
            os.chmod(directory.path, int(directory.mode, 8))
        return notes


def _now(disk: Disk) -> str:
    """The options that mount(8) knows; those of systemd are for the table only."""
    options = fstab_line(disk, "").split()[3].split(",")
    return ",".join(item for item in options if not item.startswith("x-") and item != "nofail")


def _numbers(directory: Directory) -> tuple[int, int]:
    """The numbers of owner and group; a KeyError says which is not there."""
    numbers = []
    for name, what, find in (
        (directory.owner, "user", lambda name: pwd.getpwnam(name).pw_uid),
        (directory.group, "group", lambda name: grp.getgrnam(name).gr_gid),
    ):
        try:
            numbers.append(int(name) if name.isdigit() else find(name))
        except KeyError:
            raise KeyError(f"there is no {what} {name}") from None
    return numbers[0], numbers[1]


def _format(plan: Plan) -> None:
    _formatting.note(plan.uuid, plan.found)
    for path in plan.erase:
        run("wipefs", "--all", path)
    if plan.disk.filesystem == "xfs":
        options = f"uuid={plan.uuid}" + (",reflink=1" if plan.disk.reflink else "")
        run("mkfs.xfs", "-q", "-f", "-m", options, plan.found.path)
    else:
        run("mkfs.ext4", "-q", "-F", "-U", plan.uuid, plan.found.path)
    _formatting.forget(plan.uuid)
