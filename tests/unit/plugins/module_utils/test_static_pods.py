# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _static_pods


def pod(name: str, uid: str, source: str = "file") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid, "annotations": {_static_pods.SOURCE: source}}}


def container(uid: str, state: str = "CONTAINER_RUNNING") -> dict[str, Any]:
    return {"labels": {_static_pods.UID: uid}, "state": state}


PODS = [pod("etcd-cp1", "new1"), pod("kube-apiserver-cp1", "new2"), pod("kube-proxy-x", "a", "api")]


def test_who_is_not_started_yet() -> None:
    # Those from before the kubelet's start still run.
    assert _static_pods.strangers(PODS, [container("old1"), container("new2")]) == ["etcd-cp1"]
    assert _static_pods.strangers(PODS, [container("new1", "CONTAINER_EXITED"), container("new2")]) == ["etcd-cp1"]
    assert _static_pods.strangers(PODS, [container("new1"), container("new2")]) == []
    assert _static_pods.strangers([{"metadata": {"name": "x", "uid": "y"}}], []) == []


@pytest.mark.parametrize(
    ("status", "said", "complaint"),
    [
        (200, json.dumps({"items": PODS}), "the kubelet has not started etcd-cp1 yet"),
        (200, json.dumps({"items": PODS[1:]}), ""),
        (500, "no webhook", "the kubelet does not tell its pods: 500 no webhook"),
        (200, "no JSON", "the kubelet does not tell its pods: "),
    ],
)
def test_what_the_kubelet_tells(monkeypatch: pytest.MonkeyPatch, status: int, said: str, complaint: str) -> None:
    monkeypatch.setattr(_static_pods.ssl.SSLContext, "load_cert_chain", lambda *_args: None)
    monkeypatch.setattr(_static_pods.host, "fetch", lambda *_args: (status, said))
    monkeypatch.setattr(_static_pods.host, "command", lambda _args: json.dumps({"containers": [container("new2")]}))
    found = _static_pods.complaint()
    assert found.startswith(complaint) and bool(found) == bool(complaint)


def test_a_kubelet_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the kubelet does not tell its pods: " in _static_pods.complaint()
