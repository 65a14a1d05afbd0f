# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _names, _plan_pools, _plan_reserved
from ansible_collections.hostplane.cluster.plugins.module_utils._plan import ClusterPlan, ClusterRequest, plan_cluster
from hypothesis import given
from hypothesis import strategies as st

CP = {"inventory_hostname": "cp-1", "role": "control_plane", "node_address": "10.9.0.11"}
LARGE = {"cpus": 32, "memory_mb": 256 * 1024}
SMALL = {"cpus": 2, "memory_mb": 2000}


def plan(facts: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **variables: Any) -> ClusterPlan:
    """The plan of a control plane and one worker with these variables."""
    worker = {"inventory_hostname": "w", "role": "worker", "node_address": "192.168.0.55", **variables}
    return plan_cluster(
        ClusterRequest(
            name="lab",
            kubernetes_version="1.36.3",
            mirror_address="10.9.0.5:5000",
            hosts=[CP, worker],
            facts={"w": LARGE if facts is None else facts},
            kubelet_config=cluster or {},
        )
    )


def worker(**options: Any) -> dict[str, Any]:
    found = plan(**options)
    assert not found.problems
    result: dict[str, Any] = found.plan["hosts"]["w"]
    return result


def codes(**options: Any) -> list[str]:
    return [problem.code for problem in plan(**options).problems]


@pytest.mark.parametrize(("cpus", "reserved"), [(1, 25), (2, 50), (4, 100), (8, 200), (16, 400), (32, 800), (64, 1600)])
def test_cpu_formula(cpus: int, reserved: int) -> None:
    assert _plan_reserved.cpu_reserved(cpus) == reserved
    if cpus >= 4:
        assert reserved == 100 + (cpus - 4) * 1000 * 0.025


@pytest.mark.parametrize(
    ("gib", "reserved"), [(4, 1.0), (8, 1.8), (16, 2.6), (32, 3.56), (64, 5.48), (128, 9.32), (256, 11.88)]
)
def test_memory_formula(gib: int, reserved: float) -> None:
    assert _plan_reserved.memory_reserved(gib * 1024) == int(reserved * 1024 + 1e-6)


def test_the_formula_gives_what_a_real_node_of_7925980_ki_has() -> None:
    memory = 7925980 // 1024
    assert _plan_reserved.memory_reserved(memory) == 1752
    assert _plan_reserved.memory_reserved(memory) + _plan_reserved.EVICTION_MB == (7925980 - 5824732) // 1024


@given(st.integers(1, 4_000_000), st.integers(1, 1000))
def test_reservations_grow_with_the_host_and_leave_most_of_it(memory: int, cpus: int) -> None:
    assert 0 <= _plan_reserved.memory_reserved(memory) <= memory // 4
    assert 0 <= _plan_reserved.memory_reserved(memory + 1) - _plan_reserved.memory_reserved(memory) <= 1
    assert 0 < _plan_reserved.cpu_reserved(cpus) < cpus * 1000


@given(st.integers(0, 10**6))
def test_quantities_are_read_as_they_are_written(number: int) -> None:
    assert _plan_reserved.read_cpu(f"{number}m") == number
    assert _plan_reserved.read_cpu(number) == 1000 * number
    assert _plan_reserved.read_memory(f"{number}Mi") == number
    assert _plan_reserved.read_memory(f"{number}Gi") == 1024 * number
    assert _plan_reserved.read_memory(number * 2**20) == number


@pytest.mark.parametrize("value", ["", "-1", "1.5m", "1 core", True, None, "1e3", [], "0.0001"])
def test_what_is_no_quantity(value: Any) -> None:
    assert _plan_reserved.read_cpu(value) is None
    assert _plan_reserved.read_memory(value) is None


