# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.modules import csi_ready, storage_class

Run = Callable[..., dict[str, Any]]
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


class Api:
    """Classes and volumes as the API keeps them, with its refusals."""

    def __init__(self) -> None:
        self.classes: dict[str, dict[str, Any]] = {}
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []

    def items(self, path: str) -> list[dict[str, Any]]:
        self.asked.append(f"GET {path.rpartition('/')[2]}")
        return json.loads(json.dumps(list(self.classes.values()) if path == CLASSES else self.lists.get(path, [])))

    def create(self, path: str, body: dict[str, Any]) -> bool:
        name = body["metadata"]["name"]
        self.asked.append(f"POST {name}")
        fresh = name not in self.classes
        self.classes.setdefault(name, body)
        return fresh

    def patch(self, path: str, body: dict[str, Any]) -> None:
        name = path.rpartition("/")[2]
        self.asked.append(f"PATCH {name}")
        now = self.classes[name]
        for key in ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"):
            assert key not in body or body[key] == now[key], "the API refuses this"
        for key in ("labels", "annotations"):
            now["metadata"].setdefault(key, {}).update(body["metadata"].get(key) or {})
        now.update({key: value for key, value in body.items() if key != "metadata"})

    def call(self, method: str, path: str, **_options: Any) -> Any:
        name = path.rpartition("/")[2]
        self.asked.append(f"{method} {name}")
        if method == "DELETE":
            return self.classes.pop(name)
        found = self.lists.get(path)
        if not found:
            error = OSError("not found")
            error.status = 404  # type: ignore[attr-defined]
            raise error
        return found[0]

    def defaults(self) -> list[str]:
        marks = {name: item["metadata"]["annotations"] for name, item in self.classes.items()}
        return [name for name, mark in marks.items() if mark["storageclass.kubernetes.io/is-default-class"] == "true"]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(_kubeapi, "KubeApi", lambda *dummy: made)
    return made


@pytest.fixture
def bring(run_module: Run, tmp_path: Path) -> Run:
    kubeconfig = tmp_path / "admin.conf"
    kubeconfig.touch()

    def run(*classes: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run_module(storage_class, **{"kubeconfig": str(kubeconfig), "classes": classes, **options})

    return run


def entry(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "provisioner": "x.y", **settings}


def test_made_once_and_predicted_exactly(bring: Run, api: Api) -> None:
    wanted = [entry("fast", default=True, parameters={"type": "ssd"}), entry("slow", mountOptions=["noatime"])]
    predicted = bring(*wanted, check=True, diff=True)
    assert api.classes == {}
    result = bring(*wanted, diff=True)
    assert {**predicted, "invocation": 0} == {**result, "invocation": 0}
    assert (result["created"], api.defaults()) == (["fast", "slow"], ["fast"])
    api.asked.clear()
    again = bring(*wanted, diff=True)
    assert (again["changed"], api.asked) == (False, ["GET storageclasses"])
    assert again["diff"]["before"] == again["diff"]["after"]


def test_the_default_moves(bring: Run, api: Api) -> None:
    bring(entry("a", default=True), entry("b"))
    foreign = entry(
        "theirs", metadata={"name": "theirs", "annotations": dict(api.classes["a"]["metadata"]["annotations"])}
    )
    api.classes["theirs"] = foreign
    api.asked.clear()
    result = bring(entry("a"), entry("b", default=True))
    assert (result["updated"], result["demoted"], result["deleted"]) == (["a", "b"], ["theirs"], [])
    assert api.asked == ["GET storageclasses", "PATCH theirs", "PATCH a", "PATCH b"]
    assert api.defaults() == ["b"] and "theirs" in api.classes


def test_what_kubernetes_cannot_change(bring: Run, api: Api) -> None:
    bring(entry("a"), entry("b"))
    api.lists["/api/v1/persistentvolumes"] = [{"spec": {"storageClassName": "a"}}]
    before = json.dumps(api.classes)
    wanted = [entry("a", reclaimPolicy="Retain"), entry("b", default=True)]
    result = bring(*wanted)
    assert result["failed"] and json.dumps(api.classes) == before
    assert [problem["code"] for problem in result["problems"]] == ["storage_class_immutable"]
    assert "recreate: true" in result["msg"] and "1 volumes" in result["msg"]
    told = bring(*wanted, fail_on_problems=False)
    assert (told["changed"], len(told["problems"]), json.dumps(api.classes)) == (False, 1, before)
    result = bring({**wanted[0], "recreate": True}, wanted[1])
    assert (result["recreated"], api.classes["a"]["reclaimPolicy"]) == (["a"], "Retain")


def test_what_is_not_listed_goes_unless_it_is_needed(bring: Run, api: Api) -> None:
    bring(entry("a"), entry("b"), entry("c"))
    api.lists["/api/v1/persistentvolumes"] = [{"spec": {"storageClassName": "b"}}]
    result = bring(entry("c"))
    assert (result["deleted"], result["kept"], sorted(api.classes)) == (["a"], ["b"], ["b", "c"])
    assert not bring(entry("c"))["changed"]


def test_check_mode_before_there_is_a_cluster(run_module: Run, tmp_path: Path) -> None:
    result = run_module(storage_class, check=True, kubeconfig=str(tmp_path / "none"), classes=[entry("a")])
    assert (result["changed"], result["created"]) == (True, ["a"])


def test_twice(bring: Run, api: Api) -> None:
    assert (
        bring(entry("a"), entry("a"))["failed"] and bring(entry("a", default=True), entry("b", default=True))["failed"]
    )
    assert api.classes == {}


DRIVERS, NODES = "/apis/storage.k8s.io/v1/csidrivers", "/apis/storage.k8s.io/v1/csinodes"
WORKLOAD = "/apis/apps/v1/namespaces/kube-system/daemonsets/x"


def csi_node(name: str, *drivers: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"drivers": [{"name": driver} for driver in drivers]}}


