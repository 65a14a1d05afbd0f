# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The networks of a cluster: the plan's settings as the address planner wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    Zone,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Fixed, Node
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_cni import MACVLAN, UNDERLAY, PodNetwork
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import Host
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import PREFIX, ClusterRequest
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

# What the address planner by itself is asked for has no variable of its own here.
_ZONES = ("cluster_zones", "cluster_underlay.zones")


def endpoint_ranges(request: ClusterRequest, network: PodNetwork) -> tuple[list[Range], list[Range]]:
    """Where the endpoint's address may be, and where not. What is wrong with a range is told by the address plan."""
    ranges = {
        "node range": list(request.node_cidrs),
        "pod range": [subnet for zone in network.zones for subnet in zone["pod_subnets"]]
        if network.cni == UNDERLAY
        else [request.pod_cidr],
        "service range": [request.service_cidr],
        "peer range": list(request.peer_cidrs),
    }
    for cluster in request.other_clusters:
        name = cluster.get("name") or "?"
        ranges[f"pod range of cluster {name}"] = [str(cluster.get("pod_cidr") or "")]
        ranges[f"pod subnet of cluster {name}"] = list(cluster.get("pod_subnets") or ())
        ranges[f"routed service range of cluster {name}"] = (
            [str(cluster.get("service_cidr") or "")] if cluster.get("routed") else []
        )
    # Only these may be parts of the hosts' networks, and then the endpoint must be outside of them.
    kinds = {"node range": _cidr.NODES, "pod range": _cidr.POD_SUBNET if network.cni == UNDERLAY else ""}
    kinds |= {label: _cidr.OTHER_POD_SUBNET for label in ranges if label.startswith("pod subnet")}
    read = {
        label: [item for text in texts if (item := _cidr.read_range(text, kinds.get(label, ""), label, "")[0])]
        for label, texts in ranges.items()
    }
    homes = read.pop("node range")
    return homes, [item for items in read.values() for item in items]


def _slices(request: ClusterRequest, hosts: Sequence[Host]) -> dict[str, Any]:
    """What nodes hold already. A node that the inventory no longer names keeps its slices until it has left."""
    names = {host.name: host.inventory_name for host in hosts}
    held = {name: [str(item) for item in slices] for name, slices in request.slices.items()}
    return {
        "blocks": {names[name]: slices for name, slices in held.items() if name in names},
        "in_use": sorted(item for name, slices in held.items() if name not in names for item in slices),
    }


def plan_networks(
    request: ClusterRequest, network: PodNetwork, hosts: Sequence[Host], endpoint_host: str, mirror_host: str
) -> tuple[dict[str, Any], list[Problem]]:
    # What is also a node's or the virtual address is checked there.
    addresses = {host.address for host in hosts} | {request.vip}
    fixed = [
        Fixed(label, address, path)
        for label, address, path in (
            ("API endpoint", endpoint_host, f"{PREFIX}endpoint"),
            ("mirror", mirror_host, "mirror_address"),
        )
        if address and address not in addresses
    ]
    underlay = network.cni == UNDERLAY and any(zone["pod_subnets"] for zone in network.zones)
    wanted = AddressRequest(
        pod_cidr="" if underlay else request.pod_cidr,
        service_cidr=request.service_cidr,
        pod_cidr_ipv6="" if underlay else request.pod_cidr_ipv6,
        service_cidr_ipv6="" if underlay else request.service_cidr_ipv6,
        zones=[Zone(**zone) for zone in network.zones] if underlay else (),
        addresses_per_pod=network.underlay["addresses_per_pod"] if underlay else 2,
        previous=_slices(request, hosts) if underlay else {},
        node_cidrs=request.node_cidrs,
        peer_cidrs=request.peer_cidrs,
        lan_cidrs=request.lan_cidrs,
        bridge_cidrs=request.bridge_cidrs,
        taken_cidrs=request.taken_cidrs,
        other_clusters=request.other_clusters,
        nodes=[
            Node(
                host.inventory_name,
                host.address,
                host.address_ipv6,
                host.zone,
                host.max_pods if underlay and host.max_pods != request.max_pods else 0,
            )
            for host in hosts
        ],
        fixed=fixed,
        max_pods=request.max_pods,
        max_nodes=request.max_nodes,
        prefix=PREFIX,
    )
    networks, problems = plan_addresses(wanted)
    networks["ranges"] = {}
    if underlay and network.underlay["mode"] == MACVLAN:
        problems += _outside_of_lan(request, networks["blocks"])
        networks["ranges"] = {
            host: [_range(item, _lan(request, host) or item) for item in slices]
            for host, slices in networks["blocks"].items()
        }
    return networks, [_own_path(problem) for problem in problems]


def _lan(request: ClusterRequest, host: str) -> str:
    """The network of a host that was looked at."""
    return str((request.facts.get(host, {}).get("link") or {}).get("network") or "")


def _range(cidr: str, lan: str) -> dict[str, str]:
    """A slice in the words of the plugin host-local, for pods that are in the LAN themselves."""
    found = IPv4Network(cidr)
    return {
        "subnet": lan,
        "rangeStart": str(found[2]),
        "rangeEnd": str(found[-2]),
        "gateway": str(found[1]),
    }


def _outside_of_lan(request: ClusterRequest, blocks: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Slices that are no part of the network in which their pods would have to ask for everybody."""
    problems = []
    for host, slices in sorted(blocks.items(), key=lambda item: natural_key(item[0])):
        lan = _lan(request, host)
        beyond = [item for item in slices if lan and not IPv4Network(item).subnet_of(IPv4Network(lan))]
        if beyond:
            problems.append(
                Problem(
                    "slice_outside_lan",
                    f"Pods are to get {', '.join(beyond)}, which is outside of the host's network {lan}; pods of the"
                    " mode macvlan are in that network.",
                    "Give the zone pod_subnets inside of it, or use the mode ptp.",
                    host=host,
                    path="cluster_zones",
                )
            )
    return problems


def _own_path(problem: Problem) -> Problem:
    """The name of the variable that the operator knows."""
    path = {"zone": "node_zone", "previous": "cluster_underlay"}.get(problem.path, problem.path)
    return dataclasses.replace(
        problem,
        path=path.replace(*_ZONES),
        message=problem.message.replace(*_ZONES),
        remedy=problem.remedy.replace(*_ZONES),
    )
