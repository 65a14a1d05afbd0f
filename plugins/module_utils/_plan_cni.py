# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The pod network of a cluster: Flannel or the hosts' own network, and what cannot work together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._plan_bundle import CNI_REPOSITORIES
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_links import FLANNEL_TAKES, VXLAN_OVERHEAD, Links
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import PREFIX, ClusterRequest
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

FLANNEL, UNDERLAY = "flannel", "underlay"
PTP, MACVLAN = "ptp", "macvlan"
_MODES = (PTP, MACVLAN)
POLICY_ENGINES = ("kube-router",)
# The host's own way to its pods of the mode macvlan; and where kube-proxy is told whose address it translates.
HOST_LINK = "hostplane-lan"
_PROXY_SECTIONS = ("iptables", "nftables")
_VXLAN, _HOST_GW = "vxlan", "host-gw"
_BACKENDS = (_VXLAN, _HOST_GW)
# Modes that others have, and why not here.
_NO_MODE = {
    "ipvlan": "it has the limits of macvlan, and many kernels don't have it",
    "exclusive": "a network card for each pod leaves no card for more pods than there are cards, and none of Services,"
    " policies and limits reach such a pod",
}
_FLANNEL_KEYS: dict[str, tuple[type, Any]] = {
    "backend": (str, _VXLAN),
    "direct_routing": (bool, False),
    "port": (int, 8472),
    "vni": (int, 1),
    "mtu": (int, 0),
    "interface": (str, ""),
    "nftables": (bool, True),
}
_VXLAN_KEYS = ("direct_routing", "mtu", "port", "vni")
_UNDERLAY_KEYS: dict[str, tuple[type, Any]] = {
    "mode": (str, PTP),
    "zones": (list, []),
    "addresses_per_pod": (int, 2),
    "interface": (str, ""),
    "mtu": (int, 0),
}
_ZONE_KEYS: dict[str, tuple[type, Any]] = {
    "name": (str, ""),
    "node_cidrs": (list, []),
    "pod_subnets": (list, []),
    "max_nodes": (int, 0),
}
_YES_NO = {"true": True, "yes": True, "false": False, "no": False}


def _convert(value: Any, kind: type) -> Any:
    """Values of variables arrive as what YAML, an INI inventory or a template has made of them."""
    if kind is bool:
        return value if isinstance(value, bool) else _YES_NO[str(value).lower()]
    if kind is int:
        if isinstance(value, bool):
            raise ValueError
        return int(str(value))
    if kind is list:
        if isinstance(value, (str, Mapping)):
            raise ValueError
        return list(value)
    if not isinstance(value, str):
        raise ValueError
    return value.strip()


