# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a restore needs of a control plane: its etcd's settings, its static pods off and on, its data swapped."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import MANIFESTS, SnapshotError, run

KUBERNETES = "/etc/kubernetes"
PARKED = f"{KUBERNETES}/hostplane-restore"
DATA_DIR = "/var/lib/etcd"
CRICTL = ("/usr/local/bin/crictl", "--runtime-endpoint=unix:///run/containerd/containerd.sock")
ETCD = ("etcd",)
# Controllers and scheduler as well: what they remember is of another past.
API = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
GRACE_SECONDS = 45.0
STOP_SECONDS = 180.0


@dataclass(frozen=True)
class Settings:
    """How the host's etcd is started; all empty on a host that has none."""

    name: str = ""
    peer_url: str = ""
    data_dir: str = ""


def parse_settings(manifest: str) -> Settings:
    """The settings in the manifest of etcd's static pod."""

    def argument(name: str) -> str:
        found = re.search(rf"--{name}=([^\s\"']+)", manifest)
        return found.group(1) if found else ""

    return Settings(argument("name"), argument("initial-advertise-peer-urls").split(",")[0], argument("data-dir"))


def read_settings(manifests: str = MANIFESTS, parked: str = PARKED) -> Settings:
    """The settings of the host's etcd, also while its manifest is put aside."""
    for directory in (manifests, parked):
        with contextlib.suppress(FileNotFoundError), open(f"{directory}/etcd.yaml", encoding="utf-8") as handle:
            return parse_settings(handle.read())
    return Settings()


def is_shared(name: str) -> bool:
    """Whether a file below /etc/kubernetes is the cluster's: kubeadm makes all others anew for each host."""
    if name.startswith("pki/"):
        return bool(re.fullmatch(r"pki/((front-proxy-|etcd/)?ca\.(crt|key)|sa\.(pub|key))", name))
    return not name.startswith("manifests/") and not re.fullmatch(r"[^/]+\.conf|hostplane\.json", name)


def put_shared(source: str, target: str = KUBERNETES) -> None:
    """Give a host that was replaced the cluster's own files: CAs, and what the API server's arguments refer to."""
    for path in sorted(glob.glob(f"{glob.escape(source)}/**/*", recursive=True)):
        relative = os.path.relpath(path, source)
        if os.path.isfile(path) and is_shared(relative):
            with open(path, "rb") as handle:
                mode = 0o644 if relative.endswith((".crt", ".pub")) else 0o600
                atomic_write(os.path.join(target, relative), handle.read(), mode)


def running(names: Iterable[str]) -> list[str]:
    """Containers of these names that run."""
    pattern = f"^({'|'.join(names)})$"
    return run([*CRICTL, "ps", "--quiet", "--state=Running", f"--name={pattern}"], timeout=60).split()


def park(names: Iterable[str], manifests: str = MANIFESTS, parked: str = PARKED) -> list[str]:
    """Take static pods off the kubelet; returns those that were there."""
    os.makedirs(parked, mode=0o700, exist_ok=True)
    moved = []
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{manifests}/{name}.yaml", f"{parked}/{name}.yaml")
            moved.append(name)
    return moved


def unpark(names: Iterable[str], manifests: str = MANIFESTS, parked: str = PARKED) -> list[str]:
    """Give static pods back to the kubelet; returns those that were put aside."""
    moved = []
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{parked}/{name}.yaml", f"{manifests}/{name}.yaml")
            moved.append(name)
    with contextlib.suppress(OSError):
        os.rmdir(parked)
    return moved


def stop(names: tuple[str, ...]) -> list[str]:
    """Stop static pods and wait until they are gone; the kubelet does it, and without a kubelet the runtime."""
    moved = park(names)
    start, asked = time.monotonic(), False
    while left := running(names):
        passed = time.monotonic() - start
        if passed > STOP_SECONDS:
            raise SnapshotError(f"{len(left)} containers of {', '.join(names)} still run after {STOP_SECONDS:.0f} s")
        if passed > GRACE_SECONDS and not asked:
            run([*CRICTL, "stop", "--timeout=10", *left], timeout=120)
            asked = True
        time.sleep(0.5)
    return moved


def kept_path(data_dir: str, token: str) -> str:
    """Where the data that was there before goes. Beside it: the data directory itself may be a mount point."""
    return os.path.join(data_dir, f"member-before-{token}")


def swap(data_dir: str, fresh: str, token: str) -> str:
    """Put the member directory of fresh in place and keep the old one; may be killed and called again.

    Returns where the old one is, empty when there was none.
    """
    current, kept = os.path.join(data_dir, "member"), kept_path(data_dir, token)
    if os.path.exists(current) and not os.path.exists(kept):
        os.rename(current, kept)
    if not os.path.exists(current):
        os.rename(os.path.join(fresh, "member"), current)
    descriptor = os.open(data_dir, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    shutil.rmtree(fresh, ignore_errors=True)
    return kept if os.path.exists(kept) else ""


def swapped(data_dir: str, token: str) -> bool:
    """Whether a run that was killed had put the new data in place already."""
    return os.path.exists(kept_path(data_dir, token)) and os.path.exists(os.path.join(data_dir, "member"))
