# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whether workloads of a cluster are complete, asked of its API."""

from __future__ import annotations

from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _ready


def incomplete(api: _kubeapi.KubeApi, references: list[str], nodes: list[str]) -> list[str]:
    """What workloads (kind/namespace/name in lower case) lack right now, with what the kubelets say about it.

    Pods on a node that is not Ready are not waited for, unless it is one of these nodes: a host that is dead
    keeps nobody from joining, nor from being removed. Raises one of API_ERRORS.
    """
    found = {}
    for reference in references:
        kind, namespace, name = reference.split("/")
        found[reference] = _kubeapi.find(api, f"/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}")
    lacking = [obj for obj in found.values() if obj and _ready.workload_not_ready(obj)]
    listing = api.items("/api/v1/nodes") if lacking else []
    namespaces = sorted({obj["metadata"]["namespace"] for obj in lacking})
    pods = {namespace: api.items(f"/api/v1/namespaces/{namespace}/pods") for namespace in namespaces}
    lines, waiting = [], set()
    for reference, obj in found.items():
        if obj is None:
            lines.append(f"{reference.replace('/', ' ', 1)}: is not there")
        elif obj in lacking:
            namespace = obj["metadata"]["namespace"]
            line = _ready.workload_not_ready(obj, *_ready.out_of_reach(obj, pods[namespace], listing, nodes))
            if line:
                lines.append(line)
                waiting.add(namespace)
    return lines + [line for namespace in sorted(waiting) for line in _ready.pods_waiting(pods[namespace])]
