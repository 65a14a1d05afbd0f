# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Findings of the check before an upgrade: problems that block it, and what an operator should know besides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

ERROR, WARNING = "error", "warning"
# What kubeadm, Kubernetes or Ansible itself refuses, or what would lose the cluster, whoever accepts it.
NEVER_ACCEPTED = frozenset({"ca_rotation_unfinished", "setting_invalid", "version_downgrade", "version_skipped"})
# So many names make a finding clear; the rest is counted.
NAMES_SHOWN = 8


@dataclass(frozen=True)
class Finding(Problem):
    """A problem with its severity: an error blocks the upgrade, a warning informs."""

    severity: str = ERROR

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "severity": self.severity}


def error(code: str, message: str, remedy: str, host: str = "", path: str = "") -> Finding:
    return Finding(code, message, remedy, host, path)


def warning(code: str, message: str, remedy: str, host: str = "", path: str = "") -> Finding:
    return Finding(code, message, remedy, host, path, severity=WARNING)


def severe(blocks: bool) -> str:
    return ERROR if blocks else WARNING


def listed(names: Iterable[str]) -> str:
    """Names for people, sorted as they would; many are cut."""
    ordered = sorted(set(names), key=natural_key)
    rest = len(ordered) - NAMES_SHOWN
    return ", ".join(ordered[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """What blocks comes first, then the cluster's own findings, then host by host; each only once."""
    return sorted(
        set(findings),
        key=lambda item: (
            item.severity != ERROR,
            natural_key(item.host),
            item.code,
            natural_key(item.path),
            item.message,
        ),
    )


def settle(findings: Iterable[Finding], accepted: Iterable[str]) -> tuple[list[Finding], list[Finding]]:
    """Separate what stands from what the operator has accepted by its code, in any case."""
    codes = {code.lower() for code in accepted} - NEVER_ACCEPTED
    ordered = sort_findings(findings)
    passed = [item for item in ordered if item.code.lower() in codes]
    return [item for item in ordered if item not in passed], passed


def _lines(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for item in findings:
        lines.append(f"  {item.host or 'cluster'}: {item.message} [{item.code}]")
        lines.append(f"      Remedy: {item.remedy}")
    return lines


def report(findings: Sequence[Finding], accepted: Sequence[Finding], title: str) -> list[str]:
    """Everything for people, line by line."""
    parts = (
        ("blocks the upgrade", [item for item in findings if item.severity == ERROR]),
        ("to know", [item for item in findings if item.severity == WARNING]),
        ("accepted", list(accepted)),
    )
    counts = ", ".join(f"{len(items)} {name}" for name, items in parts if items)
    lines = [f"{title}: {counts or 'nothing found'}"]
    for name, items in parts:
        if items:
            lines += ["", f"{name.capitalize()}:", *_lines(items)]
    return lines
