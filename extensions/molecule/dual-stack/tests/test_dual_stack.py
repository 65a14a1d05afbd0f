# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods and Services of both families, and what may change of Flannel while they talk. In this order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import traffic
from kubernetes import client, config, utils
from plays import changes, play
from waiting import until

FAMILIES = (4, 6)
SETTINGS = {"direct_routing": True, "nftables": False, "mtu": 1300}


def service(name: str, policy: str, *families: str) -> dict[str, Any]:
    spec = {
        "selector": {"app": "web"},
        "ipFamilyPolicy": policy,
        "ipFamilies": list(families),
        "ports": [{"port": 80, "targetPort": traffic.PORT}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def addresses(lab_dir: Path, api: client.CoreV1Api) -> dict[str, dict[int, str]]:
    """Of a pod on each node, by family."""
    connection = config.new_client_from_config(str(lab_dir / "admin.conf"))
    both = service("both", "RequireDualStack", "IPv4", "IPv6")
    for item in (
        both,
        service("six", "SingleStack", "IPv6"),
        traffic.pod("cp1", "cp1"),
        traffic.pod("worker1", "worker1"),
    ):
        utils.create_from_dict(connection, item)
    found = {}
    for name in ("cp1", "worker1"):
        traffic.address(api, name)
        ips = [entry.ip for entry in api.read_namespaced_pod(name, "default").status.pod_ips]
        assert len(ips) == 2
        found[name] = dict(zip(FAMILIES, ips, strict=True))
    return found


def url(address: str) -> str:
    return f"http://[{address}]" if ":" in address else f"http://{address}"


def mtu(host: Any, device: str, inside: str = "") -> int:
    return int(json.loads(host.check_output(f"{inside} ip -json link show {device}"))[0]["mtu"])


def test_nodes_and_pods_have_both_families(api: client.CoreV1Api, addresses: dict[str, dict[int, str]]) -> None:
    for node in api.list_node().items:
        internal = [entry.address for entry in node.status.addresses if entry.type == "InternalIP"]
        assert [":" in address for address in internal] == [False, True]
        assert [":" in block for block in node.spec.pod_cidrs] == [False, True]
    for found in addresses.values():
        assert ":" not in found[4] and found[6].startswith("fd10:244:")


@pytest.mark.parametrize("family", FAMILIES)
def test_pods_reach_each_other_under_their_own_address(
    hosts: dict[str, Any], addresses: dict[str, dict[int, str]], family: int
) -> None:
    for one, other in (("cp1", "worker1"), ("worker1", "cp1")):
        target = url(addresses[other][family])
        seen = traffic.fetch(hosts[one], one, f"{target}:{traffic.PORT}/clientip")
        assert seen.rpartition(":")[0].strip("[]") == addresses[one][family]


def test_services_answer_in_both_families(
    api: client.CoreV1Api, hosts: dict[str, Any], addresses: dict[str, dict[int, str]]
) -> None:
    given = api.read_namespaced_service("both", "default").spec.cluster_ips
    assert [":" in address for address in given] == [False, True]
    for address in given:
        for name in addresses:
            named = {traffic.fetch(hosts[name], name, f"{url(address)}/hostname") for _try in range(16)}
            assert named == {"cp1", "worker1"}
    # Its name leads to an IPv6 address only.
    agnhost = "kubectl --kubeconfig /etc/kubernetes/admin.conf exec worker1 -- /agnhost connect --timeout=10s"
    hosts["cp1"].check_output(f"{agnhost} six.default.svc.cluster.local:80")


def test_settings_change_and_no_packet_is_lost(hosts: dict[str, Any], addresses: dict[str, dict[int, str]]) -> None:
    worker = hosts["worker1"]
    inside = traffic.entered(worker, "worker1")
    for family, address in addresses["cp1"].items():
        ping = f"{inside} ping -{family} -i 0.2 {address} > /root/ping{family}"
        worker.check_output(f"systemd-run --quiet --unit=ping{family} sh -c 'exec {ping}'")
    try:
        log = play("create", cluster_flannel=SETTINGS)
        for host in hosts.values():
            until("the tunnel follows", lambda host=host: mtu(host, "flannel.1") == SETTINGS["mtu"])
    finally:
        worker.check_output("systemctl kill --signal=INT ping4 ping6")
    assert changes(log) > 0
    for family in FAMILIES:
        until("ping sums up", lambda family=family: "packet loss" in worker.file(f"/root/ping{family}").content_string)
        said = worker.file(f"/root/ping{family}").content_string
        (summary,) = re.findall(r"(\d+) packets transmitted, (\d+) received", said)
        assert int(summary[0]) > 50 and summary[0] == summary[1], said[-500:]
    assert changes(play("create", cluster_flannel=SETTINGS)) == 0


def test_only_new_pods_are_of_the_new_size(lab_dir: Path, api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    worker = hosts["worker1"]
    before = mtu(worker, "eth0", traffic.entered(worker, "worker1"))
    connection = config.new_client_from_config(str(lab_dir / "admin.conf"))
    utils.create_from_dict(connection, traffic.pod("new", "worker1"))
    traffic.address(api, "new")
    # A tunnel of IPv6 takes 70 bytes.
    assert (before, mtu(worker, "eth0")) == (1430, 1500)
    assert mtu(worker, "eth0", traffic.entered(worker, "new")) == SETTINGS["mtu"]


@pytest.mark.parametrize(
    "wish",
    [
        {"cluster_flannel": {"backend": "host-gw"}},
        {"cluster_flannel": {"port": 8473}},
        {"cluster_pod_cidr_ipv6": "", "cluster_service_cidr_ipv6": ""},
    ],
)
def test_what_would_part_the_nodes_is_refused(wish: dict[str, Any]) -> None:
    log = play("create", code=2, **wish)
    assert "immutable_setting" in log
    assert changes(log) == 0
