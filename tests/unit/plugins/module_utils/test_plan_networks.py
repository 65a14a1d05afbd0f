# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a plan: what nodes hold stays theirs, and problems name the operator's variables."""

from __future__ import annotations

from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._plan import ClusterPlan, ClusterRequest, plan_cluster

HOSTS = [
    {"inventory_hostname": name, "role": role, "ansible_host": address, "node_name": f"node-of-{name}"}
    for name, role, address in (("cp-1", "control_plane", "10.9.0.11"), ("w-1", "worker", "10.9.0.21"))
]
NEW = {"inventory_hostname": "w-2", "role": "worker", "ansible_host": "10.9.0.22"}


def plan(**options: Any) -> ClusterPlan:
    zone = {"name": "lan", "node_cidrs": ["10.9.0.0/24"], "pod_subnets": ["10.9.0.128/25"]}
    request: dict[str, Any] = {
        "name": "lab",
        "kubernetes_version": "1.36.3",
        "mirror_address": "10.9.0.5:5000",
        "hosts": HOSTS,
        "node_cidrs": ["10.9.0.0/24"],
        "max_pods": 20,
        "cni": "underlay",
        "underlay": {"addresses_per_pod": 1, "zones": [zone]},
    }
    return plan_cluster(ClusterRequest(**{**request, **options}))


def test_every_host_gets_a_slice_and_there_is_no_pod_range() -> None:
    found = plan()
    assert not found.problems
    assert found.plan["networks"]["blocks"] == {"cp-1": ["10.9.0.128/27"], "w-1": ["10.9.0.160/27"]}
    assert found.plan["networks"]["pod_cidr"] == "" and found.plan["networks"]["growth"] == 2
    assert found.plan["cluster"]["kube_proxy_config"]["detectLocalMode"] == "InterfaceNamePrefix"
    assert sorted(found.plan["images"]) == ["control_plane", "digests", "worker"]


def test_slices_of_nodes_do_not_move_and_those_of_leaving_nodes_are_not_given_away() -> None:
    slices = {"node-of-w-1": ["10.9.0.224/27"], "old": ["10.9.0.128/27"], "node-of-cp-1": ["10.9.0.160/27"]}
    blocks = plan(slices=slices, hosts=[*HOSTS, NEW]).plan["networks"]["blocks"]
    assert blocks == {"cp-1": ["10.9.0.160/27"], "w-1": ["10.9.0.224/27"], "w-2": ["10.9.0.192/27"]}
    full = plan(slices={**slices, "older": ["10.9.0.192/27"]}, hosts=[*HOSTS, NEW])
    assert [(problem.code, problem.path) for problem in full.problems] == [
        ("pod_subnet_too_small", "cluster_underlay.zones")
    ]


def test_a_node_with_more_pods_gets_more_and_keeps_what_it_has() -> None:
    slices = {"node-of-w-1": ["10.9.0.128/27"]}
    blocks = plan(slices=slices, hosts=[HOSTS[0], {**HOSTS[1], "node_max_pods": 40}]).plan["networks"]["blocks"]
    assert blocks["w-1"][0] == "10.9.0.128/27" and len(blocks["w-1"]) == 2


def macvlan(**options: Any) -> ClusterPlan:
    zone = {"name": "lan", "node_cidrs": ["10.9.0.0/24"], "pod_subnets": ["10.9.0.128/25"]}
    underlay = {"mode": "macvlan", "addresses_per_pod": 1, "zones": [zone]}
    lan = {"interface": "eth0", "network": "10.9.0.0/24", "mtu": 1500, "gateway": "10.9.0.1"}
    return plan(underlay=underlay, **{"facts": {"cp-1": {"link": lan}, "w-1": {"link": lan}}, **options})


def test_pods_of_the_mode_macvlan_are_in_the_hosts_network_and_their_host_is_their_gateway() -> None:
    found = macvlan(kube_proxy_config={"mode": "nftables"})
    assert not found.problems
    assert found.plan["networks"]["ranges"]["w-1"] == [
        {"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.162", "rangeEnd": "10.9.0.190", "gateway": "10.9.0.161"}
    ]
    assert found.plan["cluster"]["kube_proxy_config"]["nftables"] == {"masqueradeAll": True}
    assert found.plan["cluster"]["kube_proxy_config"]["mode"] == "nftables"
    assert plan().plan["networks"]["ranges"] == {}


def test_a_slice_that_is_no_part_of_the_hosts_network_is_refused_with_macvlan_alone() -> None:
    narrow = {"link": {"interface": "eth0", "network": "10.9.0.0/25", "mtu": 1500, "gateway": ""}}
    refused = macvlan(facts={"w-1": narrow})
    assert [(item.code, item.host, item.path) for item in refused.problems] == [
        ("slice_outside_lan", "w-1", "cluster_underlay.zones")
    ]
    assert not plan(facts={"w-1": narrow}).problems


def test_the_mode_of_a_cluster_cannot_change() -> None:
    existing = {"cni": "underlay", "pod_network": "ptp"}
    assert [(item.code, item.path) for item in macvlan(existing=existing).problems] == [
        ("immutable_setting", "cluster_underlay")
    ]


