# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What only a host itself can tell before an upgrade: programs, flags, disks, certificates, etcd, old requests."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import ssl
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _etcd
from ansible_collections.hostplane.cluster.plugins.module_utils._ca import NEXT
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import (
    PKI,
    is_control_plane,
    look,
    places,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._files import STAGING
from ansible_collections.hostplane.cluster.plugins.module_utils._hostfacts import cgroup_facts, marker_facts
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import PROGRAM_DIR, System
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeletconfig import CONFIG, blocks, scalar
from ansible_collections.hostplane.cluster.plugins.module_utils._present_images import present_images
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_host import api_port, fetch
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import image_of
from ansible_collections.hostplane.cluster.plugins.module_utils._x509 import X509Error

# Where an upgrade writes, and where kubeadm copies etcd's data before it touches it.
DIRECTORIES = ("/etc/kubernetes", "/usr/local/bin", "/var/lib/containerd", "/var/lib/etcd", "/var/lib/hostplane")
FLAG_FILES = {
    "/var/lib/kubelet/kubeadm-flags.env": "KUBELET_KUBEADM_ARGS",
    "/etc/default/kubelet": "KUBELET_EXTRA_ARGS",
    "/etc/sysconfig/kubelet": "KUBELET_EXTRA_ARGS",
}
PROGRAMS: dict[str, tuple[str, ...]] = {
    "containerd": ("--version",),
    "kubeadm": ("version", "-o", "short"),
    "kubectl": ("version", "--client"),
    "kubelet": ("--version",),
    "runc": ("--version",),
}
PROGRAM_SECONDS, METRICS_SECONDS = 20, 20
MANIFESTS = "/etc/kubernetes/manifests"
METRIC = "apiserver_requested_deprecated_apis"

Run = Callable[[list[str]], str]


def run(command: list[str]) -> str:
    """What a program prints; nothing when it isn't there or fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def program_versions(runner: Run = run) -> dict[str, str]:
    """Program to version; empty for one that isn't there or doesn't run."""

    def one(name: str) -> str:
        found = re.search(r"\bv?(\d+\.\d+\.\d+)", runner([f"{PROGRAM_DIR}/{name}", *PROGRAMS[name]]))
        return found[1] if found else ""

    with ThreadPoolExecutor(len(PROGRAMS)) as pool:
        return dict(zip(PROGRAMS, pool.map(one, PROGRAMS)))


def images(runner: Run = run) -> list[str]:
    """What the host has already, as name@digest; nothing where the runtime does not answer."""
    try:
        return sorted(present_images(json.loads(runner([f"{PROGRAM_DIR}/crictl", "images", "-o", "json"]) or "{}")))
    except ValueError:
        return []


def staged(system: System) -> list[str]:
    """SHA-256 of the programs that were fetched for an upgrade and are not in their place yet."""
    return sorted(os.path.basename(path) for path in system.glob(f"{STAGING}/*/*"))


def words(text: str, variable: str) -> list[str]:
    """The arguments in a variable of an environment file of systemd; the last line that sets it counts."""
    found: list[str] = []
    for line in text.splitlines():
        name, sep, value = line.strip().partition("=")
        if name == variable and sep:
            try:
                found = shlex.split(" ".join(shlex.split(value)))
            except ValueError:
                found = value.split()
    return found


def parse_flags(arguments: Iterable[str]) -> dict[str, str]:
    """Name to value of a program's flags, as Go's pflag reads them; a switch alone is true."""
    flags: dict[str, str] = {}
    last = ""
    for word in arguments:
        if word.startswith("--"):
            last, sep, value = word[2:].partition("=")
            flags[last] = value if sep else "true"
            last = "" if sep else last
        elif last:
            flags[last], last = word, ""
    return flags


def kubelet_flags(system: System) -> list[dict[str, str]]:
    """The flags that the kubelet's unit gets from its files, sorted."""
    found = [
        {"name": name, "value": value, "file": path}
        for path, variable in FLAG_FILES.items()
        for name, value in parse_flags(words(system.read(path), variable)).items()
    ]
    return sorted(found, key=lambda entry: (entry["name"], entry["file"]))


def kubelet_config(system: System) -> dict[str, Any]:
    """Of the kubelet's configuration what an upgrade may refuse."""
    parts = blocks(system.read(CONFIG))
    gates = re.findall(r"^\s+(\w+):\s*(true|false)\s*$", parts.get("featureGates", ""), re.M)
    return {
        "feature_gates": {name: value == "true" for name, value in gates},
        "fail_cgroup_v1": scalar(parts, "failCgroupV1", "true") != "false",
    }


def disks(system: System, backups: str = "") -> list[dict[str, Any]]:
    """Space for what an upgrade writes, one entry per file system; bytes."""
    found: dict[int, dict[str, Any]] = {}
    for wanted in sorted({*DIRECTORIES, backups} - {""}):
        path = wanted
        while not system.exists(path) and path != "/":
            path = os.path.dirname(path)
        status, space = os.stat(system.path(path)), os.statvfs(system.path(path))
        entry = found.setdefault(
            status.st_dev,
            {"paths": [], "free": space.f_bavail * space.f_frsize, "size": space.f_blocks * space.f_frsize},
        )
        entry["paths"].append(wanted)
    return sorted(found.values(), key=lambda entry: list(entry["paths"]))


def manifest_images(system: System) -> dict[str, str]:
    """Static pod to the image in its manifest."""
    found = {}
    for path in system.glob(f"{MANIFESTS}/*.yaml"):
        image = image_of(system.read(path))
        if image:
            found[os.path.basename(path)[: -len(".yaml")]] = image
    return found


def parse_metrics(text: str) -> list[dict[str, str]]:
    """The API versions that the server was asked for and that have a date of removal, sorted."""
    found = set()
    for line in text.splitlines():
        if line.startswith(METRIC + "{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if labels.get("removed_release"):
                found.add(tuple(labels.get(key, "") for key in ("removed_release", "group", "version", "resource")))
    keys = ("removed_release", "group", "version", "resource")
    return [dict(zip(keys, entry)) for entry in sorted(found)]


def deprecated_requests() -> dict[str, Any]:
    """What this host's own API server counts; behind a balancer nobody else can ask each of them."""
    try:
        context = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
        context.load_cert_chain(f"{PKI}/apiserver-kubelet-client.crt", f"{PKI}/apiserver-kubelet-client.key")
        status, text = fetch("kubernetes", api_port(), "/metrics", context, METRICS_SECONDS)
    except (OSError, http.client.HTTPException) as exc:
        return {"found": [], "error": f"the API server does not answer: {exc}"}
    if status != 200:
        return {"found": [], "error": f"the API server answers /metrics with {status}"}
    return {"found": parse_metrics(text), "error": ""}


def certificates(days: int, now: datetime) -> dict[str, Any]:
    """Every certificate of the host with the days that are left, by who renews it."""
    try:
        found = [item.public(days, now) for item in look(places())]
    except X509Error as exc:
        return {"found": [], "error": str(exc)}
    keys = ("name", "path", "managed_by", "days_left", "broken", "due")
    return {"found": [{key: item[key] for key in keys} for item in found], "error": ""}


def etcd_members() -> dict[str, Any]:
    """etcd's members as this host's etcd knows them."""
    try:
        found = _etcd.Etcd(["https://127.0.0.1:2379"]).look()
    except _etcd.EtcdError as exc:
        return {"members": [], "error": str(exc)}
    return {"members": [member.public() for member in found], **_etcd.summary(found), "error": ""}


def collect(host: str, days: int, system: System | None = None, backups: str = "") -> dict[str, Any]:
    """Everything at once; backups is where they go, empty when the upgrade takes none."""
    files = system or System()
    control_plane = is_control_plane(files.root)
    settings = marker_facts(files).get("settings") or {}
    facts: dict[str, Any] = {
        "host": host,
        "control_plane": control_plane,
        "version": str(settings.get("version") or ""),
        "upgrading_to": str(settings.get("upgrading_to") or ""),
        "programs": program_versions(),
        "kubelet_flags": kubelet_flags(files),
        "kubelet_config": kubelet_config(files),
        "cgroup": cgroup_facts(files)["version"],
        "disks": disks(files, backups),
        "backups": backups,
        "images": images(),
        "staged": staged(files),
        "certificates": certificates(days, datetime.now(timezone.utc)),
        "ca_next": files.exists(NEXT),
        "manifests": manifest_images(files),
    }
    if control_plane:
        facts["etcd"] = etcd_members()
        facts["deprecated_requests"] = deprecated_requests()
    return facts
