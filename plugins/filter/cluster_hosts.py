# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_hosts
short_description: Collect the hosts of a cluster from the inventory
version_added: "0.1.0"
author:
  - hostplane contributors (@hostplane)
description:
  - Turns C(groups) and C(hostvars) into the list that the option O(hostplane.cluster.cluster_plan#module:hosts) takes.
  - Reads only C(ansible_host) and the variables C(node_*) that O(hostplane.cluster.cluster_plan#module:hosts) names, of
    hosts in the groups C(control_plane) and C(worker). A variable that is not defined is left out; one that cannot be
    evaluated is reported by the plan.
  - A host that is in both groups is listed twice, once for each role, so that the plan can refuse it.
  - Node pools are the child groups of C(worker), each with all that is below it. Plain dictionaries do not tell which
    groups are children; then every group with only workers in it, apart from C(worker) itself, counts as a pool.
positional: _input
options:
  _input:
    description: The variable C(groups).
    type: dict
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan the cluster
  hostplane.cluster.cluster_plan:
    name: "{{ cluster_name }}"
    kubernetes_version: "{{ cluster_kubernetes_version }}"
    mirror_address: "{{ mirror_address }}"
    hosts: "{{ groups | hostplane.cluster.cluster_hosts(hostvars) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: One dictionary for each host and role, sorted by role and name.
  type: list
  elements: dict
  sample:
    - inventory_hostname: node-1
      role: worker
      pools: [gpu]
      ansible_host: 10.9.0.21
      node_labels: {example.com/gpu: "true"}
"""

import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleError, AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import ROLES, WORKER
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import natural_key
from jinja2 import Undefined, UndefinedError

VARIABLES = (
    "ansible_host", "node_address", "node_address_ipv6", "node_arch", "node_cpu_policy", "node_kubelet_config",
    "node_labels", "node_max_pods", "node_name", "node_name_rule", "node_reserved", "node_state", "node_storage",
    "node_taints", "node_zone",
)  # fmt: skip


def _plain(value: t.Any) -> t.Any:
    """Copy a value out of the template engine, which evaluates what is inside lazily."""
    if isinstance(value, Undefined):
        # Using it raises the engine's own message, which names what is missing.
        str(value)
        raise UndefinedError("it refers to an undefined variable")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value


def _variables(variables: Mapping[str, t.Any]) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    errors: dict[str, str] = {}
    for name in VARIABLES:
        if name not in variables:
            continue
        try:
            found[name] = _plain(variables[name])
        except (AnsibleError, UndefinedError) as error:
            errors[name] = str(error)
    if errors:
        found["errors"] = errors
    return found


def _pools(groups: Mapping[str, Sequence[str]], hostvars: t.Any) -> dict[str, set[str]]:
    """The pools with their hosts, from the inventory's own tree of groups where it can be reached."""
    inventory = getattr(hostvars, "_inventory", None)
    if inventory is not None and WORKER in inventory.groups:
        return {
            child.name: {host.name for host in child.get_hosts()} for child in inventory.groups[WORKER].child_groups
        }
    workers = set(groups.get(WORKER, ()))
    return {
        name: set(members)
        for name, members in groups.items()
        if name not in ("all", "ungrouped", WORKER) and members and set(members) <= workers
    }


def cluster_hosts(groups: t.Any, hostvars: t.Any) -> list[dict[str, t.Any]]:
    if not isinstance(groups, Mapping) or not isinstance(hostvars, Mapping):
        raise AnsibleFilterError("cluster_hosts is used as: groups | hostplane.cluster.cluster_hosts(hostvars)")
    pools = _pools(groups, hostvars)
    known: dict[str, dict[str, t.Any]] = {}
    hosts = []
    for role in ROLES:
        for name in sorted(set(groups.get(role, ())), key=natural_key):
            if name not in known:
                known[name] = _variables(hostvars[name])
            hosts.append(
                {
                    "inventory_hostname": str(name),
                    "role": role,
                    "pools": sorted(str(pool) for pool, members in pools.items() if name in members),
                    **known[name],
                }
            )
    return hosts


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"cluster_hosts": cluster_hosts}
