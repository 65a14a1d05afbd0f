# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import (
    Problem,
    format_report,
    natural_key,
    sort_problems,
    split_accepted,
    to_dicts,
)
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(max_size=6)
PROBLEMS = st.lists(st.builds(Problem, code=TEXT, message=TEXT, remedy=TEXT, host=TEXT, path=TEXT), max_size=8)


def test_names_are_sorted_as_a_person_would() -> None:
    names = ["node-10", "node-2", "node-1", "cp", "10.0.0.9", "10.0.0.10"]
    assert sorted(names, key=natural_key) == ["10.0.0.9", "10.0.0.10", "cp", "node-1", "node-2", "node-10"]


@given(st.lists(TEXT, unique=True))
def test_different_names_have_different_places(names: list[str]) -> None:
    assert len({natural_key(name) for name in names}) == len(names)
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)


def test_the_report_counts_numbers_and_groups() -> None:
    report = format_report(
        [
            Problem("swap_on", "Swap is on.", "Turn swap off.", host="node-10"),
            Problem("swap_on", "Swap is on.", "Turn swap off.", host="node-2"),
            Problem("port_busy", "Port 6443 is in use.", "Stop nginx.", host="node-2"),
            Problem("cni_unsupported", "No such plugin.", "Use flannel.", path="cluster_cni"),
        ],
        "Nothing was changed.",
    )
    assert report.splitlines() == [
        "Nothing was changed. 4 problems found in the cluster's settings and on 2 hosts:",
        "",
        "cluster settings:",
        "  1. No such plugin. [cni_unsupported]",
        "     Remedy: Use flannel.",
        "",
        "node-2:",
        "  2. Port 6443 is in use. [port_busy]",
        "     Remedy: Stop nginx.",
        "  3. Swap is on. [swap_on]",
        "     Remedy: Turn swap off.",
        "",
        "node-10:",
        "  4. Swap is on. [swap_on]",
        "     Remedy: Turn swap off.",
    ]


def test_a_report_without_problems_says_so() -> None:
    assert format_report([]) == "No problems found."


@given(PROBLEMS)
def test_order_and_repetition_do_not_matter(problems: list[Problem]) -> None:
    again = list(reversed(problems)) + problems
    assert to_dicts(again) == to_dicts(problems)
    assert format_report(again) == format_report(problems)
    assert [Problem.from_dict(item) for item in to_dicts(problems) if item["code"]] == [
        item for item in sort_problems(problems) if item.code
    ]


@given(PROBLEMS, st.lists(TEXT))
def test_accepting_divides_and_loses_nothing(problems: list[Problem], codes: list[str]) -> None:
    remaining, accepted = split_accepted(problems, codes)
    assert sort_problems(remaining + accepted) == sort_problems(problems)
    assert not {item.code for item in remaining} & {item.code for item in accepted}


def test_codes_are_accepted_in_any_case_but_never_all_of_them() -> None:
    problem = Problem("swap_on", "", "")
    assert split_accepted([problem], ["Swap_On"]) == ([], [problem])
    assert split_accepted([problem], ["all"]) == ([problem], [])


def test_findings_of_other_checks_are_understood() -> None:
    assert Problem.from_dict({"code": "x", "msg": "m", "path": None}, host="h") == Problem("x", "m", "", "h")
