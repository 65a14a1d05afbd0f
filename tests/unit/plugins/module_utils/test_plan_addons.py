# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_addons import (
    Taken,
    plan_addons,
    read_addresses,
    selected_addons,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import ClusterRequest
from hypothesis import given
from hypothesis import strategies as st

POOL = {"name": "default", "addresses": ["10.9.0.200-10.9.0.220"]}
BOTH = {
    "node_cidrs": ["10.9.0.0/24", "fd00:9::/64"],
    "pod_cidr_ipv6": "fd00:1::/56",
    "service_cidr_ipv6": "fd00:2::/112",
}
TAKEN = [
    Taken("node-1", "10.9.0.21"),
    Taken("node-1", "fd00:9::21"),
    Taken("the mirror", "10.9.0.5"),
    Taken("the API", "api.example.com"),
]


def request(**options: Any) -> ClusterRequest:
    return ClusterRequest("lab", "1.36.3", **{"node_cidrs": ["10.9.0.0/24"], **options})


def codes(**options: Any) -> list[str]:
    return [problem.code for problem in plan_addons(request(**options), TAKEN)[1]]


def pools(*addresses: str, **more: Any) -> dict[str, Any]:
    return {"load_balancer": {"pools": [{"name": "default", "addresses": list(addresses), **more}]}}


def test_the_range_of_pods_plays_no_part_where_they_have_subnets_of_the_lan() -> None:
    wanted = request(**pools("10.244.3.0/28", "10.9.0.192/28"), lan_cidrs=["10.244.0.0/16"])
    found = {subnet: plan_addons(wanted, TAKEN, [subnet])[1] for subnet in ("10.9.0.128/26", "10.9.0.192/26")}
    assert [problem.code for problem in found["10.9.0.128/26"]] == []
    assert [problem.code for problem in found["10.9.0.192/26"]] == ["pool_overlap"]


def test_nothing_asked_for_is_nothing_planned() -> None:
    plan, problems = plan_addons(request(), TAKEN)
    assert (plan, problems) == ({"load_balancer": {"pools": []}, "ingress": {"enabled": False}}, [])
    assert selected_addons(request()) == set()