@pytest.fixture
def ready(run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    kubeconfig = tmp_path / "admin.conf"
    kubeconfig.touch()
    monkeypatch.setattr(_kubeapi.time, "sleep", lambda seconds: None)
    options = {"kubeconfig": str(kubeconfig), "drivers": ["x.y"], "nodes": ["n1", "n2"], "timeout": 0}
    return lambda **others: run_module(csi_ready, **{**options, **others})


def test_every_node_that_lacks_a_driver_is_named(ready: Run, api: Api) -> None:
    result = ready()
    assert result["failed"] and "the cluster has no CSIDriver" in result["msg"] and "node n1: " in result["msg"]
    api.lists[DRIVERS] = [{"metadata": {"name": "x.y"}}]
    api.lists[NODES] = [csi_node("n1", "a.b", "x.y"), {"metadata": {"name": "n2"}, "spec": {"drivers": None}}]
    result = ready()
    assert result["failed"] and "node n2: its kubelet does not know x.y" in result["msg"] and "n1" not in result["msg"]
    assert ready(check=True)["missing"] == ["node n2: its kubelet does not know x.y"]
    api.lists[NODES][1] = csi_node("n2", "x.y")
    assert ready()["missing"] == []


def test_workloads_have_to_be_complete(ready: Run, api: Api) -> None:
    result = ready(drivers=[], workloads=["daemonset/kube-system/x"])
    assert result["failed"] and "daemonset kube-system/x: is not there" in result["msg"]
    meta = {"namespace": "kube-system", "name": "x", "generation": 1}
    status = {"observedGeneration": 1, "desiredNumberScheduled": 2, "numberAvailable": 1, "updatedNumberScheduled": 2}
    spec = {"selector": {"matchLabels": {"app": "x"}}}
    api.lists[WORKLOAD] = [{"kind": "DaemonSet", "metadata": meta, "spec": spec, "status": status}]
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    pod = {"metadata": {"namespace": "kube-system", "name": "x-1"}, "spec": {"nodeName": "n2"},
           "status": {"containerStatuses": [waiting]}}  # fmt: skip
    api.lists["/api/v1/namespaces/kube-system/pods"] = [pod]
    result = ready(drivers=[], workloads=["daemonset/kube-system/x"])
    assert "1 of 2 pods available" in result["msg"] and "on n2: ErrImagePull: not found" in result["msg"]
    status["numberAvailable"] = 2
    assert not ready(drivers=[], workloads=["daemonset/kube-system/x"]).get("failed")


def test_nothing_is_waited_for_before_there_is_a_cluster(run_module: Run, tmp_path: Path) -> None:
    assert (
        run_module(csi_ready, check=True, kubeconfig=str(tmp_path / "none"), drivers=["x"], nodes=["n"])["missing"]
        == []
    )
