# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ca_rotation
short_description: Which CAs are to be rotated, and how far all hosts together have come
version_added: "0.1.0"
description:
  - Reads what M(hostplane.cluster.certificate_authority_info) said on every host.
  - A rotation that was begun is finished, whatever the options say now.
options:
  _input:
    description: C(hostvars).
    type: dict
    required: true
  hosts:
    description: All hosts of the cluster; who has not answered is a problem.
    type: list
    elements: str
    required: true
  chosen:
    description: CAs that may be rotated.
    type: list
    elements: str
    default: [cluster, etcd, front_proxy]
  before:
    description: Rotate CAs that were made before this moment, such as V(2026-11-21T12:00:00Z); empty for none.
    type: str
    default: ""
  days:
    description: Rotate CAs that expire within so many days.
    type: int
    default: 365
  unknown:
    description: Nodes of the cluster that are not in the inventory, which are a problem.
    type: list
    elements: str
    default: []
  variable:
    description: Name of the variable that holds each host's result.
    type: str
    default: ca_info
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
rotation: "{{ hostvars | hostplane.cluster.ca_rotation(groups['control_plane'] + groups['worker']) }}"
"""

RETURN = r"""
_value:
  description: The rotation.
  type: dict
  contains:
    active:
      description: Whether a rotation was begun and is not finished.
      type: bool
    authorities:
      description: CAs that are to be rotated, sorted.
      type: list
      elements: str
    holder:
      description: The control plane that has the new CAs; empty when there are none yet.
      type: str
    lacking:
      description: Control planes that do not have them yet.
      type: list
      elements: str
    next:
      description: Certificates (PEM) of the new CAs by name.
      type: dict
    stages:
      description: By CA, how far the host is that is farthest behind, V(untouched), V(trust), V(issue) or V(drop).
      type: dict
    not_signed:
      description: By host, certificates that the CA which signs there has not signed.
      type: dict
    problems:
      description: Why nothing must be done now, in the form that M(hostplane.cluster.plan_report) takes.
      type: list
      elements: dict
"""

from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.module_utils._ca import AUTHORITIES
from ansible_collections.hostplane.cluster.plugins.module_utils._ca_state import summarize


def ca_rotation(
    hostvars: Any,
    hosts: list[str],
    chosen: list[str] | None = None,
    before: str = "",
    days: int = 365,
    unknown: list[str] | None = None,
    variable: str = "ca_info",
) -> dict[str, Any]:
    """See RETURN."""
    names = sorted(AUTHORITIES) if chosen is None else chosen
    misnamed = sorted(set(names) - set(AUTHORITIES))
    if misnamed:
        raise AnsibleFilterError(f"no CA is called {', '.join(misnamed)}; there are {', '.join(sorted(AUTHORITIES))}")
    moment = None
    if before:
        try:
            moment = datetime.fromisoformat(str(before).replace("Z", "+00:00"))
        except ValueError as exc:
            raise AnsibleFilterError(f"{before!r} is no moment such as 2026-11-21T12:00:00Z") from exc
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    infos = {host: hostvars[host][variable] for host in hosts if "authorities" in hostvars[host].get(variable, {})}
    return summarize(infos, hosts, names, moment, int(days), datetime.now(timezone.utc), unknown or [])


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"ca_rotation": ca_rotation}
