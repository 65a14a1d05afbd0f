# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a drain has to move off a node and what keeps it there, as pure functions over API objects (plain dicts)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MIRROR = "kubernetes.io/config.mirror"
# Taints that tell a node's condition: cordoned, not Ready, short of something.
PASSING = "node.kubernetes.io/"
UNSCHEDULABLE = f"{PASSING}unschedulable"
# How the API says that it will never evict this pod, with status 500 as for a fault of its own.
MANY_BUDGETS = "more than one PodDisruptionBudget"


def full_name(obj: dict[str, Any]) -> str:
    """namespace/name of a namespaced object."""
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def uid(obj: dict[str, Any]) -> str:
    """What tells a pod from a later one of the same name."""
    return str(obj["metadata"]["uid"])


def _condition(obj: dict[str, Any], kind: str) -> str:
    found = [entry for entry in obj.get("status", {}).get("conditions") or [] if entry.get("type") == kind]
    return str(found[0].get("status")) if found else ""


def is_unreachable(node: dict[str, Any]) -> bool:
    """Whether the cluster has lost the node's kubelet or never had one, so that no pod can report its end."""
    return _condition(node, "Ready") in ("Unknown", "")


def is_cordoned(node: dict[str, Any]) -> bool:
    """Whether the scheduler keeps off the node."""
    return bool(node.get("spec", {}).get("unschedulable"))


def is_terminating(pod: dict[str, Any]) -> bool:
    """Whether the pod has been deleted and is on its way out."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_finished(pod: dict[str, Any]) -> bool:
    """Whether all of the pod's containers have ended for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def controller(pod: dict[str, Any]) -> str:
    """Kind of the object that makes a new pod when this one goes; empty when nothing does."""
    owners = pod["metadata"].get("ownerReferences") or []
    return next((str(owner["kind"]) for owner in owners if owner.get("controller")), "")


def is_bound(pod: dict[str, Any]) -> bool:
    """Whether the pod lives and dies with its node: a static pod's mirror, or a DaemonSet's."""
    return MIRROR in (pod["metadata"].get("annotations") or {}) or controller(pod) == "DaemonSet"


def to_evict(pods: Iterable[dict[str, Any]], known: set[str] | None = None) -> list[dict[str, Any]]:
    """The pods that have to leave the node, sorted by name.

    known are the pods of the first look. A later one that tolerates a cordoned node is left out: whoever puts it there
    would do so again for ever.
    """
    chosen = [
        pod
        for pod in pods
        if not is_bound(pod) and not (known is not None and uid(pod) not in known and tolerates_cordon(pod))
    ]
    return sorted(chosen, key=full_name)


