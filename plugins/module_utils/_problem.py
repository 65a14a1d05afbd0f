# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is wrong, where, and what to do about it: the one shape in which every check of the collection reports.

Standard library only, because checks run on hosts as well as on the controller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class Problem:
    """One finding. An empty host means that the cluster's settings, not one host, are at fault."""

    code: str
    message: str
    remedy: str
    host: str = ""
    path: str = ""
    witness: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "host": self.host,
            "message": self.message,
            "remedy": self.remedy,
            "path": self.path,
            "witness": list(self.witness),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], host: str = "") -> Problem:
        """Read a finding of any check; the host may be known only to whoever collected it."""
        return cls(
            code=str(data.get("code") or "unknown"),
            message=str(data.get("message") or data.get("msg") or ""),
            remedy=str(data.get("remedy") or ""),
            host=str(data.get("host") or host),
            path=str(data.get("path") or ""),
            witness=tuple(str(item) for item in data.get("witness") or ()),
        )


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort node-2 before node-10, as a person would; equal numbers written differently stay distinct."""
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part)


def sort_problems(problems: Iterable[Problem]) -> list[Problem]:
    """The cluster's own problems first, then host by host; the same finding only once."""
    return sorted(
        set(problems),
        key=lambda item: (natural_key(item.host), item.path, item.code, item.message, item.remedy, item.witness),
    )


def to_dicts(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [problem.to_dict() for problem in sort_problems(problems)]


def split_accepted(problems: Iterable[Problem], accepted: Iterable[str]) -> tuple[list[Problem], list[Problem]]:
    """Separate what still stands from what the operator has accepted by its code, in any case, as kubeadm does."""
    codes = {code.lower() for code in accepted}
    remaining: list[Problem] = []
    ignored: list[Problem] = []
    for problem in sort_problems(problems):
        (ignored if problem.code.lower() in codes else remaining).append(problem)
    return remaining, ignored


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _heading(problems: Sequence[Problem]) -> str:
    hosts = {problem.host for problem in problems if problem.host}
    places = []
    if any(not problem.host for problem in problems):
        places.append("in the cluster's settings")
    if hosts:
        places.append(f"on {_count(len(hosts), 'host')}")
    return f"{_count(len(problems), 'problem')} found {' and '.join(places)}:"


def format_report(problems: Iterable[Problem], introduction: str = "") -> str:
    """All problems as text: the count first, then numbered by host, each with its remedy on the next line."""
    ordered = sort_problems(problems)
    if not ordered:
        return "No problems found."
    lines = [f"{introduction} {_heading(ordered)}".strip()]
    width = len(str(len(ordered)))
    previous: str | None = None
    for number, problem in enumerate(ordered, start=1):
        if problem.host != previous:
            lines += ["", f"{problem.host or 'cluster settings'}:"]
            previous = problem.host
        lines.append(f"  {number:>{width}}. {problem.message} [{problem.code}]")
        if problem.remedy:
            lines.append(f"  {'':>{width}}  Remedy: {problem.remedy}")
    return "\n".join(lines)
