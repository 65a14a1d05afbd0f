# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._scale import Member, ScalePlan, plan_scale
from hypothesis import given
from hypothesis import strategies as st


def inventory(control_planes: int, workers: int) -> dict[str, dict[str, str]]:
    hosts = {
        f"cp{n}": {"name": f"cp{n}", "address": f"10.0.0.{n}", "role": "control_plane"}
        for n in range(1, control_planes + 1)
    }
    hosts |= {f"w{n}": {"name": f"node-{n}", "address": f"10.0.1.{n}", "role": "worker"} for n in range(1, workers + 1)}
    return hosts


def members(hosts: dict[str, dict[str, str]], down: tuple[str, ...] = ()) -> list[Member]:
    return [Member(host["name"], host["role"] == "control_plane", host["name"] not in down) for host in hosts.values()]


def codes(plan: ScalePlan) -> list[str]:
    return [problem.code for problem in plan.problems]


def test_hosts_that_are_not_nodes_join() -> None:
    hosts = inventory(1, 3)
    plan = plan_scale(members(inventory(1, 1)), hosts, [])
    assert (plan.join, plan.remove, plan.actor, codes(plan)) == (["w2", "w3"], [], "cp1", [])


def test_the_first_control_plane_can_leave_and_another_acts() -> None:
    hosts = inventory(3, 1)
    plan = plan_scale(members(hosts), hosts, ["cp1", "node-1"])
    assert [entry["node"] for entry in plan.remove] == ["node-1", "cp1"]
    assert (plan.actor, codes(plan)) == ("cp2", [])


def test_dead_control_planes_leave_before_healthy_ones() -> None:
    hosts = inventory(5, 0)
    plan = plan_scale(members(hosts, ("cp5",)), hosts, ["cp1", "cp5"])
    assert [entry["node"] for entry in plan.remove] == ["cp5", "cp1"]
    assert codes(plan) == []


def test_a_host_that_left_already_is_only_cleaned() -> None:
    hosts = inventory(1, 2)
    plan = plan_scale(members(inventory(1, 1)), hosts, ["w2"])
    assert plan.remove == [{"host": "w2", "node": "node-2", "member": False, "control_plane": False}]
    assert plan.join == []


def test_a_node_that_left_the_inventory_is_removed_by_its_name() -> None:
    plan = plan_scale(members(inventory(1, 2)), inventory(1, 1), ["node-2"])
    assert plan.remove == [{"host": "", "node": "node-2", "member": True, "control_plane": False}]


def test_nodes_nobody_named_are_left_alone() -> None:
    plan = plan_scale(members(inventory(1, 2)), inventory(1, 1), [])
    assert (plan.unknown, plan.remove) == (["node-2"], [])


@pytest.mark.parametrize(
    ("remove", "down", "endpoint", "code"),
    [
        (["cp1", "cp2", "cp3"], (), "", "scale_last_control_plane"),
        (["cp1"], ("cp2", "cp3"), "", "scale_quorum"),
        (["cp1"], ("cp2",), "", "scale_quorum"),
        (["nobody"], (), "", "scale_unknown"),
        (["cp1"], (), "10.0.0.1", "scale_endpoint"),
    ],
)
def test_what_would_lose_the_cluster_is_refused(
    remove: list[str], down: tuple[str, ...], endpoint: str, code: str
) -> None:
    hosts = inventory(3, 2)
    assert code in codes(plan_scale(members(hosts, down), hosts, remove, endpoint))


def test_workers_leave_in_growing_batches_and_control_planes_one_by_one() -> None:
    hosts = inventory(5, 40)
    plan = plan_scale(members(hosts), hosts, ["cp1", "cp2", *(f"w{n}" for n in range(1, 11))])
    assert [len(batch) for batch in plan.batches] == [1, 2, 4, 3, 1, 1]
    assert [entry for batch in plan.batches for entry in batch] == plan.remove


def test_a_node_that_is_not_ready_is_looked_at() -> None:
    hosts = inventory(3, 1)
    assert plan_scale(members(hosts, ("cp3",)), hosts, []).suspect == ["cp3"]


def test_a_control_plane_whose_joining_was_interrupted_is_looked_at() -> None:
    hosts = inventory(2, 1)
    nodes = [Member("cp1", True, True), Member("cp2", False, True), Member("node-1", False, True)]
    assert plan_scale(nodes, hosts, []).suspect == ["cp2"]


def test_an_empty_inventory_is_refused() -> None:
    hosts = inventory(1, 1)
    del hosts["cp1"]
    assert "scale_inventory" in codes(plan_scale(members(inventory(1, 1)), hosts, ["w1"]))


def test_a_dead_control_plane_can_leave_as_long_as_the_others_live() -> None:
    hosts = inventory(3, 0)
    plan = plan_scale(members(hosts, ("cp2",)), hosts, ["cp2"])
    assert (codes(plan), plan.actor) == ([], "cp1")


@given(st.integers(1, 5), st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)))
def test_whoever_is_removed_a_healthy_majority_stays(total: int, gone: set[int], down: set[int]) -> None:
    hosts = inventory(total, 0)
    remove = [f"cp{n}" for n in gone if n <= total]
    plan = plan_scale(members(hosts, tuple(f"cp{n}" for n in down)), hosts, remove)
    left = [n for n in range(1, total + 1) if n not in gone]
    if remove and not plan.problems:
        assert left
        assert sum(n not in down for n in left) > len(left) / 2
        assert plan.actor not in remove
