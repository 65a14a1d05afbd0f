# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Slices of the hosts' network that nodes hold.

A node's annotation is its claim. Two runs at once would each write to nodes of their own, and nobody would see that the
slices are the same. So each run first writes all claims into one object, which the API accepts from one of them only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

ANNOTATION = "hostplane.io/slices"
RECORD = "hostplane-slices"
RECORDS = "/api/v1/namespaces/kube-system/configmaps"


class SliceError(Exception):
    """Claims that cannot be made; the message names all of them."""


def parse(text: str) -> list[str]:
    """The slices that an annotation names."""
    return [item.strip() for item in text.split(",") if item.strip()]


def held(nodes: Sequence[Mapping[str, Any]], record: Mapping[str, Any] | None = None) -> dict[str, list[str]]:
    """The slices of all nodes that have any, by node name.

    What a run has recorded belongs to a node already, also when that run was killed before it wrote the annotation.
    """
    recorded = (record or {}).get("data") or {}
    found = {}
    for node in nodes:
        name, uid = _ident(node)
        slices = parse(str((node["metadata"].get("annotations") or {}).get(ANNOTATION, "")))
        # A host that left and came back is another node, and has given its slices back.
        owner, _space, text = str(recorded.get(name, "")).partition(" ")
        slices += [item for item in parse(text) if owner == uid and item not in slices]
        if slices:
            found[name] = slices
    return dict(sorted(found.items()))


def _ident(node: Mapping[str, Any]) -> tuple[str, str]:
    return str(node["metadata"]["name"]), str(node["metadata"].get("uid", ""))


def record_of(
    nodes: Sequence[Mapping[str, Any]], slices: Mapping[str, Sequence[str]], before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The object that holds the claims of all nodes. It can replace only the one that was read."""
    metadata: dict[str, Any] = {"name": RECORD, "namespace": "kube-system"}
    if before:
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
    data = {name: f"{uid} {','.join(slices[name])}" for name, uid in map(_ident, nodes) if name in slices}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


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
