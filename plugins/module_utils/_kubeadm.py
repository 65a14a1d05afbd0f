# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Running kubeadm so that a killed run can be finished: a lock, a marker of how far it got, and what to ignore then."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import environment

ROOT = "/etc/kubernetes"
MARKER = f"{ROOT}/hostplane.json"
# In the marker's settings while a host is between two versions.
UPGRADING = "upgrading_to"
KUBEADM = "/usr/local/bin/kubeadm"
RUN = "/run"
LOCK = f"{RUN}/hostplane-kubeadm.lock"
ETCD_DATA = "/var/lib/etcd/member"
KUBELET_CONF = f"{ROOT}/kubelet.conf"
KUBELET_CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
# kubeadm's names for "a file of mine is already there"; a resumed run expects them.
RESUME_IGNORES = [
    "DirAvailable--etc-kubernetes-manifests",
    "DirAvailable--var-lib-etcd",
    "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf",
    "FileAvailable--etc-kubernetes-kubelet.conf",
    "FileAvailable--etc-kubernetes-manifests-etcd.yaml",
    "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml",
    "FileAvailable--etc-kubernetes-manifests-kube-controller-manager.yaml",
    "FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml",
    "FileAvailable--etc-kubernetes-pki-ca.crt",
    "Port-10250",
    "Port-10257",
    "Port-10259",
    "Port-2379",
    "Port-2380",
    "Port-6443",
]


VERB_FLAGS = {"init": ("--skip-token-print",), "upgrade apply": ("--yes",)}

# Once a control plane's kubelet has joined: kubeadm refuses the name of a Ready node, the other phases may run again.
JOINED_PHASES = ("preflight", "kubelet-start")


class KubeadmError(Exception):
    """kubeadm failed or must not run here; the message says why and what to do."""


@dataclass(frozen=True)
class Marker:
    """What this host is part of (/etc/kubernetes/hostplane.json); phase is such as init-started or join-done."""

    cluster: str = ""
    phase: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def verb_done(self) -> bool:
        """Whether the host became a full member."""
        return self.phase.endswith("-done")


def read_marker() -> Marker:
    """The host's marker; an empty one when there is none.

    Raises KubeadmError when it can't be understood.
    """
    try:
        with open(MARKER, encoding="utf-8") as handle:
            data = json.load(handle)
        return Marker(data["cluster"], data["phase"], data.get("settings") or {})
    except FileNotFoundError:
        return Marker()
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise KubeadmError(f"{MARKER} can't be understood ({exc}); look at this host by hand, or reset it") from exc


def write_marker(marker: Marker) -> None:
    """Write the marker in one step."""
    data = {"cluster": marker.cluster, "phase": marker.phase, "settings": marker.settings}
    atomic_write(MARKER, (json.dumps(data, indent=2, sort_keys=True) + "\n").encode(), 0o644)


def refuse_foreign(marker: Marker, cluster: str) -> None:
    """Raise KubeadmError when this host belongs to something else than the cluster."""
    if marker.cluster and marker.cluster != cluster:
        raise KubeadmError(
            f"this host belongs to cluster {marker.cluster!r}, not {cluster!r}; "
            "run the reset playbook of that cluster first"
        )
    found = [path for path in (f"{ROOT}/kubelet.conf", f"{ROOT}/admin.conf") if os.path.exists(path)]
    if not marker.cluster and found:
        raise KubeadmError(f"{found[0]} is of a cluster that was not made by this collection; kubeadm reset it first")


def drop_unfinished() -> list[str]:
    """Remove what an interrupted C(kubeadm init) may have left half-written; returns the paths.

    Certificates are complete pairs or worthless, since kubeadm writes the key first. Kubeconfigs can be made again as
    long as etcd holds nothing. Complete pairs stay: they may be the operator's own CA.
    """
    broken = []
    for cert in glob.glob(f"{ROOT}/pki/**/*.crt", recursive=True) + glob.glob(f"{ROOT}/pki/**/*.key", recursive=True):
        stem = os.path.splitext(cert)[0]
        if os.path.basename(stem) == "sa":
            continue
        pair = [f"{stem}.crt", f"{stem}.key"]
        # A CA without its key is kubeadm's documented external CA mode.
        external_ca = cert.endswith("ca.crt") and not os.path.exists(pair[1]) and os.path.getsize(cert)
        if not external_ca and not all(os.path.exists(path) and os.path.getsize(path) for path in pair):
            broken.append(cert)
    account = [f"{ROOT}/pki/sa.key", f"{ROOT}/pki/sa.pub"]
    if not all(os.path.exists(path) and os.path.getsize(path) for path in account):
        broken.extend(path for path in account if os.path.exists(path))
    if not os.path.exists(ETCD_DATA):
        broken.extend(glob.glob(f"{ROOT}/*.conf"))
    for path in broken:
        os.unlink(path)
    return sorted(broken)


def drop_configs() -> None:
    """Remove the configuration that a killed run has left; it may hold a token."""
    for path in glob.glob(f"{RUN}/hostplane-kubeadm-*.yaml"):
        os.unlink(path)


def has_identity() -> bool:
    """Whether the kubelet has its own certificate: from then on a worker is a member, whatever was killed after."""
    return os.path.exists(KUBELET_CONF) and os.path.exists(KUBELET_CLIENT)


@contextlib.contextmanager
def one_at_a_time(timeout: int) -> Iterator[int]:
    """Hold the lock; waits for a kubeadm that an earlier, killed run has left working. timeout in seconds."""
    deadline = time.monotonic() + timeout
    with open(LOCK, "w", encoding="utf-8") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > deadline:
                    raise KubeadmError(
                        f"another kubeadm has been working here for over {timeout} s (lock {LOCK}); "
                        "see what it waits for"
                    ) from exc
                time.sleep(0.2)
        yield handle.fileno()


def run_kubeadm(
    verb: str,
    config: str,
    ignores: list[str],
    timeout: int,
    lock: int,
    skip_phases: tuple[str, ...] = (),
    program: str = "",
) -> None:
    """Run kubeadm (init, join, upgrade apply, upgrade node) with a configuration that exists only as long as it is
    needed. timeout in seconds.

    The configuration may hold a token, so it is a file of mode 0600 and never an argument. kubeadm inherits the lock,
    so that a second run waits when this process is killed and kubeadm is not.
    """
    path = f"{RUN}/hostplane-kubeadm-{verb.replace(' ', '-')}.yaml"
    atomic_write(path, config.encode(), 0o600)
    command = [program or KUBEADM, *verb.split(), "--config", path, *VERB_FLAGS.get(verb, ())]
    if ignores:
        command.append("--ignore-preflight-errors=" + ",".join(sorted(set(ignores))))
    if skip_phases:
        command.append("--skip-phases=" + ",".join(skip_phases))
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            pass_fds=(lock,),
            env=environment(),
        )
    except subprocess.TimeoutExpired as exc:
        raise KubeadmError(f"kubeadm {verb} did not finish within {timeout} s") from exc
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    if done.returncode:
        raise KubeadmError(
            f"kubeadm {verb} failed with exit code {done.returncode}:\n{explain(done.stdout, done.stderr)}"
        )


def explain(stdout: str, stderr: str, lines: int = 25) -> str:
    """The part of kubeadm's output that tells what went wrong: its errors, or else the end of all it said."""
    said = [line for line in stderr.splitlines() if line.strip() and not line.startswith("W")]
    return "\n".join((said or stdout.splitlines())[-lines:])
