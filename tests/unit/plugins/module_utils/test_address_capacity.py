# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    Zone,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

DUAL = {"pod_cidr_ipv6": "fd00:10:244::/48", "service_cidr_ipv6": "fd00:10:96::/116"}


def problems(**options: Any) -> list[Problem]:
    request = {"pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/20", **options}
    return plan_addresses(AddressRequest(**request))[1]


def codes(**options: Any) -> list[str]:
    return sorted(problem.code for problem in problems(**options))


@pytest.mark.parametrize(
    "options",
    [
        DUAL,
        {**DUAL, "pod_cidr_ipv6": "2001:db8:1:8000::/56", "max_nodes": 256},
        {**DUAL, "service_cidr_ipv6": "fd00:10:96::/112"},
        {**DUAL, "service_cidr_ipv6": "fd00:10:96::/120", "services": 254},
        {"pods": 256 * 110},
        {"nodes": [Node("node-1", "10.0.0.1", max_pods=128)]},
    ],
)
def test_what_just_fits_is_accepted(options: dict[str, Any]) -> None:
    assert not codes(**options)


@pytest.mark.parametrize(
    ("options", "code", "witness"),
    [
        ({"pods": 256 * 110 + 1}, "pod_cidr_too_small", ("10.244.0.0/16", "/15")),
        ({"service_cidr": "10.96.0.0/29"}, "service_cidr_size", ("10.96.0.0/29", "/28")),
        ({"service_cidr": "10.96.0.0/24", "services": 255}, "service_cidr_too_small", ("10.96.0.0/24", "/23")),
        ({**DUAL, "pod_cidr_ipv6": ""}, "ipv6_twin_missing", ("fd00:10:96::/116", "pod_cidr_ipv6")),
        ({**DUAL, "service_cidr_ipv6": ""}, "ipv6_twin_missing", ("fd00:10:244::/48", "service_cidr_ipv6")),
        ({**DUAL, "service_cidr_ipv6": "2001:db8::/116"}, "service_cidr_not_local", ("2001:db8::/116", "fc00::/7")),
        ({**DUAL, "service_cidr_ipv6": "fd00:10:96::/108"}, "service_cidr_size", ("fd00:10:96::/108", "/112")),
        ({**DUAL, "service_cidr_ipv6": "fd00:10:96::/121"}, "service_cidr_size", ("fd00:10:96::/121", "/120")),
        ({**DUAL, "service_cidr_ipv6": "fd00:10:96::/120", "services": 255}, "service_cidr_too_small",
         ("fd00:10:96::/120", "/119")),
        ({**DUAL, "pod_cidr_ipv6": "fd00:10:244::/60", "max_nodes": 17}, "pod_cidr_too_small",
         ("fd00:10:244::/60", "/59")),
        ({**DUAL, "pod_cidr_ipv6": "fd00:10:244::/65"}, "pod_cidr_too_small", ("fd00:10:244::/65", "/64")),
        ({**DUAL, "pod_cidr_ipv6": "fd00:1000::/32"}, "pod_cidr_too_wide", ("fd00:1000::/32", "/48")),
        ({**DUAL, "pod_cidr_ipv6": "10.1.0.0/16"}, "cidr_ipv4", ("pod_cidr_ipv6", "10.1.0.0/16")),
        ({**DUAL, "pod_cidr_ipv6": "fe80::/48"}, "cidr_reserved", ("fe80::/48", "fe80::/10")),
        ({"nodes": [Node("node-1", "10.0.0.1", max_pods=129)]}, "max_pods_range", ("129", "10-128")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(options: dict[str, Any], code: str, witness: tuple[str, str]) -> None:
    assert [(problem.code, problem.witness) for problem in problems(**options)] == [(code, witness)]


I = Zone("i", ["192.168.0.0/19"], ["192.168.32.0/24"])  # noqa: E741
J = Zone("j", ["192.168.64.0/19"], ["192.168.96.0/24"])


@pytest.mark.parametrize(
    ("options", "codes_expected"),
    [
        ({"zones": [I, J]}, []),
        ({"zones": [I, J], "max_nodes": 2}, []),
        ({"zones": [I, J], "max_nodes": 3}, ["pod_subnet_too_small"]),
        ({"zones": [I, J], "max_nodes": 4}, ["pod_subnet_too_small", "pod_subnet_too_small"]),
        ({"zones": [Zone("i", [], [])]}, ["pod_subnet_too_small"]),
        ({"zones": [Zone("i", [], I.pod_subnets, max_nodes=2)]}, ["pod_subnet_too_small"]),
        ({"zones": [I, Zone("i", J.node_cidrs, J.pod_subnets)]}, ["zone_duplicate"]),
        ({"zones": [I], "pod_cidr": "10.244.0.0/16"}, ["pod_cidr_and_zones"]),
        ({"zones": [I], "lan_cidrs": ["192.168.0.0/19"]}, ["pod_subnet_outside"]),
        ({"zones": [I], **DUAL}, ["ipv6_zones"]),
    ],
)
def test_zones_have_room_or_are_refused(options: dict[str, Any], codes_expected: list[str]) -> None:
    found = problems(**{"pod_cidr": "", **options})
    assert sorted(problem.code for problem in found) == codes_expected
    assert all(len(problem.witness) == 2 and all(problem.witness) for problem in found)
