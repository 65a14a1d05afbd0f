# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The check before an upgrade: reads the API once, and puts all findings together."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _skew,
    _upgrade_api_rules,
    _upgrade_disk_rules,
    _upgrade_host_rules,
    _upgrade_mirror,
    _upgrade_pod_rules,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeapi import status_of
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import Finding, severe
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_host import parse_flags

try:
    import yaml

    IMPORT_ERROR = ""
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

Object = dict[str, Any]
Facts = Mapping[str, Any]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


class Api(Protocol):
    def call(self, method: str, path: str) -> Any: ...

    def pages(self, path: str, query: list[tuple[str, str]] | None = None) -> list[Object]: ...


@dataclass
class Wanted:
    """What the upgrade is to do."""

    version: str
    hosts: Mapping[str, Mapping[str, Any]]
    etcd: str = ""
    drain: str = "minor"
    # The pools of this run; None for all.
    pools: Collection[str] | None = None
    unmanaged_refused: bool = True
    emptydir_refused: bool = False
    certificate_days: int = 30
    # What the operator has set for all kubelets; what is set for one host is with the host.
    kubelet_config: Mapping[str, Any] = field(default_factory=dict)
    held: _upgrade_mirror.Held = field(default_factory=_upgrade_mirror.Held)

    @property
    def nodes(self) -> set[str]:
        """Names of the nodes whose turn it is."""
        return {
            str(host.get("name", ""))
            for host in self.hosts.values()
            if self.pools is None or host.get("role") == "control_plane" or host.get("pool") in self.pools
        }

    @property
    def target(self) -> _skew.Version:
        found = _skew.parse(self.version)
        if found is None:
            raise ValueError(f"{self.version!r} is no version of Kubernetes, such as 1.36.3")
        return found


@dataclass
class Cluster:
    """What was read of the API."""

    version: str = ""
    nodes: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    budgets: list[Object] = field(default_factory=list)
    volumes: list[Object] = field(default_factory=list)
    csrs: list[Object] = field(default_factory=list)
    hooks: list[dict[str, Any]] = field(default_factory=list)
    ready: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    kubeadm: dict[str, Any] = field(default_factory=dict)
    kubelet: dict[str, Any] = field(default_factory=dict)
    proxy: dict[str, Any] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)


def _config(api: Api, name: str, key: str) -> dict[str, Any]:
    """A document in a ConfigMap of kube-system; empty when there is none or it can't be understood."""
    try:
        found = api.call("GET", f"/api/v1/namespaces/kube-system/configmaps/{name}")
        document = yaml.safe_load((found.get("data") or {}).get(key, ""))
    except yaml.YAMLError:
        return {}
    except Exception as exc:
        if status_of(exc) != 404:
            raise
        return {}
    return dict(document) if isinstance(document, dict) else {}


def read(api: Api) -> Cluster:
    """The lists that the rules need, each once and in parts, whatever the cluster's size."""
    configurations = [
        item
        for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
        for item in api.pages(f"{ADMISSION}/{kind}")
    ]
    hooks = _upgrade_api_rules.fail_hooks(configurations)
    ready = {}
    for namespace, name in sorted({hook["service"] for hook in hooks}):
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        slices = api.pages(path, [("labelSelector", f"kubernetes.io/service-name={name}")])
        ready[namespace, name] = _upgrade_api_rules.ready_nodes(slices)
    groups = api.call("GET", "/apis")["groups"]
    return Cluster(
        version=str(api.call("GET", "/version")["gitVersion"]),
        nodes=api.pages("/api/v1/nodes"),
        pods=api.pages("/api/v1/pods"),
        budgets=api.pages("/apis/policy/v1/poddisruptionbudgets"),
        volumes=api.pages("/api/v1/persistentvolumes"),
        csrs=api.pages("/apis/certificates.k8s.io/v1/certificatesigningrequests"),
        hooks=hooks,
        ready=ready,
        kubeadm=_config(api, "kubeadm-config", "ClusterConfiguration"),
        kubelet=_config(api, "kubelet-config", "kubelet"),
        proxy=_config(api, "kube-proxy", "config.conf"),
        served=[version["groupVersion"] for group in groups for version in group["versions"]],
    )


def components(cluster: Cluster) -> list[_skew.Component]:
    """Every program of Kubernetes that the API tells of, with its version."""
    found = [
        ("kubelet", node["metadata"]["name"], node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))
        for node in cluster.nodes
    ]
    found += _upgrade_pod_rules.images_of(cluster.pods)
    if not any(name == _skew.API for name, dummy, dummy in found):
        found.append((_skew.API, "the endpoint", cluster.version))
    parsed = [(name, where, _skew.parse(version)) for name, where, version in found]
    return [_skew.Component(name, where, version) for name, where, version in parsed if version]


