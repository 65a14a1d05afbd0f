# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeadm, _renewal
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import CONTROL_PLANE, Found
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_plan import Plan
from ansible_collections.hostplane.cluster.plugins.modules import certificate_renewal

Run = Callable[..., dict[str, Any]]
DUE = Plan(
    kubeadm=("scheduler.conf",), restart=("kube-scheduler",), reload=("etcd",), serving=True, kubelet="bootstrap",
    reasons=(("kubelet-server-self", "expires in 3 days"), ("scheduler.conf", "expires in 3 days")),
)  # fmt: skip


class Host:
    """What the module finds and what it asks for."""

    def __init__(self) -> None:
        self.plan, self.wrong, self.asked = DUE, [], []  # type: ignore[var-annotated]

    def renewal(self, found: list[Found], plan: Plan, options: dict[str, Any]) -> Host:
        self.asked.append((plan, options))
        return self

    def run(self) -> _renewal.Result:
        return _renewal.Result(["scheduler.conf"], ["kube-scheduler"], [], "/copies", 0.25)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    made = Host()
    found = [Found(place) for place in CONTROL_PLANE]
    monkeypatch.setattr(_renewal, "look_and_plan", lambda days, force: (found, made.plan))
    monkeypatch.setattr(_renewal, "refusals", lambda found, days: made.wrong)
    monkeypatch.setattr(_renewal, "Renewal", made.renewal)
    monkeypatch.setattr(_renewal, "BOOTSTRAP", str(tmp_path / "bootstrap"))
    monkeypatch.setattr(_kubeadm, "LOCK", str(tmp_path / "lock"))
    return made


def test_what_is_done_is_told(run_module: Run, host: Host) -> None:
    result = run_module(certificate_renewal, diff=True, bootstrap_token="abcdef.0123456789abcdef")
    assert (result["changed"], result["renewed"], result["gap_seconds"]) == (True, ["scheduler.conf"], 0.25)
    assert "scheduler.conf (/etc/kubernetes/scheduler.conf): expires in 3 days\n" in result["diff"]["before"]
    assert host.asked[0][1]["bootstrap_token"] == "abcdef.0123456789abcdef"
    assert "abcdef.0123456789abcdef" not in str(result)


def test_check_mode_tells_the_same_and_does_nothing(run_module: Run, host: Host) -> None:
    result = run_module(certificate_renewal, check=True)
    assert result["changed"] and host.asked == []
    assert result["renewed"] == ["kubelet-client", "kubelet-server-self", "scheduler.conf"]
    assert result["restarted"] == ["kubelet", "kube-scheduler"] and result["reloaded"] == ["etcd"]


def test_nothing_due_changes_nothing(run_module: Run, host: Host) -> None:
    host.plan = Plan()
    for check in (True, False):
        result = run_module(certificate_renewal, check=check, diff=True)
        assert (result["changed"], result["renewed"], result["gap_seconds"]) == (False, [], None)
        assert "diff" not in result
    assert host.asked == []


def test_a_token_that_was_left_is_removed(run_module: Run, host: Host) -> None:
    host.plan = Plan()
    left = Path(_renewal.BOOTSTRAP)
    left.write_text("token")
    assert run_module(certificate_renewal, check=True)["changed"] and left.exists()
    assert run_module(certificate_renewal)["changed"] and not left.exists()
    assert not run_module(certificate_renewal)["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_all_refusals_at_once(run_module: Run, host: Host, check: bool) -> None:
    host.wrong = [Problem("A", "no CA", "get one"), Problem("B", "no key", "get one too")]
    result = run_module(certificate_renewal, check=check)
    assert "no CA" in result["msg"] and "get one too" in result["msg"] and host.asked == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"validity_days": 90}, "due again at once"), ({"keep": 0}, "what a failure is undone with")],
)
def test_options_that_make_no_sense(run_module: Run, host: Host, options: dict[str, int], reason: str) -> None:
    assert reason in run_module(certificate_renewal, **options)["msg"]
