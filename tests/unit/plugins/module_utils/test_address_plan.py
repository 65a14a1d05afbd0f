# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import itertools
import random
import time
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    Zone,
    node_block_mask,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Fixed, Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, to_dicts
from hypothesis import given
from hypothesis import strategies as st

PODS, SERVICES = "172.20.0.0/16", "172.21.0.0/20"


def plan(**options: Any) -> tuple[dict[str, Any], list[Problem]]:
    return plan_addresses(AddressRequest(**{"pod_cidr": PODS, "service_cidr": SERVICES, **options}))


def codes(**options: Any) -> list[str]:
    return sorted(problem.code for problem in plan(**options)[1])


def cluster(**options: Any) -> dict[str, Any]:
    return {"name": "other", "pod_cidr": "", "service_cidr": "", "routed": False, **options}


@st.composite
def ranges(draw: st.DrawFn) -> str:
    prefix = draw(st.integers(10, 26))
    address = draw(st.sampled_from(["10.0.0.0", "10.244.0.0", "172.16.0.0", "172.20.0.0", "172.21.0.0", "192.168.0.0"]))
    offset = draw(st.integers(0, 3)) << (32 - prefix)
    return str(ipaddress.IPv4Network((int(ipaddress.IPv4Address(address)) + offset, prefix), strict=False))


@st.composite
def requests(draw: st.DrawFn) -> AddressRequest:
    home = int(ipaddress.IPv4Address("192.168.0.0"))
    addresses = draw(st.lists(st.integers(home, home + 600), max_size=6))
    return AddressRequest(
        pod_cidr=draw(ranges()),
        service_cidr=draw(ranges()),
        node_cidrs=draw(st.lists(st.sampled_from(["192.168.0.0/16", "192.168.0.0/23", "192.168.1.0/24"]), max_size=2)),
        peer_cidrs=draw(st.lists(ranges(), max_size=2)),
        other_clusters=draw(
            st.lists(
                st.builds(cluster, pod_cidr=ranges(), service_cidr=ranges(), routed=st.booleans()),
                max_size=2,
            )
        ),
        nodes=[Node(f"node-{number}", str(ipaddress.IPv4Address(item))) for number, item in enumerate(addresses)],
        max_pods=draw(st.integers(10, 300)),
        max_nodes=draw(st.integers(0, 300)),
    )


# The stock example: one site, one cluster.
def test_the_stock_plan_is_accepted() -> None:
    numbers, problems = plan(node_cidrs=["192.168.0.0/16", "192.168.0.0/24"])
    assert not problems
    assert numbers == {
        "pod_cidr": PODS,
        "service_cidr": SERVICES,
        "pod_cidr_ipv6": "",
        "service_cidr_ipv6": "",
        "node_cidrs": ["192.168.0.0/24", "192.168.0.0/16"],
        "zones": [],
        "api_address": "172.21.0.1",
        "dns_address": "172.21.0.10",
        "node_mask": 24,
        "node_block": 256,
        "addresses_per_pod": 2,
        "max_pods": 110,
        "nodes": 0,
        "planned_nodes": 0,
        "max_nodes": 256,
        "growth": 256,
        "pod_addresses": 65536,
        "total_pods": 28160,
        "total_services": 4094,
        "blocks": {},
        "routes": [],
    }


def test_the_stock_plan_is_refused_beside_a_peer_that_covers_it() -> None:
    _numbers, problems = plan(node_cidrs=["192.168.0.0/16"], peer_cidrs=["172.16.0.0/12"])
    assert {problem.witness for problem in problems} == {(PODS, "172.16.0.0/12"), (SERVICES, "172.16.0.0/12")}
    assert {problem.code for problem in problems} == {"cidr_overlap"}
    assert any("10.244.0.0/16" in problem.remedy for problem in problems)
    assert any("10.96.0.0/20" in problem.remedy for problem in problems)


def test_with_that_peer_a_part_of_ten_is_accepted() -> None:
    assert not codes(
        node_cidrs=["192.168.0.0/16"],
        peer_cidrs=["172.16.0.0/12"],
        pod_cidr="10.244.0.0/16",
        service_cidr="10.96.0.0/20",
    )


