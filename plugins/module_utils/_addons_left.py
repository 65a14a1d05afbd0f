# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What an earlier setting has put into a cluster, and the inventory no longer asks for, or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# Who applied an object, as server-side apply remembers it.
MANAGER = "hostplane"


class Addon(NamedTuple):
    """The setting, what it installs, the object that shows it, and how to be rid of it."""

    setting: str
    title: str
    path: str
    remedy: str


ADDONS = {
    "dns": Addon(
        "cluster_dns", "the DNS cache", "/apis/apps/v1/namespaces/kube-system/daemonsets/dns-cache",
        "Set cluster_dns to {cache: false} for one run, which removes the cache.",
    ),
    "load_balancer": Addon(
        "cluster_load_balancer", "MetalLB", "/apis/apps/v1/namespaces/metallb-system/daemonsets/speaker",
        "Set it again. Or give up the addresses of all Services of type LoadBalancer:"
        " kubectl delete namespace metallb-system.",
    ),
    "ingress": Addon(
        "cluster_ingress", "Traefik", "/apis/apps/v1/namespaces/traefik/deployments/traefik",
        "Set it again. Or give up what Ingresses and Gateways lead to: kubectl delete namespace traefik.",
    ),
    "network_policy": Addon(
        "cluster_network_policy", "kube-router", "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-router",
        "Set it again. Or take its rules out of all nodes (kubectl exec into each of its pods: kube-router"
        " --cleanup-config), then: kubectl -n kube-system delete daemonset kube-router.",
    ),
}  # fmt: skip


DRIVER = "/apis/apps/v1/namespaces/kube-system/daemonsets/local-volume"


def is_ours(found: Mapping[str, Any]) -> bool:
    """Whether this collection applied an object; one of the same name may be somebody else's."""
    return any(entry.get("manager") == MANAGER for entry in found.get("metadata", {}).get("managedFields") or [])


def left(wanted: Iterable[str], look: Callable[[str], Mapping[str, Any] | None]) -> list[Problem]:
    """A finding for each addon that is there and not wanted; look returns the object of a path."""
    problems = []
    for name in sorted(set(ADDONS) - set(wanted)):
        addon = ADDONS[name]
        found = look(addon.path)
        if found and is_ours(found):
            problems.append(
                Problem(
                    "addon_left",
                    f"{addon.setting} no longer asks for {addon.title}, which the cluster has and would keep.",
                    f"{addon.remedy} To leave it as it is, add addon_left to cluster_ignore_preflight.",
                    path=addon.setting,
                    witness=(name,),
                )
            )
    return problems


def pool_of(found: Mapping[str, Any]) -> str:
    """The directory that the driver of local_volume was given; empty when it can't be told."""
    containers = found.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or []
    arguments = [str(word) for container in containers for word in container.get("args") or []]
    return next((word.partition("=")[2] for word in arguments if word.startswith("--pool=")), "")


def moved(pool: str, look: Callable[[str], Mapping[str, Any] | None]) -> list[Problem]:
    """A finding when the driver works in another pool than is wanted: there it would find none of its volumes."""
    found = look(DRIVER) if pool else None
    before = pool_of(found) if found and is_ours(found) else ""
    if not before or before == pool:
        return []
    path = "cluster_storage.local_volume.pool"
    return [
        Problem(
            "storage_pool_moved",
            f"{path} is {pool}; the cluster has its local volumes in {before}, and could use or remove none of them.",
            f"Set it to {before}. To have another pool delete all volumes of the driver local.hostplane.io first"
            " (kubectl get pv), then add storage_pool_moved to cluster_ignore_preflight for one run.",
            path=path,
        )
    ]
