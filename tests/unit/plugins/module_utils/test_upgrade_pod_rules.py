# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drain would meet, each finding with the smallest objects that provoke it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_pod_rules as rules

OWNER = [{"kind": "ReplicaSet", "controller": True}]
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def pod(name: str = "p1", node: str = "n1", owned: bool = True, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": name,
            "labels": {"app": "shop"},
            "ownerReferences": OWNER if owned else [],
        },
        "spec": {"nodeName": node, **spec},
        "status": READY,
    }


def budget(name: str = "b1", allowed: int = 0, expected: int = 2, desired: int = 2, healthy: int = 2) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "shop"}}},
        "status": {
            "disruptionsAllowed": allowed, "expectedPods": expected, "desiredHealthy": desired,
            "currentHealthy": healthy, "observedGeneration": 1,
        },
    }  # fmt: skip


def codes(found: Any) -> list[tuple[str, str]]:
    return [(item.code, item.severity) for item in found]


def test_a_budget_that_allows_nothing_blocks_and_says_whether_it_ever_will() -> None:
    pods = [pod("p1"), pod("p2")]
    (found,) = rules.check_budgets(pods, [budget()])
    assert (found.code, found.severity, found.path) == ("pdb_blocks", "error", "shop/b1")
    assert "shop/p1, shop/p2" in found.message and "ever" in found.remedy
    (found,) = rules.check_budgets(pods, [budget(desired=1, healthy=1)])
    assert "healthy again" in found.remedy
    assert not list(rules.check_budgets(pods, [budget(allowed=1)]))
    assert not list(rules.check_budgets([], [budget()]))
    # A pod whose place is on the node that a run left closed can only come back when this run has opened it.
    assert codes(rules.check_budgets(pods, [budget(expected=3)], resumed=True)) == [("pdb_blocks", "warning")]
    assert codes(rules.check_budgets(pods, [budget()], resumed=True)) == [("pdb_blocks", "error")]
    # As right after an eviction: the budget counts its pod as gone, and it is still there.
    assert not list(rules.check_budgets(pods, [budget(desired=1, healthy=2)]))


