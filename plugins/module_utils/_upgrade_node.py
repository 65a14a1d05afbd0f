# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""kubeadm's part of a host's upgrade: what is due is read from the host, and what fails is taken back."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_host as host
from ansible_collections.hostplane.cluster.plugins.module_utils import _static_pods
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write, file_sha256
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import (
    KUBEADM,
    ROOT,
    UPGRADING,
    KubeadmError,
    Marker,
    drop_configs,
    run_kubeadm,
    write_marker,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal import etcd_complaint
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import image_of

MANIFESTS = f"{ROOT}/manifests"
PATCHES = f"{ROOT}/patches"
ADMIN = f"{ROOT}/admin.conf"
KUBELET = f"{ROOT}/kubelet.conf"
KEPT = "/var/lib/hostplane/upgrade"
# However short an operator's patience with the new release is: what ran before gets the time to come back.
ROLLBACK_SECONDS = 180
# What can be put back at any time. An etcd of a newer minor has changed its data; kubeadm itself takes etcd back, with
# the data from before, when it does not come up.
REVERSIBLE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Due:
    """What is to be done: components are the static pods whose image is another one."""

    before: str
    resumed: bool
    components: tuple[str, ...]
    needed: bool


def outdated(images: Mapping[str, str]) -> tuple[str, ...]:
    """The static pods of this host (component to wanted image) that have another image, sorted."""
    found = []
    for component in sorted(images):
        path = f"{MANIFESTS}/{component}.yaml"
        if os.path.exists(path):
            with open(path, encoding="utf-8") as handle:
                image = image_of(handle.read())
            if image != images[component]:
                found.append(component)
    return tuple(found)


def look(marker: Marker, version: str, images: Mapping[str, str]) -> Due:
    """Compare the host with the version it is to have."""
    before = str(marker.settings.get("version") or "").lstrip("v")
    resumed, components = UPGRADING in marker.settings, outdated(images)
    return Due(before, resumed, components, bool(components) or resumed or before != version)


def program(sha256: str, staging: str) -> str:
    """kubeadm of the wanted version: fetched beforehand, or already in its place."""
    for path in (f"{staging}/{sha256}", KUBEADM):
        if os.path.exists(path) and file_sha256(path) == sha256:
            os.chmod(path, 0o755)
            return path
    raise KubeadmError(f"kubeadm with sha256 {sha256} is neither in {staging} nor at {KUBEADM}; fetch it first")


def config(version: str, ignores: list[str], timeout: int) -> str:
    """kubeadm's UpgradeConfiguration; the hosts' patches hold settings that are in no ConfigMap."""
    common = {
        "ignorePreflightErrors": sorted(set(ignores)),
        "imagePullPolicy": "IfNotPresent",
        "etcdUpgrade": True,
        "certificateRenewal": True,
        "patches": {"directory": PATCHES},
    }
    return json.dumps(
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "UpgradeConfiguration",
            "apply": {**common, "kubernetesVersion": f"v{version}"},
            "node": common,
            "timeouts": {"upgradeManifests": f"{timeout}s"},
        }
    )


def control_plane() -> bool:
    """Whether this host is one."""
    return os.path.exists(f"{MANIFESTS}/kube-apiserver.yaml")


def cluster_version() -> str:
    """The version that kubeadm has written into the cluster; the first control plane of an upgrade changes it."""
    path = ["-n", "kube-system", "get", "configmap", "kubeadm-config", "-o", "jsonpath={.data.ClusterConfiguration}"]
    text = host.command(["kubectl", "--kubeconfig", ADMIN, "--request-timeout", "10s", *path], 20)
    found = re.search(r"^kubernetesVersion: v?(\S+)", text, re.M)
    if not found:
        raise KubeadmError("the ConfigMap kube-system/kubeadm-config names no kubernetesVersion; correct it first")
    return found[1]


def keep_manifests(due: Due, version: str) -> str:
    """Copy the manifests once per upgrade, so that a run that was killed halfway can still be taken back."""
    path = f"{KEPT}/{due.before}-{version}"
    if not (due.resumed and os.path.isdir(path)):
        # Those of an earlier upgrade may be of the same versions and of other settings.
        shutil.rmtree(KEPT, ignore_errors=True)
        os.makedirs(KEPT, mode=0o700)
        shutil.copytree(MANIFESTS, f"{path}.new")
        os.replace(f"{path}.new", path)
    return path


def complaint() -> str:
    """What is wrong with this host's control plane; empty when all of it works."""
    return (
        etcd_complaint()
        or host.api_complaint()
        or next(filter(None, (host.component_complaint(name) for name in sorted(host.HEALTH_PORTS))), "")
    )


def whole_complaint() -> str:
    """The same once the kubelet may be another, which starts static pods anew."""
    return _static_pods.complaint() or complaint()


def endpoint_complaint() -> str:
    """What is wrong with the API as this host's kubelet reaches it; empty when it is ready."""
    try:
        host.command(["kubectl", "--kubeconfig", KUBELET, "--request-timeout", "5s", "get", "--raw", "/readyz"], 10)
    except host.HostError as exc:
        return str(exc)
    return ""


