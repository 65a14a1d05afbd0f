# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, on what the wire has answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _arp, _hostlinks
from ansible_collections.hostplane.cluster.plugins.modules import arp_probe

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def probe(*arguments: Any) -> list[_arp.Answer]:
        asked.append(arguments)
        return [_arp.Answer(f"10.0.0.{number}", "02:00:00:00:00:07") for number in (5, *range(34, 44))]

    monkeypatch.setattr(_arp, "probe", probe)
    links = {
        "": {"interface": "eth7", "address": "10.0.0.1"},
        "lan0": {"interface": "lan0", "address": "10.0.9.1"},
        "bare0": {"interface": "bare0", "address": ""},
    }
    monkeypatch.setattr(_hostlinks, "link_facts", lambda _system, address, name: links.get(name, {}) if address else {})
    monkeypatch.setattr(_hostlinks, "address_facts", lambda _system: ["10.0.0.1"])
    return asked


def test_each_range_that_is_in_use_is_named_with_who_answers(run_module: Run, wire: list[tuple[Any, ...]]) -> None:
    cidrs = ["10.0.0.0/28", "10.0.0.16/28", "10.0.0.32/28"]
    result = run_module(arp_probe, cidrs=cidrs, address="10.0.0.1", host="node-1", check=True)
    assert result["changed"] is False
    assert wire[0][:2] == ("eth7", "10.0.0.1") and wire[0][3] == ["10.0.0.1"] and len(wire[0][2]) == 42
    assert [(found["host"], found["witness"]) for found in result["problems"]] == [
        ("node-1", ["10.0.0.0/28", "10.0.0.5"]),
        ("node-1", ["10.0.0.32/28", "10.0.0.34"]),
    ]
    assert "10.0.0.5 (02:00:00:00:00:07)" in result["problems"][0]["message"]
    assert result["problems"][1]["message"].endswith(" and 2 more.")


def test_nothing_to_ask(run_module: Run, wire: list[tuple[Any, ...]]) -> None:
    assert run_module(arp_probe, cidrs=[], address="10.0.0.1")["used"] == [] and wire == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"cidrs": ["nonsense"], "address": "10.0.0.1"},
        {"cidrs": ["10.0.0.0/28"], "address": ""},
        {"cidrs": ["10.0.0.0/28"], "address": "10.0.0.1", "interface": "gone0"},
    ],
)
def test_what_cannot_be_asked_is_an_error(run_module: Run, arguments: dict[str, Any]) -> None:
    assert run_module(arp_probe, **arguments)["failed"]


@pytest.mark.parametrize(("interface", "source"), [("lan0", "10.0.9.1"), ("bare0", "10.0.0.1")])
def test_a_named_interface_asks_in_its_own_name(
    run_module: Run, wire: list[tuple[Any, ...]], interface: str, source: str
) -> None:
    run_module(arp_probe, cidrs=["10.0.9.32/28"], address="10.0.0.1", interface=interface)
    assert wire[0][:2] == (interface, source)
