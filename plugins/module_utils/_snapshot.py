# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""A snapshot of etcd: whom to ask for it, and proof that it can be read back to the last key."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import Member
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import (
    SnapshotError,
    TemporaryMember,
    Tools,
    empty,
)

PREFIX = "/registry/"
KUBE_SYSTEM = f"{PREFIX}namespaces/kube-system"
KUBEADM_CONFIG = f"{PREFIX}configmaps/kube-system/kubeadm-config"
COMMAND_TIMEOUT = "--command-timeout=600s"


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot holds; every number was read back from an etcd that was started from it."""

    hash: str
    revision: int
    keys: int
    size: int
    version: str
    kubernetes: str = ""
    kube_system_uid: str = ""
    resources: dict[str, int] = field(default_factory=dict)


def choose(members: list[Member]) -> Member:
    """Whom to take a snapshot from: the healthy voter that is furthest, and the leader only when it is alone.

    Raises SnapshotError when there is none.
    """
    able = [member for member in members if member.healthy and not member.learner and member.client_urls]
    if not able:
        said = "; ".join(f"{member.title}: {member.error}" for member in members) or "it has no members"
        raise SnapshotError(
            f"no healthy etcd member to take a snapshot from ({said}). When the quorum is lost for good, "
            "the playbook restore with restore_survivor=<host> brings the cluster back"
        )
    return min(able, key=lambda member: (member.leader, -member.applied, member.name))


def resource_of(key: str) -> str:
    """The resource that a key of the API server belongs to; empty for other keys."""
    if not key.startswith(PREFIX):
        return ""
    parts = key[len(PREFIX) :].split("/")
    # Resources of a group lie below the group's name, Services beside their endpoints.
    grouped = len(parts) > 2 and ("." in parts[0] or parts[0] == "services")
    return "/".join(parts[:2]) if grouped else parts[0]


def count_resources(keys: Iterable[str]) -> dict[str, int]:
    """How many objects of each resource, sorted."""
    counted = Counter(resource_of(key) for key in keys)
    counted.pop("", None)
    return dict(sorted(counted.items()))


def differences(wanted: dict[str, int], found: dict[str, int]) -> list[str]:
    """Each resource whose count is not what it should be."""
    return [
        f"{name}: {found.get(name, 0)} instead of {wanted.get(name, 0)}"
        for name in sorted({*wanted, *found})
        if wanted.get(name, 0) != found.get(name, 0)
    ]


def uid_of(value: bytes) -> str:
    """The UID in a stored object, JSON or protobuf; empty when it is encrypted."""
    uuid = rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    # Of ObjectMeta, uid is field 5, a string of 36 bytes; it comes before any owner's UID.
    found = re.search(rb"\*\$" + uuid, value) or re.search(rb'"uid":\s*"' + uuid + rb'"', value)
    return found.group(1).decode() if found else ""


def version_of(value: bytes) -> str:
    """Kubernetes' version in kubeadm's stored configuration, without the v; empty when it is encrypted."""
    found = re.search(rb"kubernetesVersion: v?([0-9][0-9A-Za-z.+-]*)", value)
    return found.group(1).decode() if found else ""


def stored(ctl: Callable[..., str], key: str) -> bytes:
    """What is stored at a key; empty when nothing is."""
    found = json.loads(ctl("get", key, "--write-out=json")).get("kvs") or [{}]
    return base64.b64decode(found[0].get("value", ""))


def tls_words(member: Member, pki: str) -> list[str]:
    """etcdctl's options to reach a member of the cluster."""
    return [
        f"--endpoints={member.client_urls[0]}",
        f"--cacert={pki}/ca.crt",
        f"--cert={pki}/healthcheck-client.crt",
        f"--key={pki}/healthcheck-client.key",
    ]


def hash_at(text: str) -> tuple[int, int]:
    """Hash of all keys and the compacted revision that it begins at, of C(etcdctl endpoint hashkv)."""
    found = json.loads(text)[0]["HashKV"]
    return int(found["hash"]), int(found.get("compact_revision", 0))


