# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Disks of a host as they are, and whether one of them may be formatted. Nothing is changed here."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ansible_collections.hostplane.cluster.plugins.module_utils._hoststorage import Disk
from ansible_collections.hostplane.cluster.plugins.module_utils._mountinfo import read_mountinfo

COLUMNS = "NAME,KNAME,MAJ:MIN,TYPE,SIZE,RO,SERIAL,WWN,MOUNTPOINT"
# What is read of a disk without any known signature, at both ends.
PROBE_BYTES = 1 << 20


class DiskError(Exception):
    """A disk that can't be looked at or changed; the message names it and says why."""


@dataclass(frozen=True)
class Found:
    """A disk or a part of one. inside: partitions and what is built on them; signatures: type and UUID of each."""

    path: str
    number: str
    kind: str
    size: int
    read_only: bool
    serial: str
    wwn: str
    inside: tuple[Found, ...] = ()
    mounts: tuple[str, ...] = ()
    swap: bool = False
    signatures: tuple[tuple[str, str], ...] = ()
    busy: bool = False
    unknown_data: bool = False

    def everything(self) -> list[Found]:
        return [self, *(part for child in self.inside for part in child.everything())]

    @property
    def title(self) -> str:
        size = f"{self.size / 1e9:.1f} GB"
        return f"{self.path} ({size}, {'serial ' + self.serial if self.serial else 'no serial'})"


@dataclass
class Verdict:
    """What has to happen to a disk. action is keep, mount or format; without one, code, message and remedy say why."""

    action: str = ""
    code: str = ""
    message: str = ""
    remedy: str = ""
    erase: list[str] = field(default_factory=list)


def run(*command: str, accept: tuple[int, ...] = (0,)) -> str:
    """A program's output; its failure is an error with its own words."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise DiskError(f"{command[0]}: {exc.strerror}") from exc
    if done.returncode not in accept:
        said = " ".join((done.stderr or done.stdout).split())
        raise DiskError(f"{' '.join(command)}: {said or f'exit status {done.returncode}'}")
    return done.stdout


def read_mounts(text: str) -> dict[str, list[str]]:
    """Mount points by device number, from /proc/self/mountinfo."""
    found: dict[str, list[str]] = {}
    for mount in read_mountinfo(text):
        found.setdefault(mount.device, []).append(mount.point)
    return found


def read_lsblk(text: str, mounts: Mapping[str, list[str]]) -> list[Found]:
    """The trees of lsblk's JSON. Old versions write numbers and flags as text."""

    def read(node: Mapping[str, Any], serial: str, wwn: str) -> Found:
        own, number = str(node.get("serial") or "").strip(), str(node.get("maj:min") or "").strip()
        inside = tuple(read(child, own or serial, node.get("wwn") or wwn) for child in node.get("children") or ())
        return Found(
            path=str(node["kname"]),
            number=number,
            kind=str(node.get("type") or ""),
            size=int(node.get("size") or 0),
            read_only=str(node.get("ro")).lower() in ("1", "true"),
            serial=own or serial,
            wwn=str(node.get("wwn") or wwn),
            inside=inside,
            mounts=tuple(sorted(set(mounts.get(number, ())))),
            swap=node.get("mountpoint") == "[SWAP]",
        )

    return [read(node, "", "") for node in json.loads(text)["blockdevices"]]


def list_disks() -> list[Found]:
    """All block devices of the host as trees, without a look at what is on them."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as handle:
        mounts = read_mounts(handle.read())
    trees = read_lsblk(run("lsblk", "--json", "--bytes", "--paths", "--output", COLUMNS), mounts)
    return [_with_serial(tree) for tree in trees]


def _with_serial(disk: Found) -> Found:
    # lsblk has serials from udev, which is not everywhere; the kernel knows those of virtio and NVMe disks itself.
    if disk.serial:
        return disk
    name = os.path.basename(disk.path)
    for path in (f"/sys/block/{name}/serial", f"/sys/block/{name}/device/serial"):
        try:
            with open(path, encoding="utf-8") as handle:
                return Found(**{**vars(disk), "serial": handle.read().strip()})
        except (OSError, UnicodeDecodeError):
            continue
    return disk


def choose(disk: Disk, trees: Iterable[Found]) -> tuple[Found | None, Verdict]:
    """The one device that is meant; by its name, by its serial, or by both, which then have to agree."""
    devices = {part.path: part for tree in trees for part in tree.everything()}
    if disk.device:
        real = os.path.realpath(disk.device)
        found = devices.get(real)
        if found is None:
            there = "is no block device" if os.path.exists(disk.device) else "is not there"
            return None, Verdict(code="storage_disk_missing", message=f"{disk.device} {there}.", remedy=_known(devices))
        if disk.serial and found.serial != disk.serial:
            return None, Verdict(
                code="storage_serial_differs",
                message=f"{disk.device} is {found.title}, not the disk with serial {disk.serial}.",
                remedy=f"Correct device or serial. {_known(devices)}",
            )
        return found, Verdict()
    same = [part for part in devices.values() if part.kind == "disk" and part.serial == disk.serial]
    if len(same) == 1:
        return same[0], Verdict()
    if same:
        paths = ", ".join(sorted(part.path for part in same))
        return None, Verdict(
            code="storage_device_ambiguous",
            message=f"{paths} all have the serial {disk.serial}, as paths to one disk have.",
            remedy="Set device to the one that is meant, such as a multipath device below /dev/mapper.",
        )
    return None, Verdict(
        code="storage_disk_missing", message=f"There is no disk with serial {disk.serial}.", remedy=_known(devices)
    )


def _known(devices: Mapping[str, Found]) -> str:
    disks = sorted((part for part in devices.values() if part.kind == "disk"), key=lambda part: part.path)
    return f"Disks of this host: {', '.join(part.title for part in disks) or 'none'}."


def read_wipefs(text: str) -> tuple[tuple[str, str], ...]:
    """Type and UUID of every signature, from wipefs' JSON; empty text when there is none."""
    entries = json.loads(text)["signatures"] if text.strip() else []
    return tuple(sorted((str(entry.get("type") or "?"), str(entry.get("uuid") or "")) for entry in entries))


