# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""Taking a cluster off a host: what may be removed, and removing it in an order that survives being killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import time
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils import _hostloops
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostremains as remains
from ansible_collections.hostplane.cluster.plugins.module_utils._hostkernel import FILES_OF_PARTS, put_back
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import MARKER, PROGRAM_DIR, System

SOCKET = "/run/containerd/containerd.sock"
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
# The kernel removes network namespaces and their links a moment after their last user.
SETTLE_SECONDS = 10.0


def refusal(cluster: dict[str, t.Any], cluster_name: str, confirm: str, force: bool) -> str:
    """Why this host must not be reset; empty if it may be."""
    if confirm != cluster_name:
        given = f"it is {confirm!r}" if confirm else "it is empty"
        return (
            f"Resetting destroys cluster {cluster_name!r} with all its data. "
            f"Confirm by setting reset_confirm to the cluster's name ({given})."
        )
    owner = cluster["marker"].get("cluster")
    if owner and owner != cluster_name:
        return (
            f"This host belongs to cluster {owner!r}, not to {cluster_name!r}. Reset it with that cluster's inventory."
        )
    if cluster["state"] == "foreign" and not force:
        return (
            f"This host has a cluster that this collection did not make: {', '.join(cluster['leftovers'][:5])}. "
            "Remove it with its own tools, or set reset_force to true to destroy it."
        )
    return ""


def owns(system: System, cluster: dict[str, t.Any], force: bool) -> bool:
    """Whether containerd, kubelet and their data are ours rather than of a package of the host."""
    files = [f"{PROGRAM_DIR}/kubelet", f"{PROGRAM_DIR}/containerd"]
    files += [f"{remains.UNIT_DIR}/{name}" for name in remains.UNITS]
    return force or cluster["state"] in ("begun", "member") or any(system.exists(path) for path in files)


def _umount(point: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(point), UMOUNT_NOFOLLOW) != 0:
        libc.umount2(os.fsencode(point), UMOUNT_NOFOLLOW | MNT_DETACH)


def _kill(system: System, deadline: float) -> None:
    """SIGKILL until none is left: a shim that dies late may still have started something."""
    while time.monotonic() < deadline:
        found = remains.processes(system)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _remove(system: System, path: str) -> None:
    here = system.path(path)
    if not os.path.isdir(here):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(here)
        return
    # Whatever is still mounted below may be somebody's data: then the directory stays and is reported.
    if any(mount.point.startswith(f"{os.path.realpath(here)}/") for mount in remains.mount_table(system)):
        return
    # The marker goes last: until then the host is known to be ours.
    for entry in sorted(os.scandir(here), key=lambda entry: entry.path == system.path(MARKER)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)
    if not remains.is_kept(here):
        with contextlib.suppress(OSError):
            os.rmdir(here)


def _kubeadm(system: System, deadline: float) -> None:
    """Let kubeadm stop the pods in order; what it does not get done is removed afterwards anyway.

    Without a kubeconfig it does not ask the API, which is going away on all hosts at once.
    """
    kubeadm = f"{PROGRAM_DIR}/kubeadm"
    if system.exists(kubeadm) and system.exists(SOCKET) and system.exists("/etc/kubernetes"):
        remains.run(
            kubeadm, "reset", "--force", "--cleanup-tmp-dir", "--skip-phases=remove-etcd-member",
            "--kubeconfig=/dev/null", f"--cri-socket=unix://{SOCKET}",
            timeout=max(1.0, deadline - time.monotonic()),
        )  # fmt: skip


def reset(system: System, scope: remains.Scope, timeout: float) -> list[remains.Item]:
    """Remove everything of the survey; returns what is still there."""
    found = remains.survey(system, scope)
    if not found:
        return []
    if scope.owned:
        for pid, name in remains.processes(system).items():
            # A create that was killed may have left one at work.
            if name == "kubeadm":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        _kubeadm(system, time.monotonic() + timeout)
    names = [item.name for item in found if item.kind == "unit"]
    if names:
        remains.run("systemctl", "disable", *[name for name in names if name.endswith((".service", ".timer"))])
        remains.run("systemctl", "stop", *names, timeout=60)
    if scope.owned:
        _kill(system, time.monotonic() + SETTLE_SECONDS)
        for point in remains.mounts(system):
            _umount(point)
        # What is mounted elsewhere keeps its device until it is unmounted there; it is reported.
        for name in _hostloops.of_pools(system, scope.pools):
            _hostloops.detach(system, name)
        for path in system.glob("/run/netns/cni-*"):
            with contextlib.suppress(OSError):
                os.unlink(system.path(path))
        for name in remains.links(system):
            remains.run("ip", "link", "delete", name)
        for item in found:
            if item.kind == "address":
                remains.run("ip", "address", "delete", *item.name.split())
        for name in remains.tables():
            remains.run("nft", "delete", "table", *name.split())
        for tool in ("iptables", "ip6tables"):
            for table, orders in remains.rules(tool).items():
                remains.run(f"{tool}-restore", "--noflush", stdin="\n".join([f"*{table}", *orders, "COMMIT", ""]))
    for path in FILES_OF_PARTS:
        put_back(system, system.read(path))
    for path in remains.paths(system, scope):
        with contextlib.suppress(OSError):
            _remove(system, path)
    for path in remains.SHARED_DIRS if scope.owned else ():
        with contextlib.suppress(OSError):
            os.rmdir(system.path(path))
    remains.run("systemctl", "daemon-reload")
    remains.run("systemctl", "reset-failed", *names)
    return residue(system, scope)


def residue(system: System, scope: remains.Scope) -> list[remains.Item]:
    """What is left once the kernel has had its moment to clean up."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        left = remains.survey(system, scope) + (remains.ports(system) if scope.owned else [])
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.2)
