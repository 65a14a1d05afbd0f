# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pool_batches
short_description: The order in which a change rolls through the node pools
version_added: "0.1.0"
author:
  - hostplane contributors (@hostplane)
description:
  - Puts hosts that have to change into batches. Control planes come first and one at a time, then one pool after the
    other in batches of 1, 2, 4 and so on up to a part of the pool, but at least 1.
  - No batch holds hosts of two pools, and the same hosts give the same batches in whatever order they are given.
positional: _input
options:
  _input:
    description: Names of the hosts that have to change.
    type: list
    elements: str
    required: true
  pools:
    description: All hosts of each pool, as C(pools) of a plan. The pool of the control planes is C(control_plane).
    type: dict
    required: true
  max_unavailable:
    description: How many hosts of a pool are changed at a time at most, as a number or as a part of the pool.
    type: str
    default: 10%
seealso:
  - plugin: hostplane.cluster.batches
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show who is changed when
  ansible.builtin.debug:
    msg: "{{ ['web2', 'cp1', 'web1'] | hostplane.cluster.pool_batches(plan.pools) }}"
"""

RETURN = r"""
_value:
  description: Batches of host names.
  type: list
  elements: list
  sample: [[cp1], [web1], [web2]]
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.module_utils import _rollout
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import CONTROL_PLANE
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import natural_key


def pool_batches(
    hosts: t.Iterable[str], pools: t.Mapping[str, t.Iterable[str]], max_unavailable: int | str = "10%"
) -> t.Any:
    """See RETURN."""
    wanted = {str(host) for host in hosts}
    result: list[list[str]] = []
    for pool in sorted(pools, key=lambda name: (name != CONTROL_PLANE, natural_key(str(name)))):
        members = {str(host) for host in pools[pool]}
        queue = sorted(members & wanted, key=natural_key)
        try:
            sizes = _rollout.batches(len(queue), 1 if pool == CONTROL_PLANE else max_unavailable, len(members))
        except ValueError as error:
            raise AnsibleFilterError(f"{max_unavailable!r} is neither a number nor a part such as 10%") from error
        for size in sizes:
            result.append(queue[:size])
            queue = queue[size:]
        wanted -= members
    if wanted:
        raise AnsibleFilterError(f"{', '.join(sorted(wanted))}: in no pool")
    return result


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"pool_batches": pool_batches}
