# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.modules import cluster_members

Run = Callable[..., dict[str, Any]]
HOSTS = {
    "cp1": {"name": "cp1", "address": "10.0.0.1", "role": "control_plane"},
    "w1": {"name": "node-1", "address": "10.0.0.2", "role": "worker"},
}


LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class Api:
    """A cluster with one node of the inventory and one that nobody knows."""

    # When a node was heard of, in seconds after a time.
    heard: ClassVar[dict[str, int]] = {}

    def __init__(self, kubeconfig: str) -> None:
        if kubeconfig != "/admin.conf":
            raise _kubeapi.KubeApiError(f"{kubeconfig} can't be used")

    def items(self, path: str) -> list[dict[str, Any]]:
        if path == LEASES:
            return [
                {"metadata": {"name": name}, "spec": {"renewTime": f"2026-01-01T00:00:{seconds}.000000Z"}}
                for name, seconds in {"cp1": 58, **self.heard}.items()
            ]
        assert path == "/api/v1/nodes"
        labels = {"node-role.kubernetes.io/control-plane": ""}
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [
            {"metadata": {"name": "cp1", "labels": labels}, "status": ready},
            {"metadata": {"name": "stranger"}, "status": ready},
        ]


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kubeapi, "KubeApi", Api)


@pytest.mark.parametrize("check_mode", [False, True])
def test_the_difference_is_told_and_nothing_is_changed(run_module: Run, check_mode: bool) -> None:
    result = run_module(cluster_members, check=check_mode, kubeconfig="/admin.conf", hosts=HOSTS)
    assert result["changed"] is False
    assert (result["join"], result["remove"], result["actor"]) == (["w1"], [], "cp1")
    assert (result["unknown"], result["nodes"]) == (["stranger"], 2)


@pytest.mark.parametrize(("seconds", "suspect"), [(40, []), (20, ["w1"])])
def test_a_node_that_was_not_heard_of_is_looked_at(
    run_module: Run, monkeypatch: pytest.MonkeyPatch, seconds: int, suspect: list[str]
) -> None:
    monkeypatch.setattr(Api, "heard", {"stranger": seconds})
    hosts = {**HOSTS, "w1": {**HOSTS["w1"], "name": "stranger"}}
    result = run_module(cluster_members, kubeconfig="/admin.conf", hosts=hosts)
    assert (result["suspect"], result["join"], result["actor"]) == (suspect, [], "cp1")


def test_all_refusals_come_in_one_report(run_module: Run) -> None:
    result = run_module(
        cluster_members,
        kubeconfig="/admin.conf",
        hosts=HOSTS,
        remove=["cp1", "nobody"],
        endpoint_host="10.0.0.1",
    )
    assert result["failed"]
    found = {problem["code"] for problem in result["problems"]}
    assert {"scale_unknown", "scale_last_control_plane", "scale_endpoint", "scale_inventory"} <= found
    assert "nobody" in result["msg"]


def test_an_unusable_kubeconfig_is_named(run_module: Run) -> None:
    result = run_module(cluster_members, kubeconfig="/other.conf", hosts=HOSTS)
    assert result["failed"]
    assert "/other.conf" in result["msg"]