@pytest.mark.parametrize("network", ["10.0.0.0/8", "192.168.0.0/16"])
def test_a_second_host_network_outside_of_the_cluster_is_accepted(network: str) -> None:
    assert not codes(node_cidrs=["192.168.0.0/16", network], service_cidr="172.21.0.0/16")


@pytest.mark.parametrize(
    ("options", "witness"),
    [
        ({"node_cidrs": ["172.16.0.0/12"], "service_cidr": "10.96.0.0/20"}, (PODS, "172.16.0.0/12")),
        ({"service_cidr": "172.20.128.0/20"}, ("172.20.128.0/20", PODS)),
        ({"other_clusters": [cluster(pod_cidr="172.20.4.0/22")]}, (PODS, "172.20.4.0/22")),
        ({"other_clusters": [cluster(service_cidr=SERVICES, routed=True)]}, (SERVICES, SERVICES)),
        ({"node_cidrs": ["192.168.0.0/16"], "peer_cidrs": ["192.168.9.0/24"]}, ("192.168.0.0/16", "192.168.9.0/24")),
    ],
)
def test_every_overlap_has_its_pair(options: dict[str, Any], witness: tuple[str, str]) -> None:
    _numbers, problems = plan(**options)
    assert [(problem.code, problem.witness) for problem in problems] == [("cidr_overlap", witness)]


DUAL = {"pod_cidr_ipv6": "fd00:10:244::/48", "service_cidr_ipv6": "fd00:10:96::/116"}
ZONE_I = {"name": "i", "node_cidrs": ["192.168.0.0/19"], "pod_subnets": ["192.168.32.0/19"]}
ZONE_J = {"name": "j", "node_cidrs": ["192.168.64.0/19"], "pod_subnets": ["192.168.96.0/19"]}


@pytest.mark.parametrize(
    ("options", "witness"),
    [
        ({"lan_cidrs": ["172.16.0.0/12"], "service_cidr": "10.96.0.0/20"}, (PODS, "172.16.0.0/12")),
        ({"lan_cidrs": ["192.168.0.0/16"], "peer_cidrs": ["192.168.9.0/24"]}, ("192.168.0.0/16", "192.168.9.0/24")),
        ({"bridge_cidrs": ["172.20.0.0/24"]}, (PODS, "172.20.0.0/24")),
        ({"bridge_cidrs": ["172.21.0.0/16"]}, (SERVICES, "172.21.0.0/16")),
        ({"bridge_cidrs": ["172.17.0.0/16"], "node_cidrs": ["172.17.3.0/24"]}, ("172.17.3.0/24", "172.17.0.0/16")),
        ({"taken_cidrs": ["172.20.1.1/32"]}, (PODS, "172.20.1.1/32")),
        ({"other_clusters": [cluster(node_cidrs=["172.20.0.0/24"])]}, (PODS, "172.20.0.0/24")),
        ({"other_clusters": [cluster(pod_subnets=["172.20.0.0/24"])]}, (PODS, "172.20.0.0/24")),
        ({"other_clusters": [cluster(pod_cidr="10.1.0.0/16")], "node_cidrs": ["10.1.0.0/24"]},
         ("10.1.0.0/24", "10.1.0.0/16")),
        ({**DUAL, "service_cidr_ipv6": "fd00:10:244::/112"}, ("fd00:10:244::/112", "fd00:10:244::/48")),
        ({**DUAL, "peer_cidrs": ["fd00::/16"], "service_cidr_ipv6": "fd01::/112"}, ("fd00:10:244::/48", "fd00::/16")),
        ({**DUAL, "node_cidrs": ["fd00:10:244:5::/64"]}, ("fd00:10:244::/48", "fd00:10:244:5::/64")),
        ({**DUAL, "other_clusters": [cluster(pod_cidr_ipv6="fd00:10:244:8::/64")]},
         ("fd00:10:244::/48", "fd00:10:244:8::/64")),
        ({**DUAL, "other_clusters": [cluster(service_cidr_ipv6="fd00:10:96::/112", routed=True)]},
         ("fd00:10:96::/116", "fd00:10:96::/112")),
    ],
)  # fmt: skip
def test_every_kind_of_range_is_compared(options: dict[str, Any], witness: tuple[str, str]) -> None:
    _numbers, problems = plan(**options)
    assert [(problem.code, problem.witness) for problem in problems] == [("cidr_overlap", witness)]