def tolerates(pod: dict[str, Any], taint: dict[str, Any]) -> bool:
    """Whether the scheduler may put the pod on a node with this taint."""
    for entry in pod.get("spec", {}).get("tolerations") or []:
        if entry.get("key") not in (None, "", taint["key"]) or entry.get("effect") not in (None, "", taint["effect"]):
            continue
        if entry.get("operator") == "Exists" or (entry.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def tolerates_cordon(pod: dict[str, Any]) -> bool:
    """Whether the scheduler may put the pod on a cordoned node."""
    return tolerates(pod, {"key": UNSCHEDULABLE, "effect": "NoSchedule"})


def fits(pod: dict[str, Any], node: dict[str, Any]) -> bool:
    """Whether neither a label nor a taint that lasts keeps the pod off the node; cordons and ill nodes come and go."""
    labels = (node["metadata"].get("labels") or {}).items()
    lasting = [
        taint
        for taint in node.get("spec", {}).get("taints") or []
        if taint["effect"] != "PreferNoSchedule" and not taint["key"].startswith(PASSING)
    ]
    selector = (pod.get("spec", {}).get("nodeSelector") or {}).items()
    return selector <= labels and all(tolerates(pod, taint) for taint in lasting)


def refusals(pods: Iterable[dict[str, Any]], unmanaged: str, emptydir: bool) -> list[str]:
    """One line for each pod whose loss nobody has agreed to, sorted; unmanaged is fail or delete."""
    lines = []
    for pod in pods:
        if is_terminating(pod) or is_finished(pod):
            continue
        if unmanaged == "fail" and not controller(pod):
            lines.append(
                f"{full_name(pod)} has no controller to make it again (unmanaged_pods=delete accepts its loss)"
            )
        if not emptydir and any("emptyDir" in volume for volume in pod.get("spec", {}).get("volumes") or []):
            lines.append(
                f"{full_name(pod)} has data in an emptyDir volume (delete_emptydir_data=true accepts its loss)"
            )
    return sorted(lines)


def selects(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector matches: none matches nothing, an empty one everything (policy/v1)."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for entry in selector.get("matchExpressions") or []:
        key, operator, values = entry["key"], entry["operator"], entry.get("values") or []
        matches = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not matches.get(operator, False):
            return False
    return True


def budgets_of(pod: dict[str, Any], budgets: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The PodDisruptionBudgets that cover the pod, sorted by name."""
    labels = pod["metadata"].get("labels") or {}
    found = [
        budget
        for budget in budgets
        if budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and selects(budget.get("spec", {}).get("selector"), labels)
    ]
    return sorted(found, key=full_name)


def is_exempt(pod: dict[str, Any]) -> bool:
    """Whether the API evicts the pod without asking any budget."""
    return is_terminating(pod) or is_finished(pod) or pod.get("status", {}).get("phase") == "Pending"


def blocks(budget: dict[str, Any], pod: dict[str, Any]) -> bool:
    """Whether a budget that covers the pod refuses its eviction right now, by the rules of the API server."""
    spec, status = budget.get("spec", {}), budget.get("status", {})
    if is_exempt(pod):
        return False
    if _condition(pod, "Ready") != "True":
        desired = status.get("desiredHealthy", 0)
        if spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return False
        if desired > 0 and status.get("currentHealthy", 0) >= desired:
            return False
    stale = status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0)
    return stale or status.get("disruptionsAllowed", 0) <= 0


def blocker(node: str, pod: dict[str, Any], budgets: Iterable[dict[str, Any]], refusal: str = "") -> dict[str, str]:
    """What keeps a pod on its node; refusal is what the API said to its last eviction."""
    covering = [] if is_exempt(pod) else budgets_of(pod, budgets)
    closed = [budget for budget in covering if blocks(budget, pod)]
    finalizers = sorted(pod["metadata"].get("finalizers") or [])
    if is_terminating(pod):
        kind, name = ("finalizers", ", ".join(finalizers)) if finalizers else ("terminating", "")
        since = f"terminating since {pod['metadata']['deletionTimestamp']}"
        message = f"{since}, held by {name}" if finalizers else f"{since}; its node has not reported its end"
    elif len(covering) > 1:
        kind, name = "budgets", ", ".join(full_name(budget) for budget in covering)
        message = f"the API evicts no pod of {MANY_BUDGETS}; it has {name}"
    elif closed:
        kind, name = "budget", full_name(closed[0])
        status = closed[0].get("status", {})
        message = (
            f"PodDisruptionBudget {name} needs {status.get('desiredHealthy', 0)} healthy pods "
            f"and has {status.get('currentHealthy', 0)}"
        )
    elif refusal:
        kind, name, message = "refused", "", f"the API refuses its eviction: {refusal}"
    else:
        kind, name, message = "waiting", "", "its eviction has not been accepted yet"
    return {"node": node, "pod": full_name(pod), "kind": kind, "name": name, "message": message}


def describe(blockers: Iterable[dict[str, str]]) -> str:
    """Blockers for people: one line each."""
    return "\n".join(f"node {entry['node']}: pod {entry['pod']}: {entry['message']}" for entry in blockers)