def node(name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


PLANE = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
CORDONED = [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
TOLERANT = [{"key": PLANE[0]["key"], "operator": "Exists"}]


@pytest.mark.parametrize(
    ("spec", "other"),
    [
        ({}, []),
        ({}, [node("cp1", taints=PLANE)]),
        ({"nodeSelector": {"disk": "ssd"}}, [node("n2", labels={"disk": "hdd"})]),
        ({"tolerations": [{"key": "other", "operator": "Exists"}]}, [node("cp1", taints=PLANE)]),
    ],
)
def test_a_budget_whose_pods_fit_nowhere_else_ends_the_drain_at_the_second(
    spec: dict[str, Any], other: list[dict[str, Any]]
) -> None:
    pods = [pod("p1", **spec), pod("p2", **spec)]
    (found,) = rules.check_room(pods, [budget(allowed=1)], [node("n1"), *other])
    assert (found.code, found.severity, found.path) == ("pdb_no_room", "error", "shop/b1")
    assert "lets 1 of shop/p1, shop/p2 go" in found.message and "n1" in found.message


@pytest.mark.parametrize(
    ("pods", "allowed", "other"),
    [
        ([pod("p1"), pod("p2")], 1, node("n2")),
        ([pod("p1"), pod("p2")], 1, node("n2", taints=[{"key": "x", "effect": "PreferNoSchedule"}])),
        ([pod("p1", tolerations=TOLERANT), pod("p2", tolerations=TOLERANT)], 1, node("cp1", taints=PLANE)),
        # One on each of two nodes: the second may go when the first is back.
        ([pod("p1"), pod("p2", node="n2")], 1, node("n2")),
        # As a killed run leaves it.
        ([pod("p1"), pod("p2")], 1, node("n2", unschedulable=True, taints=CORDONED)),
        ([pod("p1"), pod("p2")], 2, node("cp1", taints=PLANE)),
        # That is another finding.
        ([pod("p1"), pod("p2")], 0, node("cp1", taints=PLANE)),
    ],
)
def test_a_budget_whose_pods_find_room_holds_nobody_up(
    pods: list[dict[str, Any]], allowed: int, other: dict[str, Any]
) -> None:
    assert not list(rules.check_room(pods, [budget(allowed=allowed)], [node("n1"), other]))


def test_two_budgets_for_one_pod_are_never_satisfied() -> None:
    found = rules.check_budgets([pod()], [budget("b1", allowed=1), budget("b2", allowed=1)])
    assert codes(found) == [("pdb_several", "error")]


@pytest.mark.parametrize(("refused", "severity"), [(True, "error"), (False, "warning")])
def test_a_pod_that_nobody_makes_again(refused: bool, severity: str) -> None:
    found = list(rules.check_unmanaged([pod(), pod("lonely", owned=False)], refused))
    assert codes(found) == [("pod_unmanaged", severity)]
    assert "shop/lonely" in found[0].message and "shop/p1" not in found[0].message


def test_a_finished_pod_is_nobodys_loss() -> None:
    done = {**pod(owned=False, volumes=[{"gitRepo": {}}, {"hostPath": {}}]), "status": {"phase": "Succeeded"}}
    assert not list(rules.check_unmanaged([done], True))
    assert not list(rules.check_local_data([done], []))
    assert not list(rules.check_volumes([done], 35, 36))


def test_local_data_is_told_and_an_emptydir_is_not() -> None:
    claim = pod("claimed", volumes=[{"persistentVolumeClaim": {"claimName": "c1"}}])
    path = pod("pathed", volumes=[{"hostPath": {"path": "/x"}}])
    empty = pod("empty", volumes=[{"emptyDir": {}}])
    volume = {"spec": {"local": {"path": "/d"}, "claimRef": {"namespace": "shop", "name": "c1"}}}
    found = list(rules.check_local_data([claim, path, empty], [volume, {"spec": {"csi": {}}}]))
    assert codes(found) == [("pod_local_data", "warning")] * 2
    assert "shop/claimed" in found[0].message and "shop/pathed" in found[1].message
    assert not any("shop/empty" in item.message for item in found)


@pytest.mark.parametrize(("refused", "count"), [(True, 1), (False, 0)])
def test_an_emptydir_matters_only_where_it_may_not_be_lost(refused: bool, count: int) -> None:
    found = rules.check_emptydir([pod(volumes=[{"emptyDir": {}}]), pod("other")], refused)
    assert codes(found) == [("pod_emptydir", "error")] * count


@pytest.mark.parametrize(("current", "minor", "count"), [(35, 36, 1), (36, 36, 0), (34, 35, 0)])
def test_a_kind_of_volume_that_goes(current: int, minor: int, count: int) -> None:
    found = list(rules.check_volumes([pod(volumes=[{"gitRepo": {"repository": "x"}}])], current, minor))
    assert codes(found) == [("volume_removed", "error")] * count


@pytest.mark.parametrize(
    ("target", "drain", "emptied"),
    [
        ("1.36.3", "minor", {"n1"}),
        ("1.36.3", "always", {"n1"}),
        ("1.36.3", "never", set()),
        # A patch is not worth moving pods, unless somebody wants it.
        ("1.36.4", "minor", {"n1"}),
        ("1.36.4", "always", {"n1", "n2"}),
        ("1.35.9", "minor", {"n2"}),
    ],
)
def test_only_nodes_that_the_upgrade_empties_are_looked_at(target: str, drain: str, emptied: set[str]) -> None:
    nodes = [
        {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}}
        for name, version in (("n1", "v1.35.4"), ("n2", "v1.36.3"))
    ]
    assert rules.nodes_to_drain(nodes, target, drain) == emptied
    assert [item["metadata"]["name"] for item in rules.evictable([pod("a"), pod("b", "n2")], {"n1"})] == ["a"]


def test_pods_of_daemonsets_and_dying_ones_are_left_out() -> None:
    bound = pod("bound")
    bound["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "controller": True}]
    dying = pod("dying")
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert rules.evictable([bound, dying], {"n1"}) == []


def test_the_control_plane_is_read_from_its_static_pods() -> None:
    static = {
        "metadata": {
            "namespace": "kube-system", "name": "etcd-cp1", "uid": "e",
            "annotations": {"kubernetes.io/config.mirror": "x"}, "labels": {"component": "etcd"},
        },
        "spec": {
            "nodeName": "cp1",
            "containers": [{"name": "etcd", "image": "etcd:3.6.8-0", "command": ["etcd", "--a=1"]}],
        },
    }  # fmt: skip
    proxy = {
        "metadata": {
            "namespace": "kube-system",
            "name": "kube-proxy-x",
            "uid": "k",
            "labels": {"k8s-app": "kube-proxy"},
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "kube-proxy", "image": "kube-proxy:v1.35.4"}]},
    }
    # Anybody may call a pod a part of the control plane, in a namespace of theirs.
    false = {**static, "metadata": {**static["metadata"], "namespace": "shop"}}  # type: ignore[dict-item]
    assert rules.static_flags([static, proxy, false]) == {"etcd": {"cp1": ["etcd", "--a=1"]}}
    assert rules.images_of([static, proxy, false, pod()]) == [
        ("etcd", "cp1", "etcd:3.6.8-0"),
        ("kube-proxy", "n1", "kube-proxy:v1.35.4"),
    ]
