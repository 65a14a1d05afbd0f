# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._plan import ClusterPlan, ClusterRequest, plan_cluster
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_bundle import CNI_REPOSITORIES, REPOSITORIES
from hypothesis import given
from hypothesis import strategies as st

IMAGES = [f"{name}:v1" for name in [*REPOSITORIES.values(), *CNI_REPOSITORIES["flannel"].values()]]
HAPROXY, KEEPALIVED = "docker.io/library/haproxy:3.2.0", "docker.io/osixia/keepalived:2.3.4"


def members(count: int) -> list[dict[str, Any]]:
    return [
        {"inventory_hostname": f"cp-{number}", "role": "control_plane", "node_address": f"10.9.0.1{number}"}
        for number in range(1, count + 1)
    ]


WORKER = {"inventory_hostname": "w", "role": "worker", "node_address": "10.9.0.21"}
VIP = "10.9.0.100"
MANAGED = {"balancer": "managed", "vip": VIP}


def plan(count: int = 3, **options: Any) -> ClusterPlan:
    defaults = {
        "name": "lab",
        "kubernetes_version": "1.36.3",
        "mirror_address": "10.9.0.5:5000",
        "node_cidrs": ["10.9.0.0/24"],
        "hosts": [*members(count), WORKER],
        "release": {"images": dict.fromkeys([*IMAGES, HAPROXY, KEEPALIVED], {})},
    }
    return plan_cluster(ClusterRequest(**{**defaults, **options}))


def codes(**options: Any) -> list[str]:
    return [problem.code for problem in plan(**options).problems]


def test_a_managed_balancer() -> None:
    found = plan(**MANAGED)
    assert not found.problems
    assert [advice.code for advice in found.advice] == ["bundle_unknown"]
    assert found.plan["cluster"]["endpoint"] == f"{VIP}:8443"
    assert found.plan["cluster"]["api_sans"] == [VIP]
    balancer = found.plan["balancer"]
    assert 1 <= balancer.pop("virtual_router_id") <= 255
    assert balancer == {
        "mode": "managed",
        "vip": VIP,
        "port": 8443,
        "backends": [{"name": f"cp-{number}", "address": f"10.9.0.1{number}"} for number in (1, 2, 3)],
    }


def test_a_name_for_the_virtual_address() -> None:
    found = plan(**MANAGED, endpoint="api.example.com:8443")
    assert not found.problems
    assert found.plan["cluster"]["endpoint"] == "api.example.com:8443"
    assert found.plan["cluster"]["api_sans"] == [VIP, "api.example.com"]


def test_one_control_plane_may_have_the_balancer_from_the_start() -> None:
    one, three = plan(1, **MANAGED), plan(3, **MANAGED)
    assert not one.problems and "endpoint_single_host" not in [advice.code for advice in one.advice]
    assert one.plan["cluster"]["endpoint"] == three.plan["cluster"]["endpoint"]
    assert one.plan["balancer"]["virtual_router_id"] == three.plan["balancer"]["virtual_router_id"]


def test_its_images_go_to_control_planes_only_and_only_then() -> None:
    images = plan(**MANAGED).plan["images"]
    assert (images["haproxy"], images["keepalived"]) == (HAPROXY, KEEPALIVED)
    assert {HAPROXY, KEEPALIVED} <= set(images["control_plane"])
    assert not {HAPROXY, KEEPALIVED} & set(images["worker"])
    other = plan(endpoint="api.example.com:6443").plan["images"]
    assert "haproxy" not in other and HAPROXY not in other["control_plane"]


def test_a_bundle_without_its_images_is_found() -> None:
    lock = {"schema": 1, "release": "1.36.3", "arch": "amd64", "files": {}, "files_manifest": "",
            "images": {image: {"digest": "sha256:1"} for image in [*IMAGES, HAPROXY]}}  # fmt: skip
    found = plan(**MANAGED, lock={"amd64": lock}, release={})
    assert [problem.message for problem in found.problems if problem.code == "lock_image_missing"] == [
        "The bundle for amd64 lacks the image keepalived."
    ]


def test_an_external_balancer() -> None:
    for mode in ("external", "none"):
        found = plan(balancer=mode, endpoint="lb.example.com:443")
        assert not found.problems
        assert found.plan["balancer"]["mode"] == "external"
        assert found.plan["balancer"]["port"] == 443
        assert found.plan["balancer"]["virtual_router_id"] == 0
        assert len(found.plan["balancer"]["backends"]) == 3


