# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Backups in a directory: their names, what is known of each, and which of them are kept."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import time
from calendar import timegm
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError

FORMAT = 1
SUFFIX = ".backup"
# What a snapshot needs beside its own size: the copy that is read back, and the encrypted file.
SPACE_FACTOR = 2.5
STAMP = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"(?P<cluster>.+)-r(?P<revision>\d+)-(?P<time>\d{8}T\d{6}Z)\.backup")
FIELDS = {
    "format": int,
    "cluster": str,
    "time": str,
    "size": int,
    "sha256": str,
    "hmac": str,
    "ca_sha256": str,
    "kube_system_uid": str,
    "snapshot": dict,
    "encryption": dict,
}


@dataclass(frozen=True)
class Backup:
    """One backup of a directory; time is in seconds since the epoch."""

    name: str
    cluster: str
    revision: int
    time: int


def stamp(seconds: float) -> str:
    """A moment as it is written in names, in UTC."""
    return time.strftime(STAMP, time.gmtime(seconds))


def name_of(cluster: str, revision: int, seconds: float) -> str:
    """The file name of a backup."""
    return f"{cluster}-r{revision}-{stamp(seconds)}{SUFFIX}"


def parse_name(name: str) -> Backup | None:
    """What a file name says; None when it is no backup's."""
    found = NAME.fullmatch(name)
    if not found:
        return None
    with contextlib.suppress(ValueError):
        moment = timegm(time.strptime(found["time"], STAMP))
        return Backup(name, found["cluster"], int(found["revision"]), moment)
    return None


def metadata_path(path: str) -> str:
    """Where the metadata of a backup lies."""
    return f"{path}.json"


def find(directory: str, cluster: str) -> list[Backup]:
    """The complete backups of a cluster in a directory, newest first; without its metadata a file is no backup."""
    names = {os.path.basename(path) for path in glob.glob(os.path.join(glob.escape(directory), f"*{SUFFIX}"))}
    parsed = [parse_name(name) for name in names if os.path.exists(metadata_path(os.path.join(directory, name)))]
    found = [backup for backup in parsed if backup is not None and backup.cluster == cluster]
    return sorted(found, key=lambda backup: (-backup.time, -backup.revision, backup.name))


def surplus(backups: Iterable[Backup], keep: int, keep_days: int, now: float) -> list[Backup]:
    """Which backups go: all but the newest ones, and of these what is older than so many days. 0 means no limit.

    The newest is never among them: an old backup is better than none.
    """
    ordered = sorted(backups, key=lambda backup: (-backup.time, -backup.revision, backup.name))
    oldest = now - keep_days * 86400 if keep_days else float("-inf")
    return [
        backup
        for place, backup in enumerate(ordered)
        if place > 0 and ((keep and place >= keep) or backup.time < oldest)
    ]


def remove(directory: str, backups: Iterable[Backup]) -> list[str]:
    """Delete backups; returns their names, sorted."""
    names = sorted(backup.name for backup in backups)
    for name in names:
        # The metadata first: killed in between, the rest is no backup and goes with the next run.
        for path in (metadata_path(os.path.join(directory, name)), os.path.join(directory, name)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return names


def remove_incomplete(directory: str) -> None:
    """Delete what a killed run has left: files that have no metadata and are no longer written to."""
    for path in glob.glob(os.path.join(glob.escape(directory), f"*{SUFFIX}")):
        if parse_name(os.path.basename(path)) and not os.path.exists(metadata_path(path)):
            os.unlink(path)


def write_metadata(path: str, metadata: dict[str, Any]) -> None:
    """Write a backup's metadata, which makes the file a backup."""
    atomic_write(metadata_path(path), (json.dumps(metadata, indent=2, sort_keys=True) + "\n").encode(), 0o600)


def read_metadata(path: str) -> dict[str, Any]:
    """What is known of a backup; raises SnapshotError when that can't be understood."""
    where = metadata_path(path)
    try:
        with open(where, encoding="utf-8") as handle:
            found = json.load(handle)
    except FileNotFoundError as exc:
        raise SnapshotError(f"{where} is missing; a backup is two files, and both are needed") from exc
    except (OSError, ValueError) as exc:
        raise SnapshotError(f"{where} can't be understood: {exc}") from exc
    wrong = [
        name for name, kind in FIELDS.items() if not isinstance(found, dict) or not isinstance(found.get(name), kind)
    ]
    if wrong:
        raise SnapshotError(f"{where} is no metadata of a backup: {', '.join(wrong)}")
    if found["format"] != FORMAT:
        raise SnapshotError(
            f"{where} has format {found['format']}, only {FORMAT} is known; use the release that made it"
        )
    return dict(found)


def refusals(metadata: dict[str, Any], cluster: str, ca_sha256: str, accepted: str = "") -> list[str]:
    """Why the backup is not of this cluster; a host that was replaced has no CA yet to compare.

    accepted is an earlier CA of the cluster. The UID of kube-system does not count: the API server makes a new one as
    soon as etcd was emptied.
    """
    lines = []
    if metadata["cluster"] != cluster:
        lines.append(f"it is of cluster {metadata['cluster']!r}, not of {cluster!r}")
    if ca_sha256 and metadata["ca_sha256"] not in (ca_sha256, accepted):
        lines.append(
            f"its cluster's CA has sha256 {metadata['ca_sha256']}, the one of this host's cluster has {ca_sha256}. "
            "If it was made before the CA was rotated, say so by setting restore_accept_ca to the former"
        )
    return lines
