# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API behind the virtual address, and a workload, answer all the time while three control planes are upgraded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kubernetes import client, config
from plays import Run, changes, play
from poller import Poller
from waiting import until
from workload import NODE_PORT, deploy

NEW = "1.36.3"
LONGEST_GAP = 4.0
# An image with a shell.
SHELL = "docker.io/rancher/local-path-provisioner:v0.0.30"
PKI = "/etc/kubernetes/pki/etcd"


def upgrade(code: int = 0) -> str:
    """Run the playbook to its end; returns its log."""
    return play("upgrade", code=code, cluster_kubernetes_version=NEW)


def etcd_runs(host: Any) -> bool:
    """Whether a control plane's own etcd is well."""
    asked = host.run(
        f"curl -sf --cacert {PKI}/ca.crt --cert {PKI}/healthcheck-client.crt --key {PKI}/healthcheck-client.key"
        " https://127.0.0.1:2379/health"
    )
    return asked.rc == 0 and json.loads(asked.stdout)["health"] == "true"


def all_ready(api: client.CoreV1Api) -> bool:
    return all(
        any(entry.type == "Ready" and entry.status == "True" for entry in node.status.conditions)
        for node in api.list_node().items
    )


def keep_data(api: client.CoreV1Api, kubeconfig: Path) -> None:
    """A Deployment of one pod that notes each of its starts in a volume of the worker."""
    labels, place = {"app": "keeper"}, {"name": "data", "mountPath": "/data"}
    command = ["sh", "-c", "date +%s >> /data/starts; exec sleep 100000"]
    container = {"name": "c", "image": SHELL, "command": command, "volumeMounts": [place]}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "keeper"}}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": [volume]}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    api.create_namespaced_persistent_volume_claim(
        "default", {"metadata": {"name": "keeper"}, "spec": {**claim, "storageClassName": "local-volume"}}
    )
    client.AppsV1Api(config.new_client_from_config(str(kubeconfig))).create_namespaced_deployment(
        "default",
        {
            "metadata": {"name": "keeper"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        },
    )
    until("its pod runs", lambda: len(keepers(api)) == 1)


def keepers(api: client.CoreV1Api) -> list[str]:
    """The pods of that Deployment that run."""
    pods = api.list_namespaced_pod("default", label_selector="app=keeper").items
    return [item.metadata.name for item in pods if item.status.phase == "Running"]


def test_a_member_of_etcd_that_is_down_stops_it_before_any_change(hosts: dict[str, Any], api: client.CoreV1Api) -> None:
    manifest, kept = "/etc/kubernetes/manifests/etcd.yaml", "/root/etcd.yaml"
    hosts["cp3"].check_output(f"mv {manifest} {kept}")
    try:
        until("etcd has ended", lambda: not etcd_runs(hosts["cp3"]))
        log = upgrade(code=2)
    finally:
        hosts["cp3"].check_output(f"mv {kept} {manifest}")
    failed = re.search(r"^fatal: \[[^\]]+\]: FAILED! => (\{.*\})$", log, re.M)
    assert failed, log[-6000:]
    found = {(item["code"], item["host"], item["severity"]) for item in json.loads(failed[1])["findings"]}
    assert {("etcd_silent", "cp3", "error"), ("etcd_unhealthy", "cp3", "error")} <= found
    assert changes(log) == 0
    until("etcd is back", lambda: etcd_runs(hosts["cp3"]) and all_ready(api))


def version_of(host: Any) -> str:
    """The release that a host has, as it remembers it."""
    settings = json.loads(host.check_output("cat /etc/kubernetes/hostplane.json"))["settings"]
    return str(settings["version"])


def test_nobody_notices_not_even_that_it_was_killed_between_two_control_planes(
    inventory: dict[str, Any], hosts: dict[str, Any], lab_dir: Path, api: client.CoreV1Api
) -> None:
    deploy(lab_dir / "admin.conf")
    keep_data(api, lab_dir / "admin.conf")
    address = inventory["groups"]["control_plane"]["cp1"]["ansible_host"]
    pollers = Poller.of_api(lab_dir / "admin.conf"), Poller(f"http://{address}:{NODE_PORT}/hostname")
    for poller in pollers:
        poller.start()
    Run("upgrade", cluster_kubernetes_version=NEW).kill_when(lambda _log: version_of(hosts["cp1"]) == NEW)
    assert version_of(hosts["cp3"]) != NEW
    # All that cp1 runs is newer than the API servers of the others, and that stops nobody.
    assert "[skew_control_plane]" in upgrade()
    gap, _longest = [poller.stop() for poller in pollers]
    assert {node.status.node_info.kubelet_version for node in api.list_node().items} == {f"v{NEW}"}
    assert gap <= LONGEST_GAP
    assert pollers[1].lost == []


def test_a_volume_is_as_it_was(hosts: dict[str, Any], api: client.CoreV1Api) -> None:
    until("its pod runs", lambda: len(keepers(api)) == 1)
    volume = api.read_namespaced_persistent_volume_claim("keeper", "default").spec.volume_name
    worker = hosts["worker1"]
    mounted = worker.check_output(f"findmnt --list --noheadings --output TARGET | grep {volume} | head -n 1").strip()
    # One line of the pod before, one of the pod that came after the worker had been emptied.
    assert len(worker.file(f"{mounted}/starts").content_string.split()) == 2
    listed = worker.check_output("losetup --list --noheadings --output BACK-FILE")
    assert listed.count("hostplane-storage/volumes/") == 1


def test_etcd_is_whole_and_again_changes_nothing(hosts: dict[str, Any]) -> None:
    assert all(etcd_runs(hosts[name]) for name in ("cp1", "cp2", "cp3"))
    assert changes(upgrade()) == 0