def check_cluster(api: Api, cluster: Cluster, wanted: Wanted, facts: Sequence[Facts]) -> list[Finding]:
    """The findings of which the API tells."""
    target, minor = wanted.target, wanted.target[1]
    known = components(cluster)
    oldest = min((item.version for item in known if item.name == _skew.API), default=target)
    started = _upgrade_host_rules.begun(facts, target)
    emptied = _upgrade_pod_rules.nodes_to_drain(cluster.nodes, wanted.version, wanted.drain) & wanted.nodes
    moving = _upgrade_pod_rules.evictable(cluster.pods, emptied)
    running = {
        component: {node: parse_flags(command[1:]) for node, command in nodes.items()}
        for component, nodes in _upgrade_pod_rules.static_flags(cluster.pods).items()
    }
    cache: dict[str, list[Object]] = {}

    def objects(path: str) -> list[Object]:
        if path not in cache:
            try:
                cache[path] = api.pages(path)
            except Exception as exc:
                if status_of(exc) != 404:
                    raise
                cache[path] = []
        return cache[path]

    return [
        *_skew.check_target(known, target),
        *_skew.check_skew(known, target),
        *_upgrade_api_rules.check_nodes(cluster.nodes, wanted.hosts, started),
        *_upgrade_api_rules.check_csrs(cluster.csrs),
        *_upgrade_api_rules.check_webhooks(cluster.hooks, cluster.ready),
        *_upgrade_api_rules.check_objects(oldest[1], minor, cluster.served, objects),
        *_upgrade_api_rules.check_kubeadm(cluster.kubeadm, running, minor),
        *_upgrade_api_rules.check_configs(cluster.kubelet, cluster.proxy, minor),
        *_upgrade_pod_rules.check_budgets(moving, cluster.budgets, bool(started)),
        *_upgrade_pod_rules.check_room(moving, cluster.budgets, cluster.nodes),
        *_upgrade_pod_rules.check_unmanaged(moving, wanted.unmanaged_refused),
        *_upgrade_pod_rules.check_emptydir(moving, wanted.emptydir_refused),
        *_upgrade_pod_rules.check_local_data(moving, cluster.volumes),
        *_upgrade_pod_rules.check_volumes(cluster.pods, oldest[1], minor),
    ]


def etcd_quota(cluster: Cluster | None) -> int:
    """The smallest quota of the members, as their command lines say it; bytes."""
    commands = _upgrade_pod_rules.static_flags(cluster.pods if cluster else []).get("etcd", {})
    quotas = [int(parse_flags(line[1:]).get("quota-backend-bytes", "0") or 0) for line in commands.values()]
    return min((quota for quota in quotas if quota > 0), default=_upgrade_host_rules.ETCD_QUOTA)


def _wished_gates(wanted: Wanted) -> list[Finding]:
    """Gates that the inventory would give to kubelets."""
    places = [("", "cluster_kubelet_config", wanted.kubelet_config)]
    places += [(name, "node_kubelet_config", host.get("kubelet_config") or {}) for name, host in wanted.hosts.items()]
    return [
        item
        for host, path, config in places
        for item in _upgrade_host_rules.check_gates(
            config.get("featureGates") or {}, wanted.target[1], path, path, host
        )
    ]


def check_hosts(wanted: Wanted, facts: list[Facts], quota: int) -> list[Finding]:
    """The findings of which hosts and mirror tell; etcd is judged as the first control plane that answers sees it."""
    target, by_host = wanted.target, {entry["host"]: entry for entry in facts}
    findings: list[Finding] = [*_upgrade_host_rules.check_missing(wanted.hosts, by_host)]
    started, store = _upgrade_host_rules.begun(facts, target), wanted.held
    planes = [entry for entry in facts if entry.get("etcd")]
    answered = [entry for entry in planes if not entry["etcd"].get("error")]
    for entry in [item for item in planes if item not in answered] + answered[:1]:
        # Whoever answers tells of a member that is down on the host where the upgrade was interrupted.
        resumed = any(item["host"] in started for item in (planes if entry in answered else [entry]))
        findings += _upgrade_host_rules.check_etcd(entry, wanted.etcd, quota, resumed)
    database = max((m["db_size"] for entry in answered for m in entry["etcd"]["members"]), default=0)
    findings += _wished_gates(wanted)
    for entry in facts:
        plan = wanted.hosts.get(entry["host"], {})
        arch = plan.get("arch", "amd64")
        images = {name: size for name, size in store.sizes.get(arch, {}).items() if name in plan.get("images", ())}
        # Everything is fetched before anything is changed.
        fetch = (
            (0, 0, 0)
            if entry["host"] in started
            else _upgrade_disk_rules.to_fetch(
                entry, store.programs.get(arch, {}), images, store.digests.get(arch, {}), target
            )
        )
        held = database if entry.get("control_plane") else 0
        needs = _upgrade_disk_rules.disk_needs(*fetch, held, entry.get("backups", ""))
        findings += [
            *_upgrade_host_rules.check_kubelet(entry, target),
            *_upgrade_host_rules.check_containerd(entry, target),
            *_upgrade_host_rules.check_certificates(entry, wanted.certificate_days),
            *_upgrade_host_rules.check_rotation(entry),
            *_upgrade_disk_rules.check_disks(entry, needs),
        ]
    kubectls = [
        _skew.Component("kubectl", entry["host"], version)
        for entry in facts
        if (version := _skew.parse(entry.get("programs", {}).get("kubectl", "")))
    ]
    findings += _skew.check_kubectl(kubectls, target)
    findings += _upgrade_api_rules.check_requests(facts, target[1])
    findings += _upgrade_mirror.check(wanted.held, wanted.version)
    return findings


def api_silent(reason: str, wanted: Wanted, facts: Sequence[Facts]) -> Finding:
    """An API that does not answer is what an interrupted upgrade of the only control plane leaves."""
    started = _upgrade_host_rules.begun(facts, wanted.target)
    resumed = any(entry["host"] in started for entry in facts if entry.get("control_plane"))
    return Finding(
        "api_silent",
        f"The API can't be asked: {reason}. Its objects were not looked at.",
        "Bring a control plane back; an upgrade that was interrupted goes on by itself."
        if resumed
        else "Bring a control plane back, or correct cluster_kubeconfig.",
        severity=severe(not resumed),
    )
