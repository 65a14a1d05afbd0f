# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""The host's own addresses and interfaces, from the kernel's tables: no program, no name lookup."""

from __future__ import annotations

import ipaddress
import socket
import struct
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System


def address_facts(system: System) -> list[str]:
    """The host's own addresses."""
    found, leaf = set(), ""
    for line in system.read("/proc/net/fib_trie").splitlines():
        if "|-- " in line:
            leaf = line.split()[-1]
        elif line.endswith("/32 host LOCAL"):
            found.add(leaf)
    for line in system.read("/proc/net/if_inet6").splitlines():
        found.add(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])))
    return sorted(address for address in found if not address.startswith(("127.", "fe80:")) and address != "::1")


def _number(text: str) -> int:
    """An IPv4 address as /proc/net/route writes it, in the byte order of the machine."""
    return int.from_bytes(struct.pack("=I", int(text, 16)), "big")


def link_facts(system: System, address: str, interface: str = "") -> dict[str, t.Any]:
    """The interface of the network that the address is in, or the named one; nothing when there is none.

    Its MTU, its network, the host's address in that and the way out of it; each empty when the interface has none.
    """
    if interface and not system.exists(f"/sys/class/net/{interface}"):
        return {}
    try:
        wanted = ipaddress.IPv4Address(address)
    except ValueError:
        wanted = ipaddress.IPv4Address(0)
    own = [ipaddress.IPv4Address(item) for item in address_facts(system) if ":" not in item]
    networks: list[tuple[bool, int, str, ipaddress.IPv4Network]] = []
    gateways: list[tuple[int, str, int]] = []
    for line in system.read("/proc/net/route").splitlines()[1:]:
        name, destination, gateway, _flags, _refs, _use, metric, mask = line.split()[:8]
        bits = _number(mask)
        if gateway != "00000000":
            if not bits:
                gateways.append((int(metric), name, _number(gateway)))
            continue
        network = ipaddress.IPv4Network((_number(destination), bin(bits).count("1")))
        # An interface of another network than the address has the one in which the host has an address.
        mine = any(item in network for item in own) if interface else wanted in network
        if bits and mine and (not interface or name == interface):
            networks.append((wanted in network, network.prefixlen, name, network))
    best = max(networks, default=None, key=lambda item: item[:2])
    name = interface or (best[2] if best else "")
    if not name:
        return {}
    mtu = system.read(f"/sys/class/net/{name}/mtu").strip()
    ways = [number for _metric, owner, number in sorted(gateways) if owner == name]
    inside = [str(item) for item in own if best and item in best[3]]
    return {
        "interface": name,
        "network": str(best[3]) if best else "",
        "address": address if address in inside else next(iter(inside), ""),
        "mtu": int(mtu) if mtu.isdecimal() else 0,
        "gateway": str(ipaddress.IPv4Address(ways[0])) if ways else "",
    }
