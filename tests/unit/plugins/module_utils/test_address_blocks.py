# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._address_blocks import Space
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    Zone,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = [f"node-{number}" for number in range(1, 13)]
ZONES = [
    Zone("i", ["192.168.0.0/19"], ["192.168.32.0/19"]),
    Zone("j", ["192.168.64.0/19"], ["192.168.96.0/19"]),
]


def node(name: str, zone: str = "i", **options: Any) -> Node:
    start = {"i": 0, "j": 64}[zone]
    return Node(name, f"192.168.{start}.{int(name.split('-')[1])}", **options)


def plan(nodes: list[Node], **options: Any) -> tuple[dict[str, Any], list[str]]:
    request = {"service_cidr": "172.21.0.0/20", "lan_cidrs": ["192.168.0.0/16"], "zones": ZONES, **options}
    found, problems = plan_addresses(AddressRequest(nodes=nodes, **request))
    return found, sorted(problem.code for problem in problems)


def test_every_zone_cuts_slices_of_its_own_subnet() -> None:
    found, problems = plan([node("node-10"), node("node-2"), node("node-3", "j")])
    assert not problems
    assert found["blocks"] == {
        "node-2": ["192.168.32.0/24"],
        "node-10": ["192.168.33.0/24"],
        "node-3": ["192.168.96.0/24"],
    }
    assert [(zone["name"], zone["pod_addresses"], zone["nodes"], zone["max_nodes"]) for zone in found["zones"]] == [
        ("i", 8192, 2, 32),
        ("j", 8192, 1, 32),
    ]


@pytest.mark.parametrize(
    ("pods", "per_pod", "prefix"),
    [(110, 2, 24), (110, 1, 25), (126, 1, 24), (125, 1, 25), (128, 2, 24), (129, 2, 23), (10, 2, 27), (10, 1, 28)],
)
def test_a_slice_is_as_large_as_its_node_has_pods(pods: int, per_pod: int, prefix: int) -> None:
    found, problems = plan([node("node-1", max_pods=pods)], addresses_per_pod=per_pod)
    assert not problems
    assert found["blocks"] == {"node-1": [f"192.168.32.0/{prefix}"]}


def test_a_slice_grows_by_another_one_and_does_not_move() -> None:
    nodes = [node("node-1"), node("node-2")]
    before, _none = plan(nodes)
    after, problems = plan([node("node-1", max_pods=250), nodes[1]], previous=before)
    assert not problems
    assert after["blocks"] == {"node-1": ["192.168.32.0/24", "192.168.34.0/24"], "node-2": ["192.168.33.0/24"]}
    assert plan([node("node-1", max_pods=20), nodes[1]], previous=after)[0]["blocks"] == after["blocks"]


def test_a_slice_grows_for_one_more_pod_when_its_places_are_used() -> None:
    before, _none = plan([node("node-1", max_pods=125)], addresses_per_pod=1)
    after, problems = plan([node("node-1", max_pods=126)], addresses_per_pod=1, previous=before)
    assert not problems
    assert (before["blocks"], after["blocks"]) == (
        {"node-1": ["192.168.32.0/25"]},
        {"node-1": ["192.168.32.0/25", "192.168.32.128/29"]},
    )


def test_the_largest_slice_is_cut_first() -> None:
    subnets = [Zone("i", ["192.168.0.0/19"], ["192.168.32.0/25", "192.168.33.0/26"])]
    found, problems = plan([node("node-1", max_pods=32), node("node-2", max_pods=64)], zones=subnets)
    assert not problems
    assert found["blocks"] == {"node-1": ["192.168.33.0/26"], "node-2": ["192.168.32.0/25"]}


def test_the_slice_of_a_node_that_left_is_used_again() -> None:
    before, _none = plan([node("node-1"), node("node-2")])
    after, _none = plan([node("node-2"), node("node-7")], previous=before)
    assert after["blocks"] == {"node-2": ["192.168.33.0/24"], "node-7": ["192.168.32.0/24"]}


def test_another_subnet_is_added_when_a_zone_is_full() -> None:
    small = [Zone("i", ["192.168.0.0/19"], ["192.168.32.0/24"])]
    before, problems = plan([node("node-1")], zones=small)
    assert not problems
    nodes = [node("node-1"), node("node-2")]
    assert plan(nodes, zones=small, previous=before)[1] == ["pod_subnet_too_small"]
    wider = [Zone("i", ["192.168.0.0/19"], ["192.168.40.0/24", "192.168.32.0/24"])]
    after, problems = plan(nodes, zones=wider, previous=before)
    assert not problems
    assert after["blocks"] == {"node-1": ["192.168.32.0/24"], "node-2": ["192.168.40.0/24"]}


def test_a_subnet_that_is_in_use_has_to_stay() -> None:
    before, _none = plan([node("node-1")])
    other = [Zone("i", ["192.168.0.0/19"], ["192.168.128.0/19"])]
    assert plan([node("node-1")], zones=other, previous=before)[1] == ["block_outside"]


def test_blocks_that_overlap_are_refused() -> None:
    blocks = {"node-1": ["192.168.32.0/24"], "node-2": ["192.168.32.128/25"]}
    assert plan([node("node-1"), node("node-2")], previous={"blocks": blocks})[1] == ["block_overlap"]
    assert plan([node("node-1")], previous={"blocks": {"node-1": ["nonsense"]}})[1] == ["cidr_invalid"]


