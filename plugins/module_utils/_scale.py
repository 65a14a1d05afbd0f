# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What has to join and what has to leave so that a cluster's membership is the inventory's; pure, no host is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key
from ansible_collections.hostplane.cluster.plugins.module_utils._ready import condition
from ansible_collections.hostplane.cluster.plugins.module_utils._rollout import batches, quorum_after

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
# Kubelets renew their Leases every 10 seconds.
SILENT_SECONDS = 25


def silent_nodes(leases: Iterable[dict[str, Any]]) -> set[str]:
    """Nodes whose kubelet has not renewed its Lease for a while. The API calls them Ready for most of a minute more.

    Compared with the newest of them and not with a clock, which may be another one.
    """
    times = {
        lease["metadata"]["name"]: datetime.fromisoformat(lease["spec"]["renewTime"].replace("Z", "+00:00"))
        for lease in leases
        if (lease.get("spec") or {}).get("renewTime")
    }
    newest = max(times.values(), default=None)
    return {name for name, seen in times.items() if newest and (newest - seen).total_seconds() > SILENT_SECONDS}


@dataclass(frozen=True)
class Member:
    """A node as the API shows it."""

    name: str
    control_plane: bool
    ready: bool
    silent: bool = False

    @classmethod
    def from_node(cls, node: dict[str, Any], silent: Collection[str] = ()) -> Member:
        """Read one Node object; silent are the names of nodes that have not been heard of."""
        labels = node["metadata"].get("labels") or {}
        ready = condition(node, "Ready").get("status") == "True"
        name = node["metadata"]["name"]
        return cls(name, CONTROL_PLANE_LABEL in labels, ready, name in silent)


@dataclass
class ScalePlan:
    """Inventory names to join and to remove, the control plane that acts, and everything that speaks against it."""

    join: list[str] = field(default_factory=list)
    suspect: list[str] = field(default_factory=list)
    remove: list[dict[str, Any]] = field(default_factory=list)
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    actor: str = ""
    unknown: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def plan_scale(
    members: Iterable[Member],
    hosts: dict[str, dict[str, str]],
    remove: Iterable[str],
    endpoint_host: str = "",
) -> ScalePlan:
    """Compare the cluster with the inventory.

    hosts maps inventory names to {name (of the node), address, role}. remove holds inventory or node names.
    endpoint_host is the host part of the API's endpoint.
    """
    plan = ScalePlan()
    nodes = {member.name: member for member in members}
    by_node = {host["name"]: name for name, host in hosts.items()}
    leaving = {name: hosts[name]["name"] if name in hosts else name for name in remove}
    known = {inventory: node for inventory, node in leaving.items() if node in nodes or inventory in hosts}
    plan.problems += [
        Problem(
            "scale_unknown",
            f"{name} is to be removed, but is neither in the inventory nor a node of the cluster.",
            f"Correct scale_remove; the nodes are {', '.join(sorted(nodes))}.",
            path="scale_remove",
        )
        for name in sorted(set(leaving) - set(known))
    ]
    gone = set(known.values())
    staying = [member for member in nodes.values() if member.name not in gone]
    plan.problems += _refusals(staying, nodes, gone, hosts, leaving, endpoint_host)
    plan.join = sorted(
        (name for name, host in hosts.items() if host["name"] not in nodes and name not in leaving), key=natural_key
    )
    plan.suspect = sorted(
        (
            by_node[member.name]
            for member in staying
            # A node of a control plane without the label is one whose joining was interrupted.
            if member.name in by_node
            and (not member.ready or member.silent or (_role(hosts, by_node[member.name]) and not member.control_plane))
        ),
        key=natural_key,
    )
    plan.unknown = sorted(set(nodes) - set(by_node) - gone)
    plan.remove = [
        {
            "host": by_node.get(node, ""),
            "node": node,
            "member": node in nodes,
            "control_plane": nodes[node].control_plane if node in nodes else _role(hosts, by_node.get(node, "")),
        }
        for node in sorted(gone, key=natural_key)
    ]
    # Workers first: what they run must be able to move while all control planes are there. Then control planes, the
    # dead ones before the healthy: they count for etcd's quorum and don't help to reach it.
    alive = {member.name for member in nodes.values() if member.ready}
    plan.remove.sort(key=lambda entry: (bool(entry["control_plane"]), entry["node"] in alive))
    plan.batches = _in_batches(plan.remove, sum(not member.control_plane for member in nodes.values()))
    acting = [member for member in staying if member.control_plane and member.ready and member.name in by_node]
    heard = [member for member in acting if not member.silent] or acting
    plan.actor = min((by_node[member.name] for member in heard), key=natural_key, default="")
    if not plan.actor and not plan.problems:
        plan.problems.append(
            Problem(
                "scale_no_actor",
                "No control plane that stays is Ready and in the inventory, so nobody can act for the cluster.",
                "Bring a control plane back first.",
            )
        )
    return plan


def _in_batches(remove: list[dict[str, Any]], workers: int) -> list[list[dict[str, Any]]]:
    """Workers in growing batches, control planes one by one."""
    left = [entry for entry in remove if not entry["control_plane"]]
    rounds = []
    for size in batches(len(left), pool=workers):
        rounds.append(left[:size])
        left = left[size:]
    return rounds + [[entry] for entry in remove if entry["control_plane"]]


def _role(hosts: dict[str, dict[str, str]], name: str) -> bool:
    return hosts.get(name, {}).get("role") == "control_plane"


def _refusals(
    staying: list[Member],
    nodes: dict[str, Member],
    gone: set[str],
    hosts: dict[str, dict[str, str]],
    leaving: dict[str, str],
    endpoint_host: str,
) -> list[Problem]:
    problems = []
    control_planes = [member for member in nodes.values() if member.control_plane]
    removed = [member for member in control_planes if member.name in gone]
    left = [member for member in staying if member.control_plane]
    if removed and not left:
        problems.append(
            Problem(
                "scale_last_control_plane",
                f"{', '.join(sorted(member.name for member in removed))} would be the last control plane to leave.",
                "Join another control plane first, or use the reset playbook if the cluster is to end.",
                path="scale_remove",
            )
        )
    elif removed:
        # A first look by the nodes; etcd itself is asked again before each single removal.
        quorum = quorum_after({member.name: member.ready for member in control_planes}, gone)
        if not quorum.kept:
            problems.append(
                Problem(
                    "scale_quorum",
                    f"Only {quorum.healthy} of {quorum.members} control planes would be Ready: etcd would lose quorum.",
                    "Bring the others back, or join new ones first.",
                    path="scale_remove",
                )
            )
    for name in sorted(leaving):
        if endpoint_host and hosts.get(name, {}).get("address") == endpoint_host:
            problems.append(
                Problem(
                    "scale_endpoint",
                    f"The API's endpoint {endpoint_host} is the address of {name}; all nodes would lose the API.",
                    "A cluster whose control planes may leave needs a DNS name or a virtual IP as its endpoint.",
                    host=name,
                    path="cluster_endpoint",
                )
            )
    remaining = [name for name, host in hosts.items() if host["role"] == "control_plane" and name not in leaving]
    if leaving and not remaining:
        problems.append(
            Problem(
                "scale_inventory",
                "No control plane remains in the inventory; it would not describe the cluster any more.",
                "Keep the hosts that stay in the group control_plane.",
                path="control_plane",
            )
        )
    return problems
