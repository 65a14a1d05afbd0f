# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    Zone,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, to_dicts
from hypothesis import given, settings
from hypothesis import strategies as st


def propose(**options: Any) -> tuple[dict[str, Any], list[Problem]]:
    return plan_addresses(AddressRequest(propose=True, **options))


def cluster(name: str, pods: str, services: str = "", routed: bool = False) -> dict[str, Any]:
    return {"name": name, "pod_cidr": pods, "service_cidr": services, "routed": routed}


@pytest.mark.parametrize(
    ("options", "pods", "services"),
    [
        ({}, "10.244.0.0/16", "10.96.0.0/20"),
        ({"max_nodes": 257}, "10.244.0.0/15", "10.96.0.0/20"),
        ({"services": 5000}, "10.244.0.0/16", "10.96.0.0/19"),
        ({"pods": 40000}, "10.244.0.0/15", "10.96.0.0/20"),
        # The example tables: a peer that covers 172.16.0.0/12, and none.
        ({"node_cidrs": ["192.168.0.0/16"], "peer_cidrs": ["172.16.0.0/12"]}, "10.244.0.0/16", "10.96.0.0/20"),
        ({"node_cidrs": ["192.168.0.0/16"], "within": ["172.20.0.0/15"]}, "172.20.0.0/16", "172.21.0.0/20"),
        ({"peer_cidrs": ["10.0.0.0/8"], "bridge_cidrs": ["172.17.0.0/16"]}, "172.16.0.0/16", "172.18.0.0/20"),
        ({"peer_cidrs": ["10.0.0.0/8", "172.16.0.0/12"]}, "192.168.0.0/17", "192.168.128.0/20"),
        ({"other_clusters": [cluster("a", "10.244.0.0/16", "10.96.0.0/20")]}, "10.245.0.0/16", "10.96.16.0/20"),
        ({"service_cidr": "10.244.1.0/24"}, "10.245.0.0/16", "10.244.1.0/24"),
        ({"pod_cidr": "10.96.0.0/16"}, "10.96.0.0/16", "10.97.0.0/20"),
        # Only what is asked for fits.
        ({"within": ["10.9.0.0/23"], "max_nodes": 1}, "10.9.0.0/24", "10.9.1.0/24"),
        # No other service range is left than that of a cluster whose Services nobody routes to.
        (
            {"within": ["10.1.0.0/16"], "pod_cidr": "10.2.0.0/16", "other_clusters": [cluster("a", "", "10.1.0.0/16")]},
            "10.2.0.0/16",
            "10.1.0.0/20",
        ),
    ],
)
def test_what_is_not_given_is_found(options: dict[str, Any], pods: str, services: str) -> None:
    found, problems = propose(**options)
    assert not problems
    assert (found["pod_cidr"], found["service_cidr"]) == (pods, services)


def test_a_proposal_keeps_away_from_hosts() -> None:
    found, problems = propose(nodes=[Node("node-1", "10.244.3.4"), Node("node-2", "10.96.0.200")])
    assert not problems
    assert (found["pod_cidr"], found["service_cidr"]) == ("10.245.0.0/16", "10.96.16.0/20")


def test_ipv6_twins_look_like_their_ipv4_ranges() -> None:
    found, problems = propose(dual_stack=True, peer_cidrs=["fd00:10:244::/48"])
    assert not problems
    assert found["pod_cidr_ipv6"] not in ("", "fd00:10:244::/48")
    assert found["service_cidr_ipv6"] == "fd00:10:96::/116"


@pytest.mark.parametrize(
    ("options", "witness"),
    [
        ({"peer_cidrs": ["10.0.0.0/8"], "within": ["10.1.0.0/16"]}, ("10.1.0.0/16", "10.0.0.0/8")),
        ({"within": ["10.1.0.0/24"], "max_nodes": 2}, ("10.1.0.0/24", "/23")),
        ({"max_nodes": 1 << 25}, ("10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16", "/0")),
    ],
)
def test_what_cannot_be_found_says_what_is_in_the_way(options: dict[str, Any], witness: tuple[str, str]) -> None:
    _found, problems = propose(**options)
    assert ("no_free_range", witness) in {(problem.code, problem.witness) for problem in problems}


def zones(*names: str, **options: Any) -> list[Zone]:
    return [Zone(name, [f"192.168.{64 * number}.0/19"], **options) for number, name in enumerate(names)]


def test_the_tables_of_pod_subnets_are_found() -> None:
    found, problems = propose(lan_cidrs=["192.168.0.0/16"], zones=zones("i", "j"))
    assert not problems
    assert [zone["pod_subnets"] for zone in found["zones"]] == [["192.168.32.0/19"], ["192.168.96.0/19"]]
    assert [zone["pod_addresses"] for zone in found["zones"]] == [8192, 8192]