def look(found: Found) -> Found:
    """The device with what is on it: signatures, whether anybody uses it, and data that nothing knows."""
    inside = tuple(look(child) for child in found.inside)
    signatures = read_wipefs(run("wipefs", "--no-act", "--json", found.path))
    busy = False
    try:
        # Exclusive: refused while it is mounted, swapped to, or a part of LVM, RAID or encryption.
        os.close(os.open(found.path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno != errno.EBUSY:
            raise DiskError(f"{found.path}: {exc.strerror}") from exc
        busy = True
    unknown = not (signatures or busy or inside) and _has_bytes(found.path)
    return Found(**{**vars(found), "inside": inside, "signatures": signatures, "busy": busy, "unknown_data": unknown})


def _has_bytes(path: str) -> bool:
    with open(path, "rb", buffering=0) as handle:
        size = handle.seek(0, os.SEEK_END)
        for start in (0, max(0, size - PROBE_BYTES)):
            handle.seek(start)
            if any(handle.read(PROBE_BYTES)):
                return True
    return False


def judge(disk: Disk, found: Found, uuid: str, interrupted: bool) -> Verdict:
    """Whether a disk can be mounted as it is, may be formatted, or must not be touched.

    uuid: what this collection gives the file system of this disk; interrupted: whether a run ended while it formatted
    this disk, so that what is on it may be half a file system.
    """
    name = found.title
    if disk.mount in found.mounts:
        return Verdict("keep")
    if found.read_only or not found.size:
        wrong = "can only be read" if found.read_only else "has no size"
        return Verdict(code="storage_disk_unusable", message=f"{name} {wrong}.", remedy="Use another disk.")
    for part in found.everything():
        if part.mounts or part.swap or (part.busy and part is found and not found.inside):
            what = f"is mounted at {', '.join(part.mounts)}" if part.mounts else "is in use as swap space"
            if not part.mounts and not part.swap:
                what = "is in use: mounted elsewhere, or a part of LVM, RAID, encryption or multipath"
            return Verdict(code="storage_disk_busy", message=f"{part.path} of {disk.title} {what}.",
                           remedy="Name another disk, or take it out of use first.")  # fmt: skip
    for part in found.everything()[1:]:
        if part.kind != "part" or part.busy:
            return Verdict(code="storage_disk_busy", message=f"{part.path} ({part.kind}) is built on {name}.",
                           remedy="Name another disk, or take it apart first.")  # fmt: skip
    types = [kind for kind, _uuid in found.signatures]
    # All that a killed mkfs leaves. Whatever else is there was made since, and is somebody's.
    ours = set(found.signatures) <= {(disk.filesystem, uuid)} and not found.inside
    half = interrupted and ours and not disk.use_existing
    whole = types == [disk.filesystem] and not found.inside and not half
    if whole and (found.signatures[0][1] == uuid or disk.use_existing):
        return Verdict("mount")
    if half:
        return Verdict("format", erase=[found.path])
    holds = _contents(found)
    if disk.use_existing:
        return Verdict(code="storage_filesystem_differs", message=f"{name} has {holds or 'nothing on it'}, not one"
                       f" {disk.filesystem} file system.",
                       remedy="Correct filesystem, or leave use_existing out.")  # fmt: skip
    if not holds:
        return Verdict("format")
    made_here = any(_is_named(number) for part in found.everything() for _kind, number in part.signatures)
    if disk.allow_data_loss_serial and made_here:
        # Left in the inventory it would count again for a host that was installed anew, or for another mount point.
        return Verdict(code="storage_disk_not_empty", message=f"{name} has {holds}, which this collection made;"
                       " allow_data_loss_serial does not count for that.",
                       remedy="Name the disk and the mount point as before to have the data, or set use_existing; to"
                       f" lose the data, erase it by hand: wipefs --all {found.path}.")  # fmt: skip
    if disk.allow_data_loss_serial and disk.allow_data_loss_serial == found.serial:
        return Verdict("format", erase=[part.path for part in reversed(found.everything())])
    if disk.allow_data_loss_serial:
        return Verdict(code="storage_serial_differs", message=f"{name} has {holds}, and data of the disk with serial"
                       f" {disk.allow_data_loss_serial} only may be lost.",
                       remedy="Correct allow_data_loss_serial.")  # fmt: skip
    remedy = "Name another disk; set use_existing to mount its file system as it is; or, to lose the data,"
    remedy += f" set allow_data_loss_serial: {found.serial}." if found.serial else " erase it with wipefs by hand."
    return Verdict(code="storage_disk_not_empty", message=f"{name} has {holds}.", remedy=remedy)


def _is_named(number: str) -> bool:
    """Whether a UUID follows from a name, as this collection's do; every mkfs draws its own at random."""
    try:
        return UUID(number).version == 5
    except ValueError:
        return False


def _contents(found: Found) -> str:
    parts = [part.path for part in found.inside]
    texts = [f"{kind}{' ' + uuid if uuid else ''}" for kind, uuid in found.signatures]
    if parts:
        texts.append(f"partitions ({', '.join(parts)})")
    if found.unknown_data:
        texts.append("data that nothing here knows")
    return " and ".join(texts)
