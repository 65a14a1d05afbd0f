# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Address ranges of both families: reading them, comparing every pair of them, and finding a free one.

Ranges are kept as first and last number, which makes comparing a thousand of them ten times as fast as with the
objects of ipaddress or netaddr.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

_CIDR = re.compile(r"[0-9.]+/[0-9]{1,2}|[0-9A-Fa-f:.]+/[0-9]{1,3}")
BITS = {4: 32, 6: 128}

# Ranges that hosts, routers or carriers give a meaning of their own: what is inside them never reaches a pod.
RESERVED = {
    "0.0.0.0/8": "'this network'",
    "100.64.0.0/10": "carrier-grade NAT and cloud services",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local addresses",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved addresses",
    "::/8": "special addresses",
    "fe80::/10": "link-local addresses",
    "ff00::/8": "multicast",
}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
UNIQUE_LOCAL = "fc00::/7"

LAN = "lan"
NODES = "nodes"
PODS = "pods"
# Pods with addresses of the hosts' own networks.
POD_SUBNET = "pod subnet"
SERVICES = "services"
PEER = "peer"
BRIDGE = "bridge"
TAKEN = "taken"
OTHER_NODES = "other nodes"
OTHER_PODS = "other pods"
OTHER_POD_SUBNET = "other pod subnet"
OTHER_SERVICES = "other services"
_HOME = frozenset({LAN, NODES})
OUTSIDE = frozenset({PEER, BRIDGE, TAKEN, OTHER_NODES, OTHER_PODS, OTHER_POD_SUBNET, OTHER_SERVICES})
# What shares the hosts' networks with them, and what may be a part of these networks that is set aside.
SHARED = frozenset({TAKEN, OTHER_NODES})
_PART = frozenset({POD_SUBNET, OTHER_POD_SUBNET, BRIDGE})


@dataclass(frozen=True, order=True)
class Range:
    """A range of addresses together with what it is used for and which variable names it."""

    first: int
    last: int
    kind: str
    label: str
    path: str
    version: int = 4

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def prefix(self) -> int:
        return BITS[self.version] + 1 - self.size.bit_length()

    @property
    def cidr(self) -> str:
        return f"{self.address(0)}/{self.prefix}"

    @property
    def title(self) -> str:
        return f"{self.label} {self.cidr}"

    def overlaps(self, other: Range) -> bool:
        return self.version == other.version and self.first <= other.last and other.first <= self.last

    def contains(self, number: int, version: int = 4) -> bool:
        return self.version == version and self.first <= number <= self.last

    def inside(self, other: Range) -> bool:
        return self.version == other.version and other.first <= self.first and self.last <= other.last

    def address(self, offset: int) -> str:
        return address_text(self.first + offset, self.version)


def address_text(number: int, version: int) -> str:
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))


def block(cidr: str) -> Range:
    """The range of a text that is known to be one."""
    network = ipaddress.ip_network(cidr)
    return Range(int(network.network_address), int(network.broadcast_address), "", "", "", network.version)


_RESERVED_BLOCKS = tuple((block(cidr), use) for cidr, use in RESERVED.items())
_PRIVATE_BLOCKS = tuple(block(cidr) for cidr in PRIVATE)
_UNIQUE_LOCAL_BLOCK = block(UNIQUE_LOCAL)


def read_range(
    text: str, kind: str, label: str, path: str, versions: Collection[int] = (4,)
) -> tuple[Range | None, list[Problem]]:
    """Read one range. Host bits are reported and then ignored, so that everything else is still checked."""
    text = str(text).strip()
    version = 6 if ":" in text else 4
    try:
        if not _CIDR.fullmatch(text):
            raise ValueError("no prefix length")
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        example = "10.244.0.0/16" if 4 in versions else "fd00:10:244::/48"
        return None, [
            Problem(
                "cidr_invalid",
                f"The {label} '{text}' is not an address range.",
                f"Write {path} as network/prefix length, such as {example}.",
                path=path,
                witness=(path, text),
            )
        ]
    if version not in versions:
        return None, [
            Problem(
                f"cidr_ipv{version}",
                f"The {label} {text} is an IPv{version} range, but must be IPv{10 - version}.",
                f"Give an IPv{10 - version} range in {path}.",
                path=path,
                witness=(path, text),
            )
        ]
    problems = []
    if ipaddress.ip_address(text.partition("/")[0]) != network.network_address:
        problems.append(
            Problem(
                "cidr_host_bits",
                f"The {label} {text} is not the first address of its range: a /{network.prefixlen} with this address"
                f" is {network}.",
                f"Write {network} in {path}, or another prefix length if a smaller range was meant.",
                path=path,
                witness=(text, str(network)),
            )
        )
    first, last = int(network.network_address), int(network.broadcast_address)
    return Range(first, last, kind, label, path, version), problems


