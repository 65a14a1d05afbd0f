# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_report
short_description: What the certificates of all hosts look like together
version_added: "0.1.0"
description:
  - Puts the results of M(hostplane.cluster.certificate_info) of all reachable hosts together, as data and as lines of a
    table, what expires first at the top.
positional: _input
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  hosts:
    description: Names of the hosts; those without a result are named as not reached.
    type: list
    elements: str
    required: true
  variables:
    description: Names of the variables in which results were registered; the last one that has any counts.
    type: list
    elements: str
    default: [certificates_before, certificates_after]
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Tell when certificates expire
  ansible.builtin.debug:
    msg: "{{ (hostvars | hostplane.cluster.certificate_report(groups['control_plane'])).table }}"
"""

RETURN = r"""
_value:
  description: The report.
  type: dict
  contains:
    certificates:
      description: All certificates as M(hostplane.cluster.certificate_info) returns them, each with its C(host).
      type: list
      elements: dict
    due:
      description: How many of them have to be renewed.
      type: int
    first_expiry:
      description: When the first one expires, in UTC; empty when there is none.
      type: str
    unreachable:
      description: Hosts without a result.
      type: list
      elements: str
    problems:
      description: What keeps certificates from being renewed, in the form that M(hostplane.cluster.plan_report) takes.
      type: list
      elements: dict
    table:
      description: The report for people, line by line.
      type: list
      elements: str
"""

from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import natural_key

HEAD = ("HOST", "CERTIFICATE", "DAYS", "EXPIRES", "KEY", "RENEWED BY", "STATE")


def row(entry: dict[str, Any]) -> tuple[str, ...]:
    """One line's cells."""
    state = [entry["due"], *entry["findings"]]
    return (
        entry["host"],
        entry["name"],
        "-" if entry["days_left"] is None else str(entry["days_left"]),
        entry["not_after"][:10] or "-",
        f"{entry['key_type']} {entry['key_bits']}" if entry["key_type"] else "-",
        entry["managed_by"],
        "; ".join(text for text in state if text) or "ok",
    )


def table(entries: list[dict[str, Any]]) -> list[str]:
    """Lines with aligned columns; the last one may be as long as it needs to be."""
    rows = [HEAD, *map(row, entries)]
    widths = [max(len(cells[number]) for cells in rows) for number in range(len(HEAD))]
    return ["  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip() for cells in rows]


def result_of(variables: Any, names: list[str]) -> dict[str, Any]:
    """The last result of a host; a task that was skipped or failed has none."""
    found = [variables[name] for name in names if "certificates" in (variables.get(name) or {})]
    return found[-1] if found else {}


def certificate_report(hostvars: Any, hosts: list[str], variables: list[str] | None = None) -> dict[str, Any]:
    """See RETURN."""
    names = variables or ["certificates_before", "certificates_after"]
    results = {host: result_of(hostvars[host], names) for host in hosts}
    entries = [{"host": host, **entry} for host, result in results.items() for entry in result.get("certificates", [])]
    # What is missing comes first of all.
    entries.sort(key=lambda entry: (entry["not_after"], natural_key(entry["host"]), natural_key(entry["name"])))
    return {
        "certificates": entries,
        "due": sum(bool(entry["due"]) for entry in entries),
        "first_expiry": min((entry["not_after"] for entry in entries if entry["not_after"]), default=""),
        "unreachable": sorted((host for host, result in results.items() if not result), key=natural_key),
        "problems": [
            {**found, "host": host} for host, result in results.items() for found in result.get("problems", [])
        ],
        "table": table(entries),
    }


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"certificate_report": certificate_report}
