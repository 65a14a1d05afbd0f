# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whether a control plane can be restored; nothing is touched."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _backup,
    _backup_crypt,
    _kubeadm,
    _restore_journal,
    _restore_node,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._backup_job import ca_sha256, require_space
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import Etcd, EtcdError, summary
from ansible_collections.hostplane.cluster.plugins.module_utils._restore_journal import Journal, Request, read_journal
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError

LOCAL = "https://127.0.0.1:2379"
# Two segments of etcd's log, which it allocates beforehand.
LOG_BYTES = 128 << 20


def member_settings() -> _restore_node.Settings:
    """How the host's etcd is started; empty unless kubeadm has finished making it a member."""
    done = _kubeadm.read_marker().verb_done()
    return _restore_node.read_settings() if done else _restore_node.Settings()


def versions(wanted: str) -> list[str]:
    """Kubernetes versions that the host runs, or is on the way to; what is wanted when it runs none."""
    settings = _kubeadm.read_marker().settings
    runs = [str(settings[name]) for name in ("version", _kubeadm.UPGRADING) if settings.get(name)] or [wanted]
    return [version.lstrip("v") for version in runs if version]


def describe(source: str = "", description: dict[str, Any] | None = None, version: str = "") -> dict[str, Any]:
    """What the other steps need to know of this host."""
    journal, settings = read_journal(), member_settings()
    known, resumed = bool(source) and journal.source == source, bool(source) and journal.is_unfinished(source)
    return {
        "resumed": resumed,
        "token": journal.token if resumed else _backup.stamp(time.time()),
        "last_token": journal.token if known else "",
        "done": journal.done if known else "",
        "name": settings.name,
        "peer_url": settings.peer_url,
        "versions": versions(version),
        "description": description or {},
    }


def check(request: Request) -> dict[str, Any]:
    """Prove that the request can be fulfilled."""
    if request.survivor:
        return describe(request.survivor, _check_survivor(request, _restore_node.read_settings(), read_journal()))
    metadata = _check_backup(request)
    if not request.name:
        # The controller, which may be a node as well, of this cluster or of another one.
        return {"description": metadata}
    return describe(metadata["sha256"], metadata, request.version)


def _check_backup(request: Request) -> dict[str, Any]:
    metadata = _backup.read_metadata(request.backup)
    _backup_crypt.authenticate(request.backup, metadata, _backup_crypt.read_key(request.key_file))
    lines = _backup.refusals(metadata, request.cluster, ca_sha256() if request.name else "", request.accept_ca)
    if lines:
        raise SnapshotError(f"{request.backup} is a backup of another cluster: " + "; ".join(lines))
    if request.name and not read_journal().is_unfinished(metadata["sha256"]):
        size = metadata["snapshot"]["size"]
        _check_space(size, size + LOG_BYTES)
    return metadata


def _check_space(work: int, data: int) -> None:
    """Refuse when what is unpacked and the new data don't fit beside the old data, which stays."""
    places: dict[int, tuple[str, int]] = {}
    for path, size in ((_restore_journal.WORK, work), (member_settings().data_dir or _restore_node.DATA_DIR, data)):
        while not os.path.exists(path):
            path = os.path.dirname(path)
        device = os.stat(path).st_dev
        places[device] = (path, places.get(device, ("", 0))[1] + size)
    for path, size in places.values():
        require_space(path, 1.1 * size)


def _size_of(directory: str) -> int:
    """Bytes of all files below a directory."""
    return sum(os.path.getsize(os.path.join(found[0], name)) for found in os.walk(directory) for name in found[2])


def _check_survivor(request: Request, settings: _restore_node.Settings, journal: Journal) -> dict[str, Any]:
    try:
        members = Etcd([LOCAL], request.pki).look()
    except EtcdError:
        members = []
    state = summary(members)
    resumed = journal.is_unfinished(request.survivor)
    if members and state["has_quorum"] and not resumed:
        raise SnapshotError(
            f"etcd has its quorum: {state['healthy']} of {state['voters']} voters are healthy. Nothing is to be "
            "restored; the playbook scale replaces members that are lost"
        )
    if request.name == request.survivor:
        data = os.path.join(settings.data_dir or "/", "member")
        if not os.path.exists(os.path.join(data, "wal")):
            raise SnapshotError(f"{request.survivor} has no data of etcd, so it can't be the survivor")
        if not resumed:
            # The copy that is replayed, the snapshot of it, and the member by which that is read back.
            size = _size_of(data)
            _check_space(2 * size + LOG_BYTES, size + LOG_BYTES)
    return {"members": [member.public() for member in members]}