def test_several_zones_each_with_its_own_lan() -> None:
    zones = [
        {"name": "a", "node_cidrs": ["10.9.0.0/24"], "pod_subnets": ["10.9.0.128/25"]},
        {"name": "b", "node_cidrs": ["10.8.0.0/24"], "pod_subnets": ["10.8.0.128/25", "10.8.1.0/24"]},
    ]
    others = [
        {"inventory_hostname": f"b-{n}", "role": "worker", "ansible_host": f"10.8.0.2{n}"} for n in (1, 2, 3, 4, 5)
    ]
    found = plan(
        hosts=[*HOSTS, *others],
        node_cidrs=["10.9.0.0/24", "10.8.0.0/24"],
        underlay={"addresses_per_pod": 1, "zones": zones},
        slices={"b-2": ["10.8.0.192/27"]},
    )
    assert not found.problems
    assert found.plan["networks"]["blocks"] == {
        "cp-1": ["10.9.0.128/27"],
        "w-1": ["10.9.0.160/27"],
        "b-1": ["10.8.0.128/27"],
        "b-2": ["10.8.0.192/27"],
        "b-3": ["10.8.0.160/27"],
        "b-4": ["10.8.0.224/27"],
        "b-5": ["10.8.1.0/27"],
    }
    # Hosts answer in their own LAN; behind it routers have to know.
    assert [(item["destination"], item["via"]) for item in found.plan["networks"]["routes"]] == [
        ("10.8.1.0/27", "10.8.0.25")
    ]


def test_a_host_in_no_zone_is_told_its_own_variable() -> None:
    far = {**NEW, "ansible_host": "10.7.0.1"}
    found = plan(hosts=[*HOSTS, far], node_cidrs=["10.0.0.0/12"])
    assert ("zone_unknown", "w-2", "node_zone") in {(item.code, item.host, item.path) for item in found.problems}
    assert not plan(hosts=[*HOSTS, {**far, "node_zone": "lan"}], node_cidrs=["10.0.0.0/12"]).problems


def test_the_endpoint_is_no_pods_address() -> None:
    found = plan(balancer="managed", vip="10.9.0.200")
    assert [problem.path for problem in found.problems] == ["cluster_vip"]


def test_a_missing_zone_is_told_once() -> None:
    assert [problem.code for problem in plan(underlay={}).problems] == ["zone_missing"]


def test_what_cannot_change_in_a_cluster_that_exists() -> None:
    existing = {"cni": "underlay", "pod_network": "ptp", "node_mask": "", "pod_cidr": ""}
    assert not plan(existing=existing, max_pods=40).problems
    flannel = {"cni": "flannel", "pod_network": "vxlan 1 8472", "pod_cidr": "10.244.0.0/16", "node_mask": 26}
    assert [problem.path for problem in plan(existing=flannel).problems] == ["cluster_underlay", "cluster_cni"]
    same = {"cni": "flannel", "underlay": {}, "existing": flannel}
    assert not plan(**same).problems
    for changes, path in (
        ({"flannel": {"backend": "host-gw"}}, "cluster_flannel"),
        ({"pod_cidr_ipv6": "fd00:10:244::/56", "service_cidr_ipv6": "fd00:10:96::/112"}, "cluster_pod_cidr"),
    ):
        assert [problem.path for problem in plan(**same, **changes).problems] == [path]


def test_both_families() -> None:
    hosts = [{**host, "node_address_ipv6": f"fd00:9::{place}"} for place, host in enumerate(HOSTS, 1)]
    options: dict[str, Any] = {
        "cni": "flannel",
        "underlay": {},
        "node_cidrs": ["10.9.0.0/24", "fd00:9::/64"],
        "pod_cidr_ipv6": "fd00:10:244::/56",
        "service_cidr_ipv6": "fd00:10:96::/112",
    }
    found = plan(**options, hosts=hosts)
    assert not found.problems
    assert found.plan["networks"]["pod_cidr_ipv6"] == "fd00:10:244::/56"
    assert found.plan["hosts"]["w-1"]["address_ipv6"] == "fd00:9::2"
    lacking = plan(**options, hosts=[hosts[0], HOSTS[1]])
    assert [(item.code, item.host, item.path) for item in lacking.problems] == [
        ("node_address_missing", "w-1", "node_address_ipv6")
    ]


def test_policies_without_an_engine_are_refused() -> None:
    lock = {"release": "1.36.3", "arch": "amd64", "files": {"x": {}}, "images": {"x:1": {}}}
    found = plan(network_policy="kube-router", lock={"amd64": lock})
    (missing,) = [problem for problem in found.problems if problem.code == "addon_missing"]
    assert "docker.io/cloudnativelabs/kube-router" in missing.message and "bundle_source: upstream" in missing.remedy
    assert "addon_missing" not in {problem.code for problem in plan(lock={"amd64": lock}).problems}


def test_the_virtual_address_is_none_of_another_clusters_pods() -> None:
    options: dict[str, Any] = {"balancer": "managed", "vip": "10.9.0.100"}
    for subnet, expected in (("10.9.0.96/28", ["vip_in_range"]), ("10.9.0.64/28", [])):
        found = plan(**options, other_clusters=[{"name": "b", "pod_subnets": [subnet]}])
        assert [problem.code for problem in found.problems] == expected, found.problems
