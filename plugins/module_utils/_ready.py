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


def workload_not_ready(obj: dict[str, Any]) -> str:
    """What a Deployment or DaemonSet still lacks; empty when it is complete and observed."""
    status, meta, spec = obj.get("status", {}), obj["metadata"], obj.get("spec", {})
    name = f"{obj['kind'].lower()} {meta['namespace']}/{meta['name']}"
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        return f"{name}: its controller hasn't seen the newest version yet"
    if obj["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        have = min(status.get("numberAvailable", 0), status.get("updatedNumberScheduled", 0))
    else:
        wanted = spec.get("replicas", 1)
        have = min(status.get("availableReplicas", 0), status.get("updatedReplicas", 0))
    return "" if wanted and have >= wanted else f"{name}: {have} of {wanted} pods available"


def probe_objects(image: str) -> list[dict[str, Any]]:
    """Namespace, DaemonSet and Service that the probe needs; the image is agnhost."""
    labels = {"app.kubernetes.io/name": PROBE, "app.kubernetes.io/managed-by": "hostplane"}
    container = {
        "name": "probe",
        "image": image,
        "args": ["netexec", f"--http-port={PROBE_PORT}", "--udp-port=-1"],
        "ports": [{"containerPort": PROBE_PORT}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": PROBE_PORT}, "periodSeconds": 1},
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
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBE, "labels": labels}},
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": PROBE, "namespace": PROBE, "labels": labels},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": PROBE, "namespace": PROBE, "labels": labels},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": PROBE_PORT}]},
        },
    ]


def probe_targets(pod: dict[str, Any], pods: list[dict[str, Any]], domain: str) -> list[tuple[str, str, int]]:
    """What one probe pod must reach: (what, host, port).

    The names prove cluster DNS, the Service proves kube-proxy, a pod of the next node proves the pod network; each pod asks
    one other pod, so the work grows with the number of nodes and not with its square.
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
