# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module upgrade_facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_host
from ansible_collections.hostplane.cluster.plugins.modules import upgrade_facts


@pytest.mark.parametrize("check", [False, True])
def test_facts_come_with_the_hosts_name(
    run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    monkeypatch.setattr(_upgrade_host, "collect", lambda *args, backups: {"asked": [*args, backups]})
    result = run_module(upgrade_facts, check=check, host="cp1")
    assert (result["changed"], result["facts"]) == (False, {"asked": ["cp1", 30, ""]})


def test_a_host_that_can_not_be_read_is_said(
    run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect(_host: str, _days: int, backups: str) -> None:
        raise OSError("no such disk")

    monkeypatch.setattr(_upgrade_host, "collect", collect)
    assert "no such disk" in run_module(upgrade_facts, host="cp1")["msg"]
