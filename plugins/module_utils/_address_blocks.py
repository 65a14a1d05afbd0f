# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Which node gets which block of addresses, without ever moving one, and the routes that lead to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._address_request import (
    BLOCK_OWN,
    IPV6_BLOCK_PREFIX,
    MAX_PODS,
    AddressRequest,
    Ranges,
    block_size,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

_SMALLEST = 8
# Where the blocks of a cluster without zones are.
NO_ZONE = ""


class Space:
    """What is free in some ranges. Asked for the largest blocks first, it has room for all or there is none."""

    def __init__(self, ranges: Iterable[Range], taken: Iterable[Range]) -> None:
        self._gaps: list[tuple[int, int]] = []
        used = sorted((item.first, item.last) for item in taken)
        for item in sorted(set(ranges)):
            start = item.first
            for first, last in used:
                if last < start or first > item.last:
                    continue
                if first > start:
                    self._gaps.append((start, first - 1))
                start = last + 1
            if start <= item.last:
                self._gaps.append((start, item.last))

    def take(self, size: int) -> int | None:
        for index, (first, last) in enumerate(self._gaps):
            start = -(-first // size) * size
            if start + size - 1 <= last:
                rest = [(first, start - 1), (start + size, last)]
                self._gaps[index : index + 1] = [(one, other) for one, other in rest if one <= other]
                return start
        return None

    def count(self, size: int) -> int:
        return sum(max((last + 1) // size + first // -size, 0) for first, last in self._gaps)


@dataclass
class Blocks:
    """The blocks of every node, what is left, and whom there was no room for."""

    of_node: dict[str, list[Range]] = field(default_factory=dict)
    spaces: dict[str, Space] = field(default_factory=dict)
    members: dict[str, list[Node]] = field(default_factory=dict)
    unplaced: dict[str, list[int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def growth(self, size: int) -> int:
        return sum(space.count(size) for space in self.spaces.values())


def zone_of(node: Node, request: AddressRequest, ranges: Ranges) -> str | None:
    """The zone that the host names or whose network it is in, the narrowest first."""
    names = {zone.name for zone in request.zones}
    if node.zone:
        return node.zone if node.zone in names else None
    number = _cidr.read_address(node.address)
    homes = [
        (home.size, name)
        for name, items in ranges.zone_nodes.items()
        for home in items
        if number is not None and home.contains(number)
    ]
    if homes:
        return min(homes)[1]
    return names.pop() if len(names) == 1 and not any(ranges.zone_nodes.values()) else None


def held_blocks(previous: Mapping[str, Any], hosts: Iterable[str]) -> tuple[dict[str, list[Range]], list[Problem]]:
    """The blocks that nodes already have; those of hosts that are no longer listed are free again."""
    blocks = previous.get("blocks") or {}
    held: dict[str, list[Range]] = {}
    problems: list[Problem] = []
    for host in hosts:
        for text in blocks.get(host) or ():
            item, wrong = _cidr.read_range(str(text), _cidr.PODS, f"block of node {host}", "previous", (4, 6))
            problems += wrong
            if item and item not in held.setdefault(host, []):
                held[host].append(item)
    return held, problems


def _check_held(held: Mapping[str, list[Range]], homes: Mapping[str, list[Range]]) -> list[Problem]:
    problems = []
    for host, items in held.items():
        for item in items:
            known = [home for home in homes.get(host, []) if home.version == item.version]
            if not any(item.inside(home) for home in known):
                where = ", ".join(home.cidr for home in sorted(known)) or "any pod range"
                problems.append(
                    Problem(
                        "block_outside",
                        f"The node has the block {item.cidr}, which is not inside {where}.",
                        "Keep the range that the block was cut from, or remove the node from the cluster first.",
                        host=host,
                        path="previous",
                        witness=(item.cidr, where),
                    )
                )
    for one, other in _cidr.overlapping_pairs(item for items in held.values() for item in items):
        problems.append(
            Problem(
                "block_overlap",
                f"The {one.title} overlaps the {other.title}.",
                "Correct the blocks in previous; each node has its own in its spec.podCIDRs.",
                path="previous",
                witness=(one.cidr, other.cidr),
            )
        )
    return problems


def _lacking(pods: int, per_pod: int, blocks: Sequence[Range]) -> int:
    """Size of the block that a node needs in addition to those it has; 0 for none."""
    if not blocks:
        return block_size(pods, per_pod)
    addresses = sum(item.size for item in blocks)
    places = sum(max(item.size - BLOCK_OWN, 0) for item in blocks)
    lack = max(per_pod * pods - addresses, pods - places + BLOCK_OWN if places < pods else 0)
    return max(1 << (lack - 1).bit_length(), _SMALLEST) if lack > 0 else 0


def assign_blocks(request: AddressRequest, ranges: Ranges) -> Blocks:
    """Keep the blocks that nodes have, and cut new ones: the largest first, then in the natural order of the hosts."""
    nodes = sorted({node.host: node for node in sorted(request.nodes, key=str)}.values(),
                   key=lambda node: natural_key(node.host))  # fmt: skip
    result = Blocks()
    held, result.problems = held_blocks(request.previous, [node.host for node in nodes])
    result.of_node = {host: list(items) for host, items in held.items()}
    if request.zones:
        _slices(request, ranges, nodes, held, result)
    else:
        _pod_blocks(request, ranges, nodes, held, result)
    for items in result.of_node.values():
        items.sort(key=lambda item: (item.version, item.first))
    return result


def _slices(
    request: AddressRequest, ranges: Ranges, nodes: Sequence[Node], held: Mapping[str, list[Range]], result: Blocks
) -> None:
    low, high = MAX_PODS
    zones = {node.host: zone_of(node, request, ranges) for node in nodes}
    result.problems += [_zone_unknown(node, ranges) for node in nodes if zones[node.host] is None]
    homes = {host: ranges.subnets.get(zone or "", []) for host, zone in zones.items()}
    result.problems += _check_held(held, homes)
    taken = [item for items in held.values() for item in items] + _others(request.previous, result)
    for name, subnets in ranges.subnets.items():
        members = [node for node in nodes if zones[node.host] == name]
        space = Space(subnets, taken)
        wanted = []
        for node in members:
            pods = min(max(node.max_pods or request.max_pods, low), high)
            if size := _lacking(pods, request.addresses_per_pod, held.get(node.host, [])):
                wanted.append((size, node.host))
        result.unplaced[name] = []
        for size, host in sorted(wanted, key=lambda item: (-item[0], natural_key(item[1]))):
            if not _place(space, size, host, 4, result.of_node):
                result.unplaced[name].append(size)
        result.members[name], result.spaces[name] = members, space


def _others(previous: Mapping[str, Any], result: Blocks) -> list[Range]:
    """What nodes hold that are about to leave: nobody may have it before they are gone."""
    found = []
    for text in previous.get("in_use") or ():
        item, wrong = _cidr.read_range(str(text), _cidr.PODS, "block in use", "previous")
        result.problems += wrong
        found += [item] if item else []
    return found


def _pod_blocks(
    request: AddressRequest, ranges: Ranges, nodes: Sequence[Node], held: Mapping[str, list[Range]], result: Blocks
) -> None:
    homes = [item for item in (ranges.pods, ranges.pods_ipv6) if item]
    result.problems += _check_held(held, {node.host: homes for node in nodes}) if homes else []
    taken = [item for items in held.values() for item in items]
    for home in homes:
        space = Space([home], [item for item in taken if item.version == home.version])
        size = 1 << (32 - request.block_mask if home.version == 4 else 128 - IPV6_BLOCK_PREFIX)
        for node in nodes if request.assign_blocks else ():
            if not any(item.version == home.version for item in held.get(node.host, [])):
                # A range that is too small is reported with its capacity.
                _place(space, size, node.host, home.version, result.of_node)
        if home.version == 4:
            result.members[NO_ZONE], result.spaces[NO_ZONE] = list(nodes), space


def _place(space: Space, size: int, host: str, version: int, blocks: dict[str, list[Range]]) -> bool:
    first = space.take(size)
    if first is None:
        return False
    item = Range(first, first + size - 1, _cidr.PODS, f"block of node {host}", "previous", version)
    blocks.setdefault(host, []).append(item)
    return True


def _zone_unknown(node: Node, ranges: Ranges) -> Problem:
    known = ", ".join(sorted(home.cidr for items in ranges.zone_nodes.values() for home in items)) or "no zone"
    return Problem(
        "zone_unknown",
        f"The host is in none of the zones: neither its zone '{node.zone}' nor its address {node.address} is in one.",
        "Name its zone, or add its network to the node_cidrs of a zone.",
        host=node.host,
        path="zone",
        witness=(node.zone or node.address, known),
    )


def plan_routes(request: AddressRequest, ranges: Ranges, blocks: Blocks) -> list[dict[str, str]]:
    """What routers outside of the cluster need to know for pods to be reached and to be answered."""
    routes = []
    pods = [item for item in ranges.own if item.kind in (_cidr.PODS, _cidr.POD_SUBNET)]
    for node in sorted(set(request.nodes), key=lambda node: (natural_key(node.host), str(node))):
        addresses = {4: node.address, 6: node.address_ipv6}
        number = _cidr.read_address(node.address)
        on_link = [home for home in ranges.nodes if number is not None and home.contains(number)]
        for item in blocks.of_node.get(node.host, []):
            # On its own link a node answers for its pods (proxy ARP).
            if addresses[item.version] and not (request.zones and any(item.inside(home) for home in on_link)):
                via = addresses[item.version]
                routes.append({"at": "lan", "destination": item.cidr, "via": via, "node": node.host})
    for peer in sorted({item for item in ranges.outside if item.kind == _cidr.PEER}):
        routes += [
            {"at": peer.cidr, "destination": item.cidr, "via": "", "node": ""}
            for item in sorted(pods)
            if item.version == peer.version
        ]
    return routes
