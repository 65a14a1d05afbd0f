# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drivers that are given as manifests: one that works, and one that no kubelet ever hears of."""

from __future__ import annotations

from typing import Any

import yaml
from cluster import Volumes, names
from kubernetes import client
from plays import INVENTORY, play

STORAGE: dict[str, Any] = yaml.safe_load((INVENTORY / "group_vars/all/scenario.yml").read_text())["cluster_storage"]
OTHER, SILENT = "other.example.com", "silent.example.com"
FOLDER = "/var/lib/hostplane-storage/other"
# The driver of this collection under another name and with another pool: to Kubernetes it is another one.
SCRIPT = f"""
import sys, hostplane_local
hostplane_local.DRIVER, hostplane_local.TOPOLOGY_KEY = {OTHER!r}, "topology.{OTHER}/node"
from hostplane_local.__main__ import main
kubelet = "/var/lib/kubelet"
sys.exit(main(["serve", "--pool={FOLDER}", f"--endpoint={{kubelet}}/plugins/{OTHER}/csi.sock",
               f"--registration={{kubelet}}/plugins_registry/{OTHER}-reg.sock"]))
"""


def csi_driver(name: str) -> dict[str, Any]:
    spec = {"attachRequired": False, "podInfoOnMount": True, "volumeLifecycleModes": ["Ephemeral"]}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name}, "spec": spec}


def daemon_set(image: str) -> dict[str, Any]:
    node = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    paths = {"kubelet": "/var/lib/kubelet", "dev": "/dev", "pool": FOLDER}
    container = {
        "name": "driver",
        "image": image,
        "command": ["python3", "-c", SCRIPT],
        "env": [node],
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": name, "mountPath": path, **({"mountPropagation": "Bidirectional"} if name == "kubelet" else {})}
            for name, path in paths.items()
        ],
    }
    volumes = [{"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}} for name, path in paths.items()]
    labels = {"app": "other-driver"}
    pod = {"tolerations": [{"operator": "Exists"}], "containers": [container], "volumes": volumes}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "other-driver", "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def test_a_driver_by_manifests(volumes: Volumes, classes: client.StorageV1Api, hosts: dict[str, Any]) -> None:
    apps = client.AppsV1Api(volumes.api.api_client)
    image = apps.read_namespaced_daemon_set("local-volume", "kube-system").spec.template.spec.containers[0].image
    other = {
        "name": OTHER,
        "manifests": [csi_driver(OTHER), daemon_set(image)],
        "workloads": ["daemonset/kube-system/other-driver"],
    }
    try:
        play("create", cluster_storage={**STORAGE, "drivers": [other]})
        for node in classes.list_csi_node().items:
            assert OTHER in [driver.name for driver in node.spec.drivers], node.metadata.name
        volumes.pod("user", volume={"csi": {"driver": OTHER, "volumeAttributes": {"size": "16Mi"}}})
        assert volumes.sh("user", "echo kept > /data/file; cat /data/file") == "kept\n0"
        assert ".img" in hosts["worker1"].check_output(f"ls {FOLDER}")
        volumes.clean()

        silent = {"name": SILENT, "manifests": [csi_driver(SILENT)]}
        log = play("create", code=2, cluster_storage={**STORAGE, "drivers": [silent]}, storage_timeout=5)
        for host in hosts:
            assert f"node {host}: its kubelet does not know {SILENT}" in log, log[-3000:]
        # What is not listed any more is left alone: it may have volumes.
        assert OTHER in names(classes.list_csi_driver())
    finally:
        for name in {OTHER, SILENT} & names(classes.list_csi_driver()):
            classes.delete_csi_driver(name)
        if "other-driver" in names(apps.list_namespaced_daemon_set("kube-system")):
            apps.delete_namespaced_daemon_set("other-driver", "kube-system")
        for host in hosts.values():
            host.check_output(f"rm -rf {FOLDER} /var/lib/kubelet/plugins_registry/{OTHER}-reg.sock")
