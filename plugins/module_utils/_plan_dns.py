# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Cluster DNS: how many servers, whom they ask, and the address of the cache on every node."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _names
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

PATH = "cluster_dns"
KEYS = ("cache", "log", "replicas", "stub_domains", "upstream")
# The address that Kubernetes' own NodeLocal DNSCache has too. It is on every node and never leaves it.
CACHE_ADDRESS = "169.254.20.10"
CORES_PER_REPLICA = 64
NODES_PER_REPLICA = 8
# Two, so that one node may fail.
FEWEST, MOST = 2, 100


def dns_replicas(cores: int, nodes: int) -> int:
    """The linear rule of the cluster-proportional-autoscaler with its usual parameters."""
    wanted = max(-(-cores // CORES_PER_REPLICA), -(-nodes // NODES_PER_REPLICA))
    return min(max(wanted, FEWEST), MOST)


def server_address(text: Any) -> str:
    """The IP address in "address" or "address:port"; empty when it is neither."""
    host, port = str(text), ""
    if host.startswith("["):
        host, _bracket, port = host[1:].partition("]")
        if port and not port.startswith(":"):
            return ""
        port = port[1:]
    elif host.count(":") == 1:
        host, _colon, port = host.partition(":")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        return ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


class _Reader:
    def __init__(self, settings: Mapping[str, Any], domain: str, dns_address: str) -> None:
        self.settings = settings
        self.domain = domain
        self.own = {CACHE_ADDRESS: "the cache on the node itself", dns_address: "cluster DNS itself"}
        self.problems: list[Problem] = []

    def add(self, code: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy, path=PATH))

    def servers(self, value: Any, what: str) -> list[str]:
        if not isinstance(value, (list, tuple)) or not value:
            self.add("dns_servers_invalid", f"{what} is not a list of DNS servers.",
                     "List IP addresses such as [10.0.0.53], with a port where it is not 53.")  # fmt: skip
            return []
        for item in value:
            address = server_address(item)
            if not address:
                self.add("dns_server_invalid", f"'{item}' of {what} is not a DNS server.",
                         "Write an IP address such as 10.0.0.53, with a port where it is not 53.")  # fmt: skip
            elif address in self.own:
                self.add("dns_loop", f"{what} names {item}, which is {self.own[address]}: questions would go round.",
                         "Name the servers of your network.")  # fmt: skip
        return [str(item) for item in value]

    def stub_domains(self) -> dict[str, list[str]]:
        value = self.settings.get("stub_domains") or {}
        if not isinstance(value, Mapping):
            self.add("dns_servers_invalid", "stub_domains is not a mapping of domains to DNS servers.",
                     "Write it as {corp.example.com: [10.0.0.53]}.")  # fmt: skip
            return {}
        result = {}
        for name, servers in sorted(value.items(), key=lambda item: str(item[0])):
            domain = str(name).rstrip(".")
            if not _names.is_dns_name(domain):
                self.add("dns_stub_invalid", f"'{name}' of stub_domains is not a DNS domain.",
                         "Use lower-case names such as corp.example.com. The rest goes to upstream.")  # fmt: skip
            elif domain == self.domain or domain.endswith(f".{self.domain}"):
                self.add("dns_stub_invalid", f"The stub domain {domain} is the cluster's own.",
                         "Leave it out: cluster DNS answers for it itself.")  # fmt: skip
            result[domain] = self.servers(servers, f"stub_domains.{name}")
        return result

    def flag(self, name: str) -> bool:
        value = self.settings.get(name, False)
        if not isinstance(value, bool):
            self.add("dns_setting_invalid", f"{name} of cluster_dns is '{value}'.", f"Set {name} to true or false.")
        return value is True

    def replicas(self, cores: int, nodes: int) -> int:
        value = self.settings.get("replicas") or 0
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
            self.add("dns_setting_invalid", f"'{value}' is not a number of DNS servers.",
                     f"Set replicas to 1 to {MOST}, or leave it out for the rule.")  # fmt: skip
            value = 0
        return value or dns_replicas(cores, nodes)


def plan_dns(
    settings: Any, domain: str, dns_address: str, cores: int, nodes: int
) -> tuple[dict[str, Any], list[Problem]]:
    """The plan's part about DNS; the cores are those of all nodes together."""
    if not isinstance(settings, Mapping):
        return {"managed": False, "cache": ""}, [
            Problem("dns_setting_invalid", "cluster_dns is not a mapping.", "See the guide to DNS.", path=PATH)
        ]
    if not settings:
        return {"managed": False, "cache": ""}, []
    reader = _Reader(settings, domain, dns_address)
    for key in sorted(set(map(str, settings)) - set(KEYS)):
        reader.add("dns_setting_invalid", f"cluster_dns has no setting {key}.", f"There are: {', '.join(KEYS)}.")
    upstream = settings.get("upstream") or []
    plan = {
        "managed": True,
        "address": dns_address,
        "cache": CACHE_ADDRESS if reader.flag("cache") else "",
        "log": reader.flag("log"),
        "replicas": reader.replicas(cores, nodes),
        "stub_domains": reader.stub_domains(),
        "upstream": reader.servers(upstream, "upstream") if upstream else [],
    }
    return plan, reader.problems


def kubelet_dns(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What kubelets tell pods. Cluster DNS is second, for the moments in which nothing answers on the node itself."""
    return {"clusterDNS": [plan["cache"], plan["address"]]} if plan["cache"] else {}
