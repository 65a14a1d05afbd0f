# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a cluster gets besides Kubernetes and its pod network, and only when its settings ask for it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr, _names
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._hostneeds import PORTS
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import PREFIX, ClusterRequest
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

POOLS = f"{PREFIX}load_balancer"
INGRESS = f"{PREFIX}ingress"
PORT_RANGE = f"{PREFIX}node_port_range"
POOL_KEYS = ("addresses", "auto_assign", "interfaces", "name")
INGRESS_DEFAULTS: dict[str, Any] = {
    "address": "",
    "default_class": True,
    "enabled": True,
    "gateway": True,
    "http_port": 0,
    "https_port": 0,
    "replicas": 2,
    "service": "load_balancer",
}
DEFAULT_PORT_RANGE = "30000-32767"
SERVICES = ("load_balancer", "node_port")


class Taken(NamedTuple):
    """An address of the nodes' network that somebody has already."""

    title: str
    address: str


def selected_addons(request: ClusterRequest) -> set[str]:
    """The addons of the catalogue that the settings need; their images have to be in the mirror."""
    addons = set()
    if isinstance(request.load_balancer, Mapping) and request.load_balancer.get("pools"):
        addons.add("metallb")
    if _wants_ingress(request.ingress):
        addons.add("traefik")
    return addons


def _wants_ingress(settings: Any) -> bool:
    return isinstance(settings, Mapping) and bool(settings) and settings.get("enabled", True) is not False


def read_addresses(text: str, label: str) -> Range | None:
    """A pool's range: a CIDR, first-last or one address."""
    try:
        first, dash, last = (part.strip() for part in text.partition("-"))
        if dash:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            if low.version != high.version or int(low) > int(high):
                return None
            return Range(int(low), int(high), "pool", label, POOLS, low.version)
        network = ipaddress.ip_network(first)
    except ValueError:
        return None
    ends = int(network.network_address), int(network.broadcast_address)
    return Range(*ends, "pool", label, POOLS, network.version)


def read_port_range(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text.strip())
    if not match:
        return None
    first, last = int(match.group(1)), int(match.group(2))
    return (first, last) if 0 < first <= last < 65536 else None


