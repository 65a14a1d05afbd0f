# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Addresses of single machines against the ranges of the plan."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range, read_address, reserved_use
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key


@dataclass(frozen=True)
class Node:
    """The address of a host. An empty address is somebody else's problem and is skipped here."""

    host: str
    address: str


@dataclass(frozen=True)
class Fixed:
    """An address that is not a node's but must stay reachable from every pod, such as the API endpoint."""

    label: str
    address: str
    path: str


def _problem(node: Node, code: str, message: str, remedy: str, *witness: str) -> Problem:
    return Problem(code, message, remedy, host=node.host, path="node_address", witness=witness)


def _duplicates(nodes: Iterable[Node]) -> list[Problem]:
    owners: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        number = read_address(node.address)
        if number is not None and node.host not in [other.host for other in owners[number]]:
            owners[number].append(node)
    return [
        _problem(
            node,
            "node_address_duplicate",
            f"The address {ipaddress.IPv4Address(number)} is also that of {first.host}.",
            "Give every host its own node_address (or ansible_host).",
            first.host,
            node.host,
        )
        for number, (first, *others) in owners.items()
        for node in others
    ]


def check_nodes(nodes: Sequence[Node], homes: Sequence[Range], foreign: Sequence[Range], prefix: str) -> list[Problem]:
    """Every node must be at home in a node range, when there are any, and outside of every foreign range."""
    nodes = sorted((node for node in set(nodes) if node.address), key=lambda node: natural_key(node.host))
    problems = _duplicates(nodes)
    # A node range that overlaps a foreign range has been reported; its thousand nodes need not be.
    reported = {home: {item for item in foreign if home.overlaps(item)} for home in homes}
    for node in nodes:
        number = read_address(node.address)
        if number is None:
            reason = "only IPv4 is supported" if ":" in node.address else "it is not an IP address"
            message = f"The address '{node.address}' cannot be used: {reason}."
            remedy = "Set node_address to the host's IPv4 address in the node network."
            problems.append(_problem(node, "node_address_invalid", message, remedy))
            continue
        if use := reserved_use(number):
            message = f"The address {node.address} is reserved for {use}."
            remedy = "Set node_address to an address of the host's network interface."
            problems.append(_problem(node, "node_address_reserved", message, remedy))
        own = [home for home in homes if home.contains(number)]
        if homes and not own:
            known = ", ".join(sorted({home.cidr for home in homes}))
            message = f"The address {node.address} is in none of the node ranges ({known})."
            remedy = f"Correct node_address, or add its network to {prefix}node_cidrs."
            problems.append(_problem(node, "node_address_outside", message, remedy, node.address))
        known_overlaps = {item for home in own for item in reported[home]}
        for item in foreign:
            if item.contains(number) and item not in known_overlaps:
                message = f"The address {node.address} lies inside the {item.title}."
                remedy = f"Choose another range for {item.path}, or another address for the host."
                problems.append(_problem(node, "node_address_in_range", message, remedy, node.address, item.cidr))
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
        if taken.contains(number) and not any(home.contains(number) and home.overlaps(taken) for home in homes)
    ]
