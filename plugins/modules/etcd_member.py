#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Remove a member from the cluster's etcd without losing its quorum
version_added: "0.1.0"
description:
  - Removes one member from the etcd that kubeadm runs on the control planes. C(kubeadm join) adds members.
  - Refuses when too few healthy voters would be left, when the quorum is lost already, and to remove the last voter.
  - Leadership is moved to another member first, so that no election interrupts the API.
  - The host of the member may be switched off.
  - Runs on a control plane, preferably one that stays, and uses kubeadm's health check certificate there. Speaks to
    etcd's own JSON gateway, so that no other program is needed.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  state:
    description: What is wanted.
    type: str
    choices: [absent]
    default: absent
  name:
    description: Name of the member, which kubeadm makes the name of the node.
    type: str
    default: ""
  address:
    description:
      - Address in the member's peer URL. A member that has never started has no name, and is only found by this.
      - With O(name) too, either is enough. When they lead to different members, the module fails.
    type: str
    default: ""
  endpoints:
    description: URLs of etcd, tried in order.
    type: list
    elements: str
    default: ["https://127.0.0.1:2379"]
  pki:
    description: Directory of etcd's C(ca.crt), C(healthcheck-client.crt) and C(healthcheck-client.key).
    type: path
    default: /etc/kubernetes/pki/etcd
seealso:
  - module: hostplane.cluster.etcd_member_info
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Remove the member of a control plane that is gone for good
  hostplane.cluster.etcd_member:
    name: cp2
    address: 10.99.0.12
  delegate_to: cp1
"""

RETURN = r"""
removed:
  description: Name of the member that was (or would be) removed, or its peer URLs; empty when there was none.
  returned: success
  type: str
  sample: cp2
leader:
  description: Name of the member that leadership was moved to; empty when it was not moved.
  returned: success
  type: str
  sample: cp1
members:
  description: Names of the members that are left (or would be), sorted.
  returned: success
  type: list
  elements: str
  sample: [cp1, cp3]
tolerates:
  description: How many of the healthy members that are left can fail before the API stops.
  returned: success
  type: int
  sample: 0
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _etcd


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Remove the member unless etcd would suffer from it."""
    etcd = _etcd.Etcd(params["endpoints"], params["pki"])
    members = etcd.look()
    target = _etcd.find(members, params["name"], params["address"])
    left = [member for member in members if target is None or member.id != target.id]
    leader = ""
    if target is not None:
        why = _etcd.refusal(members, target)
        if why:
            raise _etcd.EtcdError(why)
        if target.leader:
            heir = _etcd.successor(members, target)
            leader = heir.title if check and heir else etcd.lead(members, target)
        if not check:
            etcd.remove(members, target)
    return {
        "changed": target is not None,
        "removed": target.title if target else "",
        "leader": leader,
        "members": [member.title for member in left],
        "tolerates": _etcd.summary(left)["tolerates"],
        "diff": {
            "before": "".join(f"{member.title}\n" for member in members),
            "after": "".join(f"{member.title}\n" for member in left),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["absent"], "default": "absent"},
            "name": {"type": "str", "default": ""},
            "address": {"type": "str", "default": ""},
            "endpoints": {"type": "list", "elements": "str", "default": ["https://127.0.0.1:2379"]},
            "pki": {"type": "path", "default": _etcd.PKI},
        },
        supports_check_mode=True,
    )
    if not module.params["name"] and not module.params["address"]:
        module.fail_json(msg="name the member to remove by its name, its peer address or both")
    try:
        result = run(module.params, module.check_mode)
    except _etcd.EtcdError as exc:
        module.fail_json(msg=str(exc))
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
