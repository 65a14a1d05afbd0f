# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_drain and node_absent as Ansible runs them, against a played API."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _drain, _drainer, _kubeapi
from ansible_collections.hostplane.cluster.plugins.modules import node_absent, node_drain

exceptions = pytest.importorskip("kubernetes.client.exceptions")
Run = Callable[..., dict[str, Any]]


def failure(status: int, message: str) -> Exception:
    exc: Exception = exceptions.ApiException(status=status, reason=message)
    exc.body = json.dumps({"message": message})  # type: ignore[attr-defined]
    return exc


class Api:
    """A cluster of nodes, pods and budgets in which evicted pods are gone at the next look."""

    def __init__(self) -> None:
        self.nodes = {name: self.node(name) for name in ("n1", "n2")}
        self.pods: dict[str, dict[str, Any]] = {}
        self.budgets: list[dict[str, Any]] = []
        self.leases = {"n1", "n2"}
        # What an eviction of that pod is answered with, as long as there are answers.
        self.answers: dict[str, list[Exception]] = {}
        self.broken: list[Exception] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.lock = threading.Lock()

    @staticmethod
    def node(name: str, ready: str = "True", cordoned: bool = False) -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": ready}]
        meta = {"name": name, "uid": f"uid-{name}"}
        return {"metadata": meta, "spec": {"unschedulable": cordoned}, "status": {"conditions": conditions}}

    def add(self, name: str, node: str = "n1", owner: str = "ReplicaSet", **meta: Any) -> None:
        owners = [{"kind": owner, "controller": True}] if owner else []
        self.pods[name] = {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"uid-{name}",
                "labels": {"app": name},
                "ownerReferences": owners,
                **meta,
            },
            "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }

    def budget(self, *apps: str, name: str = "guard") -> None:
        selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": list(apps)}]}
        status = {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1}
        meta = {"name": name, "namespace": "shop"}
        self.budgets.append({"metadata": meta, "spec": {"selector": selector}, "status": status})

    def changes(self) -> list[str]:
        return [f"{method} {path}" for method, path, _body in self.asked if method != "GET"]

    def end(self, name: str) -> None:
        """A pod was deleted: it goes, unless finalizers or a lost kubelet keep it."""
        pod = self.pods[name]
        ready = self.nodes[pod["spec"]["nodeName"]]["status"]["conditions"][0]["status"]
        if pod["metadata"].get("finalizers") or ready != "True":
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        else:
            del self.pods[name]

    def call(self, method: str, path: str, body: Any = None, query: Any = None, **_kwargs: Any) -> Any:
        with self.lock:
            self.asked.append((method, path, body))
            if self.broken and method == "GET" and len(self.asked) > 4:
                raise self.broken.pop()
            parts = path.strip("/").split("/")
            if parts[:3] == ["api", "v1", "nodes"]:
                return self.on_node(method, parts[3])
            if path == "/api/v1/pods":
                node = query[0][1].partition("=")[2]
                return {"items": [pod for pod in self.pods.values() if pod["spec"]["nodeName"] == node]}
            if path == "/apis/policy/v1/poddisruptionbudgets":
                return {"items": self.budgets}
            if "leases" in parts:
                if parts[-1] not in self.leases:
                    raise failure(404, "not found")
                self.leases.remove(parts[-1])
                return {}
            name = parts[5]
            if name not in self.pods:
                raise failure(404, "not found")
            if parts[-1] == "eviction":
                if self.answers.get(name):
                    raise self.answers[name].pop(0)
                self.end(name)
            elif method == "DELETE":
                if self.nodes[self.pods[name]["spec"]["nodeName"]]["status"]["conditions"][0]["status"] != "True":
                    del self.pods[name]
                else:
                    self.end(name)
            return {}

    def on_node(self, method: str, name: str) -> Any:
        if name not in self.nodes:
            raise failure(404, "not found")
        if method == "DELETE":
            del self.nodes[name]
            return {}
        return self.nodes[name]

    def items(self, path: str) -> list[dict[str, Any]]:
        return list(self.call("GET", path)["items"])

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.asked.append(("PATCH", path, body))
        self.nodes[path.rpartition("/")[2]]["spec"].update(body["spec"])

    def cordoned(self) -> list[str]:
        return [name for name, node in self.nodes.items() if node["spec"]["unschedulable"]]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(_kubeapi, "KubeApi", lambda kubeconfig: made)
    monkeypatch.setattr(_drainer, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(_drainer, "UNREACHABLE_SECONDS", 0.05)
    monkeypatch.setattr(_drainer, "FORCE_SECONDS", 0.2)
    return made


@pytest.fixture
def drain(run_module: Run) -> Run:
    def run(*nodes: str, **options: Any) -> dict[str, Any]:
        return run_module(node_drain, kubeconfig="/k", nodes=list(nodes), **options)

    return run


REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


def test_drain_and_again(drain: Run, api: Api) -> None:
    for name in ("a", "b"):
        api.add(name)
    api.add("c", "n2")
    api.add("agent", owner="DaemonSet")
    api.answers = {"a": [failure(429, REFUSED), failure(429, REFUSED)], "b": [failure(500, "a webhook failed")]}
    result = drain("n2", "n1", "n1", "gone", diff=True)
    assert (result["changed"], result["drained"], result["missing"]) == (True, ["n1", "n2"], ["gone"])
    assert (result["evicted"], result["pods"]) == (3, {"n1": ["shop/a", "shop/b"], "n2": ["shop/c"]})
    assert (result["blockers"], result["not_drained"], result["lost"], result["forced"]) == ([], [], [], [])
    assert (sorted(api.pods), api.cordoned(), result["cordoned"]) == (["agent"], ["n1", "n2"], ["n1", "n2"])
    assert result["diff"]["after"] == "node n1: cordoned\nnode n2: cordoned\n"
    assert "node n1: pod shop/b\n" in result["diff"]["before"]
    again = drain("n1", "n2")
    assert (again["changed"], again["evicted"], again["cordoned"], "diff" in again) == (False, 0, [], False)


def test_an_eviction_is_of_that_very_pod(drain: Run, api: Api) -> None:
    api.add("a")
    drain("n1", grace_period=7)
    ((_method, path, body),) = [entry for entry in api.asked if entry[0] == "POST"]
    assert path == "/api/v1/namespaces/shop/pods/a/eviction"
    assert body["deleteOptions"] == {"preconditions": {"uid": "uid-a"}, "gracePeriodSeconds": 7}


def test_check_mode_tells_what_is_in_the_way(drain: Run, api: Api) -> None:
    api.add("a")
    api.add("b")
    api.add("c", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x/y"])
    api.budget("a")
    result = drain("n1", "n2", check=True, diff=True)
    assert (result["changed"], result["drained"], result["pods"]["n1"]) == (True, ["n1", "n2"], ["shop/a", "shop/b"])
    assert [(entry["pod"], entry["kind"], entry["name"]) for entry in result["blockers"]] == [
        ("shop/a", "budget", "shop/guard"),
        ("shop/c", "finalizers", "x/y"),
    ]
    assert (api.changes(), result["cordoned"]) == ([], ["n1", "n2"])


def test_nothing_is_lost_without_consent(drain: Run, api: Api) -> None:
    api.add("a", owner="")
    api.add("b", "n2", owner="")
    api.pods["b"]["spec"]["volumes"] = [{"emptyDir": {}}]
    result = drain("n1", "n2")
    assert result["failed"] and api.changes() == []
    assert result["msg"].splitlines()[0] == "nothing was drained, since these pods would be lost:"
    assert [line.split()[3] for line in result["msg"].splitlines()[1:]] == ["shop/a", "shop/b", "shop/b"]
    assert drain("n1", "n2", unmanaged_pods="delete", delete_emptydir_data=True)["evicted"] == 2


def test_a_budget_in_the_way_fails_in_the_end(drain: Run, api: Api) -> None:
    api.add("a")
    api.add("b", "n2")
    api.budget("a")
    api.answers = {"a": [failure(429, REFUSED)] * 1000}
    result = drain("n1", "n2", timeout=0)
    assert result["failed"] and (result["not_drained"], result["drained"]) == (["n1"], ["n2"])
    assert "node n1: pod shop/a: PodDisruptionBudget shop/guard needs 1 healthy pods and has 1" in result["msg"]
    assert api.cordoned() == ["n1", "n2"]


def test_skip_gives_the_node_back(drain: Run, api: Api) -> None:
    api.nodes["n2"]["spec"]["unschedulable"] = True
    for name, node in (("a", "n1"), ("b", "n2")):
        api.add(name, node)
        api.answers[name] = [failure(429, REFUSED)] * 1000
    result = drain("n1", "n2", timeout=0, on_timeout="skip")
    assert (result["not_drained"], result["changed"], result["cordoned"]) == (["n1", "n2"], False, [])
    assert [entry["kind"] for entry in result["blockers"]] == ["refused", "refused"]
    # One that somebody else had cordoned stays so.
    assert api.cordoned() == ["n2"]


def test_force(drain: Run, api: Api) -> None:
    api.add("a")
    api.add("b", finalizers=["x/y"])
    api.answers = {"a": [failure(429, REFUSED)] * 1000}
    result = drain("n1", timeout=0, on_timeout="force")
    assert (result["drained"], result["forced"]) == (["n1"], ["shop/a", "shop/b"])
    assert [(entry["pod"], entry["kind"]) for entry in result["blockers"]] == [("shop/b", "finalizers")]
    bodies = [body for method, _path, body in api.asked if method == "DELETE"]
    assert {"gracePeriodSeconds": 0, "preconditions": {"uid": "uid-a"}} in bodies


def test_two_budgets_are_not_waited_for(drain: Run, api: Api) -> None:
    api.add("a")
    api.budget("a")
    api.budget("a", name="second")
    api.answers = {"a": [failure(500, f"This pod has {_drain.MANY_BUDGETS}, which is not supported.")] * 1000}
    start = time.monotonic()
    result = drain("n1", timeout=60, on_timeout="skip")
    assert time.monotonic() - start < 5
    assert [(entry["kind"], entry["name"]) for entry in result["blockers"]] == [("budgets", "shop/guard, shop/second")]


def test_a_lost_node_is_not_waited_for(drain: Run, api: Api) -> None:
    api.nodes["n1"] = api.node("n1", "Unknown")
    api.add("a", owner="")
    api.add("b")
    api.answers = {"b": [failure(429, REFUSED)] * 1000}
    result = drain("n1", timeout=60)
    assert (result["lost"], result["drained"], result["evicted"]) == (["n1"], [], 1)
    assert [(entry["pod"], entry["kind"]) for entry in result["blockers"]] == [
        ("shop/a", "terminating"),
        ("shop/b", "refused"),
    ]
    result = drain("n1", timeout=60, on_timeout="force")
    assert (result["lost"], result["forced"], api.pods) == (["n1"], ["shop/a", "shop/b"], {})


def test_an_api_that_is_away_for_a_moment(drain: Run, api: Api) -> None:
    api.add("a")
    api.broken = [failure(503, "starting"), OSError("refused")]
    assert drain("n1")["drained"] == ["n1"]


def test_an_api_that_stays_away(drain: Run, api: Api) -> None:
    api.add("a")
    api.broken = [failure(503, "starting")] * 1000
    result = drain("n1", timeout=0)
    assert "node n1: the API does not answer: starting" in result["msg"]
    api.broken = [failure(403, "forbidden: you")] * 1000
    assert drain("n1")["msg"] == "the API refused or did not answer: forbidden: you"


def test_cordon_and_uncordon(drain: Run, api: Api) -> None:
    result = drain("n1", state="cordoned", check=True)
    assert (result["changed"], result["cordoned"], api.cordoned()) == (True, ["n1"], [])
    assert drain("n1", state="cordoned", diff=True)["diff"]["after"] == "node n1: cordoned\n"
    assert api.cordoned() == ["n1"]
    result = drain("n1", "n2", state="schedulable", diff=True)
    assert (result["changed"], result["cordoned"], api.cordoned()) == (True, [], [])
    assert result["diff"] == {"before": "node n1: cordoned\n", "after": "node n1: schedulable\n"}
    assert drain("n1", "gone", state="schedulable")["changed"] is False


def test_absent(run_module: Run, api: Api) -> None:
    api.nodes["n1"]["spec"]["unschedulable"] = True
    api.leases.remove("n1")
    options = {"kubeconfig": "/k", "nodes": ["n1", "gone"]}
    result = run_module(node_absent, check=True, diff=True, **options)
    assert (result["changed"], result["removed"], api.changes()) == (True, ["n1"], [])
    assert result["diff"] == {"before": "node n1\n", "after": ""}
    assert run_module(node_absent, **options)["pods"] == {"n1": []}
    assert (list(api.nodes), api.leases) == (["n2"], {"n2"})
    assert ("DELETE", "/api/v1/nodes/n1", {"preconditions": {"uid": "uid-n1"}}) in api.asked
    assert run_module(node_absent, **options)["changed"] is False


def test_absent_wants_drained_nodes(run_module: Run, api: Api) -> None:
    api.nodes["n2"] = api.node("n2", "Unknown", cordoned=True)
    api.add("a")
    api.add("b", "n2")
    options = {"kubeconfig": "/k", "nodes": ["n1", "n2"]}
    result = run_module(node_absent, **options)
    assert result["msg"].splitlines()[1:] == ["node n1: is not cordoned", "node n1: still has pod shop/a"]
    assert api.changes() == []
    result = run_module(node_absent, drained=False, **options)
    assert (result["removed"], result["pods"]) == (["n1", "n2"], {"n1": ["shop/a"], "n2": ["shop/b"]})
    assert api.nodes == {}


def test_no_nodes(drain: Run, run_module: Run, api: Api) -> None:
    result = drain()
    assert (result["changed"], result["drained"], result["not_drained"]) == (False, [], [])
    assert run_module(node_absent, kubeconfig="/k", nodes=[])["changed"] is False
    assert api.asked == []