@pytest.mark.parametrize(
    "options",
    [
        {"lan_cidrs": ["192.168.0.0/16"], "node_cidrs": ["192.168.0.0/24"], "taken_cidrs": ["192.168.0.1/32"]},
        {"lan_cidrs": ["10.0.0.0/8"], "other_clusters": [cluster(node_cidrs=["10.1.0.0/16"])]},
        {"lan_cidrs": ["10.0.0.0/8"], "other_clusters": [cluster(pod_subnets=["10.1.0.0/16"])]},
        {"bridge_cidrs": ["192.168.122.0/24"], "node_cidrs": ["192.168.0.0/16"]},
        {"bridge_cidrs": ["172.17.0.0/16"], "peer_cidrs": ["172.17.0.0/16"]},
        {**DUAL, "node_cidrs": ["192.168.0.0/16", "fd00:1::/64"], "peer_cidrs": ["2001:db8::/32"]},
        {**DUAL, "other_clusters": [cluster(service_cidr_ipv6="fd00:10:96::/112")]},
    ],
)
def test_what_shares_a_network_may_overlap(options: dict[str, Any]) -> None:
    assert not codes(**options)


def underlay(*zones: dict[str, Any], **options: Any) -> list[tuple[str, tuple[str, ...]]]:
    request = {"pod_cidr": "", "lan_cidrs": ["192.168.0.0/16"], "zones": [Zone(**zone) for zone in zones], **options}
    return [(problem.code, problem.witness) for problem in plan(**request)[1]]


def test_the_tables_of_pods_on_the_lan_are_accepted() -> None:
    assert not underlay(ZONE_I)
    assert not underlay(ZONE_I, ZONE_J)
    # On a flat LAN pods have a part of the hosts' subnet.
    assert not underlay({**ZONE_I, "node_cidrs": ["192.168.0.0/18"]})


@pytest.mark.parametrize(
    ("zones", "witness"),
    [
        ([{**ZONE_I, "pod_subnets": ["192.168.0.0/19"]}], ("192.168.0.0/19", "192.168.0.0/19")),
        ([{**ZONE_I, "node_cidrs": ["192.168.32.0/24"]}], ("192.168.32.0/19", "192.168.32.0/24")),
        ([ZONE_I, {**ZONE_J, "pod_subnets": ["192.168.48.0/20"]}], ("192.168.32.0/19", "192.168.48.0/20")),
    ],
)
def test_pod_subnets_that_meet_hosts_or_each_other_are_refused(
    zones: list[dict[str, Any]], witness: tuple[str, str]
) -> None:
    assert underlay(*zones) == [("cidr_overlap", witness)]


def test_a_service_range_on_the_lan_is_refused() -> None:
    found = underlay(ZONE_I, service_cidr="192.168.32.0/20")
    assert ("cidr_overlap", ("192.168.32.0/20", "192.168.32.0/19")) in found
    assert ("cidr_overlap", ("192.168.32.0/20", "192.168.0.0/16")) in found


def test_a_host_inside_a_pod_subnet_is_refused() -> None:
    flat = {**ZONE_I, "node_cidrs": ["192.168.0.0/18"]}
    nodes = [Node("node-1", "192.168.32.9")]
    assert underlay(flat, nodes=nodes) == [("node_address_in_range", ("192.168.32.9", "192.168.32.0/19"))]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("fd00:10:244::9", "node_address_in_range"),
        ("fd00:9::1", "node_address_outside"),
        ("fe80::1", "node_address_reserved"),
        ("10.0.0.1", "node_address_invalid"),
    ],
)
def test_a_nodes_ipv6_address_is_checked_as_well(address: str, code: str) -> None:
    options = {"node_cidrs": ["192.168.0.0/16", "fd00:1::/64"], **DUAL}
    assert not codes(nodes=[Node("node-1", "192.168.0.1", "fd00:1::1")], **options)
    assert code in codes(nodes=[Node("node-1", "192.168.0.1", address)], **options)