def test_reservation_by_default() -> None:
    assert worker()["kubelet_config"] == {
        "evictionHard": {
            "imagefs.available": "15%",
            "imagefs.inodesFree": "5%",
            "memory.available": "300Mi",
            "nodefs.available": "10%",
            "nodefs.inodesFree": "5%",
        },
        "kubeReserved": {"cpu": "800m", "memory": "12165Mi"},
        "maxPods": 110,
    }
    assert worker(facts=SMALL)["kubelet_config"]["kubeReserved"] == {"cpu": "50m", "memory": "500Mi"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("auto", {"cpu": "800m", "memory": "12165Mi"}),
        ({"cpu": "500m"}, {"cpu": "500m", "memory": "12165Mi"}),
        ({"cpu": 2, "memory": "4Gi"}, {"cpu": "2", "memory": "4Gi"}),
        ("none", None),
    ],
)
def test_reservation_can_be_set(value: Any, expected: Any) -> None:
    settings = worker(node_reserved=value)["kubelet_config"]
    assert settings.get("kubeReserved") == expected
    assert ("evictionHard" in settings) is bool(expected)


def test_without_the_size_of_the_host_only_what_is_written_is_reserved() -> None:
    assert worker(facts={})["kubelet_config"] == {"maxPods": 110}
    assert worker(facts={}, node_reserved={"cpu": "1"})["kubelet_config"]["kubeReserved"] == {"cpu": "1"}
    assert worker(facts={}, node_cpu_policy="static")["kubelet_config"]["cpuManagerPolicy"] == "static"


def test_settings_of_the_host_win_over_those_of_the_cluster_and_both_over_ours() -> None:
    settings = worker(
        cluster={
            "evictionHard": {"memory.available": "1Gi", "nodefs.available": "5%"},
            "imageGCLowThresholdPercent": 7,
        },
        node_kubelet_config={"evictionHard": {"memory.available": "2Gi"}, "imageGCHighThresholdPercent": 70},
        node_max_pods=64,
        node_cpu_policy="static",
    )["kubelet_config"]
    assert settings["evictionHard"]["memory.available"] == "2Gi"
    assert settings["evictionHard"]["nodefs.available"] == "5%"
    assert settings["evictionHard"]["imagefs.available"] == "15%"
    assert settings["imageGCHighThresholdPercent"] == 70
    assert settings["maxPods"] == 64
    assert settings["cpuManagerPolicy"] == "static"
    # What all kubelets have in common is not repeated.
    assert "imageGCLowThresholdPercent" not in settings


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"pools": ["gpu", "big"]}, ["pool_ambiguous"]),
        ({"pools": ["_gpu"]}, ["pool_name_invalid"]),
        ({"node_state": "drained"}, ["node_state_invalid"]),
        ({"node_cpu_policy": "dynamic"}, ["node_cpu_policy_invalid"]),
        ({"node_cpu_policy": "static", "node_reserved": "none"}, ["cpu_policy_unreserved"]),
        ({"node_cpu_policy": "static", "node_reserved": {"cpu": 0}}, ["cpu_policy_unreserved"]),
        ({"node_cpu_policy": "static", "node_reserved": "none",
          "node_kubelet_config": {"systemReserved": {"cpu": "100m"}}}, []),
        ({"node_cpu_policy": "static", "node_reserved": "none",
          "node_kubelet_config": {"reservedSystemCPUs": "0"}}, []),
        ({"node_reserved": "some"}, ["reserved_invalid"]),
        ({"node_reserved": {"disk": "1Gi"}}, ["reserved_invalid"]),
        ({"node_reserved": {"cpu": "1Gi"}}, ["reserved_invalid"]),
        ({"node_reserved": {"memory": "lots"}}, ["reserved_invalid"]),
        ({"node_reserved": {"cpu": 32}}, ["reserved_too_much"]),
        ({"node_reserved": {"memory": "256Gi"}}, ["reserved_too_much"]),
        ({"facts": {"cpus": 1, "memory_mb": 400}}, ["reserved_too_much"]),
        ({"facts": {"cpus": 1, "memory_mb": 400}, "node_reserved": "none"}, []),
        ({"node_kubelet_config": ["x"]}, ["kubelet_config_invalid"]),
        ({"node_kubelet_config": {"maxPods": 5, "kubeReserved": {}}}, ["setting_owned", "setting_owned"]),
        ({"cluster": {"cpuManagerPolicy": "static"}}, ["setting_owned"]),
        ({"node_labels": {"hostplane.io/pool": "x"}}, ["label_reserved"]),
        ({"node_name_rule": "web"}, ["node_name_rule_invalid"]),
        ({"node_name_rule": {"digits": 4}}, ["node_name_rule_invalid"]),
        ({"node_name_rule": {"digits": 13}}, ["node_name_rule_invalid"]),
        ({"node_name_rule": {"digits": "many"}}, ["node_name_rule_invalid"]),
        ({"node_name_rule": {"prefix": "web-"}}, ["node_name_rule_invalid"]),
        ({"node_name_rule": {"digits": 5, "start": "x"}}, ["node_name_rule_invalid"]),
        ({"node_name_rule": {"digits": 5, "prefix": "-web"}}, ["node_name_rule_invalid"]),
        ({"node_name_rule": {"digits": 5, "suffix": "." + 60 * "a"}}, ["node_name_rule_invalid"]),
    ],
)  # fmt: skip
def test_each_problem_is_found_alone(variables: dict[str, Any], expected: list[str]) -> None:
    assert codes(**variables) == expected


