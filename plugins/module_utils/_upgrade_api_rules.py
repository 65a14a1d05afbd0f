# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What the API's objects mean for an upgrade, besides pods, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _drain
from ansible_collections.hostplane.cluster.plugins.module_utils._ready import condition
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import (
    Finding,
    error,
    listed,
    severe,
    warning,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_host_rules import check_flags, check_gates
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_removed import APIS, KUBEADM_GATES, Api

Object = dict[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# They follow their own version, whatever they wrote under an older one.
OWN_MANAGERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "api-priority-and-fairness")
# Without these no pod, node or lease of the cluster's own changes any more.
CORE_GROUPS, CORE_RESOURCES = ("*", ""), ("*", "*/*", "configmaps", "nodes", "pods", "secrets", "serviceaccounts")
SYSTEM_NAMESPACE = {"kubernetes.io/metadata.name": "kube-system"}
COMPONENTS = {
    "apiServer": "kube-apiserver",
    "controllerManager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
}


def check_nodes(
    nodes: Iterable[Object], hosts: Mapping[str, Mapping[str, Any]], begun: Iterable[str]
) -> Iterator[Finding]:
    """Nodes against the inventory's hosts; begun are those that an interrupted upgrade has already changed."""
    known = {host["name"]: inventory for inventory, host in hosts.items()}
    found, started = {node["metadata"]["name"]: node for node in nodes}, set(begun)
    for name, node in sorted(found.items()):
        host = known.get(name, name)
        if name not in known:
            yield warning(
                "node_unknown",
                f"The node {name} is not in the inventory and keeps its version.",
                "Add its host to the inventory, or remove the node (playbook scale).",
                name,
            )
        ready = condition(node, "Ready")
        if ready.get("status") != "True":
            yield Finding(
                "node_not_ready",
                f"The node is not Ready since {ready.get('lastTransitionTime', 'an unknown time')}: "
                f"{ready.get('message') or ready.get('reason') or 'its kubelet says nothing'}",
                "Repair it first, or remove it (playbook scale).",
                host,
                severity=severe(host not in started),
            )
        wanted = hosts.get(host, {}).get("state", "")
        if _drain.is_cordoned(node) and wanted != "cordoned":
            yield warning(
                "node_cordoned",
                "The node is cordoned; pods that leave other nodes can't come here.",
                "kubectl uncordon it, unless somebody works on it or an interrupted upgrade has left it like that.",
                host,
            )
    for name, inventory in sorted(known.items()):
        if name not in found:
            yield error(
                "node_missing",
                f"The host is not a node of the cluster (its node would be {name}).",
                "Join it first (playbook create or scale), or take it out of the inventory.",
                inventory,
            )


def check_csrs(csrs: Iterable[Object]) -> Iterator[Finding]:
    waiting = [
        f"{csr['metadata']['name']} ({csr['spec'].get('username', '')})"
        for csr in csrs
        if not (csr.get("status", {}).get("conditions") or csr.get("status", {}).get("certificate"))
    ]
    if waiting:
        yield warning(
            "csr_pending",
            f"Nobody has decided on these certificate requests: {listed(waiting)}.",
            "Run the playbook create, which approves what kubelets may ask for; deny what nobody knows.",
        )


def fail_hooks(configurations: Iterable[Object]) -> list[dict[str, Any]]:
    """Webhooks on a Service of the cluster whose silence refuses requests."""
    found = []
    for configuration in configurations:
        for hook in configuration.get("webhooks") or []:
            service = hook.get("clientConfig", {}).get("service")
            if service and hook.get("failurePolicy", "Fail") == "Fail":
                found.append(
                    {
                        "name": f"{configuration['metadata']['name']}/{hook['name']}",
                        "service": (service["namespace"], service["name"]),
                        "wide": is_wide(hook),
                    }
                )
    return found


def is_wide(hook: Mapping[str, Any]) -> bool:
    """Whether a webhook is asked for the cluster's own objects in kube-system."""
    if not _drain.selects(hook.get("namespaceSelector") or {}, SYSTEM_NAMESPACE):
        return False
    if any((hook.get("objectSelector") or {}).values()):
        return False
    return any(
        set(CORE_GROUPS) & set(rule.get("apiGroups") or []) and set(CORE_RESOURCES) & set(rule.get("resources") or [])
        for rule in hook.get("rules") or []
    )


def ready_nodes(slices: Iterable[Object]) -> list[str]:
    """The nodes of a Service's ready endpoints, one entry for each endpoint."""
    return [
        str(endpoint.get("nodeName", ""))
        for entry in slices
        for endpoint in entry.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready", True)
    ]


def check_webhooks(hooks: Iterable[Mapping[str, Any]], ready: Mapping[tuple[str, str], list[str]]) -> Iterator[Finding]:
    """Webhooks that stop the cluster, or will when the node of their only pod is drained."""
    for hook in hooks:
        namespace, name = hook["service"]
        endpoints = ready.get(hook["service"], [])
        if not endpoints:
            what = "everything that it wants to see, also in kube-system," if hook["wide"] else "what it wants to see"
            yield Finding(
                "webhook_dead",
                f"The webhook {hook['name']} has no ready endpoint in Service {namespace}/{name}; {what} is refused.",
                "Bring its pods back, or delete its configuration.",
                path=hook["name"],
                severity=severe(hook["wide"]),
            )
        elif hook["wide"] and len(set(endpoints)) == 1:
            yield warning(
                "webhook_single",
                f"The webhook {hook['name']} is served from one node only; while that one is drained, no pod of "
                "kube-system can be made, its own neither.",
                "Run it on two nodes, leave kube-system out by its namespaceSelector, or set failurePolicy Ignore.",
                path=hook["name"],
            )


def uses(item: Object, version: str) -> str:
    """Who uses an API version for this object; empty when nobody does."""
    metadata = item["metadata"]
    for entry in metadata.get("managedFields") or []:
        if entry.get("apiVersion") == version and not entry.get("manager", "").startswith(OWN_MANAGERS):
            return str(entry.get("manager") or "an unknown client")
    applied = (metadata.get("annotations") or {}).get(LAST_APPLIED, "")
    return "kubectl apply" if f'"apiVersion":"{version}"' in applied.replace(" ", "") else ""


def check_objects(
    current: int, minor: int, served: Iterable[str], objects: Callable[[str], list[Object]]
) -> Iterator[Finding]:
    """Objects whose clients use an API version that goes; objects returns what a path of the API holds."""
    known = set(served)
    for api in APIS:
        if api.minor <= current:
            continue
        old_only = bool(not api.replacement or f"{api.group}/{api.replacement}" not in known)
        version = api.version if old_only else api.replacement
        if f"{api.group}/{version}" not in known:
            continue
        users: dict[str, list[str]] = {}
        for item in objects(f"/apis/{api.group}/{version}/{api.resource}"):
            user = uses(item, api.name) or ("no other version" if old_only and not api.replacement else "")
            if user:
                name = "/".join(filter(None, (item["metadata"].get("namespace"), item["metadata"]["name"])))
                users.setdefault(user, []).append(name)
        if users:
            yield _object_finding(api, minor, users)


def _object_finding(api: Api, minor: int, users: Mapping[str, list[str]]) -> Finding:
    gone = api.minor <= minor
    names = listed(name for found in users.values() for name in found)
    return Finding(
        "api_removed" if gone else "api_deprecated",
        f"{api.kind} of {api.name}, which Kubernetes 1.{api.minor} no longer serves, is used for {names} "
        f"(by {listed(users)}).",
        f"Let that client use {api.group}/{api.replacement}, and apply its manifests once more."
        if api.replacement
        else "Delete these objects; nothing takes their place under another version.",
        path=f"{api.name} {api.kind}",
        severity=severe(gone),
    )


def check_requests(facts: Iterable[Mapping[str, Any]], minor: int) -> Iterator[Finding]:
    """API versions with a date of removal that clients have asked for since each API server was started."""
    asked: dict[tuple[int, str, str], list[str]] = {}
    for entry in facts:
        requests = entry.get("deprecated_requests") or {}
        if requests.get("error"):
            yield warning(
                "metrics_unread",
                f"Which removed APIs clients ask for is not known here: {requests['error']}",
                "See why the API server does not tell its metrics.",
                entry["host"],
            )
        for item in requests.get("found", []):
            removed = int(item["removed_release"].partition(".")[2] or 0)
            name = f"{item['group']}/{item['version']}".lstrip("/")
            asked.setdefault((removed, name, item["resource"]), []).append(entry["host"])
    for (removed, name, resource), hosts in sorted(asked.items()):
        gone = removed <= minor
        yield Finding(
            "api_removed_requested" if gone else "api_deprecated_requested",
            f"A client asks for {resource} of {name}, which Kubernetes 1.{removed} no longer serves "
            f"(seen by {listed(hosts)} since its API server started).",
            "The audit log names it (annotation k8s.io/deprecated); the count begins anew with the API server.",
            path=f"{name} {resource}",
            severity=severe(gone),
        )


def extra_args(section: Mapping[str, Any]) -> dict[str, str]:
    """extraArgs of kubeadm, a list since v1beta4 and a mapping before."""
    found = section.get("extraArgs") or {}
    if isinstance(found, Mapping):
        return {str(name): str(value) for name, value in found.items()}
    return {str(entry["name"]): str(entry.get("value", "")) for entry in found}


def check_kubeadm(
    configuration: Mapping[str, Any], running: Mapping[str, Mapping[str, Mapping[str, str]]], minor: int
) -> Iterator[Finding]:
    """Flags and gates that kubeadm would write again, and those that are only in the manifests (from patches)."""
    for section, component in COMPONENTS.items():
        wanted = extra_args(configuration.get(section) or {})
        path = f"kubeadm-config, {section}.extraArgs"
        found = list(check_flags(component, wanted, minor, path))
        yield from found
        for node, flags in sorted(running.get(component, {}).items()):
            rest = {name: value for name, value in flags.items() if wanted.get(name) != value}
            yield from check_flags(
                component, rest, minor, f"/etc/kubernetes/manifests/{component}.yaml and its patches", node
            )
    for gate in sorted(configuration.get("featureGates") or {}):
        if KUBEADM_GATES.get(gate, minor + 1) <= minor:
            yield error(
                "gate_removed",
                f"kubeadm's own feature gate {gate} is set, which kubeadm 1.{KUBEADM_GATES[gate]} no longer knows.",
                "Remove it from featureGates in the ConfigMap kube-system/kubeadm-config.",
                path="kubeadm-config, featureGates",
            )


def check_configs(kubelet: Mapping[str, Any], proxy: Mapping[str, Any], minor: int) -> Iterator[Finding]:
    """The configurations that new and upgraded nodes get from the cluster."""
    for name, config in (("kubelet-config", kubelet), ("kube-proxy", proxy)):
        gates = {str(gate): bool(value) for gate, value in (config.get("featureGates") or {}).items()}
        yield from check_gates(gates, minor, f"The ConfigMap {name}", f"ConfigMap kube-system/{name}")
    if proxy.get("mode") == "ipvs":
        yield warning(
            "proxy_ipvs",
            "kube-proxy uses its mode ipvs, which is deprecated since 1.35 and will be removed.",
            "Set mode: nftables in cluster_kube_proxy_config.",
            path="cluster_kube_proxy_config.mode",
        )