class _Planner:
    def __init__(self, request: ClusterRequest, taken: Sequence[Taken], pod_subnets: Sequence[str]) -> None:
        self.request = request
        self.pod_subnets = pod_subnets
        self.taken = taken
        self.problems: list[Problem] = []
        self.ranges: list[tuple[str, str, Range]] = []

    def add(self, path: str, code: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy, path=path))

    def pools(self) -> list[dict[str, Any]]:
        settings = self.request.load_balancer
        pools = settings.get("pools", []) if isinstance(settings, Mapping) else None
        unknown = sorted(set(map(str, settings)) - {"pools"}) if isinstance(settings, Mapping) else []
        if unknown or not isinstance(pools, (list, tuple)) or not all(isinstance(pool, Mapping) for pool in pools):
            self.add(POOLS, "pool_invalid", "cluster_load_balancer is not a list of pools.",
                     "Write {pools: [{name: default, addresses: [10.0.0.200-10.0.0.220]}]}.")  # fmt: skip
            return []
        result = [self._pool(pool) for pool in pools]
        names = [pool["name"] for pool in result]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.add(POOLS, "pool_invalid", f"There are several pools named {name}.", "Give each a name of its own.")
        self._check_ranges()
        return sorted(result, key=lambda pool: str(pool["name"]))

    def _pool(self, pool: Mapping[str, Any]) -> dict[str, Any]:
        name = str(pool.get("name") or "")
        for key in sorted(set(map(str, pool)) - set(POOL_KEYS)):
            self.add(POOLS, "pool_invalid", f"The pool {name} has no setting {key}.",
                     f"There are: {', '.join(POOL_KEYS)}.")  # fmt: skip
        if not _names.is_dns_name(name, 63) or "." in name:
            self.add(POOLS, "pool_invalid", f"'{name}' cannot be the name of a pool.",
                     "Use lower-case letters, digits and '-', such as default.")  # fmt: skip
        auto, interfaces = pool.get("auto_assign", True), pool.get("interfaces") or []
        if not isinstance(auto, bool) or not isinstance(interfaces, (list, tuple)):
            self.add(POOLS, "pool_invalid", f"auto_assign or interfaces of the pool {name} is wrong.",
                     "Set auto_assign to true or false and interfaces to a list of names, such as [eth0].")  # fmt: skip
            auto, interfaces = True, []
        addresses = pool.get("addresses")
        if not isinstance(addresses, (list, tuple)) or not addresses:
            self.add(POOLS, "pool_invalid", f"The pool {name} has no addresses.",
                     "List ranges such as 10.0.0.200-10.0.0.220 or 10.0.1.0/28.")  # fmt: skip
            addresses = []
        for text in addresses:
            found = read_addresses(str(text), f"pool {name}")
            if found is None:
                self.add(POOLS, "pool_invalid", f"'{text}' of the pool {name} is not a range of addresses.",
                         "Write first-last, such as 10.0.0.200-10.0.0.220, or a CIDR without host bits.")  # fmt: skip
            else:
                self.ranges.append((name, str(text), found))
        return {
            "name": name,
            "addresses": [str(text) for text in addresses],
            "auto_assign": auto,
            "interfaces": sorted(map(str, interfaces)),
        }

    def _others(self) -> list[Range]:
        request = self.request
        others = {
            # Pods of the underlay have the subnets, and their range plays no part.
            "pod range": [] if self.pod_subnets else [request.pod_cidr, request.pod_cidr_ipv6],
            "pod subnet": list(self.pod_subnets),
            "service range": [request.service_cidr, request.service_cidr_ipv6],
            "peer range": list(request.peer_cidrs),
            "taken range": list(request.taken_cidrs),
        }
        for cluster in request.other_clusters:
            name = cluster.get("name") or "?"
            for label in ("pod", "service"):
                keys = f"{label}_cidr", f"{label}_cidr_ipv6"
                others[f"{label} range of cluster {name}"] = [str(cluster.get(key) or "") for key in keys]
            others[f"pod subnet of cluster {name}"] = list(cluster.get("pod_subnets") or ())
        found = [
            _cidr.read_range(part.strip(), "", label, "", (4, 6))[0]
            for label, texts in others.items()
            for text in texts
            for part in text.split(",")
            if part.strip()
        ]
        return [item for item in found if item]

    def _check_ranges(self) -> None:
        request = self.request
        texts = [*request.node_cidrs, *request.lan_cidrs]
        lans = [home for text in texts if (home := _cidr.read_range(text, "", "node range", "", (4, 6))[0])]
        others = self._others()
        for index, (name, text, found) in enumerate(self.ranges):
            for other in others:
                if found.overlaps(other):
                    self.add(POOLS, "pool_overlap", f"{text} of the pool {name} meets the {other.title}.",
                             "Choose addresses that nothing else uses.")  # fmt: skip
            for other_name, other_text, other in self.ranges[:index]:
                if found.overlaps(other):
                    self.add(POOLS, "pool_overlap",
                             f"{text} of the pool {name} meets {other_text} of the pool {other_name}.",
                             "Give every address to one pool.")  # fmt: skip
            for title, address in self.taken:
                where = ipaddress.ip_address(address)
                if found.contains(int(where), where.version):
                    self.add(POOLS, "pool_taken", f"{text} of the pool {name} has the address {address} of {title}.",
                             "Leave it out of the pool: both would answer for it.")  # fmt: skip
            if found.version == 6 and not request.service_cidr_ipv6:
                self.add(POOLS, "pool_family", f"{text} of the pool {name} is for nobody: no Service can be IPv6 here.",
                         "Use IPv4, or make a cluster with cluster_service_cidr_ipv6.")  # fmt: skip
            same = [home for home in lans if home.version == found.version]
            if same and not any(found.inside(home) for home in same):
                self.add(POOLS, "pool_outside", f"{text} of the pool {name} is outside of the nodes' networks "
                         f"({', '.join(home.cidr for home in same)}), where nobody asks for it by ARP.",
                         "Choose addresses of cluster_node_cidrs, or list their network in cluster_lan_cidrs."
                         )  # fmt: skip

    def ingress(self, pools: Sequence[Mapping[str, Any]], ports: tuple[int, int] | None) -> dict[str, Any]:
        settings = self.request.ingress
        if not isinstance(settings, Mapping):
            self.add(INGRESS, "ingress_invalid", "cluster_ingress is not a mapping.", "Write {service: load_balancer}.")
            return {"enabled": False}
        if not _wants_ingress(settings):
            return {"enabled": False}
        plan = {**INGRESS_DEFAULTS, **settings}
        for key in sorted(set(map(str, settings)) - set(INGRESS_DEFAULTS)):
            self.add(INGRESS, "ingress_invalid", f"cluster_ingress has no setting {key}.",
                     f"There are: {', '.join(INGRESS_DEFAULTS)}.")  # fmt: skip
            plan.pop(key, None)
        for key, default in INGRESS_DEFAULTS.items():
            if type(plan[key]) is not type(default):
                self.add(INGRESS, "ingress_invalid", f"{key} of cluster_ingress is '{plan[key]}'.",
                         f"Write it as in {key}: {str(default).lower() or '10.0.0.200'}.")  # fmt: skip
                plan[key] = default
        if plan["replicas"] < 1:
            self.add(INGRESS, "ingress_invalid", "cluster_ingress has no replicas.", "Set replicas to 1 or more.")
        if plan["service"] not in SERVICES:
            self.add(INGRESS, "ingress_invalid", f"'{plan['service']}' is not how an ingress can be reached.",
                     f"Set service to one of: {', '.join(SERVICES)}.")  # fmt: skip
        elif plan["service"] == "load_balancer":
            self._check_balanced(plan, pools)
        self._check_ports(plan, ports)
        return plan

    def _check_balanced(self, plan: Mapping[str, Any], pools: Sequence[Mapping[str, Any]]) -> None:
        if not pools:
            self.add(INGRESS, "ingress_without_pool", "cluster_ingress wants an address, but there is no pool of them.",
                     "Set cluster_load_balancer, or service: node_port.")  # fmt: skip
        elif plan["address"]:
            found = read_addresses(plan["address"], "")
            if not found or found.size != 1 or not any(found.inside(item) for _name, _text, item in self.ranges):
                self.add(INGRESS, "ingress_address", f"'{plan['address']}' is not an address of a pool.",
                         "Choose one of cluster_load_balancer, or leave address out.")  # fmt: skip
        elif not any(pool["auto_assign"] for pool in pools):
            self.add(INGRESS, "ingress_address", "No pool gives addresses to Services that ask for none.",
                     "Set address, or auto_assign: true for a pool.")  # fmt: skip

    def _check_ports(self, plan: Mapping[str, Any], ports: tuple[int, int] | None) -> None:
        wanted = [plan[key] for key in ("http_port", "https_port") if plan[key]]
        for port in wanted:
            if ports and not ports[0] <= port <= ports[1]:
                self.add(INGRESS, "ingress_port", f"The node port {port} is outside of {ports[0]}-{ports[1]}.",
                         "Choose one inside; cluster_node_port_range is fixed when a cluster is made.")  # fmt: skip
        if len(wanted) != len(set(wanted)):
            self.add(INGRESS, "ingress_port", "HTTP and HTTPS have the same node port.", "Give each its own.")

    def port_range(self) -> tuple[int, int] | None:
        text = self.request.node_port_range
        found = read_port_range(text)
        if not found:
            self.add(PORT_RANGE, "node_port_range_invalid", f"'{text}' is not a range of ports.",
                     f"Write first-last between 1 and 65535, such as {DEFAULT_PORT_RANGE}.")  # fmt: skip
            return None
        used = {**PORTS["control_plane"], 22: ("sshd",), self.request.balancer_port: ("the API's balancer",)}
        # That the balancer's port is none of the usual node ports is checked with the balancer.
        if self.request.balancer == "none" or text.strip() == DEFAULT_PORT_RANGE:
            del used[self.request.balancer_port]
        for port, names in sorted(used.items()):
            if found[0] <= port <= found[1]:
                self.add(PORT_RANGE, "node_port_range_taken",
                         f"The node ports {text} have port {port}, which {names[0]} listens on.",
                         "Choose a range without it.")  # fmt: skip
        return found


def plan_addons(
    request: ClusterRequest, taken: Sequence[Taken], pod_subnets: Sequence[str] = ()
) -> tuple[dict[str, Any], list[Problem]]:
    """load_balancer and ingress of the plan; no pool may have an address of `taken` or of the pods."""
    planner = _Planner(request, [item for item in taken if _names.is_ip(item.address)], pod_subnets)
    ports = planner.port_range()
    pools = planner.pools()
    ingress = planner.ingress(pools, ports)
    return {"load_balancer": {"pools": pools}, "ingress": ingress}, planner.problems


def addon_steps(dns: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """What there is to set up, in order; empty for a cluster that asked for nothing."""
    wanted = {
        "dns": dns["managed"],
        "load_balancer": parts["load_balancer"]["pools"],
        "ingress": parts["ingress"]["enabled"],
    }
    return [name for name, value in wanted.items() if value]