class PodNetwork:
    """Reads cluster_cni, cluster_flannel, cluster_underlay and cluster_network_policy."""

    def __init__(self, request: ClusterRequest) -> None:
        self._request = request
        self.problems: list[Problem] = []
        self.cni = request.cni
        self.dual_stack = bool(request.pod_cidr_ipv6 or request.service_cidr_ipv6)
        self.flannel = self._read(request.flannel, _FLANNEL_KEYS, "flannel")
        self.underlay = self._read(request.underlay, _UNDERLAY_KEYS, "underlay")
        # Settings of the network that is chosen.
        self._own = self.underlay if self.cni == UNDERLAY else self.flannel
        option = UNDERLAY if self.cni == UNDERLAY else FLANNEL
        self._links = Links(request.facts, self._own["interface"], option)
        self.zones = [self._zone(zone, place) for place, zone in enumerate(self.underlay["zones"])]
        if self.cni not in CNI_REPOSITORIES:
            self._add("cni_unsupported", "cni", f"The network plugin '{self.cni}' is not supported.",
                      f"Set cluster_cni to one of: {', '.join(sorted(CNI_REPOSITORIES))}.")  # fmt: skip
        elif self.cni == UNDERLAY:
            self._check_underlay()
        else:
            self._check_flannel()
        self._check_policy()

    def _add(self, code: str, option: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy, path=PREFIX + option))

    def _read(self, given: Any, keys: Mapping[str, tuple[type, Any]], option: str) -> dict[str, Any]:
        found = {key: default for key, (_kind, default) in keys.items()}
        if not isinstance(given, Mapping):
            self._add("setting_invalid", option, f"{PREFIX}{option} has no names and values.",
                      f"Write some of {', '.join(keys)}, each with its value.")  # fmt: skip
            return found
        for key, value in sorted(given.items(), key=lambda item: str(item[0])):
            if key not in keys:
                self._add("setting_unknown", option, f"{PREFIX}{option} knows no '{key}'.",
                          f"Use some of {', '.join(keys)}.")  # fmt: skip
                continue
            try:
                found[key] = _convert(value, keys[key][0])
            except (KeyError, TypeError, ValueError):
                self._add("setting_invalid", option, f"'{value}' cannot be the value of {key} in {PREFIX}{option}.",
                          f"Give {key} a value of the type {keys[key][0].__name__}.")  # fmt: skip
        return found

    def _zone(self, given: Any, place: int) -> dict[str, Any]:
        zone = self._read(given, _ZONE_KEYS, f"underlay.zones[{place}]")
        if not zone["name"] or not zone["pod_subnets"]:
            self._add("zone_incomplete", "underlay", f"Zone number {place + 1} lacks its name or its pod_subnets.",
                      "Give every zone a name, and in pod_subnets the parts of its LAN that pods may use.")  # fmt: skip
        return zone

    def _check_flannel(self) -> None:
        flannel = self.flannel
        if self._request.underlay:
            self._add("setting_unused", "underlay", f"cluster_underlay is set, but cluster_cni is {self.cni}.",
                      "Set cluster_cni to underlay, or remove cluster_underlay.")  # fmt: skip
        if flannel["backend"] not in _BACKENDS:
            self._add("backend_unsupported", "flannel", f"Flannel's backend '{flannel['backend']}' is not supported.",
                      f"Use one of {', '.join(_BACKENDS)}.")  # fmt: skip
        if flannel["backend"] == _HOST_GW:
            self._check_host_gw()
        for key, low, high in (("port", 1, 65535), ("vni", 1, (1 << 24) - 1)):
            if not low <= flannel[key] <= high:
                self._add("setting_invalid", "flannel", f"{key} {flannel[key]} is not from {low} to {high}.",
                          f"Choose {key} in that range.")  # fmt: skip
        vxlan = flannel["backend"] == _VXLAN
        given = flannel["mtu"] if vxlan else 0
        # Flannel finds the interface of the node's address itself, also where no network belongs to it.
        self.problems += self._links.unknown() if flannel["interface"] else []
        self.problems += self._links.mtu_problems(given, self._overhead(), self._family, changeable=vxlan)
        if bool(self._request.pod_cidr_ipv6) != bool(self._request.service_cidr_ipv6):
            self._add("dual_stack_half", "pod_cidr_ipv6", "Pods and Services must both have IPv6 ranges, or neither.",
                      "Set both cluster_pod_cidr_ipv6 and cluster_service_cidr_ipv6.")  # fmt: skip

    def _check_host_gw(self) -> None:
        self.problems += self._links.routed()
        idle = [key for key in _VXLAN_KEYS if self.flannel[key] != _FLANNEL_KEYS[key][1]]
        if idle:
            self._add("setting_unused", "flannel",
                      f"{', '.join(idle)} of cluster_flannel would do nothing: they are settings of {_VXLAN}.",
                      f"Leave them out, or use {_VXLAN}. Pods have the MTU of the hosts' interfaces.")  # fmt: skip

    @property
    def _family(self) -> int:
        """The larger one of the families that pods have."""
        return 6 if self.dual_stack else 4

    def _overhead(self) -> int:
        if self.cni != FLANNEL or self.flannel["backend"] != _VXLAN:
            return 0
        return VXLAN_OVERHEAD[self._family]

    def _mtu(self) -> int:
        """What pods get; 0 as long as no host has been looked at."""
        if self.cni == FLANNEL and self.flannel["backend"] != _VXLAN:
            return self._links.mtu(0, 0)
        return self._links.mtu(self._own["mtu"], self._overhead())

    def _check_underlay(self) -> None:
        mode = self.underlay["mode"]
        if self._request.flannel:
            self._add("setting_unused", "flannel", "cluster_flannel is set, but cluster_cni is underlay.",
                      "Set cluster_cni to flannel, or remove cluster_flannel.")  # fmt: skip
        if mode in _NO_MODE:
            self._add("underlay_mode", "underlay", f"The mode {mode} cannot be used: {_NO_MODE[mode]}.",
                      "Use the mode ptp, or macvlan with its limits: pods have addresses of the LAN too.")  # fmt: skip
        elif mode not in _MODES:
            self._add("underlay_mode", "underlay", f"'{mode}' is no mode of the underlay.",
                      f"Use one of {', '.join(_MODES)}.")  # fmt: skip
        elif mode == MACVLAN:
            self._check_macvlan()
        if self.dual_stack:
            self._add("dual_stack_underlay", "pod_cidr_ipv6", "The underlay has no IPv6.",
                      "Remove cluster_pod_cidr_ipv6 and cluster_service_cidr_ipv6, or use flannel.")  # fmt: skip
        if self.underlay["addresses_per_pod"] not in (1, 2):
            self._add("setting_invalid", "underlay", "addresses_per_pod must be 1 or 2.", "Use 2, or 1 on a small LAN.")
        if not self.zones:
            self._add("zone_missing", "underlay", "cluster_underlay has no zones, so there are no addresses for pods.",
                      "List the parts of the LAN that pods may use, such as zones: [{name: lan, pod_subnets:"
                      " [10.20.1.0/24]}].")  # fmt: skip
        self.problems += self._links.mtu_problems(self.underlay["mtu"], 0, self._family)
        self.problems += self._links.unknown() + self._links.bare()

    def _check_macvlan(self) -> None:
        """What needs packets to pass by the host that its pods exchange with the LAN directly."""
        request = self._request
        if isinstance(request.load_balancer, Mapping) and request.load_balancer.get("pools"):
            self._add("macvlan_load_balancer", "load_balancer",
                      "Pods of the mode macvlan can't reach an address for which their own host answers, and clients of"
                      " the LAN may get answers from a pod's address instead of the balancer's.",
                      "Use the mode ptp, or node ports instead of cluster_load_balancer.")  # fmt: skip
        for section in _PROXY_SECTIONS:
            given = request.kube_proxy_config.get(section)
            if isinstance(given, Mapping) and given.get("masqueradeAll", True) is not True:
                self._add("setting_owned", "kube_proxy_config",
                          f"Without {section}.masqueradeAll, Services don't answer pods of the mode macvlan.",
                          f"Leave {section}.masqueradeAll out.")  # fmt: skip

    def _check_policy(self) -> None:
        policy = self._request.network_policy
        if policy not in ("none", *POLICY_ENGINES):
            self._add("policy_unsupported", "network_policy", f"'{policy}' is no engine for NetworkPolicies.",
                      f"Use none or one of {', '.join(POLICY_ENGINES)}.")  # fmt: skip
        elif policy != "none" and self.cni == UNDERLAY and self.underlay["mode"] in (MACVLAN, *_NO_MODE):
            self._add("policy_past_host", "network_policy",
                      f"{policy} works in the hosts' network stacks, which pods of the mode"
                      f" {self.underlay['mode']} never meet; policies would be accepted and not enforced.",
                      "Use the mode ptp.")  # fmt: skip

    def backend(self) -> dict[str, Any]:
        """Flannel's own section Backend; what it finds by itself is left to it."""
        flannel = self.flannel
        if flannel["backend"] != _VXLAN:
            return {"Type": flannel["backend"]}
        backend = {"Type": _VXLAN, "VNI": flannel["vni"], "Port": flannel["port"]}
        if flannel["direct_routing"]:
            backend["DirectRouting"] = True
        # By itself it forgets that packets carried by IPv6 become larger.
        mtu = self._mtu() if flannel["mtu"] or self.dual_stack else 0
        if mtu:
            backend["MTU"] = mtu + FLANNEL_TAKES
        return backend

    def identity(self) -> str:
        """What nodes of one cluster must have in common at every moment, and so cannot be changed node by node."""
        if self.cni == UNDERLAY:
            return str(self.underlay["mode"])
        backend = self.backend()
        return " ".join(str(backend[key]) for key in ("Type", "VNI", "Port") if key in backend)

    def addons(self) -> list[str]:
        """What the pod network needs of the bundle's addons."""
        policy = self._request.network_policy
        return [policy.replace("-", "_")] if policy in POLICY_ENGINES else []

    def kube_proxy(self) -> dict[str, Any]:
        """What kube-proxy has to know of the pod network."""
        if self.cni != UNDERLAY:
            return {}
        macvlan = self.underlay["mode"] == MACVLAN
        # There is no range of a node's pods that would tell them from others, but the interface they come from does.
        local = {"interfaceNamePrefix": HOST_LINK if macvlan else "veth"}
        found: dict[str, Any] = {"detectLocalMode": "InterfaceNamePrefix", "detectLocal": local}
        for section in _PROXY_SECTIONS if macvlan else ():
            # A pod answers the client itself, past the host that would have to translate the answer back.
            given = self._request.kube_proxy_config.get(section)
            found[section] = {**(given if isinstance(given, Mapping) else {}), "masqueradeAll": True}
        return found

    def to_plan(self) -> dict[str, Any]:
        chosen: Callable[[], dict[str, Any]] = {
            FLANNEL: lambda: {
                "backend": self.backend(),
                "interface": self.flannel["interface"],
                "nftables": self.flannel["nftables"],
                "workloads": ["daemonset/kube-flannel/kube-flannel-ds"],
            },
            UNDERLAY: lambda: {
                "mode": self.underlay["mode"],
                "interface": self.underlay["interface"],
                "workloads": [],
            },
        }.get(self.cni, lambda: {"workloads": []})
        found = chosen()
        if self._request.network_policy in POLICY_ENGINES:
            found["workloads"] = [*found["workloads"], "daemonset/kube-system/kube-router"]
        return {**found, "identity": self.identity(), "mtu": self._mtu(), "policy": self._request.network_policy}
