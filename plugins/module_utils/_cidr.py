# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Address ranges: reading them, comparing every pair of them, and finding a free one.

Ranges are kept as first and last number, so that a second address family needs a reader and not another algorithm.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

_CIDR = re.compile(r"[0-9.]+/[0-9]{1,2}")

# Ranges that hosts, routers or carriers give a meaning of their own: what is inside them never reaches a pod.
RESERVED = {
    "0.0.0.0/8": "'this network'",
    "100.64.0.0/10": "carrier-grade NAT and cloud services",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local addresses",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved addresses",
}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")

# What may overlap: the operator's own description of one network at two levels (a LAN and its subnets, a summary route
# and its parts).
NODES = "nodes"
PODS = "pods"
SERVICES = "services"
PEER = "peer"
OTHER_PODS = "other pods"
OTHER_SERVICES = "other services"
OUTSIDE = frozenset({PEER, OTHER_PODS, OTHER_SERVICES})


@dataclass(frozen=True, order=True)
class Range:
    """A range of addresses together with what it is used for and which variable names it."""

    first: int
    last: int
    kind: str
    label: str
    path: str

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def prefix(self) -> int:
        return 33 - self.size.bit_length()

    @property
    def cidr(self) -> str:
        return f"{ipaddress.IPv4Address(self.first)}/{self.prefix}"

    @property
    def title(self) -> str:
        return f"{self.label} {self.cidr}"

    def overlaps(self, other: Range) -> bool:
        return self.first <= other.last and other.first <= self.last

    def contains(self, number: int) -> bool:
        return self.first <= number <= self.last

    def address(self, offset: int) -> str:
        return str(ipaddress.IPv4Address(self.first + offset))


def _block(cidr: str) -> Range:
    network = ipaddress.IPv4Network(cidr)
    return Range(int(network.network_address), int(network.broadcast_address), "", "", "")


_RESERVED_BLOCKS = tuple((_block(cidr), use) for cidr, use in RESERVED.items())
_PRIVATE_BLOCKS = tuple(_block(cidr) for cidr in PRIVATE)


def read_range(text: str, kind: str, label: str, path: str) -> tuple[Range | None, list[Problem]]:
    """Read one range. Host bits are reported and then ignored, so that everything else is still checked."""
    text = str(text).strip()
    if ":" in text:
        return None, [
            Problem(
                "cidr_ipv6",
                f"The {label} {text} is an IPv6 range; only IPv4 is supported.",
                f"Give an IPv4 range in {path}.",
                path=path,
            )
        ]
    try:
        if not _CIDR.fullmatch(text):
            raise ValueError("no prefix length")
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None, [
            Problem(
                "cidr_invalid",
                f"The {label} '{text}' is not an address range.",
                f"Write {path} as network/prefix length, such as 10.244.0.0/16.",
                path=path,
            )
        ]
    problems = []
    if str(network) != text:
        problems.append(
            Problem(
                "cidr_host_bits",
                f"The {label} {text} is not the first address of its range: a /{network.prefixlen} with this address"
                f" is {network}.",
                f"Write {network} in {path}, or another prefix length if a smaller range was meant.",
                path=path,
            )
        )
    return Range(int(network.network_address), int(network.broadcast_address), kind, label, path), problems


def read_address(text: str) -> int | None:
    """The number of an IPv4 address, or None when the text is something else, such as a name."""
    try:
        return int(ipaddress.IPv4Address(str(text).strip()))
    except ValueError:
        return None


def reserved_use(number: int) -> str:
    """What an address is reserved for, or an empty text."""
    return next((use for block, use in _RESERVED_BLOCKS if block.contains(number)), "")


def reserved_problem(item: Range) -> Problem | None:
    """The cluster's own ranges must stay outside of what networks reserve."""
    for block, use in _RESERVED_BLOCKS:
        if item.overlaps(block):
            return Problem(
                "cidr_reserved",
                f"The {item.title} is inside or across {block.cidr}, which is reserved for {use}.",
                f"Choose a range outside {block.cidr} for {item.path}, best inside {', '.join(PRIVATE)}.",
                path=item.path,
                witness=(item.cidr, block.cidr),
            )
    return None


def is_private(item: Range) -> bool:
    return any(block.first <= item.first and item.last <= block.last for block in _PRIVATE_BLOCKS)


def _may_overlap(one: Range, other: Range) -> bool:
    if one.kind == other.kind == NODES:
        return True
    # What other networks do among themselves is not this cluster's to decide.
    return one.kind in OUTSIDE and other.kind in OUTSIDE


def overlapping_pairs(ranges: Iterable[Range]) -> Iterator[tuple[Range, Range]]:
    """Every pair of ranges that share an address and must not, in the order of their addresses.

    One sweep over the sorted ranges: ranges that ended before the current one began are never compared again.
    """
    active: list[Range] = []
    for item in sorted(set(ranges)):
        active = [earlier for earlier in active if earlier.last >= item.first]
        for earlier in active:
            if not _may_overlap(earlier, item):
                yield earlier, item
        active.append(item)


def shared_range(one: Range, other: Range) -> str:
    """What two overlapping ranges have in common; of two CIDRs that is always the smaller one."""
    return (one if one.size <= other.size else other).cidr


def free_range(prefix: int, taken: Iterable[Range], start: str) -> str:
    """The first private range of this size that touches nothing taken: from start upwards, then from the beginning."""
    size = 1 << (32 - prefix)
    blocked = sorted((item.first, item.last) for item in taken)
    origin = int(ipaddress.IPv4Address(start))
    searches = [(origin, block.last) for block in _PRIVATE_BLOCKS if block.contains(origin)]
    searches += [(block.first, block.last) for block in _PRIVATE_BLOCKS]
    for first, last in searches:
        candidate = -(-first // size) * size
        for begin, end in blocked:
            if end >= candidate and begin < candidate + size:
                candidate = -(-(end + 1) // size) * size
        if candidate + size - 1 <= last:
            return f"{ipaddress.IPv4Address(candidate)}/{prefix}"
    return ""
