# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What cannot be changed in a cluster that already exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# Setting of the existing cluster: section and key of the plan, variable, what it is called.
_FIXED = {
    "pod_cidr": ("networks", "pod_cidr", "cluster_pod_cidr", "pod range"),
    "service_cidr": ("networks", "service_cidr", "cluster_service_cidr", "service range"),
    "pod_network": ("pod_network", "identity", "", "way from node to node"),
    "node_mask": ("networks", "node_mask", "cluster_max_pods", "prefix length of a node's block"),
    "cni": ("cluster", "cni", "cluster_cni", "network plugin"),
    "dns_domain": ("cluster", "dns_domain", "cluster_dns_domain", "DNS domain"),
    "endpoint": ("cluster", "endpoint", "cluster_endpoint", "API endpoint"),
    "node_port_range": ("cluster", "node_port_range", "cluster_node_port_range", "range of node ports"),
}


def _wanted(section: Mapping[str, Any], key: str) -> str:
    """A range of IPv6 belongs to its twin: a cluster cannot get or lose a family."""
    twin = section.get(f"{key}_ipv6") or ""
    return f"{section[key]},{twin}" if twin else str(section[key])


def compare_existing(plan: Mapping[str, Any], existing: Mapping[str, Any], upgrade: bool = False) -> list[Problem]:
    """Compare the plan with what the cluster says about itself; what it does not say is not compared.

    With upgrade its version may be changed as the upstream policy allows it.
    """
    problems = []
    for setting, (section, key, path, title) in _FIXED.items():
        current, wanted = str(existing.get(setting) or ""), _wanted(plan[section], key)
        path = path or f"cluster_{plan['cluster']['cni']}"
        if setting == "node_mask" and plan["cluster"]["cni"] == "underlay":
            # A slice is as large as its own node needs it.
            continue
        if current and wanted and current != wanted:
            back = "to a value for which the block stays the same" if setting == "node_mask" else f"back to {current}"
            problems.append(
                Problem(
                    "immutable_setting",
                    f"The {title} of the existing cluster is {current} and cannot be changed to {wanted}.",
                    f"Set {path} {back}, or reset the cluster and create it again.",
                    path=path,
                    witness=(current, wanted),
                )
            )
    current, wanted = str(existing.get("version") or "").lstrip("v"), plan["cluster"]["version"]
    found = _version_problem(current, wanted, upgrade) if current and current != wanted else None
    if found:
        code, message, remedy = found
        problems.append(Problem(code, message, remedy, path="cluster_kubernetes_version", witness=(current, wanted)))
    return problems


def _version_problem(current: str, wanted: str, upgrade: bool) -> tuple[str, str, str] | None:
    """Code, message and remedy."""
    message = f"The existing cluster runs Kubernetes {current}, not {wanted}."
    if not upgrade:
        remedy = f"Use the upgrade playbook to change the version, or set cluster_kubernetes_version to {current}."
        return "version_differs", message, remedy
    try:
        (major, minor, patch), to = (tuple(map(int, text.split(".")[:3])) for text in (current, wanted))
    except ValueError:
        return "version_differs", message, "Set cluster_kubernetes_version to a version such as 1.36.3."
    if to < (major, minor, patch):
        remedy = (
            "Kubernetes can't go back. Keep the version, or reset all hosts and restore a backup from before (guide to"
            " backups)."
        )
        return "version_downgrade", message, remedy
    if to[:2] not in ((major, minor), (major, minor + 1)):
        remedy = f"Upgrade to a release of {major}.{minor + 1} first: one minor version after the other."
        return "version_skipped", message, remedy
    return None