def save(tools: Tools, member: Member, pki: str, path: str) -> tuple[int, int]:
    """Take a snapshot from a member; returns the member's own hash of what was taken."""
    words = tls_words(member, pki)
    tools.ctl(*words, "snapshot", "save", path, timeout=3600)
    status = read_status(tools, path)
    hashed = tools.ctl(*words, COMMAND_TIMEOUT, "endpoint", "hashkv", f"--rev={status['revision']}", "--write-out=json")
    return hash_at(hashed)


def read_status(tools: Tools, path: str) -> dict[str, Any]:
    """What etcdutl says about a snapshot; it checks the database's integrity on the way."""
    found: dict[str, Any] = json.loads(tools.utl("snapshot", "status", path, "--write-out=json"))
    return found


def read_keys(ctl: Callable[..., str], revision: int) -> list[str]:
    """All keys as of a revision, so that what expires meanwhile is still counted."""
    said = ctl(COMMAND_TIMEOUT, "get", "", "--from-key", "--keys-only", f"--rev={revision}")
    return [line for line in said.splitlines() if line]


def verify(tools: Tools, path: str, work: str, live: tuple[int, int] | None = None) -> Snapshot:
    """Restore the snapshot to a temporary member below work and read everything back from it.

    live is the hash that the cluster's own member had of the same revision. Raises SnapshotError for any difference.
    """
    status = read_status(tools, path)
    data = os.path.join(empty(os.path.join(work, "verify")), "data")
    peer = "http://localhost:2380"
    try:
        tools.utl(
            "snapshot", "restore", path, f"--data-dir={data}", "--name=verify", f"--initial-cluster=verify={peer}",
            f"--initial-advertise-peer-urls={peer}",
        )  # fmt: skip
        with TemporaryMember(tools, data, os.path.join(work, "verify")) as member:
            keys = read_keys(member.ctl, int(status["revision"]))
            words = [COMMAND_TIMEOUT, "endpoint", "hashkv", f"--rev={status['revision']}", "--write-out=json"]
            hashed = hash_at(member.ctl(*words))
            uid, kubernetes = uid_of(stored(member.ctl, KUBE_SYSTEM)), version_of(stored(member.ctl, KUBEADM_CONFIG))
    finally:
        shutil.rmtree(os.path.join(work, "verify"), ignore_errors=True)
    snapshot = Snapshot(
        hash=f"{int(status['hash']):08x}",
        revision=int(status["revision"]),
        keys=len(keys),
        size=int(status["totalSize"]),
        version=str(status.get("version", "")),
        kubernetes=kubernetes,
        kube_system_uid=uid,
        resources=count_resources(keys),
    )
    check(snapshot, int(status["totalKey"]), hashed, live)
    return snapshot


def check(snapshot: Snapshot, total: int, hashed: tuple[int, int], live: tuple[int, int] | None) -> None:
    """Raise SnapshotError when what was read back is not what was taken."""
    # A restore that raises the revision leaves one entry with an empty key, for good, which no client can read.
    if snapshot.keys not in (total, total - 1):
        raise SnapshotError(f"the snapshot has {total} keys, but {snapshot.keys} could be read back")
    if KUBE_SYSTEM.split("/")[2] not in snapshot.resources:
        raise SnapshotError("the snapshot holds no namespaces, so it is not of a Kubernetes cluster")
    # Compacted in between, the two hashes begin at different revisions and say nothing.
    if live is not None and live[1] == hashed[1] and live[0] != hashed[0]:
        raise SnapshotError(
            f"the snapshot's keys have hash {hashed[0]:08x}, those of the member it was taken from {live[0]:08x}; "
            "take it again, and see whether etcd raises the alarm CORRUPT"
        )


def salvage(tools: Tools, data: str, work: str, path: str) -> None:
    """A snapshot of the data directory of a member whose cluster is lost; the directory is only read.

    The copy is started as a new cluster, which replays its log up to the last entry that is known to be committed.
    """
    place = empty(os.path.join(work, "salvage"))
    try:
        shutil.copytree(os.path.join(data, "member"), os.path.join(place, "data", "member"))
        with TemporaryMember(tools, os.path.join(place, "data"), place, "--force-new-cluster") as member:
            member.ctl("snapshot", "save", f"{path}.part", timeout=3600)
        os.replace(f"{path}.part", path)
    finally:
        shutil.rmtree(place, ignore_errors=True)
