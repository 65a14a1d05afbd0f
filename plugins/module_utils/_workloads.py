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
    lines, pods = [], {}
    for reference in references:
        kind, namespace, name = reference.split("/")
        try:
            found = api.call("GET", f"/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}")
        except _kubeapi.API_ERRORS as exc:
            if _kubeapi.status_of(exc) != 404:
                raise
            lines.append(f"{kind} {namespace}/{name}: is not there")
            continue
        if not _ready.workload_not_ready(found):
            continue
        there = api.items(f"/api/v1/namespaces/{namespace}/pods")
        stuck = _ready.out_of_reach(found, there, api.items("/api/v1/nodes"), nodes)
        line = _ready.workload_not_ready(found, *stuck)
        if line:
            lines.append(line)
            pods[namespace] = there
    return lines + [line for namespace in sorted(pods) for line in _ready.pods_waiting(pods[namespace])]
