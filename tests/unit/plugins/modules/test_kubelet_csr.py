# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Approving until every kubelet answers, against a played API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.modules import kubelet_csr

HOSTS = {"host1": {"name": "w1", "address": "10.0.0.21"}, "host2": {"name": "w2", "address": "10.0.0.22"}}


class Api:
    """An API whose kubelets answer once their request is approved."""

    def __init__(self, requests: list[dict[str, Any]]) -> None:
        self.requests, self.approved = requests, set[str]()

    def items(self, path: str) -> list[dict[str, Any]]:
        assert path == kubelet_csr.REQUESTS
        return self.requests

    def call(self, method: str, path: str, body: Any = None, **dummy: Any) -> Any:
        if path.endswith("/approval"):
            assert method == "PUT"
            found = next(one for one in self.requests if one["metadata"]["name"] == path.split("/")[-2])
            found["status"] = body["status"]
            self.approved.add(found["spec"]["username"].removeprefix("system:node:"))
            return {}
        if path.split("/")[4] not in self.approved:
            raise OSError("tls: internal error")
        return {}


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]) -> Any:
    monkeypatch.setattr(kubelet_csr, "POLL_SECONDS", 0.01)

    def run(*nodes: str, good: bool = True, **options: Any) -> tuple[Api, dict[str, Any]]:
        spec = {"signerName": "kubernetes.io/kubelet-serving"}
        listed = [
            {"metadata": {"name": f"csr-{node}"}, "spec": {**spec, "username": f"system:node:{node}"}} for node in nodes
        ]
        api = Api(listed)
        monkeypatch.setattr(_kubeapi, "KubeApi", lambda dummy: api)
        monkeypatch.setattr(kubelet_csr._csr, "refusal", lambda spec, addresses: "" if good else "it is odd")
        return api, run_module(kubelet_csr, kubeconfig=__file__, hosts=HOSTS, **options)

    return run


def test_it_approves_and_waits_until_the_kubelets_answer(play: Any) -> None:
    api, result = play("w1", "w2", wait_for=["w1", "w2"])
    assert result["approved"] == ["w1", "w2"] and result["changed"] and api.approved == {"w1", "w2"}


def test_a_second_run_changes_nothing(play: Any) -> None:
    assert play(wait_for=[])[1]["changed"] is False


def test_a_refused_request_is_named_where_its_node_is_waited_for(play: Any) -> None:
    api, result = play("w1", good=False, wait_for=["w1"], timeout=0)
    assert result["failed"] and "node w1: its request csr-w1 was refused: it is odd" in result["msg"]
    assert not api.approved


def test_a_refused_request_of_a_stranger_stops_nobody(play: Any) -> None:
    api, result = play("w9", good=False)
    assert result["refused"] == [{"request": "csr-w9", "node": "w9", "reason": "it is odd"}]
    assert not result["changed"] and not api.approved


def test_check_mode_tells_who_would_be_approved(play: Any) -> None:
    api, result = play("w1", wait_for=["w1", "w2"], check=True)
    assert result["approved"] == ["w1", "w2"] and not api.approved


@pytest.mark.parametrize(("check", "failed"), [(True, False), (False, True)])
def test_an_api_that_is_down(
    monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]], check: bool, failed: bool
) -> None:
    class Down:
        def items(self, path: str) -> list[dict[str, Any]]:
            raise OSError("connection refused")

    monkeypatch.setattr(kubelet_csr, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(_kubeapi, "KubeApi", lambda dummy: Down())
    result = run_module(kubelet_csr, kubeconfig=__file__, hosts=HOSTS, wait_for=["w1"], timeout=60 * check, check=check)
    assert bool(result.get("failed")) == failed
    assert ("connection refused" in result["msg"]) if failed else (result["approved"] == ["w1"])


def test_check_mode_works_before_there_is_a_cluster(run_module: Callable[..., dict[str, Any]]) -> None:
    result = run_module(kubelet_csr, kubeconfig="/nowhere", hosts=HOSTS, wait_for=["w1"], check=True, diff=True)
    assert result["approved"] == ["w1"] and "w1" in result["diff"]["after"]


def test_a_certificate_may_be_for_the_addresses_of_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(kubelet_csr._csr, "pending", lambda csrs, addresses: seen.append(addresses) or ([], []))
    hosts = {**HOSTS, "host3": {"name": "w3", "address": "10.0.0.23", "address_ipv6": "fd00::23"},
             "host4": {"name": "w4", "address": "10.0.0.24", "address_ipv6": ""}}  # fmt: skip
    kubelet_csr.approve(Api([]), hosts, check=True)  # type: ignore[arg-type]
    assert seen[0] == {"w1": ["10.0.0.21"], "w2": ["10.0.0.22"], "w3": ["10.0.0.23", "fd00::23"], "w4": ["10.0.0.24"]}
