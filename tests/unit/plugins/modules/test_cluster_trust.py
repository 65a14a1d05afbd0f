# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Publishing CAs in a cluster, against a played API."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca, _kubeapi, _x509
from ansible_collections.hostplane.cluster.plugins.modules import cluster_trust
from selfsigned import make_certificate

PROXY = "daemonset/kube-system/kube-proxy"
WEB = "deployment/default/web"


class Api:
    """ConfigMaps and workloads; the controller manager needs a few looks to publish."""

    def __init__(self, bundle: str, old: str, looks: int) -> None:
        self.bundle, self.old, self.looks = bundle, old, looks
        self.info = f"    certificate-authority-data: {base64.b64encode(old.encode()).decode()}\n"
        self.marks: dict[str, str] = {}
        self.patched: list[str] = []

    def call(self, method: str, path: str, query: Any = None, **dummy: Any) -> Any:
        if path == cluster_trust.CLUSTER_INFO:
            return {"data": {"kubeconfig": self.info}}
        if path in ("/api/v1/configmaps", cluster_trust.TOKENS):
            self.looks -= 1
            text = self.bundle if self.looks < 0 else self.old
            data = text if path.endswith("maps") else base64.b64encode(text.encode()).decode()
            return {"items": [{"metadata": {"namespace": "a", "name": "b"}, "data": {"ca.crt": data}}]}
        annotations = {cluster_trust.TRUST: self.marks.get(path, "")}
        meta = {"namespace": "n", "name": path.split("/")[-1], "generation": 1}
        status = {"observedGeneration": 1, "desiredNumberScheduled": 1, "numberAvailable": 1}
        status |= {"updatedNumberScheduled": 1, "availableReplicas": 1, "updatedReplicas": 1}
        template = {"metadata": {"annotations": annotations}}
        kind = path.split("/")[-2].removesuffix("s").replace("daemonset", "DaemonSet")
        return {"kind": kind, "metadata": meta, "spec": {"template": template}, "status": status}

    def items(self, path: str) -> list[dict[str, Any]]:
        names = {"deployments": [("default", "web")], "daemonsets": [("kube-system", "kube-proxy")]}
        listed = names.get(path.split("/")[-1], [])
        return [{"metadata": {"namespace": namespace, "name": name}} for namespace, name in listed]

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.patched.append(path)
        if "data" in body:
            self.info = body["data"]["kubeconfig"]
        else:
            self.marks[path] = body["spec"]["template"]["metadata"]["annotations"][cluster_trust.TRUST]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]) -> Any:
    old, new = (make_certificate(tmp_path, f"{name}.test")[1] for name in ("old", "new"))
    bundle = old + new
    monkeypatch.setattr(cluster_trust, "POLL_SECONDS", 0.01)

    def run(api: Api | None = None, looks: int = 0, **options: Any) -> tuple[Api, dict[str, Any]]:
        api = api or Api(bundle, old, looks)
        monkeypatch.setattr(_kubeapi, "KubeApi", lambda dummy: api)
        options = {"workloads": [PROXY], **options}
        return api, run_module(cluster_trust, kubeconfig="x", ca=bundle, **options)

    return run


def test_it_publishes_waits_and_restarts_once(play: Any) -> None:
    api, result = play(looks=4, diff=True)
    assert result["changed"] and result["published"] and result["restarted"] == [PROXY]
    assert cluster_trust.CLUSTER_INFO in api.patched and "kube-proxy" in result["diff"]["after"]
    assert list(api.marks.values()) == [_ca.trust_id(_x509.certificates_in(api.bundle))]
    again = play(api)[1]
    assert not again["changed"] and again["restarted"] == []


def test_the_other_workloads_only_when_asked(play: Any) -> None:
    assert play(restart_all=True)[1]["restarted"] == [PROXY, WEB]


def test_pods_are_not_restarted_before_the_cas_are_there(play: Any) -> None:
    api, result = play(looks=10**6, timeout=0)
    assert "configmap a/b does not hold these CAs yet" in result["msg"] and not api.marks


def test_check_mode_only_tells(play: Any) -> None:
    api, result = play(looks=10**6, check=True)
    assert result["changed"] and result["restarted"] == [PROXY] and not api.patched
