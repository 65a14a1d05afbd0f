# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What is allowed but worth knowing before a cluster is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _names
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import is_private, read_range
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# Every write waits for a majority of the members of etcd; more than five only make it slower.
_MOST_CONTROL_PLANES = 5


def advise(plan: Mapping[str, Any], max_nodes: int, exists: bool = False) -> list[Problem]:
    """Advice never fails a plan. Of a cluster that exists, only what can still be changed."""
    return [*([] if exists else _endpoint(plan)), *_members(plan, max_nodes), *_networks(plan), *_bundle(plan)]


def _endpoint(plan: Mapping[str, Any]) -> list[Problem]:
    host = plan["cluster"]["endpoint_host"]
    control_plane = plan["order"]["control_plane"]
    # With several control planes this is not advice but a problem.
    if len(control_plane) != 1 or host != plan["hosts"][control_plane[0]]["address"] or not _names.is_ip(host):
        return []
    return [
        Problem(
            "endpoint_single_host",
            f"The API endpoint is the address {host} of the only control plane. It cannot be changed later, so the"
            " cluster could never have three control planes.",
            "Before the cluster is created, set cluster_balancer to managed and cluster_vip to a free address, which"
            " works with one control plane as well; or set cluster_endpoint to a DNS name.",
            path="cluster_endpoint",
        )
    ]


def _members(plan: Mapping[str, Any], max_nodes: int) -> list[Problem]:
    advice = []
    number = len(plan["order"]["control_plane"])
    if number > _MOST_CONTROL_PLANES:
        advice.append(
            Problem(
                "control_plane_many",
                f"{number} control planes make every write of etcd slower.",
                "Use three or five control planes.",
                path="groups",
            )
        )
    if plan["hosts"] and all(
        any(taint["effect"] != "PreferNoSchedule" for taint in host["taints"]) for host in plan["hosts"].values()
    ):
        advice.append(
            Problem(
                "nowhere_to_run",
                "Every node has a taint that keeps ordinary pods away; cluster DNS runs, other workloads do not.",
                "Add a host to the group worker, or set node_taints: [] for a control plane.",
                path="groups",
            )
        )
    if 0 < max_nodes < len(plan["hosts"]):
        advice.append(
            Problem(
                "max_nodes_low",
                f"cluster_max_nodes is {max_nodes}, but {len(plan['hosts'])} hosts are listed.",
                "Raise cluster_max_nodes to the number of nodes that the cluster may grow to.",
                path="cluster_max_nodes",
            )
        )
    return advice


def _networks(plan: Mapping[str, Any]) -> list[Problem]:
    networks = plan["networks"]
    advice = []
    if networks["zones"]:
        advice += [
            Problem(
                "no_growth",
                f"The pod subnets of zone {zone['name']} are used up by its {zone['nodes']} hosts.",
                "Add a subnet to the zone's pod_subnets before more hosts come; those in use must stay.",
                path="cluster_underlay.zones",
            )
            for zone in networks["zones"]
            if zone["nodes"] and not zone["growth"]
        ]
    elif networks["max_nodes"] and networks["max_nodes"] == networks["nodes"]:
        advice.append(
            Problem(
                "no_growth",
                f"The pod range {networks['pod_cidr']} is used up by the {networks['nodes']} hosts that are listed.",
                "Choose a wider cluster_pod_cidr now: it cannot be changed later.",
                path="cluster_pod_cidr",
            )
        )
    for key in ("pod_cidr", "service_cidr"):
        item, _unused = read_range(networks[key], "", "", "") if networks[key] else (None, [])
        if item and not is_private(item):
            advice.append(
                Problem(
                    "range_public",
                    f"{networks[key]} is not a private range: pods cannot reach the machines that own it.",
                    f"Choose cluster_{key} inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.",
                    path=f"cluster_{key}",
                )
            )
    return advice


def _bundle(plan: Mapping[str, Any]) -> list[Problem]:
    if plan["release"]["locked"]:
        return []
    return [
        Problem(
            "bundle_unknown",
            f"There is no bundle of {plan['cluster']['version']} yet, so the plan names no digests.",
            "Run the bundle and mirror playbooks before the cluster is created.",
            path="lock",
        )
    ]
