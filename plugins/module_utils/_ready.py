# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""When a cluster counts as ready, as pure predicates over API objects (plain dicts), and the probe's objects."""

from __future__ import annotations

from typing import Any

PROBE = "hostplane-probe"
PROBE_PORT = 8080
# Set on a node when its probe has passed; a run that was killed before is thus made good by the next one.
PROBED = "hostplane.io/probed"


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    """The status condition of that type; an empty dict when there is none."""
    found = [entry for entry in obj.get("status", {}).get("conditions") or [] if entry.get("type") == kind]
    return dict(found[0]) if found else {}


def nodes_not_ready(nodes: list[dict[str, Any]], wanted: list[str]) -> list[str]:
    """One line for each wanted node that is missing or not Ready, sorted."""
    by_name = {node["metadata"]["name"]: node for node in nodes}
    lines = []
    for name in sorted(wanted):
        if name not in by_name:
            lines.append(f"node {name}: not in the cluster")
            continue
        ready = condition(by_name[name], "Ready")
        if ready.get("status") != "True":
            since = ready.get("lastTransitionTime") or "the beginning"
            lines.append(f"node {name}: not Ready since {since}: {ready.get('message') or 'no status yet'}")
    return lines


def other_version(nodes: list[dict[str, Any]], wanted: list[str], version: str) -> list[str]:
    """One line for each wanted node whose kubelet says that it has another version, sorted; none without a version."""
    found = {node["metadata"]["name"]: str(node["status"]["nodeInfo"]["kubeletVersion"]) for node in nodes}
    return [
        f"node {name}: its kubelet is {found[name]}, not v{version}"
        for name in sorted(wanted)
        if version and name in found and found[name] != f"v{version}"
    ]


def out_of_reach(
    obj: dict[str, Any], pods: list[dict[str, Any]], nodes: list[dict[str, Any]], wanted: list[str]
) -> tuple[int, int]:
    """A workload's pods on nodes that are not Ready and not wanted: how many are not well there, and how many end."""
    down = {node["metadata"]["name"] for node in nodes if condition(node, "Ready").get("status") != "True"}
    down -= set(wanted)
    labels = obj["spec"]["selector"]["matchLabels"].items()
    stuck = [
        pod
        for pod in pods
        if labels <= (pod["metadata"].get("labels") or {}).items()
        and pod["spec"].get("nodeName") in down
        and condition(pod, "Ready").get("status") != "True"
    ]
    ending = sum("deletionTimestamp" in pod["metadata"] for pod in stuck)
    return len(stuck) - ending, ending


