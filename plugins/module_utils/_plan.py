# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The plan of a cluster: the whole inventory in, one dictionary out, with everything that is wrong with it.

Pure: nothing is looked up and nothing is remembered, and the order of the input does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _authentication, _names
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import node_block_mask
from ansible_collections.hostplane.cluster.plugins.module_utils._address_request import MAX_PODS
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_addons import (
    Taken,
    addon_steps,
    plan_addons,
    selected_addons,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_advice import advise
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_balancer import (
    MANAGED,
    EndpointRequest,
    plan_endpoint,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_bundle import BundlePlan
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_cni import UNDERLAY, PodNetwork
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_dns import kubelet_dns, plan_dns
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_existing import compare_existing
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import (
    CONTROL_PLANE,
    ROLES,
    Host,
    read_hosts,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_networks import endpoint_ranges, plan_networks
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_pools import KUBELET_OWNED, owned_settings
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import PREFIX, ClusterRequest
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_storage import plan_storage
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

# Settings that follow from the plan and would contradict it, and the variable to set instead.
CLUSTER_KUBELET_OWNED = {**KUBELET_OWNED, "maxPods": "cluster_max_pods"}
KUBE_PROXY_OWNED = {"clusterCIDR": "cluster_pod_cidr", "detectLocalMode": "cluster_cni", "detectLocal": "cluster_cni"}


@dataclass(frozen=True)
class ClusterPlan:
    """The plan, what forbids it and what is worth knowing about it."""

    plan: dict[str, Any]
    problems: list[Problem]
    advice: list[Problem]


class _Planner:
    def __init__(self, request: ClusterRequest) -> None:
        self.request = request
        self.problems: list[Problem] = []

    def _add(self, code: str, option: str, message: str, remedy: str) -> None:
        self._add_at(code, option if option.startswith("mirror_") else PREFIX + option, message, remedy)

    def _add_at(self, code: str, path: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy, path=path))

    def plan(self) -> ClusterPlan:
        request = self.request
        version = request.kubernetes_version.strip().lstrip("v")
        mask = node_block_mask(request.max_pods)
        network = PodNetwork(request)
        # A slice of the LAN is as large as its node's pods need it to be.
        block = 2 * MAX_PODS[1] if network.cni == UNDERLAY else 1 << (32 - mask)
        hosts, problems = read_hosts(request.hosts, request.max_pods, block, request.facts, request.kubelet_config)
        self.problems += problems + network.problems
        control_plane = [host for host in hosts if host.role == CONTROL_PLANE]
        self._check_settings(version)
        self.problems += _authentication.find_problems(request.jwt_authenticators)
        self._check_members(control_plane)
        mirror_host = self._mirror_host()
        endpoint = plan_endpoint(self._endpoint_request(network, hosts, mirror_host))
        self.problems += endpoint.problems
        managed = endpoint.balancer["mode"] == MANAGED
        networks, problems = plan_networks(request, network, hosts, endpoint.host, mirror_host)
        self.problems += problems
        cores = sum(self._cores(host) for host in hosts)
        dns, problems = plan_dns(request.dns, request.dns_domain, networks["dns_address"], cores, len(hosts))
        self.problems += problems
        taken = [Taken(host.inventory_name, item) for host in hosts for item in (host.address, host.address_ipv6)]
        taken += [
            Taken("the API's balancer", request.vip),
            Taken("the API", endpoint.host),
            Taken("the mirror", mirror_host),
        ]
        subnets = [subnet for zone in networks["zones"] for subnet in zone["pod_subnets"]]
        parts, problems = plan_addons(request, taken, subnets)
        self.problems += problems
        storage = plan_storage(request.storage, request.hosts)
        self.problems += storage.problems
        addons = selected_addons(request).union(network.addons(), storage.addons)
        arches = {host.arch for host in hosts}
        bundle = BundlePlan(version, request.cni, arches, request.release, request.lock, managed, addons)
        self.problems += bundle.problems()
        plan: dict[str, Any] = {
            "cluster": {
                "name": request.name,
                "version": version,
                "cni": request.cni,
                "dns_domain": request.dns_domain,
                "endpoint": endpoint.endpoint,
                "endpoint_host": endpoint.host,
                "api_sans": sorted({*request.api_sans, *endpoint.sans}),
                "kubelet_config": {**request.kubelet_config, **kubelet_dns(dns)},
                "kube_proxy_config": {**request.kube_proxy_config, **network.kube_proxy()},
                "node_port_range": request.node_port_range.strip(),
                "ignore_preflight": sorted(set(request.ignore_preflight)),
                "kubeconfig": request.kubeconfig,
            },
            "balancer": endpoint.balancer,
            "addons": addon_steps(dns, parts),
            "dns": dns,
            **parts,
            "networks": networks,
            "pod_network": network.to_plan(),
            "mirror": {"address": request.mirror_address, "prefix": request.mirror_prefix},
            "release": {"version": version, "locked": bundle.locked, "manifests": bundle.manifests()},
            "images": bundle.images(),
            "storage": storage.plan,
            "files": bundle.files(),
            "hosts": {host.inventory_name: host.to_dict() for host in hosts},
            "order": {role: [host.inventory_name for host in hosts if host.role == role] for role in ROLES},
            "pools": {
                pool: [host.inventory_name for host in hosts if host.pool == pool]
                for pool in sorted({host.pool for host in hosts}, key=natural_key)
            },
        }
        self.problems += compare_existing(plan, request.existing, request.upgrade)
        return ClusterPlan(plan, self.problems, advise(plan, request.max_nodes, bool(request.existing)))

    def _check_settings(self, version: str) -> None:
        request = self.request
        if request.releases and version not in {str(known).lstrip("v") for known in request.releases}:
            known = ", ".join(sorted({str(item).lstrip("v") for item in request.releases}, key=natural_key))
            self._add("version_unknown", "kubernetes_version", f"The release '{version}' is not in the catalogue.",
                      f"Set cluster_kubernetes_version to one of: {known}.")  # fmt: skip
        if not _names.is_cluster_name(request.name):
            self._add("name_invalid", "name", f"'{request.name}' cannot be the name of a cluster.",
                      "Use at most 63 letters, digits and '-', with a letter or a digit at both ends.")  # fmt: skip
        if not _names.is_dns_name(request.dns_domain):
            self._add("dns_domain_invalid", "dns_domain", f"'{request.dns_domain}' is not a DNS domain.",
                      "Use lower-case letters, digits, '-' and '.', such as cluster.local.")  # fmt: skip
        for san in sorted(set(request.api_sans)):
            if not _names.is_san(san):
                self._add("api_san_invalid", "api_sans", f"'{san}' cannot be in a certificate.",
                          "List IP addresses, lower-case DNS names or wildcards such as *.example.com.")  # fmt: skip
        for option, settings, owned in (
            ("kubelet_config", request.kubelet_config, CLUSTER_KUBELET_OWNED),
            ("kube_proxy_config", request.kube_proxy_config, KUBE_PROXY_OWNED),
        ):
            owned_settings(settings, PREFIX + option, owned, self._add_at)

    def _check_members(self, control_plane: Sequence[Host]) -> None:
        number = len(control_plane)
        if not number:
            self.problems.append(
                Problem("control_plane_missing", "No host is in the group control_plane.",
                        "Put one host, or three for high availability, into the group control_plane.",
                        path="groups")
            )  # fmt: skip
        elif number % 2 == 0 and not self.request.existing:
            # An existing cluster passes through even numbers when control planes come and go; then it is advice.
            self.problems.append(
                Problem("control_plane_even",
                        f"{number} control planes survive no more failures than {number - 1}, and fail more often.",
                        f"Use {number - 1} or {number + 1} hosts in the group control_plane.",
                        path="groups")
            )  # fmt: skip

    def _cores(self, host: Host) -> int:
        """A run of scale looks at few hosts; the others are nodes, which have told the API."""
        looked = self.request.facts.get(host.inventory_name, {}).get("cpus")
        return int(looked or self.request.node_cpus.get(host.name) or 0)

    def _mirror_host(self) -> str:
        address = self.request.mirror_address
        if not address:
            self._add("mirror_missing", "mirror_address", "mirror_address is not set, so hosts could fetch nothing.",
                      "Set mirror_address to host:port of the registry as the hosts reach it.")  # fmt: skip
        prefix = self.request.mirror_prefix
        if not _names.is_repository_prefix(prefix):
            self._add("mirror_invalid", "mirror_prefix", f"'{prefix}' is not a path in a registry.",
                      "Use lower-case components that end in '/', such as hostplane/; or leave it empty.")  # fmt: skip
        try:
            return _names.split_host_port(address)[0] if address else ""
        except ValueError as error:
            self._add("mirror_invalid", "mirror_address", f"'{address}' is not the address of a registry: {error}.",
                      "Write it as host:port, such as mirror.example.com:5000.")  # fmt: skip
        return ""

    def _endpoint_request(self, network: PodNetwork, hosts: Sequence[Host], mirror_host: str) -> EndpointRequest:
        request = self.request
        homes, foreign = endpoint_ranges(request, network)
        return EndpointRequest(
            endpoint=request.endpoint,
            existing=str(request.existing.get("endpoint") or ""),
            balancer=request.balancer,
            vip=request.vip,
            port=request.balancer_port,
            vrrp_id=request.vrrp_id,
            hosts=hosts,
            homes=homes,
            foreign=foreign,
            mirror_host=mirror_host,
        )


def plan_cluster(request: ClusterRequest) -> ClusterPlan:
    """Plan the cluster. The plan is complete even when there are problems, to show what was understood."""
    return _Planner(request).plan()
