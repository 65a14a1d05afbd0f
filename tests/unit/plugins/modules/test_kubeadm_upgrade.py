# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, on a worker; only kubeadm itself is played."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_node
from ansible_collections.hostplane.cluster.plugins.modules import kubeadm_upgrade

Run = Callable[..., dict[str, Any]]
OPTIONS = {"cluster": "shop", "version": "1.36.3"}


@pytest.fixture
def worker(host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_upgrade_node, "MANIFESTS", str(host.root / "manifests"))
    monkeypatch.setattr(_upgrade_node, "KUBEADM", str(host.base / "kubeadm"))
    monkeypatch.setattr(_upgrade_node, "endpoint_complaint", lambda: "")
    host.put("hostplane.json", json.dumps({"cluster": "shop", "phase": "join-done", "settings": {"version": "1.35.4"}}))
    host.options = {**OPTIONS, "kubeadm_sha256": hashlib.sha256((host.base / "kubeadm").read_bytes()).hexdigest()}
    return host


def settings(host: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((host.root / "hostplane.json").read_text())["settings"]
    return found


def test_a_worker_is_upgraded_then_finished_then_left_alone(run_module: Run, worker: Any) -> None:
    look = run_module(kubeadm_upgrade, check=True, diff=True, **worker.options)
    assert (look["changed"], look["due"], look["before"], look["way"]) == (True, True, "1.35.4", "")
    assert look["diff"] == {"before": "version: 1.35.4\n", "after": "version: 1.36.3\n"}
    assert worker.calls() == []
    done = run_module(kubeadm_upgrade, **worker.options)
    assert (done["changed"], done["way"], len(worker.calls())) == (True, "node", 1)
    assert settings(worker) == {"version": "1.35.4", "upgrading_to": "1.36.3"}
    assert run_module(kubeadm_upgrade, check=True, state="finished", **OPTIONS)["changed"]
    assert run_module(kubeadm_upgrade, state="finished", **OPTIONS)["changed"]
    assert settings(worker) == {"version": "1.36.3"}
    again = run_module(kubeadm_upgrade, diff=True, **worker.options)
    assert (again["changed"], again["due"], len(worker.calls())) == (False, False, 1)
    assert "diff" not in again
    assert not run_module(kubeadm_upgrade, state="finished", **OPTIONS)["changed"]


def test_a_failure_stays_between_the_versions(run_module: Run, worker: Any) -> None:
    worker.kubeadm("echo no such patch >&2; exit 1")
    digest = hashlib.sha256((worker.base / "kubeadm").read_bytes()).hexdigest()
    result = run_module(kubeadm_upgrade, **{**worker.options, "kubeadm_sha256": digest})
    assert result["failed"] and "no such patch" in result["msg"]
    assert settings(worker)["upgrading_to"] == "1.36.3"
    assert run_module(kubeadm_upgrade, check=True, **worker.options)["resumed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_host_of_something_else_is_refused(run_module: Run, worker: Any, check: bool) -> None:
    assert (
        "belongs to cluster" in run_module(kubeadm_upgrade, check=check, **{**worker.options, "cluster": "bank"})["msg"]
    )
    worker.put("hostplane.json", json.dumps({"cluster": "shop", "phase": "join-started", "settings": {}}))
    assert "not a full member" in run_module(kubeadm_upgrade, check=check, **worker.options)["msg"]
    assert worker.calls() == []


def test_waiting_changes_nothing(run_module: Run, worker: Any) -> None:
    result = run_module(kubeadm_upgrade, diff=True, state="quiet", **OPTIONS)
    assert (result["changed"], result["due"], worker.calls()) == (False, True, [])
    assert "diff" not in result and settings(worker) == {"version": "1.35.4"}


@pytest.mark.parametrize(("extra", "check", "waits"), [({}, False, 0), ({"upgrading_to": "1.36.3"}, False, 1),
                                                       ({"upgrading_to": "1.36.3"}, True, 0)])  # fmt: skip
def test_only_a_host_between_two_versions_is_waited_for(
    run_module: Run, worker: Any, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], check: bool, waits: int
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(_upgrade_node, "settle", waited.append)
    marker = {"cluster": "shop", "phase": "init-done", "settings": {"version": "1.35.4", **extra}}
    worker.put("hostplane.json", json.dumps(marker))
    assert not run_module(kubeadm_upgrade, check=check, state="quiet", timeout=7, **OPTIONS)["changed"]
    assert waited == [7] * waits


@pytest.mark.parametrize("marker", ["", "{", '{"cluster": "bank", "phase": "join-done"}'])
def test_waiting_leaves_it_to_others_to_tell_what_is_wrong(run_module: Run, worker: Any, marker: str) -> None:
    worker.put("hostplane.json", marker)
    result = run_module(kubeadm_upgrade, state="quiet", **OPTIONS)
    assert not result.get("failed") and not result["changed"]