def read_address(text: str, version: int = 4) -> int | None:
    """The number of an address of this family, or None when the text is something else, such as a name."""
    try:
        address = ipaddress.ip_address(str(text).strip())
    except ValueError:
        return None
    return int(address) if address.version == version else None


def reserved_use(number: int, version: int = 4) -> str:
    """What an address is reserved for, or an empty text."""
    return next((use for reserved, use in _RESERVED_BLOCKS if reserved.contains(number, version)), "")


def reserved_problem(item: Range) -> Problem | None:
    """The cluster's own ranges must stay outside of what networks reserve."""
    for reserved, use in _RESERVED_BLOCKS:
        if item.overlaps(reserved):
            best = ", ".join(PRIVATE) if item.version == 4 else UNIQUE_LOCAL
            return Problem(
                "cidr_reserved",
                f"The {item.title} is inside or across {reserved.cidr}, which is reserved for {use}.",
                f"Choose a range outside {reserved.cidr} for {item.path}, best inside {best}.",
                path=item.path,
                witness=(item.cidr, reserved.cidr),
            )
    return None


def is_private(item: Range) -> bool:
    return any(item.inside(private) for private in (*_PRIVATE_BLOCKS, _UNIQUE_LOCAL_BLOCK))


def may_overlap(one: Range, other: Range) -> bool:
    """Whether it is no mistake that two ranges share addresses."""
    # What other networks do among themselves is not this cluster's to decide.
    if one.kind in OUTSIDE and other.kind in OUTSIDE:
        return True
    for home, item in ((one, other), (other, one)):
        if home.kind in _HOME:
            # One network described at two levels, such as a site and its subnets.
            if item.kind in _HOME or item.kind in SHARED:
                return True
            if item.kind in _PART:
                return home.kind == LAN or (item.inside(home) and item.size < home.size)
    return False


def overlapping_pairs(ranges: Iterable[Range]) -> Iterator[tuple[Range, Range]]:
    """Every pair of ranges that share an address and must not, in the order of their addresses.

    One sweep over the sorted ranges: ranges that ended before the current one began are never compared again.
    """
    active: list[Range] = []
    for item in sorted(set(ranges)):
        active = [earlier for earlier in active if earlier.last >= item.first]
        for earlier in active:
            if earlier.version == item.version and not may_overlap(earlier, item):
                yield earlier, item
        active.append(item)


def shared_range(one: Range, other: Range) -> str:
    """What two overlapping ranges have in common; of two CIDRs that is always the smaller one."""
    return (one if one.size <= other.size else other).cidr


def free_range(prefix: int, taken: Iterable[Range], start: str, pools: Sequence[Range] = _PRIVATE_BLOCKS) -> str:
    """The first range of this size that touches nothing taken: from start upwards, then from the beginning."""
    version = pools[0].version if pools else 4
    size = 1 << (BITS[version] - prefix)
    blocked = sorted((item.first, item.last) for item in taken if item.version == version)
    pools = sorted(pool for pool in pools if pool.version == version)
    searches = [(pool.first, pool.last) for pool in pools]
    if start:
        origin = int(ipaddress.ip_address(start))
        searches = [(origin, pool.last) for pool in pools if pool.contains(origin, version)] + searches
    for first, last in searches:
        candidate = -(-first // size) * size
        for begin, end in blocked:
            if end >= candidate and begin < candidate + size:
                candidate = -(-(end + 1) // size) * size
        if candidate + size - 1 <= last:
            return f"{address_text(candidate, version)}/{prefix}"
    return ""