def workload_not_ready(obj: dict[str, Any], stuck: int = 0, ending: int = 0) -> str:
    """What a Deployment or DaemonSet still lacks; empty when it is complete and observed.

    stuck and ending are its pods that nobody waits for, as out_of_reach counts them.
    """
    status, meta, spec = obj.get("status", {}), obj["metadata"], obj.get("spec", {})
    name = f"{obj['kind'].lower()} {meta['namespace']}/{meta['name']}"
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        return f"{name}: its controller hasn't seen the newest version yet"
    if obj["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        # In the place of one that ends, no other starts before its node is back.
        have = min(status.get("numberAvailable", 0) + stuck, status.get("updatedNumberScheduled", 0)) + ending
    else:
        wanted = spec.get("replicas", 1)
        have = min(status.get("availableReplicas", 0) + stuck, status.get("updatedReplicas", 0))
    return "" if wanted and have >= wanted else f"{name}: {have} of {wanted} pods available"


def drivers_not_registered(
    drivers: list[str], nodes: list[str], csi_drivers: list[dict[str, Any]], csi_nodes: list[dict[str, Any]]
) -> list[str]:
    """One line for each CSI driver that the cluster lacks, and one for each node on which it is not registered."""
    there = {item["metadata"]["name"] for item in csi_drivers}
    lines = [f"CSI driver {name}: the cluster has no CSIDriver of this name" for name in sorted(set(drivers) - there)]
    known = {
        item["metadata"]["name"]: {entry["name"] for entry in item.get("spec", {}).get("drivers") or []}
        for item in csi_nodes
    }
    for name in sorted(nodes):
        lacking = sorted(set(drivers) - known.get(name, set()))
        if lacking:
            lines.append(f"node {name}: its kubelet does not know {', '.join(lacking)}")
    return lines


def _waiting(status: dict[str, Any]) -> dict[str, str]:
    """Why a container waits, with the last word of the one that ended before."""
    waiting, ended = status["state"]["waiting"], status.get("lastState", {}).get("terminated") or {}
    said = (ended.get("message") or "").strip().splitlines()[-1:]
    return {"reason": waiting.get("reason", ""), "message": ": ".join([*filter(None, [waiting.get("message")]), *said])}


def pods_waiting(pods: list[dict[str, Any]]) -> list[str]:
    """Why pods that should run don't, as the kubelet says it; one line for each pod that says something."""
    lines = []
    for pod in pods:
        statuses = [
            *(pod.get("status", {}).get("initContainerStatuses") or []),
            *(pod.get("status", {}).get("containerStatuses") or []),
        ]
        said = [_waiting(entry) for entry in statuses if entry.get("state", {}).get("waiting")]
        scheduled = condition(pod, "PodScheduled")
        if scheduled.get("status") == "False":
            said = [scheduled]
        if not said and condition(pod, "Ready").get("status") == "False":
            said = [condition(pod, "Ready")]
        if said:
            reason = ": ".join(filter(None, [said[0].get("reason"), said[0].get("message")]))
            where = pod["spec"].get("nodeName") or "no node"
            lines.append(f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']} on {where}: {reason}")
    return sorted(lines)


def unprobed(nodes: list[dict[str, Any]], wanted: list[str]) -> list[str]:
    """The wanted nodes whose probe has never passed, sorted."""
    names = {node["metadata"]["name"] for node in nodes if PROBED not in (node["metadata"].get("annotations") or {})}
    return sorted(names.intersection(wanted))


def probe_nodes(nodes: list[dict[str, Any]], fresh: list[str]) -> list[str]:
    """Where probe pods run: on the fresh nodes, and on one more when a single one would have nobody to talk to."""
    ready = [node["metadata"]["name"] for node in nodes if condition(node, "Ready").get("status") == "True"]
    partners = sorted(set(ready) - set(fresh))
    return sorted(fresh + (partners[:1] if len(fresh) == 1 else []))


def probe_objects(image: str, nodes: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The probe as (API path, object): namespace, DaemonSet for the named nodes only, Service; the image is agnhost."""
    labels = {"app.kubernetes.io/name": PROBE, "app.kubernetes.io/managed-by": "hostplane"}
    container = {
        "name": "probe",
        "image": image,
        "args": ["netexec", f"--http-port={PROBE_PORT}", "--udp-port=-1"],
        "ports": [{"containerPort": PROBE_PORT}],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": PROBE_PORT}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {
        "tolerations": [{"operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
                        for name in nodes
                    ]
                }
            }
        },
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
    }
    return [
        (
            "/api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBE, "labels": labels}},
        ),
        (
            f"/apis/apps/v1/namespaces/{PROBE}/daemonsets",
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": PROBE, "namespace": PROBE, "labels": labels},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            },
        ),
        (
            f"/api/v1/namespaces/{PROBE}/services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": PROBE, "namespace": PROBE, "labels": labels},
                "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": PROBE_PORT}]},
            },
        ),
    ]


def probe_targets(pod: dict[str, Any], pods: list[dict[str, Any]], domain: str) -> list[tuple[str, str, int]]:
    """What one probe pod must reach: (what, host, port).

    The names prove cluster DNS, the Service proves kube-proxy, a pod of the next node proves the pod network; each pod
    asks one other pod, so the work grows with the number of nodes and not with its square.
    """
    targets = [
        ("the Service through cluster DNS", f"{PROBE}.{PROBE}.svc.{domain}", 80),
        ("the API through its Service", f"kubernetes.default.svc.{domain}", 443),
    ]
    ring = sorted(pods, key=lambda entry: str(entry["spec"]["nodeName"]))
    if len(ring) > 1:
        index = [entry["metadata"]["name"] for entry in ring].index(pod["metadata"]["name"])
        other = ring[(index + 1) % len(ring)]
        targets.append((f"a pod on {other['spec']['nodeName']}", other["status"]["podIP"], PROBE_PORT))
    return targets


def dial_failure(answer: dict[str, Any], what: str, node: str) -> str:
    """What an answer of agnhost's C(/dial) says went wrong; empty when the target was reached."""
    if answer.get("responses"):
        return ""
    errors = "; ".join(str(error) for error in answer.get("errors") or ["no answer"])
    return f"node {node}: a pod there can't reach {what}: {errors}"
