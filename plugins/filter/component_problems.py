# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: component_problems
short_description: Members that have other components than the bundle
version_added: "0.1.0"
description:
  - Compares what M(hostplane.cluster.host_check) has found on the members of the cluster with the plan.
  - The mirror may have been filled with another bundle of the same release. To bring that to members is the work of the
    playbook C(hostplane.cluster.upgrade), which goes host by host.
  - What is missing or damaged on a host is no problem here. Neither is anything of a host with another version of
    Kubernetes than the plan's, which is refused elsewhere.
positional: _input
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  members:
    description: Names of the hosts that are full members of the cluster.
    type: list
    elements: str
    required: true
  plan:
    description: The plan that M(hostplane.cluster.cluster_plan) has made.
    type: dict
    required: true
  variable:
    description: Name of the variable in which the hosts' results were registered.
    type: str
    default: host_check
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- hostplane.cluster.plan_report:
    problems: "{{ hostvars | hostplane.cluster.component_problems(membership.members, cluster_plan.plan) }}"
"""

RETURN = r"""
_value:
  description: One problem for each host that differs, in the form that M(hostplane.cluster.plan_report) takes.
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._hostcomponents import others


def component_problems(
    hostvars: Any, members: list[str], plan: dict[str, Any], variable: str = "host_check"
) -> list[dict[str, str]]:
    """See RETURN."""
    version = (plan.get("cluster") or {}).get("version")
    problems = []
    for host in members:
        facts, planned = hostvars[host][variable]["facts"], (plan.get("hosts") or {}).get(host)
        if not planned or (facts["cluster"]["marker"].get("settings") or {}).get("version") != version:
            continue
        names = others(facts["components"], plan, planned["arch"])
        if names:
            problems.append(
                {
                    "code": "ComponentsDiffer",
                    "host": host,
                    "message": f"the mirror's bundle of {version} has other builds of {', '.join(names)} than it runs",
                    "remedy": f"run the playbook upgrade with {version} again, which exchanges them host by host",
                    "path": "",
                }
            )
    return problems


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"component_problems": component_problems}
