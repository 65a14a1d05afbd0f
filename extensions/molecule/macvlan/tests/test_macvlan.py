# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods in the LAN with hardware addresses of their own: whom they reach past their host, and whom through it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import testinfra
import traffic
from kubernetes import client, config, utils

NODE_PORT, HOST_PORT = 30080, 8081
WEB = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {
        "type": "NodePort",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": traffic.PORT, "nodePort": NODE_PORT}],
    },
}


@pytest.fixture(scope="module")
def at(inventory: dict[str, Any]) -> dict[str, str]:
    """The hosts' addresses."""
    groups = inventory["groups"].values()
    return {name: values["ansible_host"] for group in groups for name, values in group.items()}


@pytest.fixture(scope="module")
def outside(lab_dir: Path, at: dict[str, str]) -> Any:
    """A host of the LAN that is no node: the mirror's."""
    return testinfra.get_host(
        f"ssh://root@{at['mirror1']}",
        ssh_identity_file=str(lab_dir / "id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={lab_dir}/known_hosts -o StrictHostKeyChecking=yes",
    )


@pytest.fixture(scope="module")
def pods(lab_dir: Path, api: client.CoreV1Api) -> dict[str, str]:
    """The addresses of a pod on the control plane and two on the worker, for one of which its kubelet probes."""
    probed = traffic.pod("on-worker1", "worker1")
    container = probed["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"path": "/hostname", "port": traffic.PORT}, "periodSeconds": 1}
    container["ports"] = [{"containerPort": traffic.PORT, "hostPort": HOST_PORT}]
    names = ("on-cp1", "on-worker1", "beside")
    connection = config.new_client_from_config(str(lab_dir / "admin.conf"))
    for item in (WEB, traffic.pod("on-cp1", "cp1"), probed, traffic.pod("beside", "worker1")):
        utils.create_from_dict(connection, item)
    found = {name: traffic.address(api, name) for name in names}
    deadline = time.monotonic() + 60
    while not api.read_namespaced_pod("on-worker1", "default").status.container_statuses[0].ready:
        assert time.monotonic() < deadline, "the host does not reach its own pod"
        time.sleep(0.5)
    return found


def client_of(host: Any, url: str) -> str:
    """As whom a host is seen."""
    return str(host.check_output(f"curl --silent --max-time 10 {url}/clientip")).rpartition(":")[0]


def test_pods_and_the_lan_see_each_others_own_addresses(
    pods: dict[str, str], hosts: dict[str, Any], at: dict[str, str], outside: Any
) -> None:
    for one, host, other in (
        ("on-cp1", "cp1", "on-worker1"),
        ("on-worker1", "worker1", "on-cp1"),
        ("beside", "worker1", "on-worker1"),
    ):
        seen = traffic.fetch(hosts[host], one, f"http://{pods[other]}:{traffic.PORT}/clientip")
        assert seen.rpartition(":")[0] == pods[one]
    for address in pods.values():
        outside.check_output(f"curl --silent --max-time 10 http://{address}:{traffic.PORT}/hostname")
    cards = {
        address: outside.check_output(f"ip -brief neighbour show {address}").split()[2] for address in pods.values()
    }
    assert len(set(cards.values())) == 3, "each pod has its own card"


def test_hosts_reach_pods_and_are_found_under_one_card(
    pods: dict[str, str], hosts: dict[str, Any], at: dict[str, str], outside: Any
) -> None:
    for host in ("cp1", "worker1"):
        for address in pods.values():
            assert client_of(hosts[host], f"http://{address}:{traffic.PORT}") == at[host]
        # Everybody that answers for the host's address, asked anew.
        outside.run(f"ip neighbour del {at[host]} dev eth0")
        client_of(outside, f"http://{at[host]}:{NODE_PORT}")
        card = hosts[host].check_output("cat /sys/class/net/eth0/address")
        assert card in outside.check_output(f"ip -brief neighbour show {at[host]}")


def test_services_answer_pods_wherever_their_own_pod_is(
    pods: dict[str, str], api: client.CoreV1Api, hosts: dict[str, Any]
) -> None:
    address = api.read_namespaced_service("web", "default").spec.cluster_ip
    for name, host in (("on-cp1", "cp1"), ("on-worker1", "worker1")):
        named = {traffic.fetch(hosts[host], name, f"http://{address}/hostname") for _try in range(16)}
        assert named == set(pods)
    agnhost = "kubectl --kubeconfig /etc/kubernetes/admin.conf exec on-worker1 -- /agnhost connect --timeout=10s"
    hosts["cp1"].check_output(f"{agnhost} web.default.svc.cluster.local:80")
    hosts["cp1"].check_output(f"{agnhost} kubernetes.default.svc.cluster.local:443")


def test_ports_of_nodes_answer_the_lan(pods: dict[str, str], at: dict[str, str], outside: Any) -> None:
    for host in ("cp1", "worker1"):
        url = f"http://{at[host]}:{NODE_PORT}/hostname"
        assert {outside.check_output(f"curl --silent --max-time 10 {url}") for _try in range(16)} == set(pods)
    assert (
        outside.check_output(f"curl --silent --max-time 10 http://{at['worker1']}:{HOST_PORT}/hostname") == "on-worker1"
    )


def test_a_limit_that_would_not_hold_keeps_the_pod_from_starting(lab_dir: Path, api: client.CoreV1Api) -> None:
    connection = config.new_client_from_config(str(lab_dir / "admin.conf"))
    utils.create_from_dict(connection, traffic.pod("limited", "worker1", **{"kubernetes.io/egress-bandwidth": "8M"}))
    deadline = time.monotonic() + 60
    while True:
        events = api.list_namespaced_event("default", field_selector="involvedObject.name=limited").items
        if any("bandwidth" in event.message for event in events):
            break
        assert time.monotonic() < deadline, [event.message for event in events]
        time.sleep(0.5)
    assert api.read_namespaced_pod("limited", "default").status.phase == "Pending"
    api.delete_namespaced_pod("limited", "default")
