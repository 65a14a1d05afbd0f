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
from ansible_collections.hostplane.cluster.plugins.module_utils._slices import ANNOTATION
from ansible_collections.hostplane.cluster.plugins.modules import node_slices

Run = Callable[..., dict[str, Any]]


class Api:
    """The nodes of a cluster and what was changed of them."""

    def __init__(self) -> None:
        self.nodes = {"a": "10.0.0.0/27", "b": "", "leaving": "10.0.0.32/27"}
        self.patched: list[str] = []

    def items(self, path: str) -> list[dict[str, Any]]:
        assert path == "/api/v1/nodes"
        return [{"metadata": {"name": name, "annotations": {ANNOTATION: text}}} for name, text in self.nodes.items()]

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


def test_a_node_gets_its_slice_once(run_module: Run, api: Api, kubeconfig: str) -> None:
    options: dict[str, Any] = {
        "kubeconfig": kubeconfig,
        "slices": {"a": ["10.0.0.0/27"], "b": ["10.0.0.64/27", "10.0.0.96/28"]},
    }
    told = run_module(node_slices, check=True, diff=True, **options)
    assert not api.patched
    done = run_module(node_slices, diff=True, **options)
    assert done["slices"] == told["slices"] and done["nodes"] == told["nodes"] == ["b"] and done["changed"]
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