def test_with_ipv6_all_hosts_have_such_an_address_or_none() -> None:
    nodes = [Node("node-1", "192.168.0.1", "fd00:1::1"), Node("node-2", "192.168.0.2")]
    assert not codes(nodes=nodes) and not codes(nodes=nodes[1:], **DUAL)
    _numbers, (problem,) = plan(nodes=nodes, **DUAL)
    assert (problem.code, problem.host) == ("node_address_missing", "node-2")


def test_services_of_other_clusters_matter_only_when_routed() -> None:
    assert not codes(other_clusters=[cluster(pod_cidr="10.1.0.0/16", service_cidr=SERVICES)])


def test_what_networks_outside_do_among_themselves_does_not_matter() -> None:
    assert not codes(peer_cidrs=["10.0.0.0/8", "10.1.0.0/16"], other_clusters=[cluster(pod_cidr="10.1.0.0/16")])


@pytest.mark.parametrize(
    ("max_pods", "mask"),
    [(10, 27), (16, 27), (32, 26), (64, 25), (65, 24), (110, 24), (128, 24), (129, 23), (256, 23), (1000, 21)],
)
def test_a_node_gets_twice_as_many_addresses_as_pods(max_pods: int, mask: int) -> None:
    assert node_block_mask(max_pods) == mask


@given(st.integers(10, 1000))
def test_the_block_is_the_smallest_that_is_large_enough(max_pods: int) -> None:
    block = 1 << (32 - node_block_mask(max_pods))
    assert block // 2 < 2 * max_pods <= block


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"pod_cidr": "172.20.0.0/22", "max_nodes": 5}, "pod_cidr_too_small"),
        ({"pod_cidr": "172.20.0.0/25"}, "pod_cidr_too_small"),
        ({"pod_cidr": "10.0.0.0/8", "max_pods": 30}, "pod_cidr_too_wide"),
        ({"service_cidr": "172.21.0.0/29"}, "service_cidr_size"),
        ({"service_cidr": "10.0.0.0/8"}, "service_cidr_size"),
        ({"service_cidr": "172.21.0.0/24", "services": 255}, "service_cidr_too_small"),
        ({"max_pods": 9}, "max_pods_range"),
        ({"max_pods": -5}, "max_pods_range"),
        ({"max_pods": 1001}, "max_pods_range"),
        ({"pod_cidr": "100.64.0.0/16"}, "cidr_reserved"),
        ({"pod_cidr": "172.20.1.0/16"}, "cidr_host_bits"),
        ({"fixed": [Fixed("API endpoint", "172.21.0.5", "endpoint")]}, "address_in_range"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], code: str) -> None:
    assert codes(**options) == [code]


@pytest.mark.parametrize(
    "options",
    [
        {"pod_cidr": "172.20.0.0/22", "max_nodes": 4},
        {"pod_cidr": "10.0.0.0/8"},
        {"service_cidr": "172.21.0.0/28"},
        {"service_cidr": "172.21.0.0/24", "services": 254},
        {"fixed": [Fixed("API endpoint", "api.example.com", "endpoint")]},
    ],
)
def test_what_just_fits_is_accepted(options: dict[str, Any]) -> None:
    assert not codes(**options)


def test_a_small_pod_range_says_what_would_do() -> None:
    _numbers, (problem,) = plan(pod_cidr="172.20.0.0/22", max_nodes=5)
    assert "room for 4 nodes, but 5 are planned" in problem.message
    assert "Widen pod_cidr to a /21, for example 10.244.0.0/21" in problem.remedy


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("172.20.3.4", "node_address_in_range"),
        ("172.21.3.4", "node_address_in_range"),
        ("127.0.0.1", "node_address_reserved"),
        ("node.example.com", "node_address_invalid"),
        ("fd00::1", "node_address_invalid"),
    ],
)
def test_a_node_must_have_an_address_of_its_own_network(address: str, code: str) -> None:
    _numbers, (problem,) = plan(nodes=[Node("node-1", address)])
    assert (problem.code, problem.host, problem.path) == (code, "node-1", "node_address")


