# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: their order, what can be accepted, how they read."""

from __future__ import annotations

import itertools

from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import (
    NEVER_ACCEPTED,
    error,
    listed,
    report,
    settle,
    sort_findings,
    warning,
)

FINDINGS = [
    warning("b", "m", "r"),
    error("b", "m", "r", "node-10"),
    error("b", "m", "r", "node-2"),
    error("a", "m", "r"),
]


def test_the_order_does_not_depend_on_who_found_first() -> None:
    wanted = [("a", ""), ("b", "node-2"), ("b", "node-10"), ("b", "")]
    for found in itertools.permutations(FINDINGS):
        assert [(item.code, item.host) for item in sort_findings([*found, found[0]])] == wanted


def test_findings_are_accepted_by_code_in_any_case() -> None:
    stand, accepted = settle(FINDINGS, ["B", "unknown"])
    assert [item.code for item in stand] == ["a"]
    assert len(accepted) == 3
    planned = error("UpgradeUnfinished", "m", "r")
    assert settle([planned], ["UpgradeUnfinished"]) == ([], [planned])


def test_what_would_lose_the_cluster_can_not_be_accepted() -> None:
    findings = [error(code, "m", "r") for code in NEVER_ACCEPTED]
    assert settle(findings, NEVER_ACCEPTED) == (sort_findings(findings), [])


def test_the_report_counts_and_gives_each_its_remedy() -> None:
    lines = report(sort_findings(FINDINGS[:2]), [FINDINGS[3]], "Check")
    assert lines[0] == "Check: 1 blocks the upgrade, 1 to know, 1 accepted"
    assert "  node-10: m [b]" in lines and "  cluster: m [a]" in lines
    assert lines.count("      Remedy: r") == 3
    assert report([], [], "Check") == ["Check: nothing found"]


def test_many_names_are_cut() -> None:
    assert listed(["b", "a", "a"]) == "a, b"
    assert listed(f"n{i}" for i in range(10)) == "n0, n1, n2, n3, n4, n5, n6, n7 and 2 more"


def test_a_finding_is_a_problem_with_a_severity() -> None:
    assert FINDINGS[0].to_dict() == {
        "code": "b", "host": "", "message": "m", "remedy": "r", "path": "", "witness": [], "severity": "warning",
    }  # fmt: skip
