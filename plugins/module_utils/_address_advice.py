# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What an address plan may do but is better known before the cluster is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# 8 192 addresses, 32 nodes of 110 pods.
_SUBNET_PREFIX = 19


def advise_addresses(plan: Mapping[str, Any]) -> list[Problem]:
    """Advice never fails a plan."""
    advice = []
    if plan["nodes"] and not plan["growth"]:
        advice.append(
            Problem(
                "no_growth",
                f"The addresses for pods are used up by the {plan['nodes']} hosts that are listed.",
                "Add a pod subnet." if plan["zones"] else "Choose a wider pod_cidr now: it cannot be changed later.",
                path="zones" if plan["zones"] else "pod_cidr",
                witness=(str(plan["nodes"]), str(plan["max_nodes"])),
            )
        )
    subnets = [(text, f"zone {zone['name']}", "zones") for zone in plan["zones"] for text in zone["pod_subnets"]]
    for text, name, path in subnets:
        if _cidr.block(text).prefix > _SUBNET_PREFIX:
            advice.append(
                Problem(
                    "pod_subnet_small",
                    f"The pod subnet {text} of {name} has only {_cidr.block(text).size} addresses.",
                    f"Use a /{_SUBNET_PREFIX} or wider where the LAN has room; subnets can be added but not widened.",
                    path=path,
                    witness=(text, f"/{_SUBNET_PREFIX}"),
                )
            )
    own = [(plan[key], key, key) for key in ("pod_cidr", "service_cidr")] + subnets
    for text, name, path in own:
        if text and not _cidr.is_private(_cidr.block(text)):
            advice.append(
                Problem(
                    "range_public",
                    f"{text} of {name} is not a private range: pods cannot reach the machines that own it.",
                    f"Choose a range inside {', '.join(_cidr.PRIVATE)}.",
                    path=path,
                    witness=(text, _cidr.PRIVATE[0]),
                )
            )
    twins = plan["service_cidr"], plan["service_cidr_ipv6"]
    if all(twins) and _cidr.block(twins[0]).size != _cidr.block(twins[1]).size:
        advice.append(
            Problem(
                "services_differ",
                f"The service ranges {twins[0]} and {twins[1]} differ in size; the smaller one counts.",
                f"A /{96 + _cidr.block(twins[0]).prefix} would have as many as {twins[0]}.",
                path="service_cidr_ipv6",
                witness=twins,
            )
        )
    return advice
