# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The networks of a cluster: the plan's settings as the address planner wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import AddressRequest, plan_addresses
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Fixed, Node
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import Host
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import PREFIX, ClusterRequest
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem


def endpoint_ranges(request: ClusterRequest) -> tuple[list[Range], list[Range]]:
    """Where the endpoint's address may be, and where not. What is wrong with a range is told by the address plan."""
    ranges = {
        "node range": list(request.node_cidrs),
        "pod range": [request.pod_cidr],
        "service range": [request.service_cidr],
        "peer range": list(request.peer_cidrs),
    }
    for cluster in request.other_clusters:
        name = cluster.get("name") or "?"
        ranges[f"pod range of cluster {name}"] = [str(cluster.get("pod_cidr") or "")]
        ranges[f"routed service range of cluster {name}"] = (
            [str(cluster.get("service_cidr") or "")] if cluster.get("routed") else []
        )
    read = {
        label: [item for text in texts if (item := _cidr.read_range(text, "", label, "")[0])]
        for label, texts in ranges.items()
    }
    homes = read.pop("node range")
    return homes, [item for items in read.values() for item in items]


def plan_networks(
    request: ClusterRequest, hosts: Sequence[Host], endpoint_host: str, mirror_host: str
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
    return plan_addresses(
        AddressRequest(
            pod_cidr=request.pod_cidr,
            service_cidr=request.service_cidr,
            node_cidrs=request.node_cidrs,
            peer_cidrs=request.peer_cidrs,
            lan_cidrs=request.lan_cidrs,
            bridge_cidrs=request.bridge_cidrs,
            taken_cidrs=request.taken_cidrs,
            other_clusters=request.other_clusters,
            nodes=[Node(host.inventory_name, host.address) for host in hosts],
            fixed=fixed,
            max_pods=request.max_pods,
            max_nodes=request.max_nodes,
            prefix=PREFIX,
        )
    )
