# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that would end a run in its middle, or would be taken for others."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_settings as settings
from ansible_collections.hostplane.cluster.plugins.module_utils._rollout import batches

POOLS = ["control_plane", "web", "web10", "web2"]


@pytest.mark.parametrize("limit", [1, "1", 0, "10%", "100%", " 2 "])
@pytest.mark.parametrize("pause", [0, "0", 300, "300"])
def test_what_the_playbook_can_use_is_no_finding(limit: Any, pause: Any) -> None:
    rollout = {"max_unavailable": limit, "pools": ["web", "web2"], "pause": pause}
    assert batches(8, limit) and int(pause) >= 0
    assert not list(settings.check_rollout(rollout, POOLS))


def test_nothing_set_is_no_finding() -> None:
    assert not list(settings.check_rollout({}, POOLS))


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("max_unavailable", "two", "'two', which is neither"),
        ("max_unavailable", "5.5%", "'5.5%'"),
        ("max_unavailable", -1, "-1"),
        ("max_unavailable", None, "None"),
        ("pools", "web", "no list"),
        ("pools", ["web", "wbe"], "names wbe;"),
        ("pause", "5m", "'5m'"),
        ("pause", -1, "-1"),
        ("pause", 1.5, "1.5"),
        ("pause", True, "True"),
    ],
)
def test_what_it_can_not_use_is_found_with_its_name(name: str, value: Any, part: str) -> None:
    (found,) = settings.check_rollout({name: value}, POOLS)
    assert (found.code, found.severity, found.path) == ("setting_invalid", "error", f"upgrade_{name}")
    assert part in found.message and found.remedy


def test_pools_are_named_as_people_sort_them() -> None:
    (found,) = settings.check_rollout({"pools": ["wbe"]}, POOLS)
    assert found.remedy == "The pools are control_plane, web, web2, web10."


@pytest.mark.parametrize(("due", "severity"), [(True, "error"), (False, "warning")])
def test_a_backup_needs_its_key_when_something_is_to_change(due: bool, severity: str) -> None:
    (found,) = settings.check_backup(key=False, due=due)
    assert (found.code, found.severity) == ("backup_key_missing", severity)
    assert "upgrade_backup=false" in found.remedy
    assert not list(settings.check_backup(key=True, due=due))
