# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods on the LAN: who reaches whom under which address, and what happens to addresses when nodes come and go."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
import testinfra
import traffic
from kubernetes import client, config, utils
from members import Lab
from plays import executed

HERE = "10.83.0.1"
OUTSIDE = "10.83.0.10"
SLICES = "hostplane.io/slices"
# The next slice of the LAN, in it the address of a machine that nobody has told the plan about, and the card of that.
TAKEN = "10.83.0.231"
WEB = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": traffic.PORT}]},
}
ANSWER_ONCE = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())
server = http.server.HTTPServer(("", 8099), Handler)
server.timeout = 30
server.handle_request()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, inventory: dict[str, Any], lab_dir: Any) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("inventory"), inventory, lab_dir)
    lab.inventory("cp1", "worker1")
    return lab


@pytest.fixture(scope="module")
def outside(lab_dir: Any) -> Any:
    """A host of the LAN that is no node: the mirror's."""
    return testinfra.get_host(
        f"ssh://root@{OUTSIDE}",
        ssh_identity_file=str(lab_dir / "id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={lab_dir}/known_hosts -o StrictHostKeyChecking=yes",
    )


def slices(api: client.CoreV1Api) -> dict[str, list[str]]:
    """What every node holds."""
    return {node.metadata.name: node.metadata.annotations[SLICES].split(",") for node in api.list_node().items}


def start(lab: Lab, *objects: dict[str, Any]) -> None:
    connection = config.new_client_from_config(str(lab.kubeconfig))
    for item in objects:
        utils.create_from_dict(connection, item)


def test_slices_are_those_of_each_nodes_zone_and_no_node_has_a_pod_range(api: client.CoreV1Api) -> None:
    assert slices(api) == {"cp1": ["10.83.0.96/27"], "worker1": ["10.83.0.160/27"]}
    assert [node.spec.pod_cidr for node in api.list_node().items] == [None, None]


def test_pods_see_each_others_own_addresses(lab: Lab, api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    limit = {"kubernetes.io/egress-bandwidth": "8M", "kubernetes.io/ingress-bandwidth": "16M"}
    start(lab, WEB, traffic.pod("on-cp1", "cp1"), traffic.pod("on-worker1", "worker1", **limit))
    addresses = {node: traffic.address(api, f"on-{node}") for node in ("cp1", "worker1")}
    for node, address in addresses.items():
        assert any(ipaddress.ip_address(address) in ipaddress.ip_network(item) for item in slices(api)[node])
    for one, other in (("cp1", "worker1"), ("worker1", "cp1")):
        seen = traffic.fetch(hosts[one], f"on-{one}", f"http://{addresses[other]}:{traffic.PORT}/clientip")
        assert seen.rpartition(":")[0] == addresses[one]


def test_a_service_and_its_name_answer(lab: Lab, api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    cluster_ip = api.read_namespaced_service("web", "default").spec.cluster_ip
    named = {traffic.fetch(hosts["worker1"], "on-worker1", f"http://{cluster_ip}/hostname") for _try in range(12)}
    assert named == {"on-cp1", "on-worker1"}
    agnhost = "kubectl --kubeconfig /etc/kubernetes/admin.conf exec on-worker1 -- /agnhost connect --timeout=10s"
    hosts["cp1"].check_output(f"{agnhost} web.default.svc.cluster.local:80")


def test_a_host_outside_of_the_cluster_and_a_pod_see_each_others_address(
    api: client.CoreV1Api, hosts: dict[str, Any], outside: Any
) -> None:
    address = traffic.address(api, "on-worker1")
    seen = outside.check_output(f"curl --silent --max-time 10 http://{address}:{traffic.PORT}/clientip")
    assert seen.rpartition(":")[0] == OUTSIDE
    outside.check_output("setsid python3 -c %s > /dev/null 2>&1 & sleep 1", ANSWER_ONCE)
    assert traffic.fetch(hosts["worker1"], "on-worker1", f"http://{OUTSIDE}:8099/") == address


def test_the_limits_of_a_pod_hold(hosts: dict[str, Any]) -> None:
    assert traffic.sent_per_second(hosts["worker1"], "on-worker1", HERE) == pytest.approx(1_000_000, rel=0.2)
    assert traffic.received_per_second(hosts["worker1"], "on-worker1", HERE) == pytest.approx(2_000_000, rel=0.2)


def test_a_node_that_needs_more_gets_more_and_its_pods_stay(
    lab: Lab, api: client.CoreV1Api, hosts: dict[str, Any], outside: Any
) -> None:
    before = traffic.address(api, "on-worker1")
    lab.hosts["worker1"]["node_max_pods"] = 40
    lab.inventory("cp1", "worker1")
    lab.play("create")
    assert slices(api) == {"cp1": ["10.83.0.96/27"], "worker1": ["10.83.0.160/27", "10.83.0.192/28"]}
    # As if the first slice were full: the next address after its last one.
    hosts["worker1"].check_output("echo -n 10.83.0.190 > /var/lib/cni/networks/underlay/last_reserved_ip.0")
    start(lab, traffic.pod("grown", "worker1"))
    assert traffic.address(api, "grown") == "10.83.0.194"
    for address in (before, "10.83.0.194"):
        seen = outside.check_output(f"curl --silent --max-time 10 http://{address}:{traffic.PORT}/clientip")
        assert seen.rpartition(":")[0] == OUTSIDE
    assert traffic.address(api, "on-worker1") == before


def test_an_address_that_somebody_has_is_refused_and_policies_without_an_engine(
    lab: Lab, api: client.CoreV1Api, outside: Any
) -> None:
    card = outside.check_output("cat /sys/class/net/eth0/address")
    lab.inventory("cp1", "worker1", "worker2")
    outside.check_output(f"ip address add {TAKEN}/24 dev eth0")
    try:
        log = lab.play("scale", code=2, cluster_network_policy="kube-router")
    finally:
        outside.check_output(f"ip address del {TAKEN}/24 dev eth0")
    told = re.sub(r"\s+", " ", log)
    assert f"somebody answers for {TAKEN} ({card})" in told
    assert re.search(r"docker.io/cloudnativelabs/kube-router[^\[]*\[addon_missing\]", told)
    assert re.findall(r"changed=[1-9]", log) == []
    assert lab.ready() == ["cp1", "worker1"]


def test_a_node_joins_without_a_task_on_the_others(lab: Lab, api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    before = slices(api)
    log = lab.play("scale")
    assert executed(log, "worker1") == 0
    assert slices(api) == {**before, "worker2": ["10.83.0.224/27"]}
    start(lab, traffic.pod("on-worker2", "worker2"))
    # Its pod has a network as soon as it runs.
    own, address = traffic.address(api, "on-worker2"), traffic.address(api, "on-worker1")
    seen = traffic.fetch(hosts["worker2"], "on-worker2", f"http://{address}:{traffic.PORT}/clientip")
    assert seen.rpartition(":")[0] == own


def test_what_a_node_gives_back_the_next_one_gets(lab: Lab, api: client.CoreV1Api, outside: Any) -> None:
    lab.play("scale", scale_remove=["worker1"], scale_unmanaged_pods="delete")
    assert sorted(slices(api)) == ["cp1", "worker2"]
    lab.inventory("cp1", "worker2", "worker3")
    lab.play("scale")
    assert slices(api) == {"cp1": ["10.83.0.96/27"], "worker2": ["10.83.0.224/27"], "worker3": ["10.83.0.160/27"]}
    start(lab, traffic.pod("on-worker3", "worker3"))
    address = traffic.address(api, "on-worker3")
    assert ipaddress.ip_address(address) in ipaddress.ip_network("10.83.0.160/27")
    seen = outside.check_output(f"curl --silent --max-time 10 http://{address}:{traffic.PORT}/clientip")
    assert seen.rpartition(":")[0] == OUTSIDE


def test_nothing_is_left_to_do(lab: Lab) -> None:
    for arguments in (["--check"], []):
        assert re.findall(r"changed=[1-9]", lab.play("create", *arguments)) == []


def test_a_host_that_left_keeps_nothing(hosts: dict[str, Any]) -> None:
    assert not hosts["worker1"].file("/etc/cni/net.d/10-underlay.conflist").exists
    assert not hosts["worker1"].file("/etc/sysctl.d/99-zz-hostplane-underlay.conf").exists
    # It answers for nobody's address but its own.
    assert hosts["worker1"].check_output("cat /proc/sys/net/ipv4/conf/eth0/proxy_arp") == "0"
    assert hosts["cp1"].check_output("cat /proc/sys/net/ipv4/conf/eth0/proxy_arp") == "1"
