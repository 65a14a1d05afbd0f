# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _drain
from hypothesis import given
from hypothesis import strategies as st


def make_pod(name: str = "a", owner: str = "ReplicaSet", **changes: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": {"app": "web"}}
    if owner:
        meta["ownerReferences"] = [{"kind": owner, "controller": True}]
    meta.update(changes.pop("meta", {}))
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], **changes.pop("status", {})}
    return {"metadata": meta, "spec": changes, "status": status}


def make_budget(name: str = "web", allowed: int = 0, healthy: int = 2, desired: int = 2, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
        "status": {
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "observedGeneration": 1,
        },
    }


UNREADY = {"conditions": [{"type": "Ready", "status": "False"}]}


def test_selection() -> None:
    pods = [
        make_pod("z"),
        make_pod("static", meta={"annotations": {_drain.MIRROR: "x"}}),
        make_pod("agent", "DaemonSet"),
        make_pod("lone", ""),
        make_pod("job", "Job", status={"phase": "Succeeded"}),
    ]
    assert [_drain.full_name(pod) for pod in _drain.to_evict(pods)] == ["shop/job", "shop/lone", "shop/z"]


@pytest.mark.parametrize(
    ("toleration", "tolerates"),
    [
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": _drain.UNSCHEDULABLE, "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "node.kubernetes.io/not-ready", "operator": "Exists"}, False),
    ],
)
def test_a_pod_that_comes_back_for_ever_is_left_alone(toleration: dict[str, str], tolerates: bool) -> None:
    pod = make_pod("a", tolerations=[toleration])
    assert _drain.tolerates_cordon(pod) is tolerates
    assert _drain.to_evict([pod], {"uid-a"}) == _drain.to_evict([pod]) == [pod]
    assert bool(_drain.to_evict([pod], {"uid-other"})) is not tolerates


def test_refusals_name_all_pods() -> None:
    volumes = [{"name": "cache", "emptyDir": {}}]
    pods = [
        make_pod("a", volumes=volumes),
        make_pod("b", "", volumes=volumes),
        make_pod("c", "", status={"phase": "Failed"}),
        make_pod("d", "", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        make_pod("e", volumes=[{"name": "config", "configMap": {}}]),
    ]
    lines = _drain.refusals(pods, "fail", False)
    assert [line.split()[0] for line in lines] == ["shop/a", "shop/b", "shop/b"]
    assert [line.split()[0] for line in _drain.refusals(pods, "fail", True)] == ["shop/b"]
    assert _drain.refusals(pods, "delete", True) == []


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchLabels": {"app": "web", "tier": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Future"}]}, False),
    ],
)
def test_selectors(selector: dict[str, Any] | None, matches: bool) -> None:
    assert _drain.selects(selector, {"app": "web"}) is matches


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy")),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy")),
)
def test_match_labels_is_a_subset(labels: dict[str, str], wanted: dict[str, str]) -> None:
    expressions = [{"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()]
    expected = wanted.items() <= labels.items()
    assert _drain.selects({"matchLabels": wanted}, labels) is expected
    assert _drain.selects({"matchExpressions": expressions}, labels) is expected


@pytest.mark.parametrize(
    ("pod", "budget", "blocks"),
    [
        (make_pod(), make_budget(allowed=0), True),
        (make_pod(), make_budget(allowed=1), False),
        (make_pod(status={"phase": "Pending"}), make_budget(), False),
        (make_pod(status={"phase": "Failed"}), make_budget(), False),
        # A sick pod does not count, as long as the others are enough.
        (make_pod(status=UNREADY), make_budget(), False),
        (make_pod(status=UNREADY), make_budget(healthy=1), True),
        (make_pod(status=UNREADY), make_budget(healthy=0, desired=0), True),
        (make_pod(status=UNREADY), make_budget(healthy=1, unhealthyPodEvictionPolicy="AlwaysAllow"), False),
        (make_pod(), {**make_budget(allowed=1), "metadata": {"name": "w", "namespace": "shop", "generation": 2}}, True),
    ],
)
def test_budgets(pod: dict[str, Any], budget: dict[str, Any], blocks: bool) -> None:
    assert _drain.blocks(budget, pod) is blocks


def test_blockers() -> None:
    other = {**make_budget(), "metadata": {"name": "web", "namespace": "elsewhere"}}
    found = _drain.blocker("n", make_pod(), [other, make_budget()], "Cannot evict pod")
    assert (found["kind"], found["name"]) == ("budget", "shop/web")
    assert found["message"] == "PodDisruptionBudget shop/web needs 2 healthy pods and has 2"
    found = _drain.blocker("n", make_pod(), [make_budget("b"), make_budget("a", allowed=1)])
    assert (found["kind"], found["name"]) == ("budgets", "shop/a, shop/b")
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert _drain.blocker("n", make_pod(meta=gone), [make_budget()])["kind"] == "terminating"
    found = _drain.blocker("n", make_pod(meta={**gone, "finalizers": ["x/b", "x/a"]}), [])
    assert (found["kind"], found["name"]) == ("finalizers", "x/a, x/b")
    found = _drain.blocker("n", make_pod(), [make_budget(allowed=1)], "webhook says no")
    assert (found["kind"], found["message"]) == ("refused", "the API refuses its eviction: webhook says no")
    assert _drain.blocker("n", make_pod(), [])["kind"] == "waiting"
    assert _drain.describe([found]) == "node n: pod shop/a: the API refuses its eviction: webhook says no"


@pytest.mark.parametrize(("status", "lost"), [("True", False), ("False", False), ("Unknown", True), (None, True)])
def test_unreachable(status: str | None, lost: bool) -> None:
    conditions = [{"type": "Ready", "status": status}] if status else []
    assert _drain.is_unreachable({"status": {"conditions": conditions}}) is lost
