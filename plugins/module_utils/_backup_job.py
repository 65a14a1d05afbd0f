# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Making a backup on a control plane; the same code for the module and, without Ansible, for the host's own timer."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _backup, _backup_crypt, _snapshot
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import PKI, Etcd, EtcdError
from ansible_collections.hostplane.cluster.plugins.module_utils._files import file_sha256
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import (
    MANIFEST,
    SnapshotError,
    Tools,
    mounted,
    node_image,
    run,
)

KUBERNETES = "/etc/kubernetes"
KUBECTL = "/usr/local/bin/kubectl"
WORK = "/var/lib/hostplane/backup"
SNAPSHOT = "snapshot.db"
KUBEADM_CONFIG = "kubeadm-config.yaml"


class NotCopiedError(SnapshotError):
    """There is a new backup on this host, but nowhere else."""


@dataclass(frozen=True)
class Job:
    """What to back up and where to; times are in seconds, empty strings mean not at all."""

    cluster: str
    directory: str
    key_file: str
    keep: int = 14
    keep_days: int = 30
    fresh: int = 0
    upload_config: str = ""
    hook: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ("https://127.0.0.1:2379",)
    pki: str = PKI
    programs: str = ""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Job:
        """Of a configuration file or module options; unknown names are somebody else's."""
        known = {entry.name for entry in fields(cls)}
        chosen = {name: value for name, value in data.items() if name in known and value is not None}
        lists = {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
        return cls(**{**chosen, **lists})


def ca_sha256(kubernetes: str = KUBERNETES) -> str:
    """Fingerprint of the cluster's CA on this host; empty when it is part of no cluster."""
    path = os.path.join(kubernetes, "pki", "ca.crt")
    return file_sha256(path) if os.path.exists(path) else ""


@contextlib.contextmanager
def one_at_a_time(work: str, timeout: float = 3600) -> Iterator[None]:
    """Hold the lock of the work directory; the timer and a playbook may meet. timeout in seconds."""
    os.makedirs(work, mode=0o700, exist_ok=True)
    until = time.monotonic() + timeout
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > until:
                    raise SnapshotError(f"another backup or restore has held {work}/lock for {timeout:.0f} s") from exc
                time.sleep(0.2)
        yield


@contextlib.contextmanager
def tools_for(programs: str, work: str, *manifests: str) -> Iterator[Tools]:
    """etcd's programs: those in the directory, or else those of the node's image."""
    if programs:
        yield Tools(programs)
        return
    with mounted(node_image(*manifests), work) as tools:
        yield tools


def newest_fresh(job: Job, now: float) -> _backup.Backup | None:
    """A backup that is young enough to make a new one needless."""
    found = _backup.find(job.directory, job.cluster)
    return found[0] if job.fresh and found and now - found[0].time < job.fresh else None


def require_space(directory: str, wanted: float) -> None:
    """Raise SnapshotError when a directory's file system has not so many bytes free."""
    free = shutil.disk_usage(directory).free
    if free < wanted:
        raise SnapshotError(
            f"{directory} has {free >> 20} MiB free, {int(wanted) >> 20} MiB are needed; "
            "free space there, or keep fewer backups"
        )


def kubeadm_config() -> bytes:
    """kubeadm's own configuration of the cluster; empty while the API doesn't answer, since it is in etcd as well."""
    argv = [
        KUBECTL, f"--kubeconfig={KUBERNETES}/admin.conf", "--request-timeout=10s", "get", "configmap",
        "--namespace=kube-system", "kubeadm-config", "--output=jsonpath={.data.ClusterConfiguration}",
    ]  # fmt: skip
    with contextlib.suppress(SnapshotError):
        return run(argv, timeout=20).encode()
    return b""


def write_archive(path: str, key_file: str, snapshot: str, kubernetes: str, config: bytes) -> None:
    """Snapshot, PKI, kubeconfigs, manifests and kubeadm's configuration in one encrypted file."""
    with _backup_crypt.sealed(path, key_file) as archive:
        if config:
            entry = tarfile.TarInfo(KUBEADM_CONFIG)
            entry.size, entry.mode = len(config), 0o600
            archive.addfile(entry, io.BytesIO(config))
        for found in sorted(glob.glob(f"{glob.escape(kubernetes)}/**/*", recursive=True)):
            name = os.path.relpath(found, kubernetes)
            if os.path.isfile(found) and not name.startswith(("tmp/", "hostplane-restore/")):
                archive.add(os.path.realpath(found), arcname=f"kubernetes/{name}", recursive=False)
        archive.add(snapshot, arcname=SNAPSHOT, recursive=False)


def make(job: Job) -> dict[str, Any]:
    """Take a snapshot, prove it, put it away encrypted with its metadata; returns the metadata. Hold the lock."""
    key = _backup_crypt.read_key(job.key_file)
    os.makedirs(job.directory, mode=0o700, exist_ok=True)
    _backup.remove_incomplete(job.directory)
    member = _snapshot.choose(Etcd(list(job.endpoints), job.pki).look())
    for place in (WORK, job.directory):
        require_space(place, _backup.SPACE_FACTOR * member.db_size)
    work = os.path.join(WORK, "take")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work, mode=0o700)
    try:
        plain = os.path.join(work, SNAPSHOT)
        with tools_for(job.programs, WORK, MANIFEST) as tools:
            hashed = _snapshot.save(tools, member, job.pki, plain)
            now = time.time()
            snapshot = _snapshot.verify(tools, plain, work, hashed)
        path = os.path.join(job.directory, _backup.name_of(job.cluster, snapshot.revision, now))
        write_archive(path, job.key_file, plain, KUBERNETES, kubeadm_config())
        metadata: dict[str, Any] = {
            "format": _backup.FORMAT,
            "cluster": job.cluster,
            "time": _backup.stamp(now),
            "host": socket.gethostname(),
            "member": member.title,
            "leader": member.leader,
            "etcd": member.version,
            "ca_sha256": ca_sha256(KUBERNETES),
            "kube_system_uid": snapshot.kube_system_uid,
            "snapshot": {name: value for name, value in vars(snapshot).items() if name != "kube_system_uid"},
            "size": os.path.getsize(path),
            "sha256": file_sha256(path),
            "encryption": _backup_crypt.encryption(),
        }
        metadata["hmac"] = _backup_crypt.sign(metadata, key)
        _backup.write_metadata(path, metadata)
        return {**metadata, "path": path}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def send(job: Job, path: str) -> None:
    """Upload a backup to S3-compatible storage, then call the operator's own command."""
    for name in (path, _backup.metadata_path(path)) if job.upload_config else ():
        # URL and secret are in the file, never in an argument. The URL ends in a slash, so that curl adds the name.
        header = f"x-amz-content-sha256: {file_sha256(name)}"
        run(["curl", "--config", job.upload_config, "--header", header, "--upload-file", name])
    if job.hook:
        environment = {**os.environ, "HOSTPLANE_BACKUP": path, "HOSTPLANE_METADATA": _backup.metadata_path(path)}
        run(list(job.hook), env=environment, stdin=subprocess.DEVNULL)


