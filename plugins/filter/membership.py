# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: membership
short_description: What the hosts of a cluster say together
version_added: "0.1.0"
description:
  - Puts the results of M(hostplane.cluster.host_check) of all reachable hosts together. Who is a member, who is to be
    made one, which control plane can act for the cluster, and what is wrong where.
  - Nothing of this is remembered anywhere else, so it holds after any interrupted run.
positional: _input
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  hosts:
    description:
      - Names of all hosts of the cluster. Those without a result, since they can't be reached or are not in C(--limit),
        are left out.
    type: list
    elements: str
    required: true
  control_planes:
    description: Names of the hosts that are to be control planes, reachable or not.
    type: list
    elements: str
    required: true
  variable:
    description: Name of the variable in which the hosts' results were registered.
    type: str
    default: host_check
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- vars:
    hosts: "{{ groups['control_plane'] + groups['worker'] }}"
    membership: "{{ hostvars | hostplane.cluster.membership(hosts, groups['control_plane']) }}"
  ansible.builtin.debug:
    msg: "{{ membership.actor }} can act for the cluster"
"""

RETURN = r"""
_value:
  description: The hosts' common state.
  type: dict
  contains:
    members:
      description: Hosts that are full members of the cluster.
      type: list
      elements: str
    newcomers:
      description: Hosts that are to join it, or whose joining was interrupted.
      type: list
      elements: str
    fresh:
      description: Hosts that carry nothing of a cluster.
      type: list
      elements: str
    actor:
      description: A control plane that can act for the cluster; before there is one, the host that will be the first.
      type: str
    exists:
      description: Whether the cluster exists.
      type: bool
    existing:
      description: The cluster's immutable settings as its control plane keeps them; empty when there is no cluster.
      type: dict
    sizes:
      description: CPUs, memory and network interface of each host, from which the plan computes settings.
      type: dict
    problems:
      description: All findings, each with its host, in the form that M(hostplane.cluster.plan_report) takes.
      type: list
      elements: dict
"""

from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._hostcompare import compare, unfinished_upgrade


def problem(code: str, message: str, remedy: str) -> dict[str, str]:
    """A problem of the cluster as a whole."""
    return {"code": code, "host": "", "message": message, "remedy": remedy, "path": ""}


def membership(
    hostvars: Any, hosts: list[str], control_planes: list[str], variable: str = "host_check"
) -> dict[str, Any]:
    """See RETURN."""
    # Each access to hostvars puts all variables of the host together, so there is one for each host.
    looked = {host: hostvars[host].get(variable) or {} for host in hosts}
    results = {host: result for host, result in looked.items() if "facts" in result}
    state = {host: result["facts"]["cluster"] for host, result in results.items()}
    members = [host for host in hosts if state.get(host, {}).get("state") == "member"]
    settings = {host: dict(state[host]["marker"].get("settings") or {}) for host in members}
    reachable = [host for host in control_planes if host in results]
    acting = [host for host in reachable if host in members]
    problems = [{"host": host, "path": "", **found} for host in results for found in results[host]["findings"]]
    problems += compare(results)
    problems += unfinished_upgrade(settings)
    if control_planes and not reachable:
        problems.append(
            problem(
                "NoControlPlane",
                f"no control plane of this run can be reached: {', '.join(control_planes)}",
                "bring one of them back, and don't hide all of them with --limit",
            )
        )
    elif members and not acting:
        problems.append(
            problem(
                "LostControlPlane",
                f"{', '.join(members)} belong to the cluster, but no reachable control plane does",
                "bring a control plane of the cluster back, or reset these hosts if the cluster is gone",
            )
        )
    return {
        "members": members,
        "newcomers": [host for host in results if host not in members],
        "fresh": [host for host in results if state[host]["state"] in ("empty", "installed")],
        "actor": (acting or reachable or control_planes or [""])[0],
        "exists": bool(acting),
        "existing": settings[acting[0]] if acting else {},
        "sizes": {
            host: {key: result["facts"][key] for key in ("cpus", "memory_mb", "link") if key in result["facts"]}
            for host, result in results.items()
        },
        "problems": problems,
    }


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"membership": membership}
