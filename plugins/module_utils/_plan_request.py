# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What the operator wants of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import network_arguments
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_balancer import DEFAULT_PORT, endpoint_arguments

PREFIX = "cluster_"


@dataclass(frozen=True)
class ClusterRequest:
    """The operator's settings; every field is an option of the module cluster_plan."""

    name: str
    kubernetes_version: str
    mirror_address: str = ""
    mirror_prefix: str = ""
    hosts: Sequence[Mapping[str, Any]] = ()
    releases: Sequence[str] = ()
    release: Mapping[str, Any] = field(default_factory=dict)
    lock: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    existing: Mapping[str, Any] = field(default_factory=dict)
    upgrade: bool = False
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/20"
    pod_cidr_ipv6: str = ""
    service_cidr_ipv6: str = ""
    node_cidrs: Sequence[str] = ()
    peer_cidrs: Sequence[str] = ()
    lan_cidrs: Sequence[str] = ()
    bridge_cidrs: Sequence[str] = ()
    taken_cidrs: Sequence[str] = ()
    other_clusters: Sequence[Mapping[str, Any]] = ()
    max_pods: int = 110
    max_nodes: int = 0
    endpoint: str = ""
    balancer: str = "none"
    vip: str = ""
    balancer_port: int = DEFAULT_PORT
    vrrp_id: int = 0
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    node_cpus: Mapping[str, int] = field(default_factory=dict)
    api_sans: Sequence[str] = ()
    cni: str = "flannel"
    flannel: Mapping[str, Any] = field(default_factory=dict)
    underlay: Mapping[str, Any] = field(default_factory=dict)
    slices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    network_policy: str = "none"
    dns_domain: str = "cluster.local"
    kubelet_config: Mapping[str, Any] = field(default_factory=dict)
    kube_proxy_config: Mapping[str, Any] = field(default_factory=dict)
    dns: Mapping[str, Any] = field(default_factory=dict)
    load_balancer: Mapping[str, Any] = field(default_factory=dict)
    ingress: Mapping[str, Any] = field(default_factory=dict)
    node_port_range: str = "30000-32767"
    jwt_authenticators: Sequence[Mapping[str, Any]] = ()
    storage: Mapping[str, Any] = field(default_factory=dict)
    ignore_preflight: Sequence[str] = ()
    kubeconfig: str = ""


def cluster_arguments() -> dict[str, Any]:
    """Arguments of the module cluster_plan, the fields of the request."""
    return {
        "name": {"type": "str", "required": True},
        "kubernetes_version": {"type": "str", "required": True},
        "hosts": {"type": "list", "elements": "dict", "required": True},
        "releases": {"type": "list", "elements": "str", "default": []},
        "release": {"type": "dict", "default": {}},
        "lock": {"type": "dict", "default": {}},
        "existing": {"type": "dict", "default": {}},
        "upgrade": {"type": "bool", "default": False},
        "pod_cidr": {"type": "str", "default": "10.244.0.0/16"},
        "service_cidr": {"type": "str", "default": "10.96.0.0/20"},
        "pod_cidr_ipv6": {"type": "str", "default": ""},
        "service_cidr_ipv6": {"type": "str", "default": ""},
        **network_arguments(),
        **endpoint_arguments(),
        "facts": {"type": "dict", "default": {}},
        "node_cpus": {"type": "dict", "default": {}},
        "api_sans": {"type": "list", "elements": "str", "default": []},
        "cni": {"type": "str", "default": "flannel"},
        "flannel": {"type": "dict", "default": {}},
        "underlay": {"type": "dict", "default": {}},
        "slices": {"type": "dict", "default": {}},
        "network_policy": {"type": "str", "default": "none"},
        "dns_domain": {"type": "str", "default": "cluster.local"},
        "kubelet_config": {"type": "dict", "default": {}},
        "kube_proxy_config": {"type": "dict", "default": {}},
        "dns": {"type": "dict", "default": {}},
        "load_balancer": {"type": "dict", "default": {}},
        "ingress": {"type": "dict", "default": {}},
        "node_port_range": {"type": "str", "default": "30000-32767"},
        "jwt_authenticators": {"type": "list", "elements": "dict", "default": []},
        "storage": {"type": "dict", "default": {}},
        "ignore_preflight": {"type": "list", "elements": "str", "default": []},
        "kubeconfig": {"type": "str", "default": ""},
        "mirror_address": {"type": "str", "default": ""},
        "mirror_prefix": {"type": "str", "default": ""},
    }
