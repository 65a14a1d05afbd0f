# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: shared_disks
short_description: Disks that more than one host is about to mount
version_added: "0.1.0"
description:
  - Compares what M(hostplane.cluster.host_storage) has found on the hosts. A LUN that is visible on two of them is one
    disk, and ext4 and xfs are lost when two hosts mount them.
  - Disks are compared by their world wide name. Serials are no proof, as virtual machines often have the same ones.
positional: _input
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  hosts:
    description: Names of the hosts that were looked at.
    type: list
    elements: str
    required: true
  variable:
    description: Name of the variable in which the hosts' results were registered.
    type: str
    default: host_storage_look
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- hostplane.cluster.plan_report:
    problems: "{{ hostvars | hostplane.cluster.shared_disks(ansible_play_hosts) }}"
"""

RETURN = r"""
_value:
  description: One problem for each such disk, in the form that M(hostplane.cluster.plan_report) takes.
  type: list
  elements: dict
"""

from typing import Any


def shared_disks(hostvars: Any, hosts: list[str], variable: str = "host_storage_look") -> list[dict[str, str]]:
    """See RETURN."""
    places: dict[str, dict[str, str]] = {}
    for host in hosts:
        looked = hostvars[host].get(variable, {})
        for disk in looked.get("disks") or []:
            if disk.get("wwn"):
                places.setdefault(disk["wwn"], {})[host] = f"{disk['device']} on {host}"
    return [
        {
            "code": "storage_disk_shared",
            "host": "",
            "message": f"{', '.join(sorted(found.values()))} are one disk ({wwn}), which only one host may mount.",
            "remedy": "Give each host a disk of its own: correct node_storage, or the zoning of the storage network.",
            "path": "node_storage",
        }
        for wwn, found in sorted(places.items())
        if len(found) > 1
    ]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"shared_disks": shared_disks}