def test_on_a_flat_lan_pods_get_a_part_without_hosts_and_routers() -> None:
    found, problems = propose(
        lan_cidrs=["10.9.0.0/22"],
        node_cidrs=["10.9.0.0/22"],
        taken_cidrs=["10.9.2.0/24"],
        zones=[Zone("all", max_nodes=2)],
        nodes=[Node("node-1", "10.9.0.11")],
        max_pods=50,
    )
    assert not problems
    assert found["blocks"] == {"node-1": ["10.9.1.0/25"]}
    assert found["routes"] == []


def test_a_full_zone_gets_one_more_subnet() -> None:
    start, _none = propose(lan_cidrs=["192.168.0.0/16"], zones=zones("i", "j"))
    found, problems = propose(
        lan_cidrs=["192.168.0.0/16"],
        zones=zones("i", "j", max_nodes=40),
        previous=start,
    )
    assert not problems
    assert [zone["pod_subnets"] for zone in found["zones"]] == [
        ["192.168.32.0/19", "192.168.128.0/19"],
        ["192.168.96.0/19", "192.168.160.0/19"],
    ]


def test_without_a_lan_no_pod_subnet_can_be_found() -> None:
    _found, problems = propose(zones=zones("i"))
    assert "lan_cidrs" in next(problem.remedy for problem in problems if problem.code == "no_free_range")


@pytest.mark.parametrize(
    ("options", "witness"),
    [
        ({"pod_cidr": "10.1.0.0/16"}, ("10.244.0.0/16", "10.1.0.0/16")),
        ({"service_cidr": "10.1.0.0/20"}, ("10.96.0.0/20", "10.1.0.0/20")),
        ({"max_pods": 200}, ("/24", "/23")),
    ],
)
def test_a_running_cluster_keeps_its_ranges(options: dict[str, Any], witness: tuple[str, str]) -> None:
    start, _none = propose()
    _found, problems = propose(previous=start, **options)
    assert [(problem.code, problem.witness) for problem in problems] == [("immutable_setting", witness)]


def test_zones_that_are_not_given_again_stay() -> None:
    lan = {"lan_cidrs": ["192.168.0.0/16"], "nodes": [Node("node-1", "192.168.0.1")]}
    start, _none = propose(zones=zones("i", "j"), **lan)
    assert propose(previous=start, **lan) == (start, [])
    _found, problems = propose(previous=start, pod_cidr="10.244.0.0/16", **lan)
    assert [problem.code for problem in problems] == ["block_outside"]


def test_fewer_pods_do_not_shrink_the_blocks_of_a_running_cluster() -> None:
    start, _none = propose()
    found, problems = propose(previous=start, max_pods=30)
    assert not problems and found["node_mask"] == 24


def test_a_running_cluster_that_is_too_small_is_not_told_to_widen() -> None:
    start, _none = propose()
    _found, (problem,) = propose(previous=start, max_nodes=257)
    assert problem.code == "pod_cidr_too_small" and "cannot be changed" in problem.remedy


networks = st.builds(
    lambda start, prefix, step: str(
        ipaddress.IPv4Network((int(ipaddress.IPv4Address(start)) + (step << (32 - prefix)), prefix), strict=False)
    ),
    st.sampled_from(["10.0.0.0", "10.96.0.0", "10.244.0.0", "172.16.0.0", "172.20.0.0"]),
    st.integers(8, 24),
    st.integers(0, 3),
)


@st.composite
def requests(draw: st.DrawFn) -> AddressRequest:
    names = draw(st.sampled_from([(), (), ("i",), ("i", "j")]))
    count = draw(st.integers(0, 6))
    own = draw(st.sampled_from([{}, {"pod_cidr": "10.128.0.0/16"}, {"service_cidr": "10.112.0.0/20"}]))
    return AddressRequest(
        propose=True,
        dual_stack=not names and draw(st.booleans()),
        zones=zones(*names, max_nodes=draw(st.integers(0, 50))),
        lan_cidrs=["192.168.0.0/16"] if names else [],
        peer_cidrs=draw(st.lists(networks, max_size=3)),
        bridge_cidrs=["172.17.0.0/16"],
        other_clusters=draw(
            st.lists(st.builds(cluster, st.sampled_from("ab"), networks, networks, st.booleans()), max_size=2)
        ),
        within=draw(st.lists(networks, max_size=2)),
        nodes=[Node(f"node-{number}", f"192.168.{64 * (number % max(len(names), 1))}.{number + 9}")
               for number in range(count)],
        max_nodes=draw(st.integers(0, 2000)) if not names else 0,
        max_pods=draw(st.integers(10, 300)),
        services=draw(st.integers(0, 20000)),
        **({} if names else own),
    )  # fmt: skip


