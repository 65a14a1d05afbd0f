# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The address plan of one cluster: what must not overlap, what must fit, and the numbers that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import (
    Fixed,
    Node,
    check_fixed,
    check_nodes,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# A node's own system pods need ten places; the kernel's bridge takes at most 1 023 ports.
MAX_PODS = (10, 1000)
# kube-controller-manager refuses to cut a pod range into more than 2^16 blocks, kubeadm a service range of more than
# 20 bits or of less than ten addresses.
BLOCK_BITS = 16
SERVICE_PREFIX = (12, 28)
DNS_OFFSET = 10
# Of two overlapping ranges the earlier kind is the one to move: services are the easiest, peers the hardest.
_MOVABLE = (_cidr.SERVICES, _cidr.PODS, _cidr.NODES, _cidr.OTHER_SERVICES, _cidr.OTHER_PODS, _cidr.PEER)


def network_arguments() -> dict[str, Any]:
    """The module options that the documentation fragment networks describes."""
    return {
        "node_cidrs": {"type": "list", "elements": "str", "default": []},
        "peer_cidrs": {"type": "list", "elements": "str", "default": []},
        "other_clusters": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "pod_cidr": {"type": "str", "default": ""},
                "service_cidr": {"type": "str", "default": ""},
                "routed": {"type": "bool", "default": False},
            },
        },
        "max_pods": {"type": "int", "default": 110},
        "max_nodes": {"type": "int", "default": 0},
    }


@dataclass(frozen=True)
class AddressRequest:
    """What the operator wants. The prefix turns option names into the variable names of the operator's inventory."""

    pod_cidr: str
    service_cidr: str
    node_cidrs: Sequence[str] = ()
    peer_cidrs: Sequence[str] = ()
    other_clusters: Sequence[Mapping[str, Any]] = ()
    nodes: Sequence[Node] = ()
    fixed: Sequence[Fixed] = ()
    max_pods: int = 110
    max_nodes: int = 0
    services: int = 0
    prefix: str = ""

    @property
    def planned_nodes(self) -> int:
        return max(len({node.host for node in self.nodes}), self.max_nodes)


@dataclass
class _Ranges:
    """The ranges that could be read, and the problems met on the way."""

    pods: Range | None = None
    services: Range | None = None
    nodes: list[Range] = field(default_factory=list)
    outside: list[Range] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def own(self) -> list[Range]:
        return [item for item in (self.pods, self.services) if item]

    @property
    def foreign(self) -> list[Range]:
        """Where no node may be."""
        return self.own + self.outside

    @property
    def all(self) -> list[Range]:
        return self.foreign + self.nodes


def node_block_mask(max_pods: int) -> int:
    """Prefix length of one node's block: the smallest power of two that holds twice as many addresses as pods.

    Twice, so that an address that was just given back is not handed out again while others still remember it.
    """
    low, high = MAX_PODS
    return 32 - (2 * min(max(max_pods, low), high) - 1).bit_length()


def _read(request: AddressRequest) -> _Ranges:
    result = _Ranges()

    def read(text: str, kind: str, label: str, option: str) -> Range | None:
        item, problems = _cidr.read_range(text, kind, label, request.prefix + option)
        result.problems += problems
        return item

    result.pods = read(request.pod_cidr, _cidr.PODS, "pod range", "pod_cidr")
    result.services = read(request.service_cidr, _cidr.SERVICES, "service range", "service_cidr")
    for text in request.node_cidrs:
        if item := read(text, _cidr.NODES, "node range", "node_cidrs"):
            result.nodes.append(item)
    for text in request.peer_cidrs:
        if item := read(text, _cidr.PEER, "peer range", "peer_cidrs"):
            result.outside.append(item)
    for cluster in request.other_clusters:
        name = str(cluster.get("name") or "?")
        wanted = [("pod_cidr", _cidr.OTHER_PODS, "pod range")]
        # Service addresses live inside their own cluster unless somebody routes to them.
        if cluster.get("routed"):
            wanted.append(("service_cidr", _cidr.OTHER_SERVICES, "routed service range"))
        for key, kind, label in wanted:
            if cluster.get(key) and (
                item := read(str(cluster[key]), kind, f"{label} of cluster {name}", "other_clusters")
            ):
                result.outside.append(item)
    return result


class _Suggestions:
    """Free ranges to name in remedies; what has been suggested once is taken for the next suggestion."""

    def __init__(self, ranges: _Ranges, nodes: Iterable[Node]) -> None:
        numbers = {number for node in nodes if (number := _cidr.read_address(node.address)) is not None}
        self._taken = ranges.all + [_cidr.Range(number, number, "", "", "") for number in numbers]

    def text(self, prefix: int, start: str, own: Range | None) -> str:
        found = _cidr.free_range(prefix, [item for item in self._taken if item is not own], start)
        if found:
            item, _problems = _cidr.read_range(found, "", "", "")
            self._taken += [item] if item else []
        return found and f", for example {found}"


