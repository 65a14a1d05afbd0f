# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whether everything that is planned has room."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._address_blocks import Blocks
from ansible_collections.hostplane.cluster.plugins.module_utils._address_request import (
    IPV6_BLOCK_PREFIX,
    MAX_PODS,
    AddressRequest,
    Ranges,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# kube-controller-manager refuses to cut a pod range into more than 2^16 blocks, kubeadm a service range of more than
# 20 bits or of less than ten addresses.
BLOCK_BITS = 16
SERVICE_PREFIX = {4: (12, 28), 6: (112, 120)}


class Suggestions:
    """Free ranges to name in remedies; what has been suggested once is taken for the next suggestion."""

    def __init__(self, ranges: Ranges, nodes: Iterable[Node]) -> None:
        numbers = {number for node in nodes if (number := _cidr.read_address(node.address)) is not None}
        self._taken = ranges.all + [Range(number, number, "", "", "") for number in numbers]

    def text(self, prefix: int, start: str, own: Range | None) -> str:
        found = _cidr.free_range(prefix, [item for item in self._taken if item is not own], start)
        if found:
            self._taken.append(_cidr.block(found))
        return found and f", for example {found}"


def _widen(request: AddressRequest, item: Range, prefix: int, example: str) -> str:
    if request.previous:
        return (
            f"{item.path} of an existing cluster cannot be changed: plan fewer nodes, or another cluster for the rest."
        )
    return f"Widen {item.path} to a /{prefix}{example}, or lower {request.prefix}max_pods or {request.prefix}max_nodes."


def pod_capacity(request: AddressRequest, pods: Range, suggestions: Suggestions) -> list[Problem]:
    """A block of the pod range for every planned node."""
    mask = request.block_mask if pods.version == 4 else IPV6_BLOCK_PREFIX
    planned = request.planned_nodes
    blocks = 1 << (mask - pods.prefix) if pods.prefix <= mask else 0
    limits = (
        f"{request.prefix}max_pods is {request.max_pods}, so each node needs a /{mask}"
        if pods.version == 4
        else f"each node needs a /{mask}"
    )
    if blocks < max(planned, 1):
        needed = max(mask - max(planned - 1, 0).bit_length(), 0)
        example = suggestions.text(needed, "10.244.0.0", pods) if pods.version == 4 else ""
        return [
            Problem(
                "pod_cidr_too_small",
                f"The {pods.title} has room for {blocks} nodes, but {planned} are planned ({limits}).",
                _widen(request, pods, needed, example),
                path=pods.path,
                witness=(pods.cidr, f"/{needed}"),
            )
        ]
    if mask - pods.prefix > BLOCK_BITS:
        return [
            Problem(
                "pod_cidr_too_wide",
                f"The {pods.title} would be cut into more than 65536 blocks, which Kubernetes refuses ({limits}).",
                f"Use a /{mask - BLOCK_BITS} or smaller for {pods.path}.",
                path=pods.path,
                witness=(pods.cidr, f"/{mask - BLOCK_BITS}"),
            )
        ]
    return []


def service_capacity(request: AddressRequest, services: Range) -> list[Problem]:
    widest, narrowest = SERVICE_PREFIX[services.version]
    if not widest <= services.prefix <= narrowest:
        example = "a /20 has 4094 services" if services.version == 4 else "a /116 has as many services as an IPv4 /20"
        return [
            Problem(
                "service_cidr_size",
                f"The {services.title} is a /{services.prefix}; it must be /{widest} to /{narrowest}.",
                f"Choose a prefix length from {widest} to {narrowest} for {services.path}; {example}.",
                path=services.path,
                witness=(services.cidr, f"/{widest if services.prefix < widest else narrowest}"),
            )
        ]
    # The first and the last address are never given out.
    if request.services > services.size - 2:
        needed = _cidr.BITS[services.version] - (request.services + 1).bit_length()
        return [
            Problem(
                "service_cidr_too_small",
                f"The {services.title} has room for {services.size - 2} services, but {request.services} are planned.",
                f"Widen {services.path} to a /{needed}.",
                path=services.path,
                witness=(services.cidr, f"/{needed}"),
            )
        ]
    return []


def twin_problems(request: AddressRequest, ranges: Ranges) -> list[Problem]:
    """The IPv6 ranges beside the IPv4 ones."""
    problems = []
    pods, services = ranges.pods_ipv6, ranges.services_ipv6
    given = {"pod_cidr_ipv6": request.pod_cidr_ipv6, "service_cidr_ipv6": request.service_cidr_ipv6}
    missing = [name for name, text in given.items() if not text]
    if len(missing) == 1:
        path = f"{request.prefix}{missing[0]}"
        (present,) = (text for text in given.values() if text)
        problems.append(
            Problem(
                "ipv6_twin_missing",
                f"{path} is empty, but a cluster with IPv6 has pods and Services in both families.",
                f"Set {path} as well, such as {'fd00:10:244::/48' if 'pod' in path else 'fd00:10:96::/116'}.",
                path=path,
                witness=(present, path),
            )
        )
    item = pods or services
    if request.zones and item:
        problems.append(
            Problem(
                "ipv6_zones",
                f"The {item.title} cannot be used: pods with addresses of the hosts' networks have IPv4 only.",
                f"Leave {item.path} empty, or give the pods a range of their own.",
                path=item.path,
                witness=(item.cidr, f"{request.prefix}zones"),
            )
        )
    if services and not services.inside(_cidr.block(_cidr.UNIQUE_LOCAL)):
        problems.append(
            Problem(
                "service_cidr_not_local",
                f"The {services.title} is not inside {_cidr.UNIQUE_LOCAL}, though Services are local to their cluster.",
                f"Choose a range inside {_cidr.UNIQUE_LOCAL} for {services.path}, such as fd00:10:96::/116.",
                path=services.path,
                witness=(services.cidr, _cidr.UNIQUE_LOCAL),
            )
        )
    return problems


def zone_needs(request: AddressRequest, blocks: Blocks) -> dict[str, list[int]]:
    """Sizes of the blocks for which each zone lacks room: those of hosts and those of the growth that is planned."""
    size = 1 << (32 - request.block_mask)
    needs: dict[str, list[int]] = {}
    room = 0
    for zone in request.zones:
        members = len(blocks.members.get(zone.name, []))
        free = blocks.spaces[zone.name].count(size)
        growth = max(zone.max_nodes - members, 0)
        needs[zone.name] = sorted(blocks.unplaced[zone.name], reverse=True) + [size] * max(growth - free, 0)
        if not zone.pod_subnets and not needs[zone.name]:
            needs[zone.name] = [size]
        room += members + max(free, growth)
    short = max(request.planned_nodes - room, 0)
    for position, name in enumerate(sorted(needs)):
        # Spread over the zones as evenly as possible.
        needs[name] += [size] * ((short + position) // len(needs))
    return needs


def zone_capacity(request: AddressRequest, ranges: Ranges, blocks: Blocks) -> list[Problem]:
    problems = []
    path = f"{request.prefix}zones"
    names = [zone.name for zone in request.zones]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(
            Problem(
                "zone_duplicate",
                f"The zone {name} is listed more than once.",
                "Give every zone its own name.",
                path=path,
                witness=(name, name),
            )  # fmt: skip
        )
    if request.pod_cidr:
        problems.append(
            Problem(
                "pod_cidr_and_zones",
                f"{request.prefix}pod_cidr and {path} are both given: pods have either a range of their own or"
                " addresses of the hosts' networks.",
                f"Leave one of {request.prefix}pod_cidr and {path} empty.",
                path=path,
                witness=(request.pod_cidr, path),
            )
        )
    for name, needs in sorted(zone_needs(request, blocks).items()):
        subnets = ", ".join(item.cidr for item in ranges.subnets[name]) or "no pod subnet"
        if needs:
            prefix = 33 - _power(sum(needs)).bit_length()
            problems.append(
                Problem(
                    "pod_subnet_too_small",
                    f"Zone {name} ({subnets}) lacks room for {len(needs)} blocks of nodes, {sum(needs)} addresses.",
                    f"Add a pod subnet of at least a /{prefix} to zone {name}; those that are in use stay.",
                    path=path,
                    witness=(subnets, f"/{prefix}"),
                )
            )
    for item in (item for items in ranges.subnets.values() for item in items):
        if ranges.lan and not any(item.inside(lan) for lan in ranges.lan):
            known = ", ".join(sorted({lan.cidr for lan in ranges.lan}))
            problems.append(
                Problem(
                    "pod_subnet_outside",
                    f"The {item.title} is in none of the LAN ranges ({known}), so its pods would not be on the LAN.",
                    f"Choose a subnet inside {request.prefix}lan_cidrs, or add its network there.",
                    path=path,
                    witness=(item.cidr, known),
                )
            )
    return problems


def max_pods_problems(request: AddressRequest) -> list[Problem]:
    low, high = MAX_PODS
    problems = []
    if not low <= request.max_pods <= high:
        problems.append(
            Problem(
                "max_pods_range",
                f"{request.max_pods} pods per node are not possible: it must be {low} to {high}.",
                f"Set {request.prefix}max_pods to a number from {low} to {high}; Kubernetes' own default is 110.",
                path=f"{request.prefix}max_pods",
                witness=(str(request.max_pods), f"{low}-{high}"),
            )
        )
    # Slices are cut to measure, the blocks of a pod range are all of one size.
    most = high if request.zones else min(high, (1 << (32 - request.block_mask)) // request.addresses_per_pod)
    for node in request.nodes:
        if node.max_pods and not low <= node.max_pods <= most:
            problems.append(
                Problem(
                    "max_pods_range",
                    f"{node.max_pods} pods are not possible on this node: it must be {low} to {most}.",
                    f"Set its max_pods to a number from {low} to {most}"
                    + ("." if request.zones else f", or raise {request.prefix}max_pods, which sizes the blocks."),
                    host=node.host,
                    path="max_pods",
                    witness=(str(node.max_pods), f"{low}-{most}"),
                )
            )
    return problems


def _power(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()
