# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Restoring etcd on a control plane, step by step; each step may be killed and repeated.

All hosts finish a step before any begins the next. What a step has done is in a journal, so that a repeated run neither
restores twice nor mixes two restores: the token of the first run is the new etcd cluster's token on every host.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from calendar import timegm
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _backup,
    _backup_crypt,
    _kubeadm,
    _restore_node,
    _snapshot,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._backup_job import (
    SNAPSHOT,
    ca_sha256,
    require_space,
    tools_for,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import PKI, Etcd, EtcdError, Member, summary
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import MANIFEST, SnapshotError, Tools

WORK = "/var/lib/hostplane/restore"
LOCAL = "https://127.0.0.1:2379"
STEPS = ("check", "stop", "restore", "start_etcd", "compare", "start_api", "finish")
# Per second of the clock: more than etcd can write, so that no revision was ever seen before, also after many restores.
REVISIONS_PER_SECOND = 1000


@dataclass(frozen=True)
class Journal:
    """How far a restore has come on this host. source is the backup's sha256, or the survivor's name."""

    source: str = ""
    token: str = ""
    done: str = ""

    def has_done(self, step: str) -> bool:
        """Whether the step, or a later one, was finished."""
        return bool(self.done) and STEPS.index(self.done) >= STEPS.index(step)


@dataclass(frozen=True)
class Request:
    """What is to be restored: a backup that lies on this host, or the data of a survivor."""

    cluster: str
    backup: str = ""
    key_file: str = ""
    survivor: str = ""
    token: str = ""
    members: tuple[tuple[str, str], ...] = ()
    name: str = ""
    programs: str = ""
    pki: str = PKI


def read_journal() -> Journal:
    """The journal of an unfinished restore; an empty one when there is none."""
    try:
        with open(f"{WORK}/journal.json", encoding="utf-8") as handle:
            return Journal(**json.load(handle))
    except FileNotFoundError:
        return Journal()
    except (OSError, ValueError, TypeError) as exc:
        raise SnapshotError(f"{WORK}/journal.json can't be understood ({exc}); remove it to begin anew") from exc


def write_journal(journal: Journal) -> None:
    """Remember how far this host is."""
    os.makedirs(WORK, mode=0o700, exist_ok=True)
    atomic_write(f"{WORK}/journal.json", json.dumps(asdict(journal)).encode(), 0o600)


def bump_of(token: str) -> int:
    """By how much revisions are raised; raises SnapshotError for a token that is no moment."""
    try:
        return timegm(time.strptime(token, _backup.STAMP)) * REVISIONS_PER_SECOND
    except ValueError as exc:
        raise SnapshotError(f"{token!r} is no token of a restore, which is a moment such as 20260102T030405Z") from exc


def member_settings() -> _restore_node.Settings:
    """How the host's etcd is started; empty unless kubeadm has finished making it a member."""
    done = _kubeadm.read_marker().verb_done()
    return _restore_node.read_settings() if done else _restore_node.Settings()


def describe(source: str = "", description: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the other steps need to know of this host."""
    journal, settings = read_journal(), member_settings()
    resumed = bool(source) and journal.source == source
    return {
        "resumed": resumed,
        "token": journal.token if resumed else _backup.stamp(time.time()),
        "name": settings.name,
        "peer_url": settings.peer_url,
        "description": description or {},
    }


def check(request: Request) -> dict[str, Any]:
    """Prove that the request can be fulfilled; nothing is touched."""
    if request.survivor:
        return describe(request.survivor, _check_survivor(request, _restore_node.read_settings(), read_journal()))
    metadata = _check_backup(request)
    return describe(metadata["sha256"], metadata)


def _check_backup(request: Request) -> dict[str, Any]:
    metadata = _backup.read_metadata(request.backup)
    _backup_crypt.authenticate(request.backup, metadata, _backup_crypt.read_key(request.key_file))
    lines = _backup.refusals(metadata, request.cluster, ca_sha256())
    if lines:
        raise SnapshotError(f"{request.backup} is a backup of another cluster: " + "; ".join(lines))
    settings = _restore_node.read_settings()
    if settings.data_dir:
        require_space(settings.data_dir, 1.5 * metadata["snapshot"]["size"])
    return metadata


def _check_survivor(request: Request, settings: _restore_node.Settings, journal: Journal) -> dict[str, Any]:
    try:
        members = Etcd([LOCAL], request.pki).look()
    except EtcdError:
        members = []
    state = summary(members)
    if members and state["has_quorum"] and journal.source != request.survivor:
        raise SnapshotError(
            f"etcd has its quorum: {state['healthy']} of {state['voters']} voters are healthy. Nothing is to be "
            "restored; the playbook scale replaces members that are lost"
        )
    if request.name == request.survivor and not os.path.exists(os.path.join(settings.data_dir or "/", "member", "wal")):
        raise SnapshotError(f"{request.survivor} has no data of etcd, so it can't be the survivor")
    return {"members": [member.public() for member in members]}


def stop(request: Request, source: str) -> bool:
    """Stop API servers, controllers and etcd. From here on the host remembers that it is being restored."""
    journal = read_journal()
    if journal.source == source and journal.token == request.token and journal.has_done("stop"):
        return False
    bump_of(request.token)
    shutil.rmtree(f"{WORK}/unpacked", ignore_errors=True)
    write_journal(Journal(source, request.token))
    _restore_node.stop((*_restore_node.API, *_restore_node.ETCD))
    write_journal(Journal(source, request.token, "stop"))
    return True


def _advance(step: str) -> Journal | None:
    """The journal when the step is still to be done."""
    journal = read_journal()
    if not journal.token:
        raise SnapshotError(f"no restore has begun on this host, so there is nothing to {step.replace('_', ' ')}")
    return None if journal.has_done(step) else journal


def _unpack(request: Request, tools: Tools) -> dict[str, Any]:
    """The snapshot in the work directory; returns what it holds."""
    plain = f"{WORK}/unpacked/{SNAPSHOT}"
    os.makedirs(f"{WORK}/unpacked", mode=0o700, exist_ok=True)
    if not request.survivor:
        metadata = _backup.read_metadata(request.backup)
        _backup_crypt.authenticate(request.backup, metadata, _backup_crypt.read_key(request.key_file))
        _backup_crypt.unseal(request.backup, metadata, request.key_file, f"{WORK}/unpacked")
        return dict(metadata["snapshot"])
    if not os.path.exists(plain):
        _snapshot.salvage(tools, _restore_node.read_settings().data_dir, WORK, plain)
    return asdict(_snapshot.verify(tools, plain, WORK))


def restore(request: Request) -> dict[str, Any]:
    """Put the snapshot's data in place of the host's own, which is kept; tells the revision that etcd has then.

    A host that was replaced gets the CAs as well, and is left as an interrupted kubeadm init would leave it: to finish
    that is what the playbook create does.
    """
    journal = _advance("restore")
    if journal is not None:
        settings = member_settings()
        primed = not settings.name
        if primed:
            ((name, url),) = request.members
            settings = _restore_node.Settings(name, url, _restore_node.DATA_DIR)
        fresh = os.path.join(settings.data_dir, ".restore")
        if primed or not _restore_node.swapped(settings.data_dir, journal.token):
            os.makedirs(settings.data_dir, mode=0o700, exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            with tools_for(request.programs, WORK, MANIFEST, f"{_restore_node.PARKED}/etcd.yaml") as tools:
                content = _unpack(request, tools)
                atomic_write(f"{WORK}/content.json", json.dumps(content).encode(), 0o600)
                put(tools, f"{WORK}/unpacked/{SNAPSHOT}", fresh, settings, request, journal.token)
        _restore_node.swap(settings.data_dir, fresh, journal.token)
        if primed:
            _prime(request.cluster, f"{WORK}/unpacked/kubernetes")
        write_journal(replace(journal, done="restore"))
    content, revision = restored()
    return {"changed": journal is not None, "revision": revision, "resources": content["resources"]}


def _prime(cluster: str, source: str) -> None:
    _restore_node.put_shared(source)
    with open(f"{source}/hostplane.json", encoding="utf-8") as handle:
        settings = json.load(handle).get("settings") or {}
    _kubeadm.write_marker(_kubeadm.Marker(cluster, "init-started", settings))


def restored() -> tuple[dict[str, Any], int]:
    """What the snapshot holds, and the revision at which etcd holds exactly that."""
    with open(f"{WORK}/content.json", encoding="utf-8") as handle:
        content: dict[str, Any] = json.load(handle)
    return content, int(content["revision"]) + bump_of(read_journal().token)


def put(
    tools: Tools, snapshot: str, fresh: str, settings: _restore_node.Settings, request: Request, token: str
) -> None:
    """Make a data directory of the snapshot for this member of the new cluster."""
    cluster = ",".join(f"{name}={url}" for name, url in sorted(request.members))
    tools.utl(
        "snapshot", "restore", snapshot, f"--data-dir={fresh}", f"--name={settings.name}",
        f"--initial-cluster={cluster}", f"--initial-cluster-token={request.cluster}-{token}",
        f"--initial-advertise-peer-urls={settings.peer_url}", f"--bump-revision={bump_of(token)}", "--mark-compacted",
    )  # fmt: skip


def start(names: tuple[str, ...], step: str) -> bool:
    """Give static pods back to the kubelet."""
    journal = _advance(step)
    if journal is None:
        return False
    _restore_node.unpark(names)
    write_journal(replace(journal, done=step))
    return True


def compare(request: Request) -> None:
    """Compare what etcd serves now with what the snapshot holds, resource by resource, before the API changes it."""
    journal = _advance("compare")
    if journal is None:
        return
    content, revision = restored()
    words = _snapshot.tls_words(Member(id=0, client_urls=[LOCAL]), request.pki)
    with tools_for(request.programs, WORK, MANIFEST) as tools:
        keys = _snapshot.read_keys(lambda *more: tools.ctl(*words, *more), revision)
    wrong = _snapshot.differences(content["resources"], _snapshot.count_resources(keys))
    if wrong:
        raise SnapshotError("etcd does not hold what the snapshot holds: " + "; ".join(wrong))
    write_journal(replace(journal, done="compare"))


def finish() -> str:
    """Forget the restore; returns where the data of before is kept, empty when there was none."""
    journal, settings = read_journal(), _restore_node.read_settings()
    for name in os.listdir(WORK) if os.path.isdir(WORK) else ():
        path = os.path.join(WORK, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif name != "journal.json":
            os.unlink(path)
    # The journal last: killed before, the next run knows that only this is left to do.
    shutil.rmtree(WORK, ignore_errors=True)
    kept = _restore_node.kept_path(settings.data_dir, journal.token) if journal.token and settings.data_dir else ""
    return kept if kept and os.path.exists(kept) else ""
