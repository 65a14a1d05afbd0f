# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, with the real Kubernetes client against a played API."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils._nodesettings import OWNED
from ansible_collections.hostplane.cluster.plugins.modules import node_settings

pytest.importorskip("kubernetes")
Run = Callable[..., dict[str, Any]]
THEIRS = {"key": "theirs", "effect": "NoSchedule"}


class Api:
    """The nodes of a cluster, as the API keeps them, and what was asked of it."""

    def __init__(self) -> None:
        self.nodes = {name: self.node(name) for name in ("cp-1", "node-1", "node-2")}
        self.asked: list[tuple[str, str]] = []
        # Called before each change, as somebody else who is at work at the same time.
        self.meanwhile: Callable[[], None] = lambda: None
        self.refused: dict[str, int] = {}

    @staticmethod
    def node(name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "resourceVersion": "1", "labels": {"os": "linux"}}, "spec": {}}

    def touch(self, name: str, **spec: Any) -> None:
        node = self.nodes[name]
        node["spec"].update(spec)
        node["metadata"]["resourceVersion"] = str(int(node["metadata"]["resourceVersion"]) + 1)

    def merge(self, target: dict[str, Any], patch: dict[str, Any]) -> None:
        for key, value in patch.items():
            if value is None:
                target.pop(key, None)
            elif isinstance(value, dict):
                self.merge(target.setdefault(key, {}), value)
            else:
                target[key] = value

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path))
        name = path.removeprefix("/api/v1/nodes").strip("/")
        if not name:
            return 200, {"items": list(self.nodes.values())}
        if method == "PATCH":
            self.meanwhile()
            if name in self.refused:
                return self.refused[name], {"message": f"{name} is refused"}
            if body["metadata"].pop("resourceVersion") != self.nodes[name]["metadata"]["resourceVersion"]:
                return 409, {"message": "the object has been modified"}
            self.merge(self.nodes[name], body)
            self.touch(name)
        return 200, self.nodes[name]

    def changes(self) -> list[str]:
        return [path for method, path in self.asked if method != "GET"]


class Handler(http.server.BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"
    # Buffered: head and body in two packets would each wait for the other side's acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.api.answer(self.command, self.path.partition("?")[0], json.loads(sent) if sent else None)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PATCH = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"api": api})) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = tmp_path / "admin.conf"
        path.write_text(yaml.safe_dump(content))
        yield str(path)
        server.shutdown()
        # Or its threads would wait for requests that never come.
        server.block_on_close = False


WANTED: dict[str, Any] = {
    "node-1": {"labels": {"pool": "gpu"}, "taints": ["gpu=yes:NoSchedule"], "state": "cordoned", "role": "worker"},
    "node-2": {"labels": {"os": "linux"}},
    "node-9": {"labels": {"pool": "gpu"}},
}


def test_one_call_brings_many_nodes_in_line(run_module: Run, api: Api, kubeconfig: str) -> None:
    options = {"kubeconfig": kubeconfig, "nodes": WANTED}
    told = run_module(node_settings, check=True, diff=True, **options)
    assert api.changes() == []
    result = run_module(node_settings, diff=True, **options)
    assert result == {**told, "invocation": result["invocation"]}
    assert result["changed"] and result["nodes"] == ["node-1", "node-2"] and result["missing"] == ["node-9"]
    assert "pool: gpu" in result["diff"]["after"] and "pool: gpu" not in result["diff"]["before"]
    assert api.nodes["node-1"]["metadata"]["labels"] == {"os": "linux", "pool": "gpu"}
    assert api.nodes["node-1"]["spec"] == {
        "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
        "unschedulable": True,
    }
    assert api.asked.count(("GET", "/api/v1/nodes")) == 2 and len(api.asked) == 4
    again = run_module(node_settings, diff=True, **options)
    assert not again["changed"] and again["nodes"] == [] and "diff" not in again
    assert len(api.changes()) == 2


def test_everything_can_be_taken_back(run_module: Run, api: Api, kubeconfig: str) -> None:
    before = json.dumps(api.nodes["node-1"]["spec"])
    run_module(node_settings, kubeconfig=kubeconfig, nodes=WANTED)
    back = {name: {"labels": {}, "taints": [], "state": "schedulable"} for name in WANTED}
    assert run_module(node_settings, kubeconfig=kubeconfig, nodes=back)["nodes"] == ["node-1", "node-2"]
    node = api.nodes["node-1"]
    assert json.dumps({key: value for key, value in node["spec"].items() if value}) == before
    assert node["metadata"]["labels"] == {"os": "linux"} and not node["metadata"]["annotations"]


def test_a_taint_that_comes_meanwhile_is_kept(run_module: Run, api: Api, kubeconfig: str) -> None:
    def once() -> None:
        api.meanwhile = lambda: None
        api.touch("node-1", taints=[THEIRS])

    api.meanwhile = once
    assert run_module(node_settings, kubeconfig=kubeconfig, nodes=WANTED)["changed"]
    assert [taint["key"] for taint in api.nodes["node-1"]["spec"]["taints"]] == ["theirs", "gpu"]
    assert ("GET", "/api/v1/nodes/node-1") in api.asked


def test_endless_conflicts_end(run_module: Run, api: Api, kubeconfig: str) -> None:
    api.meanwhile = lambda: api.touch("node-1")
    result = run_module(node_settings, kubeconfig=kubeconfig, nodes={"node-1": WANTED["node-1"]})
    assert "node node-1: the object has been modified" in result["msg"]
    assert len(api.changes()) == node_settings.ATTEMPTS


def test_a_node_that_refuses_does_not_stop_the_others(run_module: Run, api: Api, kubeconfig: str) -> None:
    api.refused = {"node-1": 422}
    result = run_module(node_settings, kubeconfig=kubeconfig, nodes=WANTED)
    assert result["failed"] and "node node-1: node-1 is refused" in result["msg"]
    assert OWNED in api.nodes["node-2"]["metadata"]["annotations"]


def test_a_node_that_goes_meanwhile_is_missing(run_module: Run, api: Api, kubeconfig: str) -> None:
    api.refused = {"node-1": 404}
    result = run_module(node_settings, kubeconfig=kubeconfig, nodes=WANTED)
    assert not result.get("failed") and result["missing"] == ["node-1", "node-9"]


def test_a_cordon_of_others_stays_and_is_told(run_module: Run, api: Api, kubeconfig: str) -> None:
    api.touch("node-1", unschedulable=True)
    result = run_module(node_settings, kubeconfig=kubeconfig, nodes={"node-1": {"state": "schedulable"}})
    assert not result["changed"] and result["left_cordoned"] == ["node-1"]
    assert api.nodes["node-1"]["spec"]["unschedulable"]


def test_all_mistakes_are_told_before_anything_is_asked(run_module: Run, api: Api, kubeconfig: str) -> None:
    nodes = {"node-1": {"labels": {"a": 1}}, "node-2": {"state": "x"}}
    message = run_module(node_settings, kubeconfig=kubeconfig, nodes=nodes)["msg"]
    assert "node node-1" in message and "node node-2" in message
    assert api.asked == []


def test_without_a_cluster(run_module: Run, tmp_path: Path) -> None:
    options = {"kubeconfig": str(tmp_path / "none"), "nodes": WANTED}
    result = run_module(node_settings, check=True, **options)
    assert not result["changed"] and result["missing"] == ["node-1", "node-2", "node-9"]
    assert "can't be used" in run_module(node_settings, **options)["msg"]
