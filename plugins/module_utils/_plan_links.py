# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The hosts' interfaces that carry the pod network, and how large a packet of a pod may be on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import PREFIX
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

# What vxlan adds to a packet: Ethernet, UDP, its own header and IPv4, or IPv6 that is 20 larger.
VXLAN_OVERHEAD = {4: 50, 6: 70}
# What flanneld takes off the MTU that it is given, whichever family carries the packets.
FLANNEL_TAKES = 50
_LEAST_MTU = {4: 576, 6: 1280}


class Links:
    """The interfaces of the hosts that were looked at; `facts` are those of the plan's request."""

    def __init__(self, facts: Mapping[str, Mapping[str, Any]], interface: str, option: str) -> None:
        self._interface = interface
        self._path = PREFIX + option
        hosts = sorted((host for host in facts if "link" in facts[host]), key=natural_key)
        self._lost = [host for host in hosts if not facts[host]["link"]]
        self._links: dict[str, Mapping[str, Any]] = {host: facts[host]["link"] for host in hosts if facts[host]["link"]}

    def _problem(self, code: str, message: str, remedy: str) -> Problem:
        return Problem(code, message, remedy, path=self._path)

    def _mtus(self) -> dict[int, str]:
        """Every MTU that there is, with the first host that has it."""
        found: dict[int, str] = {}
        for host, link in self._links.items():
            if link.get("mtu"):
                found.setdefault(int(link["mtu"]), host)
        return found

    def mtu(self, given: int, overhead: int) -> int:
        """What pods get; 0 as long as no host has been looked at."""
        return given or min(self._mtus(), default=overhead) - overhead

    def mtu_problems(self, given: int, overhead: int, family: int, changeable: bool = True) -> list[Problem]:
        """Why pods can't have this MTU, or why there is none to choose; `family` is the largest one of the pods."""
        mtus = self._mtus()
        if given:
            least = _LEAST_MTU[family]
            most = min(mtus, default=65535 + overhead) - overhead
            if least <= given <= most:
                return []
            return [
                self._problem("mtu_range",
                              f"Pods cannot have the MTU {given}: it must be from {least} to {most}.",
                              f"Set mtu to {most} or less, or leave it out.")
            ]  # fmt: skip
        if len(mtus) < 2:
            return []
        where = ", ".join(f"{mtu} ({host})" for mtu, host in sorted(mtus.items()))
        own = f", or set mtu in {self._path} to {min(mtus) - overhead}" if changeable else ""
        message = f"The hosts' interfaces have different MTUs: {where}."
        return [self._problem("mtu_differs", message, f"Make them equal{own}.")]

    def routed(self) -> list[Problem]:
        """Why routes alone don't lead from every host to every other one."""
        networks: dict[str, str] = {}
        for host, link in self._links.items():
            if link.get("network"):
                networks.setdefault(str(link["network"]), host)
        if len(networks) < 2:
            return []
        where = ", ".join(f"{network} ({host})" for network, host in networks.items())
        return [
            self._problem("host_gw_routed",
                          f"host-gw needs all hosts in one network without a router between them; these are: {where}.",
                          "Use vxlan with direct_routing, which goes without a tunnel where it can.")
        ]  # fmt: skip

    def unknown(self) -> list[Problem]:
        """Hosts that lack the interface."""
        if not self._lost:
            return []
        hosts = ", ".join(self._lost)
        if self._interface:
            return [
                self._problem("interface_unknown", f"There is no interface {self._interface} on {hosts}.",
                              f"Give interface in {self._path} a name that all hosts have, or leave it out.")
            ]  # fmt: skip
        return [
            self._problem("interface_unknown", f"No interface is in the network of the host's address on {hosts}.",
                          f"Name it as interface in {self._path}, or give the host an address in the LAN.")
        ]  # fmt: skip

    def bare(self) -> list[Problem]:
        """Hosts that are in no network there, and so find nobody in it."""
        hosts = [host for host, link in self._links.items() if not link.get("network")]
        if not hosts:
            return []
        return [
            self._problem("interface_bare",
                          f"The interface {self._interface} has no address on {', '.join(hosts)}, so these hosts would"
                          " not find pods of others.",
                          "Give it an address in the LAN, which need not be that of the node.")
        ]  # fmt: skip
