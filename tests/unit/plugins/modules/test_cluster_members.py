# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.modules import cluster_members

Run = Callable[..., dict[str, Any]]
HOSTS = {
    "cp1": {"name": "cp1", "address": "10.0.0.1", "role": "control_plane"},
    "w1": {"name": "node-1", "address": "10.0.0.2", "role": "worker"},
}


class Api:
    """A cluster with one node of the inventory and one that nobody knows."""

    def __init__(self, kubeconfig: str) -> None:
        if kubeconfig != "/admin.conf":
            raise _kubeapi.KubeApiError(f"{kubeconfig} can't be used")

    def items(self, path: str) -> list[dict[str, Any]]:
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