def test_a_host_belongs_to_the_zone_that_it_names_or_whose_network_it_is_in() -> None:
    found, problems = plan([node("node-1", zone="i"), Node("node-2", "192.168.0.2", zone="j")])
    assert not problems
    assert found["blocks"]["node-2"] == ["192.168.96.0/24"]
    assert plan([Node("node-1", "192.168.0.1", zone="k")])[1] == ["zone_unknown"]
    assert plan([Node("node-1", "192.168.128.1")])[1] == ["node_address_outside", "zone_unknown"]
    alone, problems = plan([Node("node-1", "192.168.0.1")], zones=[Zone("all", [], ["192.168.32.0/19"])])
    assert alone["blocks"] and not problems


def test_a_pod_range_has_blocks_only_when_they_are_known_or_assigned() -> None:
    options: dict[str, Any] = {"zones": [], "pod_cidr": "10.244.0.0/16"}
    nodes = [node("node-1"), node("node-2")]
    assert plan(nodes, **options)[0]["blocks"] == {}
    known = {"blocks": {"node-2": ["10.244.0.0/24"], "node-9": ["10.244.1.0/24"]}}
    assert plan(nodes, previous=known, **options)[0]["blocks"] == {"node-2": ["10.244.0.0/24"]}
    found, problems = plan(nodes, previous=known, assign_blocks=True, **options)
    assert not problems
    assert found["blocks"] == {"node-1": ["10.244.1.0/24"], "node-2": ["10.244.0.0/24"]}


def test_with_ipv6_a_node_has_a_block_of_each_family() -> None:
    found, problems = plan(
        [node("node-1", address_ipv6="fd00:1::1"), node("node-2", address_ipv6="fd00:1::2")],
        zones=[],
        pod_cidr="10.244.0.0/16",
        pod_cidr_ipv6="fd00:10:244::/48",
        service_cidr_ipv6="fd00:10:96::/116",
        assign_blocks=True,
    )
    assert not problems
    assert found["blocks"]["node-2"] == ["10.244.1.0/24", "fd00:10:244:1::/64"]
    assert found["routes"] == [
        {"at": "lan", "destination": "10.244.0.0/24", "via": "192.168.0.1", "node": "node-1"},
        {"at": "lan", "destination": "fd00:10:244::/64", "via": "fd00:1::1", "node": "node-1"},
        {"at": "lan", "destination": "10.244.1.0/24", "via": "192.168.0.2", "node": "node-2"},
        {"at": "lan", "destination": "fd00:10:244:1::/64", "via": "fd00:1::2", "node": "node-2"},
    ]


def test_a_slice_in_its_nodes_own_network_needs_no_route() -> None:
    flat = [Zone("i", ["192.168.0.0/18"], ["192.168.32.0/19"])]
    found, problems = plan([node("node-1")], zones=flat)
    assert not problems
    assert found["routes"] == []
    routed, _none = plan([node("node-1")])
    assert routed["routes"] == [{"at": "lan", "destination": "192.168.32.0/24", "via": "192.168.0.1", "node": "node-1"}]


def test_every_peer_needs_the_way_back_to_the_pods() -> None:
    found, _none = plan([], peer_cidrs=["172.16.0.0/14", "10.0.0.0/8", "fd01::/16"])
    assert found["routes"] == [
        {"at": peer, "destination": pods, "via": "", "node": ""}
        for peer in ("10.0.0.0/8", "172.16.0.0/14")
        for pods in ("192.168.32.0/19", "192.168.96.0/19")
    ]


hosts = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from("ij"), st.sampled_from([10, 30, 110, 300])))


@settings(max_examples=60)
@given(st.lists(hosts, min_size=1, max_size=5))
def test_nodes_come_and_go_and_nothing_moves(steps: list[dict[str, tuple[str, int]]]) -> None:
    previous: dict[str, Any] = {}
    zones: dict[str, str] = {}
    for step in steps:
        # A host does not wander to another site.
        zones.update({name: zone for name, (zone, _pods) in step.items() if name not in zones})
        nodes = [node(name, zones[name], max_pods=pods) for name, (_zone, pods) in step.items()]
        found, problems = plan(nodes, previous=previous)
        assert not problems
        blocks = {name: [ipaddress.IPv4Network(text) for text in texts] for name, texts in found["blocks"].items()}
        assert sorted(blocks) == sorted(step)
        flat = [item for items in blocks.values() for item in items]
        assert sum(item.num_addresses for item in flat) == sum(
            item.num_addresses for item in ipaddress.collapse_addresses(flat)
        )
        for name, (_zone, pods) in step.items():
            assert sum(item.num_addresses for item in blocks[name]) >= 2 * pods
            home = "192.168.32.0/19" if zones[name] == "i" else "192.168.96.0/19"
            assert all(item.subnet_of(ipaddress.IPv4Network(home)) for item in blocks[name])
            assert set(previous.get("blocks", {}).get(name, [])) <= set(found["blocks"][name])
        previous = found


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 3))
def test_the_largest_first_fill_a_space_to_its_last_address(bits: list[int], used: int) -> None:
    home = _cidr.block("10.0.0.0/25")
    taken = [_cidr.block(f"10.0.0.{32 * number}/27") for number in range(used)]
    space = Space([home], taken)
    sizes = sorted((1 << bit for bit in bits), reverse=True)
    placed = [space.take(size) for size in sizes]
    free = 128 - 32 * used
    if sum(sizes) <= free:
        assert None not in placed
        assert space.count(1) == free - sum(sizes)
    starts = [(start, start + size) for start, size in zip(placed, sizes) if start is not None]
    assert all(start % (end - start) == 0 for start, end in starts)
    assert all(one[1] <= other[0] for one, other in zip(sorted(starts), sorted(starts)[1:]))
