# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The one address of the API: whose it is, and how it reaches every control plane."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr, _names
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import CONTROL_PLANE, Host
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

NONE, MANAGED, EXTERNAL = MODES = ("none", "managed", "external")
API_PORT = 6443
DEFAULT_PORT = 8443
# What listens on a control plane: etcd, the API server, haproxy's status, kubelet, kube-proxy, controller manager,
# scheduler.
_TAKEN_PORTS = frozenset({2379, 2380, 2381, API_PORT, 8404, 10248, 10249, 10250, 10256, 10257, 10259})
# haproxy does not run as root, and its pod uses the host's network.
_FIRST_PORT = 1024
_NODE_PORTS = range(30000, 32768)


def endpoint_arguments() -> dict[str, Any]:
    """The module options that the documentation fragment endpoint describes."""
    return {
        "endpoint": {"type": "str", "default": ""},
        "balancer": {"type": "str", "default": "none"},
        "vip": {"type": "str", "default": ""},
        "balancer_port": {"type": "int", "default": DEFAULT_PORT},
        "vrrp_id": {"type": "int", "default": 0},
    }


@dataclass(frozen=True)
class EndpointRequest:
    """The operator's settings, the hosts, and the ranges and addresses that are somebody else's."""

    endpoint: str
    existing: str
    balancer: str
    vip: str
    port: int
    vrrp_id: int
    hosts: Sequence[Host]
    homes: Sequence[_cidr.Range]
    foreign: Sequence[_cidr.Range]
    mirror_host: str


@dataclass(frozen=True)
class EndpointPlan:
    """The endpoint, its host, the names it adds to the API's certificate, and what stands behind it."""

    endpoint: str
    host: str
    sans: frozenset[str]
    balancer: dict[str, Any]
    problems: list[Problem]


