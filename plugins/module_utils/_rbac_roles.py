# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The preset cluster roles, and what a role's rules cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
PREFIX = "hostplane:"
LABEL = "hostplane.io/rbac"
# The four names of a preset role; these are given in every namespace or not at all.
CLUSTER_WIDE = ("admin", "ops")
RBAC_GROUP = "rbac.authorization.k8s.io"

Rule = dict[str, Any]

_WORK = {
    "": [
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "serviceaccounts",
        "services",
    ],
    "apps": [
        "daemonsets",
        "deployments",
        "deployments/scale",
        "replicasets",
        "replicasets/scale",
        "statefulsets",
        "statefulsets/scale",
    ],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
    "snapshot.storage.k8s.io": ["volumesnapshots"],
}
# Endpoints are not written by people: with them, services of one namespace reach pods of another (CVE-2021-25740).
_STATE = {
    "": ["endpoints", "events", "limitranges", "namespaces", "pods/log", "resourcequotas"],
    "apps": ["controllerrevisions"],
    "discovery.k8s.io": ["endpointslices"],
    "events.k8s.io": ["events"],
    "metrics.k8s.io": ["pods"],
}
_CLUSTER = {
    "": ["nodes", "persistentvolumes"],
    "metrics.k8s.io": ["nodes"],
    "networking.k8s.io": ["ingressclasses"],
    "scheduling.k8s.io": ["priorityclasses"],
    "snapshot.storage.k8s.io": ["volumesnapshotclasses", "volumesnapshotcontents"],
    "storage.k8s.io": ["storageclasses", "volumeattachments"],
}


def _rules(table: Mapping[str, Sequence[str]], verbs: Iterable[str]) -> list[Rule]:
    return [
        {"apiGroups": [group], "resources": sorted(names), "verbs": sorted(verbs)}
        for group, names in sorted(table.items())
    ]


_DEVELOPER = [
    *_rules(_WORK, (*READ, *WRITE)),
    *_rules({"": ["secrets"]}, (*READ, *WRITE)),
    *_rules(_STATE, READ),
    # Depending on its version and protocol, a client opens these streams with GET or with POST.
    *_rules({"": ["pods/attach", "pods/exec", "pods/portforward"]}, ("create", "get")),
    *_rules({"": ["pods/eviction"]}, ("create",)),
    *_rules({"": ["pods/ephemeralcontainers"]}, ("patch", "update")),
]
PRESETS: dict[str, list[Rule]] = {
    "admin": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ],
    "ops": [*_DEVELOPER, *_rules(_CLUSTER, READ)],
    "developer": _DEVELOPER,
    # Without secrets, as in the cluster role "view": who reads them has the rights of what they are tokens of.
    "restricted": [*_rules(_WORK, READ), *_rules(_STATE, READ)],
}


def preset_object(preset: str) -> dict[str, Any]:
    """The ClusterRole of a preset role."""
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": PREFIX + preset,
            "labels": {"app.kubernetes.io/managed-by": "hostplane.cluster", LABEL: "role"},
        },
        "rules": PRESETS[preset],
    }


def covers(rules: Iterable[Rule], verb: str, group: str, resource: str) -> bool:
    """Whether the rules allow the verb on every object of a resource (C(pods/log) for a subresource)."""
    names = {"*", resource}
    if "/" in resource:
        names.add("*/" + resource.partition("/")[2])
    return any(
        {"*", verb} & set(rule.get("verbs") or [])
        and {"*", group} & set(rule.get("apiGroups") or [])
        and names & set(rule.get("resources") or [])
        and not rule.get("resourceNames")
        for rule in rules
    )


def is_admin(rules: Iterable[Rule]) -> bool:
    """Whether the rules allow everything on every resource."""
    return covers(rules, "*", "*", "*")


def power(rules: Sequence[Rule]) -> int:
    """2 for an administrator, 1 for who can bind roles cluster-wide, 0 for others."""
    if is_admin(rules):
        return 2
    return int(covers(rules, "create", RBAC_GROUP, "clusterrolebindings"))


def describe(rules: Iterable[Rule]) -> list[str]:
    """The rules for people, a line for each."""
    lines = []
    for rule in rules:
        group = ",".join(rule.get("apiGroups") or [])
        what = ",".join([*(rule.get("resources") or []), *(rule.get("nonResourceURLs") or [])])
        only = " named " + ",".join(rule["resourceNames"]) if rule.get("resourceNames") else ""
        lines.append(f"{','.join(rule.get('verbs') or [])} {what}{'.' + group if group else ''}{only}")
    return lines
