# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, with the real Kubernetes client against a played API."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils import _ready
from ansible_collections.hostplane.cluster.plugins.modules import cluster_ready

pytest.importorskip("kubernetes")
Run = Callable[..., dict[str, Any]]
OTHER = "node-3"


class Api:
    """The state of a cluster, and what was asked of it."""

    def __init__(self) -> None:
        self.nodes = {name: self.node(name) for name in ("cp-1", "node-1", "node-2")}
        self.namespaces = {"default", "kube-system"}
        self.pods: list[dict[str, Any]] = []
        self.available = 2
        self.unreachable: set[tuple[str, str]] = set()
        self.broken = 0
        self.asked: list[tuple[str, str]] = []

    @staticmethod
    def node(name: str) -> dict[str, Any]:
        addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": f"10.9.0.{name[-1]}"}]
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"nodeInfo": {"kubeletVersion": "v1.36.3"}, "addresses": addresses, "conditions": conditions}
        return {"metadata": {"name": name, "annotations": {}}, "status": status}

    def probed(self) -> set[str]:
        return {name for name, node in self.nodes.items() if _ready.PROBED in node["metadata"]["annotations"]}

    def changes(self) -> list[str]:
        return [f"{method} {path}" for method, path in self.asked if method != "GET"]

    def workload(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        meta = {"namespace": namespace, "name": name, "generation": 1}
        counts = ("desiredNumberScheduled", "numberAvailable", "updatedNumberScheduled")
        if kind == "deployments":
            counts = ("replicas", "availableReplicas", "updatedReplicas")
        status: dict[str, int] = {**dict.fromkeys(counts, 2), counts[1]: self.available, "observedGeneration": 1}
        singular = {"daemonsets": "DaemonSet", "deployments": "Deployment"}[kind]
        return {
            "kind": singular,
            "metadata": meta,
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}},
            "status": status,
        }

    def schedule(self, daemonset: dict[str, Any]) -> None:
        affinity = daemonset["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
        terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        for name in (value for term in terms for value in term["matchFields"][0]["values"]):
            status = {"podIP": f"ip-of-{name}", "conditions": [{"type": "Ready", "status": "True"}]}
            meta = {"name": f"probe-{name}", "namespace": _ready.PROBE}
            self.pods.append({"metadata": meta, "spec": {"nodeName": name}, "status": status})

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        self.asked.append((method, path))
        if self.broken:
            self.broken -= 1
            return 503, {"message": "the apiserver is starting"}
        parts = path.strip("/").split("/")
        if parts[:3] == ["api", "v1", "nodes"]:
            if method == "PATCH":
                self.nodes[parts[3]]["metadata"]["annotations"].update(body["metadata"]["annotations"])
            return 200, {"items": list(self.nodes.values())}
        if parts[:2] == ["apis", "apps"] and method == "GET":
            return 200, self.workload(parts[5], parts[4], parts[6])
        if parts[-1] == "dial":
            pair = (parts[5].partition(":")[0], query["host"])
            return 200, {"errors": ["timeout"]} if pair in self.unreachable else {"responses": ["ok"]}
        if method == "DELETE":
            if parts[-1] not in self.namespaces:
                return 404, {"message": "not found"}
            self.namespaces.remove(parts[-1])
            self.pods = []
        elif method == "POST" and parts[-1] == "namespaces":
            self.namespaces.add(body["metadata"]["name"])
        elif method == "POST" and parts[-1] == "daemonsets":
            self.schedule(body)
        elif parts[-1] == "pods":
            return 200, {"items": self.pods}
        elif method == "GET" and parts[-1] == "namespaces":
            return 200, {"items": [{"metadata": {"name": name}} for name in sorted(self.namespaces)]}
        return 200, {}


class Handler(http.server.BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"
    # Buffered: head and body in two packets would each wait for the other side's acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        path, _mark, query = self.path.partition("?")
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(sent) if sent else None
        status, answer = self.api.answer(self.command, path, dict(urllib.parse.parse_qsl(query)), body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def options(api: Api, tmp_path: Path) -> Iterator[dict[str, Any]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"api": api})) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        cluster = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = tmp_path / "admin.conf"
        path.write_text(yaml.safe_dump(kubeconfig))
        yield {"kubeconfig": str(path), "nodes": ["node-2", "node-1", "cp-1"], "timeout": 0}
        server.shutdown()
        # Or its threads would wait for requests that never come.
        server.block_on_close = False


@pytest.mark.parametrize("check", [False, True])
def test_a_ready_cluster(run_module: Run, api: Api, options: dict[str, Any], check: bool) -> None:
    result = run_module(cluster_ready, check=check, diff=True, **options)
    assert (result["changed"], result["probed"], result["probes"]) == (False, [], 0)
    assert result["nodes"][0] == {"name": "cp-1", "version": "v1.36.3", "address": "10.9.0.1"}
    assert [node["name"] for node in result["nodes"]] == ["cp-1", "node-1", "node-2"]
    assert api.changes() == []


def test_everything_that_is_missing_is_told(run_module: Run, api: Api, options: dict[str, Any]) -> None:
    api.nodes["node-1"]["status"]["conditions"] = [{"type": "Ready", "status": "False", "message": "no CNI"}]
    api.available = 1
    message = run_module(cluster_ready, **{**options, "nodes": [*options["nodes"], OTHER]})["msg"]
    for part in (
        "node node-1: not Ready since the beginning: no CNI",
        "node node-3: not in the cluster",
        "daemonset kube-system/kube-proxy: 1 of 2 pods available",
        "deployment kube-system/coredns: 1 of 2 pods available",
    ):
        assert part in message


def test_an_api_that_starts_is_waited_for(run_module: Run, api: Api, options: dict[str, Any]) -> None:
    api.broken = 1
    assert not run_module(cluster_ready, **{**options, "timeout": 20}).get("failed")
    api.broken = 100
    assert "the apiserver is starting" in run_module(cluster_ready, **options)["msg"]


def test_new_nodes_are_probed_once(run_module: Run, api: Api, options: dict[str, Any]) -> None:
    options.update(probe="new", probe_image="agnhost")
    told = run_module(cluster_ready, check=True, **options)
    assert (told["changed"], told["probed"], told["probes"]) == (True, ["cp-1", "node-1", "node-2"], 0)
    assert api.changes() == []
    result = run_module(cluster_ready, **options)
    assert (result["changed"], result["probed"], result["probes"]) == (True, ["cp-1", "node-1", "node-2"], 9)
    assert api.probed() == set(api.nodes)
    assert api.namespaces == {"default", "kube-system"}, "the probe is removed"
    before = len(api.changes())
    for check in (True, False):
        again = run_module(cluster_ready, check=check, **options)
        assert (again["changed"], again["probed"], again["probes"]) == (False, [], 0)
    assert len(api.changes()) == before


def test_a_node_that_is_added_talks_to_an_old_one(run_module: Run, api: Api, options: dict[str, Any]) -> None:
    options.update(probe="new", probe_image="agnhost")
    run_module(cluster_ready, **options)
    api.nodes[OTHER] = api.node(OTHER)
    result = run_module(cluster_ready, **{**options, "nodes": [*options["nodes"], OTHER]})
    assert (result["probed"], result["probes"]) == ([OTHER], 6)


def test_always_probes_again_and_is_no_change(run_module: Run, api: Api, options: dict[str, Any]) -> None:
    options.update(probe="always", probe_image="agnhost")
    assert run_module(cluster_ready, **options)["changed"] is True
    again = run_module(cluster_ready, **options)
    assert (again["changed"], again["probes"]) == (False, 9)


def test_a_node_that_can_reach_nobody(run_module: Run, api: Api, options: dict[str, Any]) -> None:
    api.unreachable = {("probe-node-1", "ip-of-node-2")}
    message = run_module(cluster_ready, probe="new", probe_image="agnhost", **options)["msg"]
    assert "node node-1: a pod there can't reach a pod on node-2: timeout" in message
    assert api.probed() == set(), "the next run probes again"
    assert _ready.PROBE not in api.namespaces, "the probe is removed"


def test_a_probe_that_was_left_is_replaced(run_module: Run, api: Api, options: dict[str, Any]) -> None:
    api.namespaces.add(_ready.PROBE)
    api.pods = [{"metadata": {"name": "old"}, "spec": {"nodeName": "gone"}, "status": {}}]
    assert run_module(cluster_ready, probe="new", probe_image="agnhost", **options)["probes"] == 9


def test_before_there_is_a_cluster(run_module: Run, options: dict[str, Any], tmp_path: Path) -> None:
    options["kubeconfig"] = str(tmp_path / "later.conf")
    assert run_module(cluster_ready, check=True, **options)["nodes"] == []
    assert run_module(cluster_ready, **options)["failed"]
    (tmp_path / "later.conf").write_text("{}")
    assert "later.conf can't be used" in run_module(cluster_ready, **options)["msg"]


def test_a_probe_needs_an_image(run_module: Run, options: dict[str, Any]) -> None:
    assert "probe_image" in run_module(cluster_ready, probe="new", **options)["msg"]


def test_in_check_mode_nobody_waits_for_a_node_that_would_join(
    run_module: Run, api: Api, options: dict[str, Any]
) -> None:
    options["nodes"] = [*options["nodes"], "worker9"]
    assert "node worker9: not in the cluster" in run_module(cluster_ready, **{**options, "timeout": 1})["msg"]
    assert not run_module(cluster_ready, check=True, **options).get("failed")
