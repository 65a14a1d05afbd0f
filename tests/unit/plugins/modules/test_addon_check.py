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
from ansible_collections.hostplane.cluster.plugins.modules import addon_check
from kubernetes.client.exceptions import ApiException

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Objects by the end of their path; a number is the status of a refusal."""
    played: dict[str, Any] = {}

    class Api:
        def call(self, method: str, path: str) -> Any:
            found = played.get(path.rpartition("/")[2], 404)
            if isinstance(found, int):
                raise ApiException(status=found, reason="no")
            return found

    monkeypatch.setattr(_kubeapi, "KubeApi", lambda _kubeconfig: Api())
    return played


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    (tmp_path / "admin.conf").write_text("")
    return str(tmp_path / "admin.conf")


def test_an_addon_that_is_not_wanted_any_more(run_module: Run, api: dict[str, Any], kubeconfig: str) -> None:
    assert run_module(addon_check, kubeconfig=kubeconfig)["problems"] == []
    api["speaker"] = {"metadata": {"managedFields": [{"manager": "hostplane"}]}}
    (problem,) = run_module(addon_check, kubeconfig=kubeconfig, wanted=["dns"], check=True)["problems"]
    assert problem["code"] == "addon_left" and "metallb-system" in problem["remedy"]
    assert run_module(addon_check, kubeconfig=kubeconfig, wanted=["load_balancer"])["problems"] == []


def test_volumes_stay_where_they_are(run_module: Run, api: dict[str, Any], kubeconfig: str) -> None:
    driver = {"args": ["serve", "--pool=/srv/disk/pool", "--metrics-port=9809"]}
    api["local-volume"] = {
        "metadata": {"managedFields": [{"manager": "hostplane"}]},
        "spec": {"template": {"spec": {"containers": [driver, {"name": "provisioner"}]}}},
    }
    for pool in ("", "/srv/disk/pool"):
        assert run_module(addon_check, kubeconfig=kubeconfig, volume_pool=pool)["problems"] == []
    (problem,) = run_module(addon_check, kubeconfig=kubeconfig, volume_pool="/srv/new")["problems"]
    assert problem["code"] == "storage_pool_moved" and "Set it to /srv/disk/pool" in problem["remedy"]
    # Somebody else's of the same name.
    api["local-volume"]["metadata"] = {}
    assert run_module(addon_check, kubeconfig=kubeconfig, volume_pool="/srv/new")["problems"] == []


def test_a_refusal_is_no_absence(run_module: Run, api: dict[str, Any], kubeconfig: str) -> None:
    api["traefik"] = 403
    result = run_module(addon_check, kubeconfig=kubeconfig)
    assert "the API refused" in result["msg"]


@pytest.mark.parametrize("status", [0, 500, 503])
def test_an_api_that_is_down_keeps_nobody_from_hearing_why(
    run_module: Run, api: dict[str, Any], kubeconfig: str, status: int
) -> None:
    api["traefik"] = status
    result = run_module(addon_check, kubeconfig=kubeconfig)
    assert not result.get("failed") and result["problems"] == []


def test_before_there_is_a_cluster_nothing_is_left(run_module: Run, tmp_path: Path) -> None:
    assert run_module(addon_check, kubeconfig=str(tmp_path / "none"))["problems"] == []
