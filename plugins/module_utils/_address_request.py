# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What an address plan is asked for, and the ranges that can be read from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Fixed, Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# A node's own system pods need ten places; the kernel's bridge takes at most 1 023 ports.
MAX_PODS = (10, 1000)
# Of each block the first and last address are not given out, and one more is the node's own.
BLOCK_OWN = 3
IPV6_BLOCK_PREFIX = 64


def network_arguments() -> dict[str, Any]:
    """The module options that the documentation fragment networks describes."""
    return {
        "node_cidrs": {"type": "list", "elements": "str", "default": []},
        "peer_cidrs": {"type": "list", "elements": "str", "default": []},
        "lan_cidrs": {"type": "list", "elements": "str", "default": []},
        "bridge_cidrs": {"type": "list", "elements": "str", "default": ["172.17.0.0/16"]},
        "taken_cidrs": {"type": "list", "elements": "str", "default": []},
        "other_clusters": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "pod_cidr": {"type": "str", "default": ""},
                "pod_cidr_ipv6": {"type": "str", "default": ""},
                "pod_subnets": {"type": "list", "elements": "str", "default": []},
                "service_cidr": {"type": "str", "default": ""},
                "service_cidr_ipv6": {"type": "str", "default": ""},
                "node_cidrs": {"type": "list", "elements": "str", "default": []},
                "routed": {"type": "bool", "default": False},
            },
        },
        "max_pods": {"type": "int", "default": 110},
        "max_nodes": {"type": "int", "default": 0},
    }


def planner_arguments() -> dict[str, Any]:
    """The module options that the section PLANNER of the documentation fragment networks describes."""
    text = {"type": "str", "default": ""}
    texts = {"type": "list", "elements": "str", "default": []}
    number = {"type": "int", "default": 0}
    flag = {"type": "bool", "default": False}
    name = {"type": "str", "required": True}
    zone = {"name": name, "node_cidrs": texts, "pod_subnets": texts, "max_nodes": number}
    node = {"name": name, "address": name, "address_ipv6": text, "zone": text, "max_pods": number}
    return {
        "pod_cidr": text,
        "service_cidr": text,
        "pod_cidr_ipv6": text,
        "service_cidr_ipv6": text,
        "zones": {"type": "list", "elements": "dict", "default": [], "options": zone},
        "nodes": {"type": "list", "elements": "dict", "default": [], "options": node},
        "pods": number,
        "services": number,
        "addresses_per_pod": {"type": "int", "choices": [1, 2], "default": 2},
        "assign_blocks": flag,
        "propose": flag,
        "dual_stack": flag,
        "within": texts,
        "previous": {"type": "dict", "default": {}},
    }


@dataclass(frozen=True)
class Zone:
    """A part of the hosts' network whose pods take their addresses from subnets of their own."""

    name: str
    node_cidrs: Sequence[str] = ()
    pod_subnets: Sequence[str] = ()
    max_nodes: int = 0


