# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, against a played API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.module_utils._slices import ANNOTATION, RECORD, RECORDS
from ansible_collections.hostplane.cluster.plugins.modules import node_slices
from kubernetes.client.exceptions import ApiException

Run = Callable[..., dict[str, Any]]


class Api:
    """The nodes of a cluster and the record of their slices, and what was changed of them."""

    def __init__(self) -> None:
        self.nodes = {"a": "10.0.0.0/27", "b": "", "leaving": "10.0.0.32/27"}
        self.uids: dict[str, str] = {}
        self.record: dict[str, Any] | None = None
        self.patched: list[str] = []
        # What somebody else does in the moment after the nodes were read.
        self.meanwhile: list[Callable[[], object]] = []

    def items(self, path: str) -> list[dict[str, Any]]:
        assert path == "/api/v1/nodes"
        found = [
            {"metadata": {"name": name, "uid": self.uids.get(name, name), "annotations": {ANNOTATION: text}}}
            for name, text in self.nodes.items()
        ]
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return found

    def create(self, path: str, body: dict[str, Any]) -> bool:
        assert path == RECORDS and "resourceVersion" not in body["metadata"]
        return self._write(body, "") if not self.record else False

    def call(self, method: str, path: str, body: Any = None) -> Any:
        assert path == f"{RECORDS}/{RECORD}"
        if method == "GET":
            if not self.record:
                raise ApiException(404)
            return self.record
        version = (self.record or {"metadata": {"resourceVersion": ""}})["metadata"]["resourceVersion"]
        if body["metadata"]["resourceVersion"] != version:
            raise ApiException(409)
        return self._write(body, version)

    def _write(self, body: dict[str, Any], version: str) -> bool:
        self.record = {**body, "metadata": {**body["metadata"], "resourceVersion": f"{version}1"}}
        return True

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.patched.append(path)
        self.nodes[path.rpartition("/")[2]] = body["metadata"]["annotations"][ANNOTATION]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    played = Api()
    monkeypatch.setattr(_kubeapi, "KubeApi", lambda _kubeconfig: played)
    monkeypatch.setattr(_kubeapi, "IMPORT_ERROR", "")
    return played


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    (tmp_path / "admin.conf").write_text("")
    return str(tmp_path / "admin.conf")


def test_reading_changes_nothing(run_module: Run, api: Api, kubeconfig: str) -> None:
    result = run_module(node_slices, kubeconfig=kubeconfig)
    assert result["slices"] == {"a": ["10.0.0.0/27"], "leaving": ["10.0.0.32/27"]}
    assert not result["changed"] and not api.patched
    # As a node that was deleted and came back by itself: nothing says any more what its host uses.
    assert result["without"] == ["b"]


def test_a_node_gets_its_slice_once(run_module: Run, api: Api, kubeconfig: str) -> None:
    options: dict[str, Any] = {
        "kubeconfig": kubeconfig,
        "slices": {"a": ["10.0.0.0/27"], "b": ["10.0.0.64/27", "10.0.0.96/28"]},
    }
    told = run_module(node_slices, check=True, diff=True, **options)
    assert not api.patched
    done = run_module(node_slices, diff=True, **options)
    assert done["slices"] == told["slices"] and done["nodes"] == told["nodes"] == ["b"] and done["changed"]
    assert done["without"] == []
    assert done["diff"] == {"before": "b: none\n", "after": "b: 10.0.0.64/27, 10.0.0.96/28\n"}
    assert api.patched == ["/api/v1/nodes/b"] and api.nodes["b"] == "10.0.0.64/27,10.0.0.96/28"
    assert run_module(node_slices, **options)["changed"] is False


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ({"b": ["10.0.0.32/27"]}, "10.0.0.32/27 of node leaving overlaps 10.0.0.32/27 of node b"),
        ({"a": ["10.0.0.64/27"]}, "node a holds 10.0.0.0/27"),
        ({"c": ["10.0.0.64/27"]}, "not in the cluster, and so without addresses for pods: c"),
    ],
)
def test_what_would_break_pods_is_refused(
    run_module: Run, api: Api, kubeconfig: str, slices: dict[str, Any], message: str
) -> None:
    result = run_module(node_slices, kubeconfig=kubeconfig, slices=slices)
    assert result["failed"] and message in result["msg"] and not api.patched


def test_before_there_is_a_cluster(run_module: Run, api: Api) -> None:
    assert run_module(node_slices, kubeconfig="/nowhere")["slices"] == {}
    told = run_module(node_slices, kubeconfig="/nowhere", slices={"a": ["10.0.0.0/27"]}, check=True)
    assert told["missing"] == ["a"] and not told["changed"]


@pytest.mark.parametrize("recorded", [False, True])
def test_two_runs_at_once_never_give_the_same_slice(run_module: Run, api: Api, kubeconfig: str, recorded: bool) -> None:
    api.nodes.update({"c": "", "d": ""})
    if recorded:
        run_module(node_slices, kubeconfig=kubeconfig, slices={"d": ["10.0.0.128/27"]})
    other: list[dict[str, Any]] = []
    api.meanwhile = [
        lambda: other.append(run_module(node_slices, kubeconfig=kubeconfig, slices={"c": ["10.0.0.64/27"]}))
    ]
    result = run_module(node_slices, kubeconfig=kubeconfig, slices={"b": ["10.0.0.64/28"]})
    assert other[0]["nodes"] == ["c"] and api.nodes["c"] == "10.0.0.64/27"
    assert result["failed"] and "10.0.0.64/28 of node b overlaps" in result["msg"] and api.nodes["b"] == ""


def test_what_a_killed_run_has_claimed_is_its_nodes(run_module: Run, api: Api, kubeconfig: str) -> None:
    run_module(node_slices, kubeconfig=kubeconfig, slices={"b": ["10.0.0.64/27"]})
    api.nodes["b"] = ""
    assert run_module(node_slices, kubeconfig=kubeconfig)["slices"]["b"] == ["10.0.0.64/27"]
    done = run_module(node_slices, kubeconfig=kubeconfig, slices={"b": ["10.0.0.64/27"]})
    assert done["changed"] and api.nodes["b"] == "10.0.0.64/27"
    # The same name, but another node: the host left and joined again.
    api.nodes["b"], api.uids["b"] = "", "b-again"
    assert "b" not in run_module(node_slices, kubeconfig=kubeconfig)["slices"]
    run_module(node_slices, kubeconfig=kubeconfig, slices={"b": ["10.0.0.128/27"]})
    assert api.record and api.record["data"]["b"] == "b-again 10.0.0.128/27"


def test_who_always_loses_gives_up(run_module: Run, api: Api, kubeconfig: str) -> None:
    run_module(node_slices, kubeconfig=kubeconfig, slices={"b": ["10.0.0.64/27"]})
    api.nodes["c"] = ""

    def somebody() -> None:
        assert api.record
        api.call("PUT", f"{RECORDS}/{RECORD}", body=api.record)

    api.meanwhile = [somebody] * node_slices.ATTEMPTS
    result = run_module(node_slices, kubeconfig=kubeconfig, slices={"c": ["10.0.0.128/27"]})
    assert result["failed"] and "other runs" in result["msg"] and api.nodes["c"] == ""