@settings(max_examples=150)
@given(requests())
def test_a_proposal_is_a_valid_plan_or_names_what_is_in_the_way(request: AddressRequest) -> None:
    found, problems = plan_addresses(request)
    assert all(len(problem.witness) == 2 and all(problem.witness) and problem.remedy for problem in problems)
    keys = ("pod_cidr", "service_cidr", "pod_cidr_ipv6", "service_cidr_ipv6")
    subnets = {zone["name"]: zone["pod_subnets"] for zone in found["zones"]}
    if problems:
        # Only what was given can be wrong, never what was found.
        chosen = {found[key] for key in keys if found[key] and not getattr(request, key)}
        chosen |= {text for texts in subnets.values() for text in texts}
        assert not any(chosen & set(problem.witness) for problem in problems)
        return
    fixed = replace(
        request,
        propose=False,
        zones=[replace(zone, pod_subnets=subnets[zone.name]) for zone in request.zones],
        **{key: found[key] for key in keys},
    )
    assert plan_addresses(fixed) == (found, [])
    assert plan_addresses(replace(request, previous=found)) == (found, [])


@settings(max_examples=60)
@given(
    st.lists(st.builds("10.0.{}.{}/{}".format, st.integers(0, 1), st.sampled_from(range(0, 256, 64)),
                       st.integers(26, 28)), max_size=8),
    st.integers(1, 8),
    st.integers(1, 126),
)  # fmt: skip
def test_what_fits_is_found(peers: list[str], max_nodes: int, services: int) -> None:
    found, problems = propose(
        within=["10.0.0.0/23"], peer_cidrs=peers, max_nodes=max_nodes, services=services, max_pods=10
    )
    taken = [ipaddress.IPv4Network(text) for text in peers]

    def free(needed: int) -> list[ipaddress.IPv4Network]:
        prefix = 32 - (needed - 1).bit_length()
        parts = ipaddress.IPv4Network("10.0.0.0/23").subnets(new_prefix=prefix)
        return [part for part in parts if not any(part.overlaps(item) for item in taken)]

    possible = any(not one.overlaps(other) for one in free(32 * max_nodes) for other in free(max(services + 2, 16)))
    assert possible == (not problems)
    assert not problems or {problem.code for problem in problems} == {"no_free_range"}
    assert problems or (found["max_nodes"] >= max_nodes and found["total_services"] >= services)


@settings(max_examples=60)
@given(requests(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(request: AddressRequest, chance: random.Random) -> None:
    lists = ("zones", "peer_cidrs", "other_clusters", "within", "nodes")
    shuffled = {name: chance.sample(list(getattr(request, name)), len(getattr(request, name))) for name in lists}
    found, problems = plan_addresses(request)
    again, others = plan_addresses(replace(request, **shuffled))
    assert found == again
    assert to_dicts(problems) == to_dicts(others)


@settings(max_examples=40)
@given(requests(), st.integers(0, 8))
def test_an_extended_plan_moves_nothing(request: AddressRequest, more: int) -> None:
    before, problems = plan_addresses(replace(request, assign_blocks=True))
    if problems:
        return
    extra = [Node(f"extra-{number}", f"192.168.1.{number + 1}") for number in range(more)]
    nodes = [*request.nodes[1:], *extra]
    after, _problems = plan_addresses(replace(request, assign_blocks=True, nodes=nodes, previous=before))
    for node in request.nodes[1:]:
        assert after["blocks"][node.host] == before["blocks"][node.host]
    for key in ("pod_cidr", "service_cidr", "pod_cidr_ipv6", "service_cidr_ipv6", "node_mask"):
        assert after[key] == before[key]
    for zone, earlier in zip(after["zones"], before["zones"]):
        assert set(earlier["pod_subnets"]) <= set(zone["pod_subnets"])


def test_a_thousand_nodes_are_proposed_quickly() -> None:
    nodes = [Node(f"node-{number}", f"192.168.{64 * (number % 2) + number // 250}.{number % 250 + 1}")
             for number in range(1000)]  # fmt: skip
    options: dict[str, Any] = {
        "lan_cidrs": ["192.168.0.0/16", "10.0.0.0/9"],
        "zones": zones("i", "j"),
        "nodes": nodes,
        "other_clusters": [cluster(f"c{number}", f"10.{number + 128}.0.0/16") for number in range(80)],
    }
    start = time.process_time()
    found, problems = propose(**options)
    assert time.process_time() - start < 1
    assert not problems and len(found["blocks"]) == 1000
    start = time.process_time()
    again, problems = propose(**{**options, "nodes": nodes[::2]}, previous=found)
    assert time.process_time() - start < 1
    assert not problems
    assert again["blocks"] == {node.host: found["blocks"][node.host] for node in nodes[::2]}
