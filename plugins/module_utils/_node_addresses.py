# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Addresses of single machines against the ranges of the plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import (
    Range,
    address_text,
    may_overlap,
    read_address,
    reserved_use,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key


@dataclass(frozen=True)
class Node:
    """The address of a host. An empty address is somebody else's problem and is skipped here."""

    host: str
    address: str
    address_ipv6: str = ""
    zone: str = ""
    max_pods: int = 0


@dataclass(frozen=True)
class Fixed:
    """An address that is not a node's but must stay reachable from every pod, such as the API endpoint."""

    label: str
    address: str
    path: str


def _problem(node: Node, code: str, message: str, remedy: str, *witness: str) -> Problem:
    return Problem(code, message, remedy, host=node.host, path="node_address", witness=witness)


def _addresses(node: Node) -> list[tuple[str, int, str]]:
    """Text, family and variable of every address that the node has."""
    found = [(node.address, 4, "node_address"), (node.address_ipv6, 6, "node_address_ipv6")]
    return [item for item in found if item[0]]


def _duplicates(nodes: Iterable[Node]) -> list[Problem]:
    owners: dict[tuple[int, int], list[Node]] = defaultdict(list)
    for node in nodes:
        for text, version, _path in _addresses(node):
            number = read_address(text, version)
            if number is not None and node.host not in [other.host for other in owners[version, number]]:
                owners[version, number].append(node)
    return [
        _problem(
            node,
            "node_address_duplicate",
            f"The address {address_text(number, version)} is also that of {first.host}.",
            "Give every host its own node_address (or ansible_host).",
            first.host,
            node.host,
        )
        for (version, number), (first, *others) in owners.items()
        for node in others
    ]


def check_families(nodes: Iterable[Node]) -> list[Problem]:
    """With pods of both families, either no host's IPv6 address is known here or every host's."""
    known = sorted((node.host for node in nodes if node.address_ipv6), key=natural_key)
    message = "The host has no IPv6 address, but others have one and the pods use both families."
    remedy = "Give the host an IPv6 address too, or its pods would not be reached by IPv6."
    return [
        Problem("node_address_missing", message, remedy, node.host, "node_address_ipv6", (node.host, known[0]))
        for node in sorted(set(nodes), key=lambda node: natural_key(node.host))
        if known and not node.address_ipv6
    ]


def check_nodes(nodes: Sequence[Node], homes: Sequence[Range], foreign: Sequence[Range], prefix: str) -> list[Problem]:
    """Every node must be at home in a node range, when there are any, and outside of every foreign range."""
    nodes = sorted(
        (node for node in set(nodes) if _addresses(node)),
        key=lambda node: (natural_key(node.host), node.address, node.address_ipv6),
    )
    problems = _duplicates(nodes)
    # A node range that overlaps a foreign range has been reported; its thousand nodes need not be.
    reported = {
        home: {item for item in foreign if home.overlaps(item) and not may_overlap(home, item)} for home in homes
    }
    known = {version: ", ".join(sorted({home.cidr for home in homes if home.version == version})) for version in (4, 6)}
    for node in nodes:
        for address, version, path in _addresses(node):
            number = read_address(address, version)
            if number is None:
                other = read_address(address, 10 - version) is not None
                reason = f"it must be IPv{version}" if other else "it is not an IP address"
                message = f"The address '{address}' cannot be used: {reason}."
                remedy = f"Set {path} to the host's IPv{version} address in the node network."
                problems.append(_problem(node, "node_address_invalid", message, remedy, node.host, address))
                continue
            if use := reserved_use(number, version):
                message = f"The address {address} is reserved for {use}."
                remedy = f"Set {path} to an address of the host's network interface."
                problems.append(_problem(node, "node_address_reserved", message, remedy, node.host, address))
            own = [home for home in homes if home.contains(number, version)]
            if known[version] and not own:
                message = f"The address {address} is in none of the node ranges ({known[version]})."
                remedy = f"Correct {path}, or add its network to {prefix}node_cidrs."
                problems.append(_problem(node, "node_address_outside", message, remedy, address, known[version]))
            known_overlaps = {item for home in own for item in reported[home]}
            for item in foreign:
                if item.contains(number, version) and item not in known_overlaps:
                    message = f"The address {address} lies inside the {item.title}."
                    remedy = f"Choose another range for {item.path}, or another address for the host."
                    problems.append(_problem(node, "node_address_in_range", message, remedy, address, item.cidr))
    return problems


def check_fixed(fixed: Iterable[Fixed], homes: Sequence[Range], own: Sequence[Range]) -> list[Problem]:
    """What pods must reach cannot have an address that the cluster keeps for itself."""
    return [
        Problem(
            "address_in_range",
            f"The {item.label} {item.address} lies inside the {taken.title}.",
            f"Choose another range for {taken.path}, or another address for {item.path}.",
            path=item.path,
            witness=(item.address, taken.cidr),
        )
        for item in fixed
        if (number := read_address(item.address)) is not None
        for taken in own
        # As with nodes: the overlap of a whole node range has been reported.
        if taken.contains(number)
        and not any(home.contains(number) and home.overlaps(taken) and not may_overlap(home, taken) for home in homes)
    ]
