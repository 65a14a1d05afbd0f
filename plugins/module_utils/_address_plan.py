# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The address plan of one cluster: what must not overlap, what must fit, and the numbers that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._address_blocks import (
    Blocks,
    assign_blocks,
    plan_routes,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._address_capacity import (
    SERVICE_PREFIX,
    Suggestions,
    max_pods_problems,
    pod_capacity,
    service_capacity,
    twin_problems,
    zone_capacity,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._address_propose import propose, with_previous
from ansible_collections.hostplane.cluster.plugins.module_utils._address_request import (
    AddressRequest,
    Ranges,
    Zone,
    network_arguments,
    node_block_mask,
    read_ranges,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import (
    check_families,
    check_fixed,
    check_nodes,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

__all__ = ["AddressRequest", "Zone", "network_arguments", "node_block_mask", "plan_addresses"]

DNS_OFFSET = 10
# Of two overlapping ranges the earlier kind is the one to move: services are the easiest, peers the hardest.
_MOVABLE = (
    _cidr.SERVICES,
    _cidr.PODS,
    _cidr.POD_SUBNET,
    _cidr.NODES,
    _cidr.LAN,
    _cidr.BRIDGE,
    _cidr.OTHER_SERVICES,
    _cidr.OTHER_PODS,
    _cidr.OTHER_POD_SUBNET,
    _cidr.OTHER_NODES,
    _cidr.TAKEN,
    _cidr.PEER,
)


def _overlaps(ranges: Ranges, suggestions: Suggestions) -> list[Problem]:
    starts = {_cidr.PODS: "10.244.0.0", _cidr.SERVICES: "10.96.0.0"}
    examples: dict[str, str] = {}
    problems = []
    for pair in _cidr.overlapping_pairs(ranges.all):
        one, other = sorted(pair, key=lambda item: _MOVABLE.index(item.kind))
        if one.kind in starts and one.version == 4 and one.kind not in examples:
            examples[one.kind] = suggestions.text(one.prefix, starts[one.kind], None)
        if one.kind in starts:
            example = examples[one.kind] if one.version == 4 else ""
            remedy = f"Choose another range for {one.path}{example}."
        else:
            remedy = f"Take {_cidr.shared_range(one, other)} out of {one.path} or {other.path}, or renumber a network."
        if _cidr.BRIDGE in (one.kind, other.kind):
            remedy += " Where no container engine of its own runs on the hosts, leave bridge_cidrs empty."
        problems.append(
            Problem(
                "cidr_overlap",
                f"The {one.title} overlaps the {other.title}: both contain {_cidr.shared_range(one, other)}.",
                remedy,
                path=one.path,
                witness=(one.cidr, other.cidr),
            )
        )
    return problems


def _zones_of(request: AddressRequest, ranges: Ranges, blocks: Blocks) -> list[dict[str, Any]]:
    size = 1 << (32 - request.block_mask)
    table = []
    for name in sorted(ranges.subnets):
        subnets = sorted(ranges.subnets[name])
        members, free = len(blocks.members[name]), blocks.spaces[name].count(size)
        table.append(
            {
                "name": name,
                "node_cidrs": [item.cidr for item in sorted(set(ranges.zone_nodes[name]))],
                "pod_subnets": [item.cidr for item in subnets],
                "pod_addresses": sum(item.size for item in subnets),
                "nodes": members,
                "max_nodes": members - len(blocks.unplaced[name]) + free,
                "growth": free,
            }
        )
    return table


def _numbers_of(request: AddressRequest, ranges: Ranges, blocks: Blocks) -> dict[str, Any]:
    mask = request.block_mask
    pods, services = ranges.pods, ranges.services
    zones = _zones_of(request, ranges, blocks)
    nodes = len({node.host for node in request.nodes})
    if request.zones:
        capacity = sum(zone["max_nodes"] for zone in zones)
        addresses = sum(zone["pod_addresses"] for zone in zones)
    else:
        capacity = 1 << (mask - pods.prefix) if pods and pods.prefix <= mask else 0
        addresses = pods.size if pods else 0
    special = sum(node.max_pods - request.max_pods for node in set(request.nodes) if node.max_pods)
    usable = services is not None and services.prefix <= SERVICE_PREFIX[4][1]
    return {
        "pod_cidr": pods.cidr if pods else "",
        "service_cidr": services.cidr if services else "",
        "pod_cidr_ipv6": ranges.pods_ipv6.cidr if ranges.pods_ipv6 else "",
        "service_cidr_ipv6": ranges.services_ipv6.cidr if ranges.services_ipv6 else "",
        "node_cidrs": _texts(ranges.nodes),
        "zones": zones,
        "api_address": services.address(1) if services and usable else "",
        "dns_address": services.address(DNS_OFFSET) if services and usable else "",
        "node_mask": mask,
        "node_block": 1 << (32 - mask),
        "addresses_per_pod": request.addresses_per_pod,
        "max_pods": request.max_pods,
        "nodes": nodes,
        "planned_nodes": request.planned_nodes,
        "max_nodes": capacity,
        "growth": max(capacity - nodes, 0),
        "pod_addresses": addresses,
        "total_pods": capacity * request.max_pods + special,
        "total_services": max(services.size - 2, 0) if services else 0,
        "blocks": {host: [item.cidr for item in items] for host, items in sorted(blocks.of_node.items())},
        "routes": plan_routes(request, ranges, blocks),
    }


def _texts(ranges: Sequence[Range]) -> list[str]:
    return [item.cidr for item in sorted({item.cidr: item for item in ranges}.values())]


def plan_addresses(request: AddressRequest) -> tuple[dict[str, Any], list[Problem]]:
    """The numbers of the plan and every reason why it cannot be used. Pure: the same input gives the same output."""
    request, problems = with_previous(request)
    if request.propose:
        request, missing = propose(request)
        problems += missing
    ranges = read_ranges(request)
    blocks = assign_blocks(request, ranges)
    problems += ranges.problems + blocks.problems + max_pods_problems(request) + twin_problems(request, ranges)
    planned = ranges.own + ranges.nodes
    problems += [problem for problem in map(_cidr.reserved_problem, planned) if problem]
    suggestions = Suggestions(ranges, request.nodes)
    problems += _overlaps(ranges, suggestions)
    for pods in (ranges.pods, ranges.pods_ipv6):
        problems += pod_capacity(request, pods, suggestions) if pods else []
    for services in (ranges.services, ranges.services_ipv6):
        problems += service_capacity(request, services) if services else []
    if request.zones:
        problems += zone_capacity(request, ranges, blocks)
    problems += check_nodes(request.nodes, ranges.nodes or ranges.lan, ranges.foreign, request.prefix)
    problems += check_families(request.nodes) if ranges.pods_ipv6 else []
    problems += check_fixed(request.fixed, ranges.nodes, ranges.own)
    return _numbers_of(request, ranges, blocks), problems
