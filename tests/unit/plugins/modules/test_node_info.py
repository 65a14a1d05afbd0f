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
from ansible_collections.hostplane.cluster.plugins.modules import node_info
from kubernetes.client.exceptions import ApiException

Run = Callable[..., dict[str, Any]]


class Api:
    """A cluster that answers, or says why not."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.cpus: dict[str, str | None] = {}

    def items(self, path: str) -> list[dict[str, Any]]:
        assert path == "/api/v1/nodes"
        for error in self.errors:
            raise error
        return [
            {"metadata": {"name": name}, "status": {"capacity": {"cpu": text} if text else None}}
            for name, text in self.cpus.items()
        ]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    played = Api()
    monkeypatch.setattr(_kubeapi, "KubeApi", lambda _kubeconfig: played)
    return played


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    (tmp_path / "admin.conf").write_text("")
    return str(tmp_path / "admin.conf")


def test_sizes(run_module: Run, api: Api, kubeconfig: str) -> None:
    api.cpus = {"b": "32", "a": "15900m", "new": None}
    result = run_module(node_info, kubeconfig=kubeconfig, check=True)
    assert result["cpus"] == {"a": 15, "b": 32} and result["changed"] is False


def test_before_there_is_a_cluster(run_module: Run, api: Api) -> None:
    api.errors.append(AssertionError("nobody is to be asked"))
    assert run_module(node_info, kubeconfig="/nowhere")["cpus"] == {}


@pytest.mark.parametrize(("error", "failed"), [(ApiException(503), False), (OSError("gone"), False),
                                               (ApiException(403), True)])  # fmt: skip
def test_only_a_refusal_is_an_error(run_module: Run, api: Api, kubeconfig: str, error: Exception, failed: bool) -> None:
    api.errors.append(error)
    result = run_module(node_info, kubeconfig=kubeconfig)
    assert result.get("failed", False) is failed and result.get("cpus", {}) == {}