def test_what_is_asked_for_selects_its_addon() -> None:
    assert selected_addons(request(load_balancer={"pools": [POOL]})) == {"metallb"}
    assert selected_addons(request(ingress={"service": "node_port"})) == {"traefik"}
    assert selected_addons(request(ingress={"enabled": False, "service": "node_port"})) == set()
    both = request(load_balancer={"pools": [POOL]}, ingress={"enabled": True})
    assert selected_addons(both) == {"metallb", "traefik"}
    plan, problems = plan_addons(both, TAKEN)
    assert problems == []
    assert plan["load_balancer"]["pools"] == [{**POOL, "auto_assign": True, "interfaces": []}]
    assert plan["ingress"]["service"] == "load_balancer" and plan["ingress"]["replicas"] == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (pools("10.9.0.200-10.9.0.220"), []),
        (pools("10.9.0.192/28", "10.9.0.230"), []),
        ({"load_balancer": {"pools": POOL}}, ["pool_invalid"]),
        ({"load_balancer": {"ranges": []}}, ["pool_invalid"]),
        ({"load_balancer": {"pools": [POOL, POOL]}}, ["pool_invalid", "pool_overlap"]),
        (pools("10.9.0.200-10.9.0.220", mode="bgp"), ["pool_invalid"]),
        (pools("10.9.0.200-10.9.0.220", auto_assign="no"), ["pool_invalid"]),
        (pools(), ["pool_invalid"]),
        (pools("10.9.0.220-10.9.0.200"), ["pool_invalid"]),
        (pools("10.9.0.193/28"), ["pool_invalid"]),
        (pools("10.9.0.200", "10.9.0.192/28"), ["pool_overlap"]),
        (pools("10.9.0.20-10.9.0.30"), ["pool_taken"]),
        (pools("10.9.0.0/27"), ["pool_taken", "pool_taken"]),
        (pools("10.8.0.0/28"), ["pool_outside"]),
        ({**pools("10.8.0.0/28"), "lan_cidrs": ["10.8.0.0/16"]}, []),
        (pools("10.244.3.0/28"), ["pool_overlap", "pool_outside"]),
        (pools("10.96.1.0/28"), ["pool_overlap", "pool_outside"]),
        ({**pools("10.9.0.200"), "peer_cidrs": ["10.9.0.128/25"]}, ["pool_overlap"]),
        (pools("fd00:9::c0/124"), ["pool_family"]),
        ({**BOTH, **pools("fd00:9::c0/124", "10.9.0.200")}, []),
        ({**BOTH, **pools("fd00:9::c0-fd00:9::cf")}, []),
        ({**BOTH, **pools("fd00:9::c0", "fd00:9::/120")}, ["pool_overlap", "pool_taken"]),
        ({**BOTH, **pools("fd00:8::/124")}, ["pool_outside"]),
        ({**BOTH, **pools("fd00:8::/124"), "lan_cidrs": ["fd00:8::/64"]}, []),
        ({**BOTH, **pools("fd00:1::1:0/124")}, ["pool_overlap", "pool_outside"]),
        ({**BOTH, **pools("fd00:2::80/124")}, ["pool_overlap", "pool_outside"]),
        (pools("fd00:9::1-10.9.0.9"), ["pool_invalid"]),
        ({**pools("10.9.0.200"), "taken_cidrs": ["10.9.0.192/26"]}, ["pool_overlap"]),
        ({**pools("10.9.0.200"), "other_clusters": [{"name": "b", "service_cidr": "10.9.0.192/26"}]}, ["pool_overlap"]),
        ({**pools("10.9.0.200"), "other_clusters": [{"name": "b", "pod_subnets": ["10.9.0.128/26", "10.9.0.192/26"]}]},
         ["pool_overlap"]),
        ({**pools("10.9.0.200"), "other_clusters": [{"name": "b", "node_cidrs": ["10.9.0.0/24"]}]}, []),
        ({**BOTH, **pools("fd00:9::c0/124"), "other_clusters": [{"name": "b", "pod_cidr_ipv6": "fd00:9::/120"}]},
         ["pool_overlap"]),
        ({**BOTH, **pools("fd00:9::c0/124"), "other_clusters": [{"name": "b", "service_cidr_ipv6": "fd00:9::/120"}]},
         ["pool_overlap"]),
        ({"ingress": {"service": "load_balancer"}}, ["ingress_without_pool"]),
        ({"ingress": {"service": "node_port"}}, []),
        ({"ingress": {"service": "host"}}, ["ingress_invalid"]),
        ({"ingress": {"service": "node_port", "replicas": 0}}, ["ingress_invalid"]),
        ({"ingress": {"service": "node_port", "replicas": "2"}}, ["ingress_invalid"]),
        ({"ingress": {"service": "node_port", "class": "x"}}, ["ingress_invalid"]),
        ({"ingress": {"service": "node_port", "http_port": 80}}, ["ingress_port"]),
        ({"ingress": {"service": "node_port", "http_port": 30080, "https_port": 30080}}, ["ingress_port"]),
        ({**pools("10.9.0.200"), "ingress": {"address": "10.9.0.200"}}, []),
        ({**pools("10.9.0.200"), "ingress": {"address": "10.9.0.201"}}, ["ingress_address"]),
        ({**pools("10.9.0.200", auto_assign=False), "ingress": {"enabled": True}}, ["ingress_address"]),
        ({"node_port_range": "30000"}, ["node_port_range_invalid"]),
        ({"node_port_range": "31000-30000"}, ["node_port_range_invalid"]),
        ({"node_port_range": "30000-70000"}, ["node_port_range_invalid"]),
        ({"node_port_range": "10000-10249"}, []),
        ({"node_port_range": "8000-9000"}, []),
        ({"node_port_range": "8000-9000", "balancer": "managed"}, ["node_port_range_taken"]),
        ({"node_port_range": "6000-7000"}, ["node_port_range_taken"]),
        ({"node_port_range": "31000-31100", "ingress": {"service": "node_port", "http_port": 31080}}, []),
    ],
)  # fmt: skip
def test_refusals(options: dict[str, Any], expected: list[str]) -> None:
    assert codes(**options) == expected


def test_a_pool_never_meets_the_pods_part_of_the_lan() -> None:
    (problem,) = plan_addons(request(**pools("10.9.0.200")), [], ["10.9.0.192/27"])[1]
    assert (problem.code, problem.path) == ("pool_overlap", "cluster_load_balancer")
    assert "pod subnet 10.9.0.192/27" in problem.message


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_pool_never_has_an_address_of_a_host(first: int, last: int) -> None:
    found = codes(**pools(f"10.9.0.{min(first, last)}-10.9.0.{max(first, last)}"))
    assert ("pool_taken" in found) == any(min(first, last) <= taken <= max(first, last) for taken in (5, 21))


@given(st.ip_addresses(v=4), st.integers(0, 1000))
def test_ranges_are_read_as_written(first: ipaddress.IPv4Address, more: int) -> None:
    last = ipaddress.ip_address(min(int(first) + more, 2**32 - 1))
    found = read_addresses(f"{first} - {last}", "")
    assert found is not None and (found.first, found.last) == (int(first), int(last))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    read_addresses(text, "")