def test_every_problem_names_the_variable_and_what_to_do() -> None:
    problems = plan(
        pools=["a", "b"], node_state="x", node_cpu_policy="x", node_reserved="x", node_kubelet_config={"maxPods": 1},
        node_name_rule={"digits": 1},
    ).problems  # fmt: skip
    assert len(problems) == 6
    assert all(problem.host == "w" and problem.path and problem.remedy for problem in problems)


def test_a_pool_is_a_label_and_a_list_of_hosts() -> None:
    found = plan(pools=["gpu"], node_state="cordoned", node_labels={"a": "b"}).plan
    assert found["pools"] == {"control_plane": ["cp-1"], "gpu": ["w"]}
    assert found["hosts"]["w"]["pool"] == "gpu"
    assert found["hosts"]["w"]["state"] == "cordoned"
    assert found["hosts"]["w"]["labels"] == {"a": "b", "hostplane.io/pool": "gpu"}


def test_labels_that_a_kubelet_must_not_give_itself() -> None:
    labels = {"node-role.kubernetes.io/gpu": "", "a.k8s.io/b": "", "node.kubernetes.io/x": "", "example.com/x": ""}
    host = worker(node_labels={**labels, "topology.kubernetes.io/zone": "a"})
    assert sorted(host["kubelet_labels"]) == [
        "example.com/x", "hostplane.io/pool", "node.kubernetes.io/x", "topology.kubernetes.io/zone"
    ]  # fmt: skip
    assert set(host["labels"]) > set(host["kubelet_labels"])


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ({"digits": 5}, "00055"),
        ({"prefix": "aliyun.com", "digits": 5, "suffix": "test"}, "aliyun.com00055test"),
        ({"prefix": "web-", "digits": "12", "suffix": ".example.com"}, "web-192168000055.example.com"),
    ],
)
def test_names_by_rule(rule: dict[str, Any], name: str) -> None:
    assert worker(node_name_rule=rule)["name"] == name
    assert worker(node_name_rule=rule, node_name="mine")["name"] == "mine"


def test_a_rule_with_too_few_digits_gives_one_name_twice() -> None:
    rule = {"prefix": "n", "digits": 5}
    hosts = [
        {"inventory_hostname": f"w{octet}", "role": "worker", "node_address": f"10.{octet}.0.1", "node_name_rule": rule}
        for octet in (1, 2)
    ]
    found = plan_cluster(ClusterRequest("lab", "1.36.3", mirror_address="10.9.0.5", hosts=[CP, *hosts]))
    assert [problem.code for problem in found.problems] == ["node_name_duplicate"]
    assert "more digits" in found.problems[0].remedy


@given(st.ip_addresses(v=4), st.integers(5, 12))
def test_a_name_by_rule_is_valid_and_ends_in_the_address(address: ipaddress.IPv4Address, digits: int) -> None:
    name = _plan_pools.ruled_name({"prefix": "n-", "digits": digits}, str(address), lambda *problem: None)
    assert _names.is_node_name(name)
    assert len(name) == digits + 2
    assert int(name[-3:]) == address.packed[3]