def test_no_balancer_for_one_control_plane() -> None:
    found = plan(1)
    assert not found.problems
    assert found.plan["balancer"]["mode"] == "none"
    assert found.plan["cluster"]["endpoint"] == "10.9.0.11:6443"
    (advice,) = [advice for advice in found.advice if advice.code == "endpoint_single_host"]
    assert "cluster_vip" in advice.remedy and "DNS" in advice.remedy
    assert plan(1, endpoint="api.example.com:6443").plan["balancer"]["mode"] == "none"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["balancer_missing"]),
        ({"balancer": "metallb", "endpoint": "lb.example.com:443"}, ["balancer_unknown"]),
        ({"balancer": "external"}, ["endpoint_missing"]),
        ({"balancer": "external", "count": 1}, ["endpoint_missing"]),
        ({"balancer": "external", "count": 1, "endpoint": "10.9.0.11:6443"}, []),
        ({"endpoint": "10.9.0.12:6443"}, ["endpoint_not_shared"]),
        ({"balancer": "external", "endpoint": "10.9.0.21:6443"}, ["endpoint_not_shared"]),
        ({"existing": {"endpoint": "10.9.0.11:6443"}}, ["endpoint_not_shared"]),
        ({"existing": {"endpoint": "api.example.com:6443"}}, []),
        ({"endpoint": "lb.example.com:443", "vip": VIP}, ["vip_unused"]),
        ({"balancer": "managed"}, ["vip_missing"]),
        ({**MANAGED, "vip": "api.example.com"}, ["vip_invalid"]),
        ({**MANAGED, "vip": "fd00::1"}, ["vip_invalid"]),
        ({**MANAGED, "vip": "10.9.0.12"}, ["vip_taken"]),
        ({**MANAGED, "vip": "10.9.0.5"}, ["vip_taken"]),
        ({**MANAGED, "vip": "10.9.1.100"}, ["vip_outside"]),
        ({**MANAGED, "vip": "127.0.0.1", "node_cidrs": []}, ["vip_reserved"]),
        ({**MANAGED, "vip": "10.244.3.3", "node_cidrs": []}, ["vip_in_range"]),
        ({**MANAGED, "vip": "10.96.0.100", "node_cidrs": []}, ["vip_in_range"]),
        ({**MANAGED, "vip": "10.7.0.1", "node_cidrs": [], "peer_cidrs": ["10.7.0.0/16"]}, ["vip_in_range"]),
        ({**MANAGED, "vip": "10.7.0.1", "node_cidrs": [], "other_clusters": [{"name": "b", "pod_cidr": "10.7.0.0/16"}]},
         ["vip_in_range"]),
        ({**MANAGED, "balancer_port": 6443}, ["balancer_port_taken"]),
        ({**MANAGED, "balancer_port": 30443}, ["balancer_port_taken"]),
        ({**MANAGED, "balancer_port": 0}, ["balancer_port_taken"]),
        ({**MANAGED, "balancer_port": 8404}, ["balancer_port_taken"]),
        ({**MANAGED, "balancer_port": 65536}, ["balancer_port_taken"]),
        ({**MANAGED, "balancer_port": 443}, ["balancer_port_low"]),
        ({**MANAGED, "balancer_port": 1023}, ["balancer_port_low"]),
        ({**MANAGED, "balancer_port": 1024}, []),
        ({**MANAGED, "vrrp_id": 256}, ["vrrp_id_range"]),
        ({**MANAGED, "vrrp_id": 7}, []),
        ({**MANAGED, "endpoint": "api.example.com:6443"}, ["endpoint_port"]),
        ({**MANAGED, "endpoint": "10.9.0.101:8443"}, ["endpoint_not_vip"]),
        ({**MANAGED, "endpoint": f"{VIP}:8443"}, []),
        ({**MANAGED, "endpoint": "x"}, ["endpoint_invalid"]),
        ({**MANAGED, "existing": {"endpoint": f"{VIP}:8443"}}, []),
        ({**MANAGED, "existing": {"endpoint": "api.example.com:8443"}}, []),
        ({**MANAGED, "existing": {"endpoint": "10.9.0.11:6443"}}, ["immutable_setting"]),
        ({**MANAGED, "count": 2}, ["control_plane_even"]),
        ({**MANAGED, "count": 5}, []),
    ],
)  # fmt: skip
def test_each_problem_is_found_alone(options: dict[str, Any], expected: list[str]) -> None:
    assert codes(**options) == expected


def test_every_problem_says_what_to_do() -> None:
    problems = [
        *plan(balancer="x", vip="1.2.3.4").problems,
        *plan(**{**MANAGED, "vip": "10.96.0.1", "balancer_port": 1, "vrrp_id": -1}, endpoint="10.0.0.1:2").problems,
    ]
    assert len(problems) >= 6
    assert all(problem.path.startswith("cluster_") and problem.remedy for problem in problems)


def test_more_than_five_control_planes_are_only_advised_against() -> None:
    assert not plan(7, **MANAGED).problems
    assert "control_plane_many" in [advice.code for advice in plan(7, **MANAGED).advice]
    assert "control_plane_many" not in [advice.code for advice in plan(5, **MANAGED).advice]


@given(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.integers(0, 255))
def test_the_router_id_follows_from_the_endpoint_alone(name: str, chosen: int) -> None:
    options = {**MANAGED, "endpoint": f"{name}.example.com:8443", "vrrp_id": chosen}
    ids = {plan(count, **options).plan["balancer"]["virtual_router_id"] for count in (1, 3)}
    assert len(ids) == 1
    assert ids == {chosen} if chosen else 1 <= ids.pop() <= 255