def test_a_node_must_be_in_a_node_range_when_there_are_any() -> None:
    nodes = [Node("node-1", "192.168.1.1"), Node("node-2", "10.0.0.1")]
    assert not codes(nodes=nodes)
    assert codes(nodes=nodes, node_cidrs=["192.168.0.0/16"]) == ["node_address_outside"]


def test_a_duplicate_names_both_hosts() -> None:
    _numbers, (problem,) = plan(nodes=[Node("node-10", "192.168.1.1"), Node("node-2", "192.168.1.1")])
    assert problem.code == "node_address_duplicate"
    assert problem.witness == ("node-2", "node-10")


def test_one_wrong_range_is_one_problem_and_not_one_for_each_node() -> None:
    nodes = [Node(f"node-{number}", f"172.20.0.{number}") for number in range(1, 200)]
    assert codes(nodes=nodes, node_cidrs=["172.20.0.0/24"]) == ["cidr_overlap"]


def must_not_overlap(request: AddressRequest) -> list[tuple[str, str]]:
    """All pairs that the rules forbid, written down as plainly as possible."""
    own = [request.pod_cidr, request.service_cidr]
    outside = list(request.peer_cidrs) + [item["pod_cidr"] for item in request.other_clusters]
    outside += [item["service_cidr"] for item in request.other_clusters if item["routed"]]
    nodes = list(request.node_cidrs)
    pairs = [(own[0], own[1])]
    pairs += itertools.product(own, nodes + outside)
    pairs += itertools.product(nodes, outside)
    return pairs


def overlap(one: str, other: str) -> bool:
    return ipaddress.IPv4Network(one).overlaps(ipaddress.IPv4Network(other))


@given(requests())
def test_an_accepted_plan_has_no_overlap_and_enough_room(request: AddressRequest) -> None:
    numbers, problems = plan_addresses(request)
    assert all(len(problem.witness) == 2 and all(problem.witness) and problem.remedy for problem in problems)
    if problems:
        return
    assert not [pair for pair in must_not_overlap(request) if overlap(*pair)]
    assert numbers["max_nodes"] >= numbers["planned_nodes"] >= len(request.nodes)
    assert numbers["max_nodes"] * numbers["node_block"] <= numbers["pod_addresses"]
    assert numbers["growth"] == numbers["max_nodes"] - len(request.nodes)
    assert len({node.address for node in request.nodes}) == len(request.nodes)


@given(requests())
def test_every_reported_overlap_is_real_and_every_real_one_is_reported(request: AddressRequest) -> None:
    _numbers, problems = plan_addresses(request)
    reported = {problem.witness for problem in problems if problem.code == "cidr_overlap"}
    assert all(overlap(*pair) for pair in reported)
    real = {pair for pair in must_not_overlap(request) if overlap(*pair)}
    assert {frozenset(pair) for pair in reported} == {frozenset(pair) for pair in real}


@given(requests(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(request: AddressRequest, chance: random.Random) -> None:
    def shuffled(items: Any) -> list[Any]:
        return chance.sample(list(items), len(items))

    lists = ("node_cidrs", "peer_cidrs", "other_clusters", "nodes")
    other = AddressRequest(**{**vars(request), **{name: shuffled(getattr(request, name)) for name in lists}})
    numbers, problems = plan_addresses(request)
    again, others = plan_addresses(other)
    assert numbers == again
    assert to_dicts(problems) == to_dicts(others)


def test_a_thousand_nodes_are_planned_quickly() -> None:
    nodes = [Node(f"node-{number}", f"192.168.{number // 250}.{number % 250 + 1}") for number in range(1000)]
    others = [cluster(name=f"c{number}", pod_cidr=f"10.{number}.0.0/16") for number in range(200)]
    start = time.monotonic()
    numbers, problems = plan(
        nodes=nodes,
        node_cidrs=["192.168.0.0/16"],
        other_clusters=others,
        pod_cidr="172.20.0.0/14",
        service_cidr="172.24.0.0/16",
    )
    assert time.monotonic() - start < 1
    assert not problems
    assert (numbers["nodes"], numbers["max_nodes"], numbers["growth"]) == (1000, 1024, 24)
