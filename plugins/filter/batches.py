# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: batches
short_description: Sizes of the batches in which a pool of hosts is changed
version_added: "0.1.0"
author:
  - hostplane contributors (@hostplane)
description:
  - Gives 1, 2, 4 and so on up to a part of the pool, but at least 1, for the keyword C(serial) of a play.
  - A mistake then shows on one host first, and a large pool is still done after few batches.
positional: _input
options:
  _input:
    description: Number of hosts.
    type: int
    required: true
  limit_percent:
    description: The largest part of the pool that is changed at a time.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Change a pool of 50 hosts in batches of 1, 2, 4, eight times 5, and 3
  hosts: worker
  serial: "{{ groups['worker'] | length | hostplane.cluster.batches }}"
"""

RETURN = r"""
_value:
  description: Sizes of the batches; together they are all hosts.
  type: list
  elements: int
  sample: [1, 2, 4, 5, 5, 3]
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.module_utils import _rollout


def batches(count: t.Any, limit_percent: t.Any = 10) -> list[int]:
    try:
        number, percent = int(count), int(limit_percent)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"batches takes two numbers, not {count!r} and {limit_percent!r}") from error
    if number < 0 or not 0 <= percent <= 100:
        raise AnsibleFilterError(f"batches takes a number of hosts and 0 to 100 percent, not {number} and {percent}")
    return _rollout.batches(number, f"{percent}%")


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"batches": batches}
