# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Completing a request: what an earlier plan has settled stays, and what is missing is found among free ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._address_blocks import assign_blocks
from ansible_collections.hostplane.cluster.plugins.module_utils._address_capacity import SERVICE_PREFIX, zone_needs
from ansible_collections.hostplane.cluster.plugins.module_utils._address_request import (
    IPV6_BLOCK_PREFIX,
    AddressRequest,
    Ranges,
    Zone,
    node_block_mask,
    read_ranges,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

RANGES = ("pod_cidr", "service_cidr", "pod_cidr_ipv6", "service_cidr_ipv6")
# What flannel's and kubeadm's own examples use, so that an unconstrained proposal surprises nobody.
_STARTS = {"pod_cidr": "10.244.0.0", "service_cidr": "10.96.0.0"}
# Sizes to propose when there is space for more than is asked for: a /16 of pods, a /20 of Services, a /19 on the LAN.
_PODS, _SERVICES, _SUBNET = 16, 20, 19
_FEWEST_SERVICES = 254
_IPV6_POOL = "fd00::/8"
_IPV6_SITE = 48


def with_previous(request: AddressRequest) -> tuple[AddressRequest, list[Problem]]:
    """Take over what an earlier plan has settled; pods and Services of a running cluster can't be renumbered."""
    previous = request.previous
    changes: dict[str, Any] = {}
    problems = []
    for key in RANGES:
        known, wanted = str(previous.get(key) or ""), str(getattr(request, key) or "")
        if known and not wanted:
            changes[key] = known
        elif known and known != wanted:
            problems.append(_moved(request, key, known, wanted))
    mask = request.known_mask
    needed = node_block_mask(request.max_pods, request.addresses_per_pod)
    if needed < mask:
        most = (1 << (32 - mask)) // request.addresses_per_pod
        path = f"{request.prefix}max_pods"
        problems.append(
            Problem(
                "immutable_setting",
                f"Every existing node has a /{mask}; {request.max_pods} pods need a /{needed}, which it cannot become.",
                f"Set {path} to {most} or less, or make another cluster.",
                path=path,
                witness=(f"/{mask}", f"/{needed}"),
            )
        )
    known_zones = {str(zone.get("name")): zone for zone in previous.get("zones") or ()}
    zones = request.zones
    if not zones and not request.pod_cidr:
        zones = [Zone(name, list(zone.get("node_cidrs") or ())) for name, zone in known_zones.items()]
    changes["zones"] = sorted(
        (
            zone
            if zone.pod_subnets
            else dataclasses.replace(zone, pod_subnets=list(known_zones.get(zone.name, {}).get("pod_subnets") or ()))
            for zone in zones
        ),
        key=lambda zone: (zone.name, sorted(zone.pod_subnets), sorted(zone.node_cidrs), zone.max_nodes),
    )
    return dataclasses.replace(request, **changes), problems


def _moved(request: AddressRequest, key: str, known: str, wanted: str) -> Problem:
    path = f"{request.prefix}{key}"
    return Problem(
        "immutable_setting",
        f"{path} of the existing cluster is {known} and cannot be changed to {wanted}.",
        f"Set {path} back to {known}, or make another cluster.",
        path=path,
        witness=(known, wanted),
    )


def _missing(request: AddressRequest, key: str, pools: Sequence[Range], prefix: int, taken: Sequence[Range]) -> Problem:
    path = f"{request.prefix}{key}"
    where = ", ".join(pool.cidr for pool in pools) or "no range"
    blockers = [item for item in taken if item.path and any(item.overlaps(pool) for pool in pools)]
    blocker = max(blockers, key=lambda item: (item.size, -item.first, item.title), default=None)
    hint = f" The largest that is in the way is the {blocker.title}." if blocker else ""
    source = "lan_cidrs" if key == "zones" else "within"
    return Problem(
        "no_free_range",
        f"No /{prefix} is free for {path} in {where}.{hint}",
        f"Add a range to {request.prefix}{source}, or lower {request.prefix}max_nodes, {request.prefix}max_pods or"
        f" {request.prefix}services.",
        path=path,
        witness=(where, blocker.cidr if blocker else f"/{prefix}"),
    )


class _Proposal:
    def __init__(self, request: AddressRequest, ranges: Ranges) -> None:
        self._request = request
        self._ranges = ranges
        addresses = [(node.address, 4) for node in request.nodes] + [(node.address_ipv6, 6) for node in request.nodes]
        addresses += [(item.address, 4) for item in request.fixed]
        numbers = {(n, version) for text, version in addresses if (n := _cidr.read_address(text, version)) is not None}
        self._hosts = [Range(number, number, "", "", "", version) for number, version in sorted(numbers)]
        self._taken = sorted({*ranges.all, *self._hosts, *(_cidr.block(text) for text in _cidr.RESERVED)})
        self._pools: dict[int, list[Range]] = {4: [], 6: []}
        self.problems: list[Problem] = []
        for text in sorted(set(request.within)):
            item, wrong = _cidr.read_range(text, "", "range to propose from", f"{request.prefix}within", (4, 6))
            self.problems += wrong
            if item:
                self._pools[item.version].append(item)
        self._pools[4] = sorted(self._pools[4]) or [_cidr.block(text) for text in _cidr.PRIVATE]
        self._pools[6] = sorted(self._pools[6]) or [_cidr.block(_IPV6_POOL)]

    def ranges(self) -> dict[str, str]:
        """The pod and service ranges that are not given, of both families."""
        request = self._request
        mask = request.block_mask
        needed = mask - max(request.planned_nodes - 1, 0).bit_length()
        found: dict[str, str] = {}
        wanted = {}
        if not (request.pod_cidr or request.zones):
            wanted["pod_cidr"] = range(max(min(_PODS, needed), mask - 16), needed + 1)
        if not request.service_cidr:
            last = min(32 - ((request.services or _FEWEST_SERVICES) + 1).bit_length(), SERVICE_PREFIX[4][1])
            wanted["service_cidr"] = range(max(min(_SERVICES, last), SERVICE_PREFIX[4][0]), last + 1)
        found.update(self._find(wanted, 4, _STARTS))
        if request.dual_stack and not request.zones:
            found.update(self._twins({**{key: getattr(request, key) for key in _STARTS}, **found}))
        return found

    def _twins(self, settled: dict[str, str]) -> dict[str, str]:
        request = self._request
        starts = {f"{key}_ipv6": _mirrored(settled.get(key, "")) for key in _STARTS}
        widths = {}
        if not request.pod_cidr_ipv6:
            needed = IPV6_BLOCK_PREFIX - max(request.planned_nodes - 1, 0).bit_length()
            widths["pod_cidr_ipv6"] = range(_IPV6_SITE, max(needed, _IPV6_SITE) + 1)
        if not request.service_cidr_ipv6:
            text = settled.get("service_cidr", "")
            # As many as there are in the IPv4 range, since a Service has an address of each.
            same = 96 + (int(text.split("/")[1]) if "/" in text else _SERVICES)
            needed = 128 - (request.services + 1).bit_length()
            first = min(max(same, SERVICE_PREFIX[6][0]), SERVICE_PREFIX[6][1], max(needed, SERVICE_PREFIX[6][0]))
            widths["service_cidr_ipv6"] = range(first, first + 1)
        return self._find(widths, 6, starts)

    def _find(self, wanted: dict[str, range], version: int, starts: dict[str, str]) -> dict[str, str]:
        """The widest that fit together. The largest is placed first, which finds a place for all if there is one."""
        if any(not widths or widths[-1] < 0 for widths in wanted.values()):
            widest = {key: widths.stop - 1 for key, widths in wanted.items()}
            self.problems += [
                _missing(self._request, key, self._pools[version], max(prefix, 0), self._taken)
                for key, prefix in sorted(widest.items()) if not wanted[key] or wanted[key][-1] < 0
            ]  # fmt: skip
            return {}
        failed: dict[str, int] = {}
        unrouted = self._ranges.unrouted
        for avoided, sizes in product((unrouted, []) if unrouted else ([],), product(*wanted.values())):
            taken = [*self._taken, *avoided]
            found: dict[str, str] = {}
            for key, prefix in sorted(zip(wanted, sizes), key=lambda item: (item[1], item[0])):
                text = _cidr.free_range(prefix, taken, starts.get(key, ""), self._pools[version])
                if not text:
                    failed = {key: prefix}
                    break
                found[key] = text
                taken.append(_cidr.block(text))
            else:
                self._taken += [_cidr.block(text) for text in found.values()]
                return found
        self.problems += [
            _missing(self._request, key, self._pools[version], prefix, self._taken) for key, prefix in failed.items()
        ]
        return {}

    def zones(self) -> list[Zone]:
        """More pod subnets for every zone that has none or lacks room; those that it has stay."""
        request = self._request
        needs = zone_needs(request, assign_blocks(request, self._ranges))
        last = {name: 32 - (sum(sizes) - 1).bit_length() for name, sizes in needs.items() if sizes}
        pools = sorted({item for item in self._ranges.lan if item.version == 4})
        for flat, wider in product((False, True), range(_SUBNET, max([*last.values(), _SUBNET]) + 1)):
            taken = self._lan_taken(pools, flat)
            found: dict[str, str] = {}
            widths = {name: min(wider, prefix) for name, prefix in last.items()}
            for name in sorted(widths, key=lambda name: (widths[name], name)):
                text = _cidr.free_range(widths[name], taken, "", pools) if pools else ""
                if not text:
                    break
                found[name] = text
                taken.append(_cidr.block(text))
            else:
                return [
                    dataclasses.replace(zone, pod_subnets=[*zone.pod_subnets, found[zone.name]])
                    if zone.name in found
                    else zone
                    for zone in request.zones
                ]
        self.problems.append(_missing(request, "zones", pools, max(min(last.values()), 0), self._taken))
        return list(request.zones)

    def _lan_taken(self, pools: Sequence[Range], flat: bool) -> list[Range]:
        """On a flat LAN hosts and pods share one subnet; elsewhere pods stay out of the hosts' subnets."""
        # Where routers are most often.
        ends = [Range(pool.first, pool.first + 1, "", "", "") for pool in pools]
        ends += [Range(pool.last - 1, pool.last, "", "", "") for pool in pools]
        if not flat:
            homes = set(self._ranges.lan)
            return [item for item in self._taken if item not in homes] + ([] if self._ranges.nodes else ends)
        around = {item for item in self._ranges.nodes if any(pool.inside(item) for pool in pools)}
        homes = {*self._ranges.lan, *around}
        return [item for item in self._taken if item not in homes] + ends


def _mirrored(cidr: str) -> str:
    """fd00:10:244:: for 10.244.0.0/16, the convention of Kubernetes' own examples."""
    parts = cidr.split("/")[0].split(".")
    return f"fd00:{parts[0]}:{parts[1]}::" if len(parts) == 4 else ""


def propose(request: AddressRequest) -> tuple[AddressRequest, list[Problem]]:
    """The same request with everything that was left open filled in."""
    proposal = _Proposal(request, read_ranges(request))
    zones = proposal.zones() if request.zones else request.zones
    if zones != request.zones:
        request = dataclasses.replace(request, zones=zones)
        proposal, problems = _Proposal(request, read_ranges(request)), proposal.problems
        proposal.problems += [item for item in problems if item not in proposal.problems]
    found: dict[str, Any] = dict(proposal.ranges())
    return dataclasses.replace(request, **found), proposal.problems
