# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What an upgrade adds to a host's disks, and whether it fits; pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _skew
from ansible_collections.hostplane.cluster.plugins.module_utils._backup import SPACE_FACTOR
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import Finding, error, warning

Facts = Mapping[str, Any]
MIB = 1024**2
# The kubelet throws images away when their file system is this full (imageGCHighThresholdPercent).
IMAGE_GC_SHARE = 0.85
# Layers are compressed in the mirror; unpacked, and beside the archive, they take about this much more.
UNPACKED = 3.5
RESERVE = 256 * MIB


def to_fetch(
    facts: Facts,
    programs: Mapping[str, int],
    images: Mapping[str, int],
    digests: Mapping[str, str],
    target: _skew.Version,
) -> tuple[int, int, int]:
    """Bytes of programs that are to be fetched, of those to be put in their place, and of images; of the host's own.

    What a run that ended early has fetched is there. A host with the version has all but what its release exchanged.
    """
    there, staged = set(facts.get("images") or []), set(facts.get("staged") or [])
    arrived = _skew.parse(facts.get("version", "")) == target
    new = {} if arrived else programs
    fetched = sum(size for sha256, size in new.items() if sha256 not in staged)
    missing = sum(size for name, size in images.items() if f"{name}@{digests.get(name)}" not in there)
    return fetched, sum(new.values()), missing


def disk_needs(fetched: int, programs: int, images: int, database: int, backups: str = "") -> dict[str, int]:
    """Directory to the bytes that an upgrade adds there, at most: programs and compressed images as of to_fetch, etcd.

    Programs wait below /var/lib/hostplane, and only in another file system they take their bytes twice (check_disks).
    """
    needs = {
        "/usr/local/bin": programs,
        "/var/lib/containerd": int(images * UNPACKED),
        # kubeadm keeps a copy of etcd's data, the upgrade a snapshot.
        "/etc/kubernetes": database + 16 * MIB,
        "/var/lib/hostplane": database + fetched,
        "/var/lib/etcd": database,
    }
    # Where a backup is made, and where it is kept.
    for place in ("/var/lib/hostplane", backups) if backups else ():
        needs[place] = needs.get(place, 0) + int(SPACE_FACTOR * database)
    return needs


def check_disks(facts: Facts, needs: Mapping[str, int]) -> Iterator[Finding]:
    """Whether what comes fits, per file system."""
    for entry in facts.get("disks", []):
        need = sum(needs.get(path, 0) for path in entry["paths"])
        if {"/usr/local/bin", "/var/lib/hostplane"} <= set(entry["paths"]):
            need -= needs.get("/usr/local/bin", 0)
        place = ", ".join(entry["paths"])
        if not need:
            continue
        if entry["free"] < need + RESERVE:
            yield error(
                "disk_space",
                f"{entry['free'] // MIB} MiB are free for {place}; the upgrade needs {(need + RESERVE) // MIB}.",
                "Free space there (journalctl --vacuum-size, crictl rmi --prune) or enlarge the file system.",
                facts["host"],
                entry["paths"][0],
            )
        elif (
            "/var/lib/containerd" in entry["paths"]
            and entry["size"]
            and (entry["size"] - entry["free"] + need) / entry["size"] > IMAGE_GC_SHARE
        ):
            yield warning(
                "disk_images",
                f"With the new images {place} is over {IMAGE_GC_SHARE:.0%} full; the kubelet then removes images that "
                "do not run yet.",
                "Free space there (crictl rmi --prune) or enlarge the file system.",
                facts["host"],
                entry["paths"][0],
            )