def _overlaps(ranges: _Ranges, suggestions: _Suggestions) -> list[Problem]:
    starts = {_cidr.PODS: "10.244.0.0", _cidr.SERVICES: "10.96.0.0"}
    examples: dict[str, str] = {}
    problems = []
    for pair in _cidr.overlapping_pairs(ranges.all):
        one, other = sorted(pair, key=lambda item: _MOVABLE.index(item.kind))
        if one.kind in starts and one.kind not in examples:
            examples[one.kind] = suggestions.text(one.prefix, starts[one.kind], None)
        remedy = (
            f"Choose another range for {one.path}{examples[one.kind]}."
            if one.kind in starts
            else f"Take {_cidr.shared_range(one, other)} out of {one.path} or {other.path}, or renumber a network."
        )
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


def _pod_capacity(request: AddressRequest, pods: Range, suggestions: _Suggestions) -> list[Problem]:
    mask = node_block_mask(request.max_pods)
    planned = request.planned_nodes
    blocks = 1 << max(mask - pods.prefix, 0) if pods.prefix <= mask else 0
    limits = f"{request.prefix}max_pods is {request.max_pods}, so each node needs a /{mask}"
    if blocks < max(planned, 1):
        needed = max(mask - max(planned - 1, 0).bit_length(), 0)
        return [
            Problem(
                "pod_cidr_too_small",
                f"The {pods.title} has room for {blocks} nodes, but {planned} are planned ({limits}).",
                f"Widen {pods.path} to a /{needed}{suggestions.text(needed, '10.244.0.0', pods)},"
                f" or lower {request.prefix}max_pods or {request.prefix}max_nodes.",
                path=pods.path,
            )
        ]
    if mask - pods.prefix > BLOCK_BITS:
        return [
            Problem(
                "pod_cidr_too_wide",
                f"The {pods.title} would be cut into more than 65536 blocks, which Kubernetes refuses ({limits}).",
                f"Use a /{mask - BLOCK_BITS} or smaller for {pods.path}.",
                path=pods.path,
            )
        ]
    return []


def _service_capacity(request: AddressRequest, services: Range) -> list[Problem]:
    widest, narrowest = SERVICE_PREFIX
    if not widest <= services.prefix <= narrowest:
        return [
            Problem(
                "service_cidr_size",
                f"The {services.title} is a /{services.prefix}; Kubernetes takes /{widest} to /{narrowest}.",
                f"Choose a prefix length from {widest} to {narrowest} for {services.path}; a /20 has 4094 services.",
                path=services.path,
            )
        ]
    # The first and the last address are never given out.
    if request.services > services.size - 2:
        return [
            Problem(
                "service_cidr_too_small",
                f"The {services.title} has room for {services.size - 2} services, but {request.services} are planned.",
                f"Widen {services.path} to a /{32 - (request.services + 1).bit_length()}.",
                path=services.path,
            )
        ]
    return []


def _numbers_of(request: AddressRequest, ranges: _Ranges) -> dict[str, Any]:
    mask = node_block_mask(request.max_pods)
    pods, services = ranges.pods, ranges.services
    blocks = 1 << (mask - pods.prefix) if pods and pods.prefix <= mask else 0
    usable = services is not None and services.prefix <= SERVICE_PREFIX[1]
    nodes = len({node.host for node in request.nodes})
    return {
        "pod_cidr": pods.cidr if pods else "",
        "service_cidr": services.cidr if services else "",
        "node_cidrs": [item.cidr for item in sorted(set(ranges.nodes))],
        "api_address": services.address(1) if services and usable else "",
        "dns_address": services.address(DNS_OFFSET) if services and usable else "",
        "node_mask": mask,
        "node_block": 1 << (32 - mask),
        "max_pods": request.max_pods,
        "nodes": nodes,
        "planned_nodes": request.planned_nodes,
        "max_nodes": blocks,
        "growth": max(blocks - nodes, 0),
        "pod_addresses": pods.size if pods else 0,
        "total_pods": blocks * request.max_pods,
        "total_services": max(services.size - 2, 0) if services else 0,
    }


def plan_addresses(request: AddressRequest) -> tuple[dict[str, Any], list[Problem]]:
    """The numbers of the plan and every reason why it cannot be used. Pure: the same input gives the same output."""
    ranges = _read(request)
    problems = list(ranges.problems)
    low, high = MAX_PODS
    if not low <= request.max_pods <= high:
        problems.append(
            Problem(
                "max_pods_range",
                f"{request.max_pods} pods per node are not possible: it must be {low} to {high}.",
                f"Set {request.prefix}max_pods to a number from {low} to {high}; Kubernetes' own default is 110.",
                path=f"{request.prefix}max_pods",
            )
        )
    planned = ranges.own + ranges.nodes
    problems += [problem for problem in map(_cidr.reserved_problem, planned) if problem]
    suggestions = _Suggestions(ranges, request.nodes)
    problems += _overlaps(ranges, suggestions)
    if ranges.pods:
        problems += _pod_capacity(request, ranges.pods, suggestions)
    if ranges.services:
        problems += _service_capacity(request, ranges.services)
    problems += check_nodes(request.nodes, ranges.nodes, ranges.foreign, request.prefix)
    problems += check_fixed(request.fixed, ranges.nodes, ranges.own)
    return _numbers_of(request, ranges), problems