@dataclass(frozen=True)
class AddressRequest:
    """What the operator wants. The prefix turns option names into the variable names of the operator's inventory."""

    pod_cidr: str = ""
    service_cidr: str = ""
    pod_cidr_ipv6: str = ""
    service_cidr_ipv6: str = ""
    # With zones, pods have addresses of the hosts' networks, and there is no pod_cidr.
    zones: Sequence[Zone] = ()
    lan_cidrs: Sequence[str] = ()
    node_cidrs: Sequence[str] = ()
    peer_cidrs: Sequence[str] = ()
    bridge_cidrs: Sequence[str] = ()
    taken_cidrs: Sequence[str] = ()
    other_clusters: Sequence[Mapping[str, Any]] = ()
    nodes: Sequence[Node] = ()
    fixed: Sequence[Fixed] = ()
    max_pods: int = 110
    max_nodes: int = 0
    pods: int = 0
    services: int = 0
    addresses_per_pod: int = 2
    assign_blocks: bool = False
    propose: bool = False
    dual_stack: bool = False
    within: Sequence[str] = ()
    previous: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""

    @property
    def planned_nodes(self) -> int:
        for_pods = -(-self.pods // max(self.max_pods, MAX_PODS[0]))
        return max(len({node.host for node in self.nodes}), self.max_nodes, for_pods)

    @property
    def block_mask(self) -> int:
        """Prefix length of a new block; a cluster that exists keeps its own as long as that has enough addresses."""
        mask = node_block_mask(self.max_pods, self.addresses_per_pod)
        return self.known_mask if 0 < self.known_mask <= mask else mask

    @property
    def known_mask(self) -> int:
        """Prefix length of the blocks of a pod range that exists; 0 for none."""
        text = str(self.previous.get("node_mask") or "")
        return int(text) if text.isdecimal() and not self.zones else 0


def block_size(pods: int, per_pod: int = 2) -> int:
    """Addresses of a node's block: the smallest power of two that has enough of them for each pod.

    Two for each pod, so that an address that was just given back is not handed out again while others remember it.
    """
    return 1 << (max(per_pod * pods, pods + BLOCK_OWN) - 1).bit_length()


def node_block_mask(max_pods: int, per_pod: int = 2) -> int:
    low, high = MAX_PODS
    return 33 - block_size(min(max(max_pods, low), high), per_pod).bit_length()


@dataclass
class Ranges:
    """The ranges that could be read, and the problems met on the way."""

    pods: Range | None = None
    services: Range | None = None
    pods_ipv6: Range | None = None
    services_ipv6: Range | None = None
    subnets: dict[str, list[Range]] = field(default_factory=dict)
    zone_nodes: dict[str, list[Range]] = field(default_factory=dict)
    nodes: list[Range] = field(default_factory=list)
    lan: list[Range] = field(default_factory=list)
    outside: list[Range] = field(default_factory=list)
    # Services of other clusters that nobody routes to: no mistake to use them too, but nothing to propose.
    unrouted: list[Range] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def own(self) -> list[Range]:
        single = (self.pods, self.services, self.pods_ipv6, self.services_ipv6)
        return [item for item in single if item] + [item for items in self.subnets.values() for item in items]

    @property
    def foreign(self) -> list[Range]:
        """Where no node may be."""
        return self.own + [item for item in self.outside if item.kind not in _cidr.SHARED]

    @property
    def all(self) -> list[Range]:
        return self.own + self.outside + self.nodes + self.lan


_BOTH = (4, 6)


class _Reader:
    def __init__(self, request: AddressRequest) -> None:
        self._request = request
        self.ranges = Ranges()

    def one(self, text: str, kind: str, label: str, option: str, versions: Sequence[int] = (4,)) -> Range | None:
        item, problems = _cidr.read_range(text, kind, label, self._request.prefix + option, versions)
        self.ranges.problems += problems
        return item

    def many(self, texts: Sequence[str], kind: str, label: str, option: str,
             versions: Sequence[int] = _BOTH) -> list[Range]:  # fmt: skip
        return [item for text in texts if (item := self.one(text, kind, label, option, versions))]

    def cluster(self, cluster: Mapping[str, Any]) -> None:
        name = str(cluster.get("name") or "?")
        routed = "routed " if cluster.get("routed") else ""
        # Service addresses live inside their own cluster unless somebody routes to them.
        services = self.ranges.outside if routed else self.ranges.unrouted
        pods = self.ranges.outside
        for key, kind, label, versions, target in (
            ("pod_cidr", _cidr.OTHER_PODS, "pod range", (4,), pods),
            ("pod_cidr_ipv6", _cidr.OTHER_PODS, "pod range", (6,), pods),
            ("service_cidr", _cidr.OTHER_SERVICES, f"{routed}service range", (4,), services),
            ("service_cidr_ipv6", _cidr.OTHER_SERVICES, f"{routed}service range", (6,), services),
        ):
            if cluster.get(key):
                title = f"{label} of cluster {name}"
                target += self.many([str(cluster[key])], kind, title, "other_clusters", versions)
        for key, kind, label in (
            ("pod_subnets", _cidr.OTHER_POD_SUBNET, "pod subnet"),
            ("node_cidrs", _cidr.OTHER_NODES, "node range"),
        ):
            pods += self.many(list(cluster.get(key) or ()), kind, f"{label} of cluster {name}", "other_clusters")


def read_ranges(request: AddressRequest) -> Ranges:
    reader = _Reader(request)
    ranges = reader.ranges
    # What is to be proposed is not read, and pods with zones have no range of their own.
    if request.pod_cidr or not (request.propose or request.zones):
        ranges.pods = reader.one(request.pod_cidr, _cidr.PODS, "pod range", "pod_cidr")
    if request.service_cidr or not request.propose:
        ranges.services = reader.one(request.service_cidr, _cidr.SERVICES, "service range", "service_cidr")
    if request.pod_cidr_ipv6:
        ranges.pods_ipv6 = reader.one(request.pod_cidr_ipv6, _cidr.PODS, "IPv6 pod range", "pod_cidr_ipv6", (6,))
    if request.service_cidr_ipv6:
        ranges.services_ipv6 = reader.one(
            request.service_cidr_ipv6, _cidr.SERVICES, "IPv6 service range", "service_cidr_ipv6", (6,)
        )
    ranges.nodes = reader.many(request.node_cidrs, _cidr.NODES, "node range", "node_cidrs")
    for zone in request.zones:
        subnets = reader.many(zone.pod_subnets, _cidr.POD_SUBNET, f"pod subnet of zone {zone.name}", "zones", (4,))
        homes = reader.many(zone.node_cidrs, _cidr.NODES, f"node range of zone {zone.name}", "zones")
        ranges.subnets.setdefault(zone.name, []).extend(sorted(set(subnets)))
        ranges.zone_nodes.setdefault(zone.name, []).extend(homes)
        ranges.nodes += homes
    ranges.lan = reader.many(request.lan_cidrs, _cidr.LAN, "LAN range", "lan_cidrs")
    ranges.outside = [
        *reader.many(request.peer_cidrs, _cidr.PEER, "peer range", "peer_cidrs"),
        *reader.many(request.bridge_cidrs, _cidr.BRIDGE, "container bridge range", "bridge_cidrs"),
        *reader.many(request.taken_cidrs, _cidr.TAKEN, "range in use", "taken_cidrs"),
    ]
    for cluster in request.other_clusters:
        reader.cluster(cluster)
    return ranges
