# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user of the cluster may rely on."""

from __future__ import annotations

import ipaddress
import json
import stat
from pathlib import Path
from typing import Any

from kubernetes import client

VERSION = "v1.36.3"
POD_CIDR = ipaddress.ip_network("10.244.0.0/16")


def test_every_host_is_a_ready_node(api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    nodes = api.list_node().items
    assert sorted(node.metadata.name for node in nodes) == sorted(hosts)
    for node in nodes:
        ready = [entry.status for entry in node.status.conditions if entry.type == "Ready"]
        assert ready == ["True"], node.metadata.name
        assert node.status.node_info.kubelet_version == VERSION
        assert node.status.node_info.container_runtime_version == "containerd://2.3.4"


def test_every_node_has_its_own_pod_range_and_was_proven(api: client.CoreV1Api) -> None:
    nodes = api.list_node().items
    ranges = [ipaddress.ip_network(node.spec.pod_cidr) for node in nodes]
    assert len(set(ranges)) == len(nodes)
    assert all(block.subnet_of(POD_CIDR) and block.prefixlen == 24 for block in ranges)
    assert all(node.metadata.annotations["hostplane.io/probed"] == "true" for node in nodes)
    assert [node.status.capacity["pods"] for node in nodes] == ["110"] * len(nodes)


def test_no_pod_restarts_or_waits(api: client.CoreV1Api) -> None:
    pods = api.list_pod_for_all_namespaces().items
    assert len(pods) >= 12
    for pod in pods:
        assert pod.status.phase == "Running", pod.metadata.name
        assert [entry.restart_count for entry in pod.status.container_statuses] == [0], pod.metadata.name


def test_images_come_from_the_mirror_by_digest(api: client.CoreV1Api) -> None:
    lock = json.loads((Path.home() / ".cache/hostplane/bundle/1.36.3-amd64/lock.json").read_text())
    wanted = {entry["digest"] for entry in lock["images"].values()}
    for pod in api.list_pod_for_all_namespaces().items:
        for entry in pod.status.container_statuses:
            assert entry.image_id.rpartition("@")[2] in wanted, (pod.metadata.name, entry.image_id)


def test_the_probe_is_gone(api: client.CoreV1Api) -> None:
    namespaces = {item.metadata.name: item.status.phase for item in api.list_namespace().items}
    assert namespaces.get("hostplane-probe", "Terminating") == "Terminating"


def test_kubeconfig_is_the_owners_alone(lab_dir: Path) -> None:
    assert stat.S_IMODE((lab_dir / "admin.conf").stat().st_mode) == 0o600


def test_no_join_token_outlives_its_quarter_of_an_hour(api: client.CoreV1Api) -> None:
    import base64
    from datetime import datetime, timedelta, timezone

    limit = datetime.now(timezone.utc) + timedelta(minutes=15)
    for secret in api.list_namespaced_secret("kube-system").items:
        if secret.type == "bootstrap.kubernetes.io/token":
            expires = base64.b64decode(secret.data["expiration"]).decode().replace("Z", "+00:00")
            assert datetime.fromisoformat(expires) <= limit


def test_services_run_and_start_at_boot(hosts: dict[str, Any]) -> None:
    for name, host in hosts.items():
        for service in ("containerd", "kubelet"):
            assert host.service(service).is_running, (name, service)
            assert host.service(service).is_enabled, (name, service)


def test_programs_are_the_bundles(hosts: dict[str, Any]) -> None:
    lock = json.loads((Path.home() / ".cache/hostplane/bundle/1.36.3-amd64/lock.json").read_text())
    for host in hosts.values():
        for program in ("kubelet", "kubeadm", "kubectl", "containerd", "runc"):
            found = host.file(f"/usr/local/bin/{program}")
            assert found.sha256sum == lock["files"][program]["sha256"]
            assert found.mode == 0o755


def test_secrets_are_roots_alone(hosts: dict[str, Any]) -> None:
    for host in hosts.values():
        assert host.file("/etc/containerd/certs.d/registry.k8s.io/hosts.toml").mode == 0o600
        assert not host.file("/run/hostplane-kubeadm-join.yaml").exists
        assert not host.file("/run/hostplane-kubeadm-init.yaml").exists
        left = host.run("find /root/.ansible /tmp -type f -name '*.py'")
        assert left.stdout == ""


def test_an_image_outside_the_bundle_is_refused(hosts: dict[str, Any]) -> None:
    pull = hosts["worker1"].run("crictl pull registry.k8s.io/pause:3.1")
    assert pull.rc != 0
    assert "not found" in pull.stderr