def put_back(kept: str) -> list[str]:
    """Write the manifests from before where they differ; returns the components."""
    back = []
    for component in REVERSIBLE:
        path, copy = f"{MANIFESTS}/{component}.yaml", f"{kept}/{component}.yaml"
        if not os.path.exists(copy):
            continue
        with open(copy, "rb") as handle:
            data = handle.read()
        current = b""
        if os.path.exists(path):
            with open(path, "rb") as handle:
                current = handle.read()
        if data != current:
            atomic_write(path, data, 0o600)
            back.append(component)
    return back


def restarted(components: list[str], since: float) -> str:
    """Which of them the kubelet has not started anew yet."""
    running = host.containers()
    late = [
        name
        for name in components
        if not any(one["running"] and one["created"] >= since for one in running.get(name, []))
    ]
    return f"the kubelet has not started {', '.join(late)} yet" if late else ""


def ahead(due: Due, version: str) -> bool:
    """Whether the cluster's own configuration is of the version to which this control plane did not come.

    kubeadm writes it before it knows that all components are well, and backups are of the version that it names.
    """
    try:
        return due.before != version and cluster_version() == version
    except (KubeadmError, host.HostError):
        return True


def roll_back(marker: Marker, due: Due, version: str, kept: str, reason: str, seconds: int) -> str:
    """Take back what kubeadm has left changed; returns what to tell."""
    since = time.time()
    back = put_back(kept)
    try:
        left = host.wait_for(lambda: restarted(back, since) or complaint(), max(seconds, ROLLBACK_SECONDS))
    except host.HostError as exc:
        left = str(exc)
    if left:
        return (
            f"{reason}\nThe manifests from before are back ({kept}), but this control plane is not well: {left}\n"
            "Correct that first. If etcd is lost, the playbook restore brings back the snapshot that was taken before."
        )
    settings = without(marker.settings)
    told = "This control plane was rolled back: it runs what it ran before, and is well."
    if ahead(due, version):
        settings[UPGRADING] = version
        told += f" The cluster's configuration names {version}, so only upgrade goes on from here."
    write_marker(Marker(marker.cluster, marker.phase, settings))
    shutil.rmtree(KEPT, ignore_errors=True)
    return f"{reason}\n{told}"


def upgrade(marker: Marker, due: Due, params: dict[str, Any], lock: int) -> str:
    """Run kubeadm; returns which of its two ways it was.

    Raises KubeadmError with what was taken back.
    """
    version, timeout = params["version"], params["timeout"]
    kubeadm = program(params["kubeadm_sha256"], params["staging"])
    drop_configs()
    text = config(version, params["ignore_preflight"], timeout)
    write_marker(Marker(marker.cluster, marker.phase, {**marker.settings, UPGRADING: version}))
    if not control_plane():
        left = host.wait_for(endpoint_complaint, timeout)
        if left:
            raise KubeadmError(f"the API can't be reached from here: {left}")
        run_kubeadm("upgrade node", text, params["ignore_preflight"], timeout * 2, lock, program=kubeadm)
        return "node"
    left = host.wait_for(complaint, timeout)
    if left and not due.resumed:
        write_marker(marker)
        raise KubeadmError(f"this control plane is not well, so nothing was begun: {left}")
    kept = keep_manifests(due, version)
    try:
        # An API server that a killed run has left down can't say it, so that is taken back as well.
        verb = "node" if cluster_version() == version else "apply"
        # Each of four static pods may take its time, and kubeadm takes back what fails.
        run_kubeadm(f"upgrade {verb}", text, params["ignore_preflight"], timeout * 6, lock, program=kubeadm)
        left = host.wait_for(complaint, timeout)
    except (KubeadmError, host.HostError) as exc:
        raise KubeadmError(roll_back(marker, due, version, kept, str(exc), timeout)) from exc
    if left:
        raise KubeadmError(roll_back(marker, due, version, kept, f"with {version} {left}", timeout))
    for path in glob.glob(f"{ROOT}/tmp/kubeadm-*"):
        shutil.rmtree(path, ignore_errors=True)
    return verb


def without(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a host that is not between two versions."""
    return {key: value for key, value in settings.items() if key != UPGRADING}


def settle(seconds: int) -> str:
    """Wait for a control plane to be well; returns what it is not by then."""
    return host.wait_for(whole_complaint, seconds) if control_plane() else ""


def finished(marker: Marker, version: str) -> Marker:
    """The marker of a host that has the version."""
    return Marker(marker.cluster, marker.phase, {**without(marker.settings), "version": version})


def finish(marker: Marker, version: str, seconds: int) -> bool:
    """Remember that the host has the version; returns whether that was news.

    The new kubelet may start static pods anew, so a control plane has to be well once more.
    """
    done = finished(marker, version)
    if done == marker:
        return False
    left = settle(seconds)
    if left:
        raise KubeadmError(f"with the new kubelet this control plane is not well: {left}")
    write_marker(done)
    shutil.rmtree(KEPT, ignore_errors=True)
    return True
