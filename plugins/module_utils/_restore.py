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
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _backup,
    _backup_crypt,
    _kubeadm,
    _restore_journal,
    _restore_node,
    _snapshot,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._backup_job import SNAPSHOT, tools_for
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import Member
from ansible_collections.hostplane.cluster.plugins.module_utils._restore_check import LOCAL, member_settings
from ansible_collections.hostplane.cluster.plugins.module_utils._restore_journal import (
    Journal,
    Request,
    bump_of,
    read_journal,
    write_journal,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import (
    MANIFEST,
    SnapshotError,
    TemporaryMember,
    Tools,
)


def stop(request: Request, source: str) -> bool:
    """Stop API servers, controllers and etcd. From here on the host remembers that it is being restored."""
    journal = read_journal()
    if journal.source == source and journal.token == request.token and journal.has_done("stop"):
        return False
    bump_of(request.token)
    shutil.rmtree(f"{_restore_journal.WORK}/unpacked", ignore_errors=True)
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
    plain = f"{_restore_journal.WORK}/unpacked/{SNAPSHOT}"
    os.makedirs(f"{_restore_journal.WORK}/unpacked", mode=0o700, exist_ok=True)
    if not request.survivor:
        metadata = _backup.read_metadata(request.backup)
        _backup_crypt.authenticate(request.backup, metadata, _backup_crypt.read_key(request.key_file))
        _backup_crypt.unseal(request.backup, metadata, request.key_file, f"{_restore_journal.WORK}/unpacked")
        return dict(metadata["snapshot"])
    if not os.path.exists(plain):
        _snapshot.salvage(tools, _restore_node.read_settings().data_dir, _restore_journal.WORK, plain)
    return asdict(_snapshot.verify(tools, plain, _restore_journal.WORK))


def restore(request: Request) -> dict[str, Any]:
    """Put the snapshot's data in place of the host's own, which is kept; tells the revision that etcd has then.

    A host that was replaced gets the CAs as well, and is left as an interrupted kubeadm init would leave it: to finish
    that is what the playbook create does.
    """
    due = _advance("restore")
    if due is not None:
        settings = member_settings()
        primed = not settings.name
        if primed:
            ((name, url),) = request.members
            settings = _restore_node.Settings(name, url, _restore_node.DATA_DIR)
        fresh = os.path.join(settings.data_dir, ".restore")
        if primed or not _restore_node.swapped(settings.data_dir, due.token):
            os.makedirs(settings.data_dir, mode=0o700, exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            work, parked = _restore_journal.WORK, f"{_restore_node.PARKED}/etcd.yaml"
            with tools_for(request.programs, work, MANIFEST, parked) as tools:
                content = _unpack(request, tools)
                revision = int(content["revision"]) + bump_of(due.token)
                due = replace(due, revision=revision, resources=content["resources"])
                write_journal(due)
                put(tools, f"{work}/unpacked/{SNAPSHOT}", fresh, settings, request, due.token)
        _restore_node.swap(settings.data_dir, fresh, due.token)
        if primed:
            _prime(request.cluster, f"{_restore_journal.WORK}/unpacked/kubernetes")
        write_journal(replace(due, done="restore"))
    journal = read_journal()
    return {"changed": due is not None, "revision": journal.revision, "resources": journal.resources}


def _prime(cluster: str, source: str) -> None:
    _restore_node.put_shared(source)
    with open(f"{source}/hostplane.json", encoding="utf-8") as handle:
        settings = json.load(handle).get("settings") or {}
    _kubeadm.write_marker(_kubeadm.Marker(cluster, "init-started", settings))


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
    """Compare what etcd serves now with what the snapshot holds, resource by resource, before the API changes it.

    On a host that was replaced it is a temporary etcd that serves it: kubeadm init starts etcd and the API together.
    """
    journal = _advance("compare")
    if journal is None:
        return
    primed, work = not member_settings().name, _restore_journal.WORK
    with tools_for(request.programs, work, MANIFEST) as tools:
        if primed:
            with TemporaryMember(tools, _restore_node.DATA_DIR, f"{work}/compare") as member:
                keys = _snapshot.read_keys(member.ctl, journal.revision)
        else:
            words = _snapshot.tls_words(Member(id=0, client_urls=[LOCAL]), request.pki)
            keys = _snapshot.read_keys(lambda *more: tools.ctl(*words, *more), journal.revision)
    wrong = _snapshot.differences(journal.resources, _snapshot.count_resources(keys))
    if wrong:
        raise SnapshotError("etcd does not hold what the snapshot holds: " + "; ".join(wrong))
    # Of a host that was replaced nothing is parked, so there is nothing to start.
    write_journal(replace(journal, done="start_api" if primed else "compare"))


def finish() -> str:
    """Remove what the restore needed; returns where the data of before is kept, empty when there was none."""
    journal, settings, work = read_journal(), _restore_node.read_settings(), _restore_journal.WORK
    for name in os.listdir(work) if os.path.isdir(work) else ():
        path = os.path.join(work, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif name != "journal.json":
            os.unlink(path)
    if not journal.token:
        shutil.rmtree(work, ignore_errors=True)
    elif not journal.has_done("finish"):
        write_journal(replace(journal, done="finish"))
    kept = _restore_node.kept_path(settings.data_dir, journal.token) if journal.token and settings.data_dir else ""
    return kept if kept and os.path.exists(kept) else ""