def prune(job: Job, now: float) -> list[str]:
    """Delete what is neither among the newest nor young enough; returns the names."""
    going = _backup.surplus(_backup.find(job.directory, job.cluster), job.keep, job.keep_days, now)
    return _backup.remove(job.directory, going)


def perform(job: Job) -> dict[str, Any]:
    """A whole run: take, prune, send. Old backups go only after the new one is safe, and also when no copy can be made:
    or they would fill the disk.
    """
    with one_at_a_time(WORK):
        made = make(job)
        pruned = prune(job, time.time())
        try:
            send(job, made["path"])
        except (SnapshotError, OSError) as exc:
            raise NotCopiedError(f"the backup {made['path']} was made, but not copied: {exc}") from exc
        return {**made, "pruned": pruned}


def failure(exc: Exception) -> str:
    """What to tell when a run failed."""
    return str(exc) if isinstance(exc, NotCopiedError) else f"no backup was made: {exc}"


def main(config: str) -> int:
    """What the timer runs; says in one line what was done, or why not."""
    try:
        with open(config, encoding="utf-8") as handle:
            made = perform(Job.from_dict(json.load(handle)))
    except (SnapshotError, EtcdError, OSError, ValueError) as exc:
        sys.stderr.write(f"{failure(exc)}\n")
        return 1
    keys = made["snapshot"]["keys"]
    sys.stdout.write(
        f"{made['path']}: {keys} keys of {made['member']}, verified; {len(made['pruned'])} old ones removed\n"
    )
    return 0
