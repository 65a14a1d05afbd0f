# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd_restore and cluster_revived as Ansible runs them; what the steps do is tested with their utils."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _kubeadm,
    _kubeapi,
    _restore,
    _restore_journal,
    _restore_node,
)
from ansible_collections.hostplane.cluster.plugins.modules import cluster_revived, etcd_restore

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The steps that were done, without doing them."""
    done: list[str] = []
    monkeypatch.setattr(_restore_journal, "WORK", str(tmp_path / "restore"))
    monkeypatch.setattr(_kubeadm, "MARKER", str(tmp_path / "hostplane.json"))
    monkeypatch.setattr(_restore, "stop", lambda request, source: done.append(f"stop {source}") or True)
    monkeypatch.setattr(
        _restore, "restore", lambda request: done.append("restore") or {"changed": True, "revision": 5, "resources": {}}
    )
    monkeypatch.setattr(_restore, "start", lambda names, step: done.append(f"{step} {','.join(names)}") or True)
    monkeypatch.setattr(_restore, "compare", lambda request: done.append("compare"))
    return done


OPTIONS = {"cluster": "prod", "confirm": "prod", "survivor": "cp1", "token": "20270101T000000Z"}


def test_every_step_leads_to_its_function(run_module: Run, steps: list[str]) -> None:
    for step in ("stop", "restore", "start_etcd", "compare", "start_api"):
        assert run_module(etcd_restore, step=step, **OPTIONS)["changed"] is (step != "compare")
    assert steps == [
        "stop cp1", "restore", "start_etcd etcd", "compare",
        "start_api kube-apiserver,kube-controller-manager,kube-scheduler",
    ]  # fmt: skip


def test_nothing_is_done_without_the_clusters_name(run_module: Run, steps: list[str]) -> None:
    for confirm in ("", "production"):
        for step in _restore_journal.STEPS:
            result = run_module(etcd_restore, step=step, **{**OPTIONS, "confirm": confirm})
            assert "Confirm by setting restore_confirm" in result["msg"]
    assert steps == []


def test_check_mode_touches_nothing_and_needs_no_file(run_module: Run, steps: list[str], tmp_path: Path) -> None:
    options = {**OPTIONS, "survivor": "", "backup": str(tmp_path / "not-there-yet.backup")}
    checked = run_module(etcd_restore, step="check", check=True, **options)
    assert (checked["changed"], checked["resumed"], checked["name"]) == (False, False, "")
    assert run_module(etcd_restore, step="restore", check=True, diff=True, **options)["diff"]["after"] == "restore\n"
    assert steps == [] and not (tmp_path / "restore").exists()
    assert "is missing" in run_module(etcd_restore, step="check", **options)["msg"]


def test_a_source_is_required(run_module: Run) -> None:
    assert "what to restore from" in run_module(etcd_restore, step="check", **{**OPTIONS, "survivor": ""})["msg"]


def test_finishing_twice_changes_once(run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_restore_node, "read_settings", _restore_node.Settings)
    _restore_journal.write_journal(_restore_journal.Journal("cp1", "20270101T000000Z", "start_api"))
    assert run_module(etcd_restore, step="finish", **OPTIONS)["changed"] is True
    assert run_module(etcd_restore, step="finish", **OPTIONS)["changed"] is False


def test_a_broken_journal_is_named(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "restore").mkdir()
    (tmp_path / "restore/journal.json").write_text("{")
    assert "journal.json can't be understood" in run_module(etcd_restore, step="finish", **OPTIONS)["msg"]


class Api:
    """A restored cluster's API; each time it is asked, one more of its parts has come to life."""

    order = ("kube-controller-manager", "kube-scheduler", "cp1", "worker1")
    nodes = ("cp1", "old", "worker1")
    asked = 0

    def __init__(self, kubeconfig: str) -> None:
        pass

    def items(self, path: str) -> list[dict[str, Any]]:
        if path == "/api/v1/nodes":
            return [{"metadata": {"name": name}} for name in self.nodes]
        if "kube-system" in path:
            Api.asked += 1
            if Api.asked == 1:
                raise OSError("connection refused")
        alive = self.order[: Api.asked - 1]
        return [
            {"metadata": {"name": name, "resourceVersion": "1001" if name in alive else "1000"}} for name in self.order
        ]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> type[Api]:
    monkeypatch.setattr(_kubeapi, "KubeApi", Api)
    monkeypatch.setattr(cluster_revived, "POLL_SECONDS", 0)
    monkeypatch.setattr(Api, "asked", 0)
    return Api


def test_what_the_past_says_does_not_count(run_module: Run, api: type[Api]) -> None:
    result = run_module(cluster_revived, kubeconfig="/k", revision=1000, nodes=["cp1", "worker1"])
    assert api.asked == 5
    assert (result["nodes"], result["silent"]) == (["cp1", "old", "worker1"], ["old"])


def test_who_is_still_dead_is_listed(run_module: Run, api: type[Api], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "order", ())
    result = run_module(cluster_revived, kubeconfig="/k", revision=1000, nodes=["cp1", "new"], timeout=0)
    assert "the API does not answer: connection refused" in result["msg"]
    result = run_module(cluster_revived, kubeconfig="/k", revision=1000, nodes=["cp1", "new"], timeout=0)
    for line in ("kube-scheduler has not become leader", "node new is not in the cluster", "kubelet of node cp1"):
        assert line in result["msg"]


def test_in_check_mode_there_is_nothing_to_wait_for(run_module: Run, api: type[Api]) -> None:
    result = run_module(cluster_revived, kubeconfig="/k", revision=0, nodes=["a"], check=True)
    assert json.dumps(result["nodes"]) == '["a"]' and api.asked == 0
