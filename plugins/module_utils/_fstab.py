# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The table of file systems that a host mounts at its start."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hostplane.cluster.plugins.module_utils._hoststorage import Disk

# A missing disk must not keep the host from starting; the kubelet must not start before its disks are looked for.
OPTIONS = ("defaults", "nofail", "x-systemd.before=kubelet.service", "x-systemd.device-timeout=30s")


def fstab_line(disk: Disk, fs_uuid: str) -> str:
    options = ",".join([*OPTIONS, *(item for item in disk.options if item not in OPTIONS)])
    return f"UUID={fs_uuid} {disk.mount} {disk.filesystem} {options} 0 {2 if disk.filesystem == 'ext4' else 0}"


def fstab_with(text: str, disk: Disk, line: str, own: Sequence[str]) -> tuple[str, str]:
    """The table with the line, and what stands in its way: an entry for the mount point that is of another device."""
    lines, placed = [], False
    for entry in text.splitlines():
        fields = entry.split()
        if not entry.lstrip().startswith("#") and len(fields) > 1 and fields[1].rstrip("/") == disk.mount:
            if fields[0] not in own:
                return text, entry.strip()
            if placed:
                continue
            entry, placed = line, True
        lines.append(entry)
    if not placed:
        lines.append(line)
    return "".join(f"{entry}\n" for entry in lines), ""


def fstab_above(text: str, path: str) -> tuple[str, str]:
    """Device and mount point of the deepest entry of the table that a path is at or below; empty without one."""
    entries = [entry.split() for entry in text.splitlines() if not entry.lstrip().startswith("#")]
    points = [(fields[0], fields[1].rstrip("/")) for fields in entries if len(fields) > 2 and fields[2] != "swap"]
    above = [entry for entry in points if entry[1].startswith("/") and f"{path}/".startswith(f"{entry[1]}/")]
    return max(above, key=lambda entry: len(entry[1]), default=("", ""))
