# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster goes from one release to the next, in this order; a workload of two replicas answers all the time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import plays
import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup
from kubernetes import client
from poller import Poller
from urllib3.exceptions import HTTPError
from workload import NODE_PORT, deploy

OLD, NEW = "1.35.4", "1.36.3"
PATCH = "/etc/kubernetes/patches/kube-apiserver+strategic.yaml"
BREAKING = "spec: {containers: [{name: kube-apiserver, command: [kube-apiserver, --no-such-flag]}]}"
NODES = ["cp1", "worker1", "worker2"]
DROP_IN = "/etc/systemd/system/kubelet.service.d/broken.conf"


def start(version: str) -> plays.Run:
    """Start an upgrade to this version."""
    return plays.Run("upgrade", cluster_kubernetes_version=version)


def play(playbook: str, version: str, *args: str, code: int = 0, **variables: Any) -> str:
    """Run one to its end; returns its log."""
    return plays.play(playbook, *args, code=code, cluster_kubernetes_version=version, **variables)


def versions(api: client.CoreV1Api) -> dict[str, str]:
    """What the kubelets say."""
    return {node.metadata.name: node.status.node_info.kubelet_version for node in api.list_node().items}


def images(api: client.CoreV1Api, labels: str) -> set[str]:
    """The images of the pods with these labels, without their registry."""
    pods = api.list_namespaced_pod("kube-system", label_selector=labels).items
    return {container.image.rpartition("/")[2] for pod in pods for container in pod.spec.containers}


def stops_at_a_worker(host: Any, api: client.CoreV1Api) -> None:
    """A run in which the kubelet of worker2 does not start ends there; what was broken is right again."""
    host.check_output(f"printf '[Service]\\nExecStartPre=/bin/false\\n' > {DROP_IN}; systemctl daemon-reload")
    log = play("upgrade", NEW, code=2)
    host.check_output(f"rm {DROP_IN}; systemctl daemon-reload")
    assert "worker2 was not upgraded: " in log and "It stays cordoned" in log
    # What comes after the workers would have let pods on it again.
    assert "Bring up what every node does" not in log
    assert {node.metadata.name for node in api.list_node().items if node.spec.unschedulable} == {"worker2"}
    assert versions(api)["worker1"] == f"v{NEW}"
    marker = json.loads(host.check_output("cat /etc/kubernetes/hostplane.json"))
    assert (marker["settings"]["version"], marker["settings"]["upgrading_to"]) == (OLD, NEW)


def processes(hosts: dict[str, Any]) -> list[str]:
    """What would be others after a restart: services with the times of their starts, and containers."""
    show = "systemctl show --property=Id,MainPID,ActiveEnterTimestampMonotonic containerd kubelet"
    return [hosts[name].check_output(f"{show}; crictl ps --quiet | sort") for name in NODES]


@pytest.fixture(scope="module", autouse=True)
def written(api: client.CoreV1Api) -> dict[str, str]:
    """Something that must still be there in the end."""
    data = {f"key{number}": "x" * 100 for number in range(100)}
    api.create_namespaced_config_map("default", client.V1ConfigMap(metadata={"name": "before"}, data=data))
    return data


def test_create_does_not_upgrade() -> None:
    assert "version_differs" in play("create", NEW, code=2)


def test_a_first_control_plane_that_does_not_come_up_is_rolled_back(
    hosts: dict[str, Any], api: client.CoreV1Api
) -> None:
    hosts["cp1"].check_output(f"printf %s '{BREAKING}' > {PATCH}")
    try:
        log = play("upgrade", NEW, code=2, upgrade_timeout=45)
    finally:
        hosts["cp1"].check_output(f"rm {PATCH}")
    assert "This control plane was rolled back" in log
    # The backup was taken before, and proven.
    assert "read back and encrypted" in log
    assert set(versions(api).values()) == {f"v{OLD}"}
    assert images(api, "component=kube-apiserver") == {f"kube-apiserver:v{OLD}"}
    assert json.loads(hosts["cp1"].check_output("cat /etc/kubernetes/hostplane.json"))["settings"]["version"] == OLD
    # It is a cluster like any other. Only the administrator's kubeconfig had been renewed by kubeadm already.
    play("create", OLD)
    assert re.findall(r"changed=[1-9]", play("create", OLD)) == []


def test_killed_twice_stopped_by_a_worker_and_finished(
    hosts: dict[str, Any], api: client.CoreV1Api, inventory: dict[str, Any], lab_dir: Path, written: dict[str, str]
) -> None:
    deploy(lab_dir / "admin.conf")
    address = inventory["groups"]["control_plane"]["cp1"]["ansible_host"]
    web = Poller(f"http://{address}:{NODE_PORT}/hostname")
    web.start()
    upgrading = "pgrep -f 'kubeadm.* upgrade|[0-9a-f]{64} upgrade'"
    start(NEW).kill_when(lambda _log: hosts["cp1"].run(upgrading).rc == 0)
    assert "UpgradeUnfinished" in play("create", OLD, code=2)

    def draining(_log: str) -> bool:
        try:
            return bool(api.read_node("worker1").spec.unschedulable)
        except (client.ApiException, HTTPError):
            return False

    start(NEW).kill_when(draining)
    assert set(versions(api).values()) == {f"v{OLD}", f"v{NEW}"}
    stops_at_a_worker(hosts["worker2"], api)
    play("upgrade", NEW)
    web.stop()
    assert web.lost == []
    assert versions(api) == dict.fromkeys(NODES, f"v{NEW}")
    assert not any(node.spec.unschedulable for node in api.list_node().items)
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert images(api, f"component={name}") == {f"{name}:v{NEW}"}
    assert images(api, "k8s-app=kube-proxy") == {f"kube-proxy:v{NEW}"}
    assert images(api, "component=etcd") == {"etcd:3.6.8-0"}
    assert images(api, "k8s-app=kube-dns") == {"coredns:v1.14.2"}
    assert api.read_namespaced_config_map("before", "default").data == written
    for name in NODES:
        marker = json.loads(hosts[name].check_output("cat /etc/kubernetes/hostplane.json"))
        assert (marker["settings"]["version"], "upgrading_to" in marker["settings"]) == (NEW, False)
        assert not hosts[name].file("/var/lib/hostplane/staging/kubelet").exists


def test_again_changes_nothing_and_restarts_nothing(hosts: dict[str, Any]) -> None:
    before = processes(hosts)
    for playbook in ("upgrade", "create"):
        assert re.findall(r"changed=[1-9]", play(playbook, NEW)) == []
    assert re.findall(r"changed=[1-9]", play("upgrade", NEW, "--check", "--diff")) == []
    assert processes(hosts) == before


def test_the_last_backup_is_of_the_new_version_and_would_be_restored(lab_dir: Path) -> None:
    path = max((lab_dir / "backups").glob("*.backup"), key=lambda found: _backup.read_metadata(str(found))["time"])
    assert _backup.read_metadata(str(path))["snapshot"]["kubernetes"] == NEW
    play("restore", NEW, "--check", restore_backup=str(path), restore_confirm="upgrade")


def test_there_is_no_way_back(api: client.CoreV1Api) -> None:
    assert "version_downgrade" in play("upgrade", OLD, code=2)
    assert set(versions(api).values()) == {f"v{NEW}"}