class _Planner:
    def __init__(self, request: EndpointRequest) -> None:
        self.request = request
        self.members = [host for host in request.hosts if host.role == CONTROL_PLANE]
        self.problems: list[Problem] = []

    def _add(self, code: str, option: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy, path=f"cluster_{option}"))

    def plan(self) -> EndpointPlan:
        request = self.request
        mode = request.balancer
        if mode not in MODES:
            self._add("balancer_unknown", "balancer", f"'{mode}' is not a way to balance the API.",
                      f"Set cluster_balancer to one of: {', '.join(MODES)}.")  # fmt: skip
            mode = NONE
        vip = request.vip.strip() if mode == MANAGED else ""
        if request.vip and mode != MANAGED:
            self._add("vip_unused", "vip", f"cluster_vip is {request.vip}, but nothing would answer there.",
                      "Set cluster_balancer to managed, or remove cluster_vip.")  # fmt: skip
        text = self._text(mode, vip)
        host, port = self._split(text)
        if mode == MANAGED:
            self._check_vip(vip)
            self._check_port()
            self._check_managed(text, host, port, vip)
        else:
            mode = self._check_unmanaged(mode, text, host)
        if not text and self.members and self.members[0].address:
            host, port = self.members[0].address, API_PORT
            text = f"{host}:{port}"
        return EndpointPlan(text, host, frozenset({host, vip} - {""}), self._balancer(mode, vip, port, text),
                            self.problems)  # fmt: skip

    def _text(self, mode: str, vip: str) -> str:
        """An existing cluster keeps its endpoint, so that a new first control plane does not move it."""
        text = self.request.endpoint or self.request.existing
        if mode == MANAGED and not self.request.endpoint and _names.is_ip(text.partition(":")[0] or "0.0.0.0"):
            # An endpoint that is an address and not the virtual one is then found to differ from the existing one.
            return f"{vip}:{self.request.port}" if vip else text
        return text

    def _split(self, text: str) -> tuple[str, int]:
        if not text:
            return "", 0
        reason = "it has no port"
        try:
            host, port = _names.split_host_port(text)
            if port:
                return host, port
        except ValueError as error:
            reason = str(error)
        # What is made of cluster_vip is reported there.
        if text in (self.request.endpoint, self.request.existing):
            self._add("endpoint_invalid", "endpoint", f"'{text}' is not an API endpoint: {reason}.",
                      "Write it as host:port, such as api.example.com:6443; or leave it empty for the virtual address"
                      " or the first control plane's.")  # fmt: skip
        return "", 0

    def _check_vip(self, vip: str) -> None:
        if not vip:
            self._add("vip_missing", "vip", "cluster_balancer is managed, but there is no virtual address.",
                      "Set cluster_vip to a free IPv4 address in the network of the control planes.")  # fmt: skip
            return
        number = _cidr.read_address(vip)
        if number is None:
            self._add("vip_invalid", "vip", f"'{vip}' is not an IPv4 address.",
                      "Set cluster_vip to an address; a DNS name for it goes into cluster_endpoint.")  # fmt: skip
            return
        free = "Choose a free address in the network of the control planes."
        if use := _cidr.reserved_use(number):
            self._add("vip_reserved", "vip", f"The virtual address {vip} is reserved for {use}.", free)
        owners = [f"host {host.inventory_name}" for host in self.request.hosts if host.address == vip]
        owners += ["mirror"] if self.request.mirror_host == vip else []
        if owners:
            self._add("vip_taken", "vip", f"The virtual address {vip} is that of the {' and the '.join(owners)}.", free)
        homes = self.request.homes
        if homes and not any(home.contains(number) for home in homes):
            known = ", ".join(sorted({home.cidr for home in homes}))
            self._add("vip_outside", "vip", f"The virtual address {vip} is in none of the node ranges ({known}).", free)
        for item in self.request.foreign:
            # As with nodes: the overlap of a whole node range has been reported.
            if item.contains(number) and not any(
                home.contains(number) and home.overlaps(item) and not _cidr.may_overlap(home, item) for home in homes
            ):
                self._add("vip_in_range", "vip", f"The virtual address {vip} lies inside the {item.title}.", free)

    def _check_port(self) -> None:
        port = self.request.port
        if 1 <= port < _FIRST_PORT:
            self._add("balancer_port_low", "balancer_port", f"The balancer cannot listen on port {port}: haproxy does"
                      f" not run as root, and ports below {_FIRST_PORT} are root's.",
                      f"Set cluster_balancer_port to {_FIRST_PORT} or higher, such as {DEFAULT_PORT}.")  # fmt: skip
        elif not 1 <= port <= 65535 or port in _TAKEN_PORTS or port in _NODE_PORTS:
            self._add("balancer_port_taken", "balancer_port", f"The balancer cannot listen on port {port}: it is no"
                      " port, or one of Kubernetes or of haproxy's status on the same hosts.",
                      f"Set cluster_balancer_port to a free port, such as {DEFAULT_PORT}.")  # fmt: skip
        if not 0 <= self.request.vrrp_id <= 255:
            self._add("vrrp_id_range", "vrrp_id", f"{self.request.vrrp_id} is not a virtual router ID.",
                      "Set cluster_vrrp_id to a number from 1 to 255, or to 0 to have one made.")  # fmt: skip

    def _check_managed(self, text: str, host: str, port: int, vip: str) -> None:
        if not host or not vip:
            return
        if port != self.request.port:
            self._add("endpoint_port", "endpoint", f"The endpoint {text} has another port than the balancer, which"
                      f" listens on {self.request.port}.",
                      f"Set cluster_balancer_port to {port}, or the port of the endpoint to {self.request.port} before"
                      " the cluster is created.")  # fmt: skip
        if _names.is_ip(host) and host != vip:
            self._add("endpoint_not_vip", "endpoint", f"The endpoint {text} is not the virtual address {vip}.",
                      "Leave cluster_endpoint empty, or set it to a DNS name of the virtual address.")  # fmt: skip

    def _check_unmanaged(self, mode: str, text: str, host: str) -> str:
        many = len(self.members) > 1
        if mode == EXTERNAL and not text:
            self._add("endpoint_missing", "endpoint", "cluster_balancer is external, but the balancer is not named.",
                      "Set cluster_endpoint to host:port of the load balancer.")  # fmt: skip
        elif many and not text:
            self._add("balancer_missing", "balancer", f"{len(self.members)} control planes need one address that"
                      " survives each of them.",
                      "Set cluster_balancer to managed and cluster_vip to a free address in the network of the control"
                      " planes; or cluster_endpoint to host:port of your load balancer.")  # fmt: skip
        owners = [item.inventory_name for item in self.request.hosts if host and item.address == host]
        if many and owners:
            self._add("endpoint_not_shared", "endpoint", f"The endpoint {text} is the address of the host {owners[0]}:"
                      " when that host fails, so does the API, however many control planes there are.",
                      "Use a load balancer or a virtual address. The endpoint cannot be changed later: a cluster that"
                      " was made with the address of one host keeps one control plane.")  # fmt: skip
        return EXTERNAL if many and text else mode

    def _balancer(self, mode: str, vip: str, port: int, endpoint: str) -> dict[str, Any]:
        managed = mode == MANAGED
        made = zlib.crc32(endpoint.encode()) % 255 + 1
        return {
            "mode": mode,
            "vip": vip,
            "port": port,
            "backends": [{"name": host.name, "address": host.address} for host in self.members],
            "virtual_router_id": (self.request.vrrp_id or made) if managed else 0,
        }


def plan_endpoint(request: EndpointRequest) -> EndpointPlan:
    """Find the endpoint, and everything that speaks against it."""
    return _Planner(request).plan()
