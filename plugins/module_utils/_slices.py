# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Slices of the hosts' network that nodes hold, kept on the nodes themselves: an annotation is a claim."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

ANNOTATION = "hostplane.io/slices"


class SliceError(Exception):
    """Claims that cannot be made; the message names all of them."""


def parse(text: str) -> list[str]:
    """The slices that an annotation names."""
    return [item.strip() for item in text.split(",") if item.strip()]


def held(nodes: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The slices of all nodes that have any, by node name."""
    found = {}
    for node in nodes:
        metadata = node["metadata"]
        slices = parse(str((metadata.get("annotations") or {}).get(ANNOTATION, "")))
        if slices:
            found[str(metadata["name"])] = slices
    return dict(sorted(found.items()))


def claims(current: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The annotations to write. A slice that is in use is never taken away, and none is given to two nodes."""
    problems = []
    changed: dict[str, list[str]] = {}
    for node, slices in sorted(wanted.items()):
        have = list(current.get(node, ()))
        lost = [item for item in have if item not in slices]
        if lost:
            problems.append(
                f"node {node} holds {', '.join(lost)}, which the plan does not know; its pods may use these addresses."
                " Run the playbook again: it plans with what the cluster says now"
            )
        elif sorted(have) != sorted(slices):
            changed[node] = sorted(slices, key=_order)
    every = [(ipaddress.ip_network(item), node) for node, slices in {**current, **changed}.items() for item in slices]
    every.sort(key=lambda entry: (int(entry[0].network_address), entry[0].prefixlen, entry[1]))
    for (one, owner), (other, rival) in zip(every, every[1:]):
        if owner != rival and one.overlaps(other):
            problems.append(f"{other} of node {rival} overlaps {one} of node {owner}; run the playbook again")
    if problems:
        raise SliceError("slices cannot be given to nodes:\n" + "\n".join(problems))
    return changed


def _order(cidr: str) -> tuple[int, int]:
    network = ipaddress.ip_network(cidr)
    return int(network.network_address), network.prefixlen
