# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules around a rotation: each phase goes to its function, and every failure is a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca_host, _ca_kubelet, _ca_state
from ansible_collections.hostplane.cluster.plugins.modules import certificate_authority

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ca_state, "read", lambda path: "BUNDLE")


class Phase:
    """Does nothing and tells what it was asked."""

    asked: list[Any]

    def __init__(self, *arguments: Any) -> None:
        Phase.asked = [*arguments]

    def run_node(self) -> _ca_host.Result:
        Phase.asked.append("node")
        return _ca_host.Result(restarted=["kubelet"])

    def run_control_plane(self) -> _ca_host.Result:
        Phase.asked.append("control_plane")
        return _ca_host.Result()


@pytest.mark.parametrize(("scope", "changed"), [("node", True), ("control_plane", False)])
def test_a_phase_on_a_host(run_module: Run, monkeypatch: pytest.MonkeyPatch, scope: str, changed: bool) -> None:
    monkeypatch.setattr(_ca_host, "Phase", Phase)
    result = run_module(certificate_authority, phase="trust", scope=scope, next={"etcd": "PEM"}, check=True, diff=True)
    assert Phase.asked == ["trust", {"etcd": "PEM"}, 300, True, scope]
    assert result["changed"] is changed and result["bundle"] == "BUNDLE"
    assert result.get("diff", {}).get("after", "") == ("restart kubelet\n" if changed else "")


@pytest.mark.parametrize("check", [True, False])
def test_prepare_and_clean(run_module: Run, monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(_ca_host, "prepare", lambda *arguments: asked.append(arguments) or True)
    monkeypatch.setattr(_ca_host, "clean", lambda check: asked.append(check) or False)
    assert run_module(certificate_authority, phase="prepare", authorities=["etcd"], check=check)["changed"]
    assert not run_module(certificate_authority, phase="clean", check=check)["changed"]
    assert asked == [(["etcd"], 3650, {}, check), check]


@pytest.mark.parametrize("error", [_ca_host.CaError("why"), _ca_kubelet.KubeletError("why"), OSError("why")], ids=str)
def test_a_failure_is_told(run_module: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*dummy: Any) -> None:
        raise error

    monkeypatch.setattr(_ca_host, "prepare", fail)
    assert run_module(certificate_authority, phase="prepare")["msg"] == "why"


def test_keys_are_never_shown(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ca_host, "prepare", lambda *dummy: True)
    result = run_module(certificate_authority, phase="prepare", files={"/etc/kubernetes/pki/next/ca.key": "U0VDUkVU"})
    assert "U0VDUkVU" not in str(result)
