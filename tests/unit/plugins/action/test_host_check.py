# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of a host as the controller sees it, with an answer that takes its time."""

from __future__ import annotations

import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.hostplane.cluster.plugins.action import host_check
from hypothesis import given
from hypothesis import strategies as st


class World:
    """A controller's clock, a host that is ahead, and what each way of asking costs."""

    def __init__(self, skew: float, copy: float, command: float) -> None:
        self.now, self.skew, self.copy, self.command = 1.7e9, skew, copy, command
        self.findings: list[dict[str, str]] = []
        self.commands = 0

    def time(self) -> float:
        return self.now

    def module(self, **_more: t.Any) -> dict[str, t.Any]:
        self.now += self.copy
        started = self.now + self.skew
        self.now += 0.2
        ended = self.now + self.skew
        self.now += 0.05
        return {"findings": list(self.findings), "ignored": [], "time": {"started": started, "ended": ended}}

    def low_level(self, _command: str, **_more: t.Any) -> dict[str, str]:
        self.commands += 1
        self.now += self.command / 2
        reading = self.now + self.skew
        self.now += self.command / 2
        return {"stdout": f"{reading:.9f}\n"}


def check(monkeypatch: pytest.MonkeyPatch, world: World, **arguments: t.Any) -> dict[str, t.Any]:
    monkeypatch.setattr(host_check, "time", SimpleNamespace(time=world.time))
    monkeypatch.setattr(host_check.ActionBase, "run", lambda *args: {})
    action = host_check.ActionModule.__new__(host_check.ActionModule)
    action._task = SimpleNamespace(args=arguments)
    action._execute_module = world.module
    action._low_level_execute_command = world.low_level
    return action.run(task_vars={})


def test_a_good_clock_costs_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(skew=0.01, copy=0.3, command=0.05)
    result = check(monkeypatch, world)
    assert (result["findings"], result["clock"]["samples"], world.commands) == ([], 1, 0)
    assert "time" not in result


def test_a_slow_connection_is_not_taken_for_a_wrong_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(skew=0.0, copy=8.0, command=0.05)
    result = check(monkeypatch, world)
    assert (result["findings"], result["clock"]["samples"]) == ([], 2)
    assert abs(result["clock"]["skew"]) <= 0.05


@pytest.mark.parametrize(("skew", "word"), [(2.0, "2.0 s ahead"), (-3600.0, "3600.0 s behind")])
def test_a_wrong_clock(monkeypatch: pytest.MonkeyPatch, skew: float, word: str) -> None:
    (found,) = check(monkeypatch, World(skew, copy=0.2, command=0.05))["findings"]
    assert found["code"] == "ClockSkew"
    assert word.split()[-1] in found["message"]


def test_the_limit_can_be_set_and_the_finding_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, World(2.0, 0.2, 0.05), max_skew=3)["findings"] == []
    result = check(monkeypatch, World(2.0, 0.2, 0.05), ignore=["clockskew"])
    assert (result["findings"], [entry["code"] for entry in result["ignored"]]) == ([], ["ClockSkew"])


def test_it_fails_only_when_asked_and_after_the_clock_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(5.0, 0.2, 0.05)
    world.findings = [{"code": "Swap", "message": "swap is on", "remedy": "swapoff -a"}]
    assert "failed" not in check(monkeypatch, world)
    result = check(monkeypatch, world, fail_on_findings=True)
    assert result["failed"]
    assert "Swap" in result["msg"]
    assert "ClockSkew" in result["msg"]


def test_a_module_that_failed_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(0, 0.1, 0.1)
    monkeypatch.setattr(world, "module", lambda **more: {"failed": True, "msg": "no python"})
    assert check(monkeypatch, world) == {"failed": True, "msg": "no python"}


def test_a_host_without_such_a_date_leaves_the_first_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(0.0, copy=8.0, command=0.05)
    monkeypatch.setattr(world, "low_level", lambda *args, **more: {"stdout": "Sat Nov 21"})
    result = check(monkeypatch, world)
    assert result["findings"] == []
    assert result["clock"]["samples"] == host_check.MAX_SAMPLES


@given(st.floats(-1e4, 1e4), st.floats(0, 10), st.floats(0, 10), st.floats(0, 10))
def test_the_true_skew_is_always_within_the_bounds(skew: float, out: float, work: float, back: float) -> None:
    sent = 1000.0
    first, last = sent + out + skew, sent + out + work + skew
    low, high = host_check.narrow((float("-inf"), float("inf")), sent, first, last, sent + out + work + back)
    assert low - 1e-6 <= skew <= high + 1e-6
