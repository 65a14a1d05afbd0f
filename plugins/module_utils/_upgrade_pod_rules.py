# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a drain during an upgrade would meet: budgets, pods that nobody makes again, data that stays behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _drain
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import (
    Finding,
    error,
    listed,
    severe,
    warning,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_removed import VOLUMES

Object = dict[str, Any]
PROXY_LABEL = "kube-proxy"


def evictable(pods: Iterable[Object], nodes: set[str]) -> list[Object]:
    """Pods on these nodes that a drain has to move."""
    return [
        pod
        for pod in _drain.to_evict(pods)
        if pod.get("spec", {}).get("nodeName") in nodes and not _drain.is_terminating(pod)
    ]


def _is_moving(budget: Object) -> bool:
    """Whether an eviction is under way, as a killed drain leaves it: none more is allowed until its pod has gone."""
    status = budget.get("status", {})
    return int(status.get("currentHealthy", 0)) > int(status.get("desiredHealthy", 0))


def check_budgets(pods: Sequence[Object], budgets: Iterable[Object], resumed: bool = False) -> Iterator[Finding]:
    """Budgets that refuse each eviction now. One that could never allow any is told from one that may recover.

    Pods that are missing while an upgrade is resumed may have their place on the node that it left closed, and which
    only it opens again; every drain waits for them with its own deadline.
    """
    known = list(budgets)
    held: dict[str, list[str]] = {}
    several: list[str] = []
    by_name = {_drain.full_name(budget): budget for budget in known}
    for pod in pods:
        if _drain.is_exempt(pod):
            continue
        covering = _drain.budgets_of(pod, known)
        if len(covering) > 1:
            several.append(_drain.full_name(pod))
        elif covering and _drain.blocks(covering[0], pod) and not _is_moving(covering[0]):
            held.setdefault(_drain.full_name(covering[0]), []).append(_drain.full_name(pod))
    for name, names in sorted(held.items()):
        status = by_name[name].get("status", {})
        expected, desired = status.get("expectedPods", 0), status.get("desiredHealthy", 0)
        healthy = status.get("currentHealthy", 0)
        never = desired >= expected
        yield Finding(
            "pdb_blocks",
            f"PodDisruptionBudget {name} allows no disruption ({healthy} of {expected} healthy, {desired} needed): "
            f"{listed(names)} can't leave {'its node' if len(names) == 1 else 'their nodes'}.",
            "Give the workload one replica more, or lower minAvailable; with these numbers no drain can ever end."
            if never
            else "Make its pods healthy again; then the budget allows one to go.",
            path=name,
            severity=severe(never or not resumed),
        )
    if several:
        yield error(
            "pdb_several",
            f"More than one PodDisruptionBudget covers {listed(several)}; the API never evicts such pods.",
            "Leave one budget for each pod.",
        )


def check_room(pods: Iterable[Object], budgets: Iterable[Object], nodes: Sequence[Object]) -> Iterator[Finding]:
    """Budgets that let the first of a node's pods go, and no more since none of the others is for its successor."""
    by_name = {_drain.full_name(budget): budget for budget in budgets}
    stay: dict[tuple[str, str], list[str]] = {}
    for pod in pods:
        where = pod["spec"]["nodeName"]
        covering = [] if _drain.is_exempt(pod) else _drain.budgets_of(pod, by_name.values())
        if len(covering) != 1:
            continue
        if not any(node["metadata"]["name"] != where and _drain.fits(pod, node) for node in nodes):
            stay.setdefault((where, _drain.full_name(covering[0])), []).append(_drain.full_name(pod))
    for (where, name), names in sorted(stay.items()):
        allowed = by_name[name].get("status", {}).get("disruptionsAllowed", 0)
        if 0 < allowed < len(names):
            yield error(
                "pdb_no_room",
                f"PodDisruptionBudget {name} lets {allowed} of {listed(names)} go, and no node but {where} takes what "
                "is made instead: its drain would wait until its deadline.",
                "Add a node that takes them, let them onto the control plane, or set upgrade_drain to never.",
                path=name,
            )


def check_unmanaged(pods: Iterable[Object], refused: bool) -> Iterator[Finding]:
    """Pods that are gone for good when they are evicted; refused is whether a drain stops at them."""
    found = [_drain.full_name(pod) for pod in pods if not _drain.controller(pod) and not _drain.is_finished(pod)]
    if found:
        yield Finding(
            "pod_unmanaged",
            f"No controller makes these pods again when their node is drained: {listed(found)}.",
            "Put them under a Deployment or delete them; cluster_drain_unmanaged_pods=delete accepts their loss.",
            severity=severe(refused),
        )


def check_emptydir(pods: Iterable[Object], refused: bool) -> Iterator[Finding]:
    """An emptyDir is lost with any pod; a drain that may not lose it stops there."""
    found = [
        _drain.full_name(pod)
        for pod in pods
        if not _drain.is_finished(pod)
        and any("emptyDir" in volume for volume in pod.get("spec", {}).get("volumes") or [])
    ]
    if found and refused:
        yield error(
            "pod_emptydir",
            f"These pods have data in an emptyDir volume, which a drain is told not to lose: {listed(found)}.",
            "Move the data to a claim, or accept its loss with cluster_drain_emptydir_data=true.",
        )


def _claims(pod: Object) -> set[tuple[str, str]]:
    namespace = pod["metadata"]["namespace"]
    volumes = pod.get("spec", {}).get("volumes") or []
    return {
        (namespace, volume["persistentVolumeClaim"]["claimName"])
        for volume in volumes
        if volume.get("persistentVolumeClaim")
    }


def pinned_claims(volumes: Iterable[Object]) -> set[tuple[str, str]]:
    """Claims (namespace, name) whose volume is on one node's own disk."""
    return {
        (volume["spec"]["claimRef"]["namespace"], volume["spec"]["claimRef"]["name"])
        for volume in volumes
        if volume.get("spec", {}).get("claimRef") and (volume["spec"].get("local") or volume["spec"].get("hostPath"))
    }


def check_local_data(pods: Iterable[Object], volumes: Iterable[Object]) -> Iterator[Finding]:
    """Pods that can't run elsewhere, or run without what they have here. An emptyDir is lost with any pod."""
    pinned = pinned_claims(volumes)
    paths, claims = [], []
    for pod in pods:
        if _drain.is_finished(pod):
            continue
        if _claims(pod) & pinned:
            claims.append(_drain.full_name(pod))
        elif any("hostPath" in volume for volume in pod.get("spec", {}).get("volumes") or []):
            paths.append(_drain.full_name(pod))
    if claims:
        yield warning(
            "pod_local_data",
            f"Their volume is on their node's own disk, so these pods wait until it is back: {listed(claims)}.",
            "Plan their downtime; nothing is lost.",
            path="persistentvolumes",
        )
    if paths:
        yield warning(
            "pod_local_data",
            f"These pods use a hostPath and find another directory on another node: {listed(paths)}.",
            "Make sure that they can do without what they have written there.",
            path="hostpath",
        )


def check_volumes(pods: Iterable[Object], current: int, minor: int) -> Iterator[Finding]:
    """Kinds of volumes that the target's kubelet no longer mounts; current is the minor that runs now."""
    found: dict[str, list[str]] = {}
    for pod in pods:
        if not _drain.is_finished(pod):
            for volume in pod.get("spec", {}).get("volumes") or []:
                for kind in VOLUMES:
                    if kind in volume:
                        found.setdefault(kind, []).append(_drain.full_name(pod))
    for kind, names in sorted(found.items()):
        since, instead = VOLUMES[kind]
        if current < since <= minor:
            yield error(
                "volume_removed",
                f"Volumes of kind {kind}, which Kubernetes 1.{since} no longer mounts: {listed(names)}.",
                f"Instead {instead}.",
                path=kind,
            )


def static_flags(pods: Iterable[Object]) -> dict[str, dict[str, list[str]]]:
    """Component to node to the command line of the control plane's static pods."""
    found: dict[str, dict[str, list[str]]] = {}
    for pod in pods:
        if _drain.MIRROR not in (pod["metadata"].get("annotations") or {}):
            continue
        if pod["metadata"]["namespace"] != "kube-system":
            continue
        component = (pod["metadata"].get("labels") or {}).get("component", "")
        for container in pod["spec"].get("containers") or []:
            if component and container["name"] == component:
                command = [*(container.get("command") or []), *(container.get("args") or [])]
                found.setdefault(component, {})[pod["spec"].get("nodeName", "")] = command
    return found


def images_of(pods: Iterable[Object]) -> list[tuple[str, str, str]]:
    """(component, node, image) of what kubeadm runs in pods."""
    found = []
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        if pod["metadata"]["namespace"] != "kube-system":
            continue
        component = labels.get("component") or (PROXY_LABEL if labels.get("k8s-app") == PROXY_LABEL else "")
        for container in pod["spec"].get("containers") or []:
            if component and container["name"] == component:
                found.append((component, pod["spec"].get("nodeName", ""), container.get("image", "")))
    return found


def nodes_to_drain(nodes: Iterable[Mapping[str, Any]], target: str, drain: str) -> set[str]:
    """Nodes that the upgrade empties; drain is minor (a kubelet of another minor is to come), always or never."""

    def part(version: str) -> str:
        return version.lstrip("v").rpartition(".")[0] if drain == "minor" else version.lstrip("v")

    return {
        node["metadata"]["name"]
        for node in nodes
        if drain != "never"
        and part(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")) != part(target)
    }
