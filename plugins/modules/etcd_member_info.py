#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member_info
short_description: Tell the members of the cluster's etcd and their health
version_added: "0.1.0"
description:
  - Asks every member of the etcd that kubeadm runs on the control planes, all at the same time.
  - Can wait until all members are healthy voters, which is the gate between two changes of the control plane.
  - Runs on a control plane and uses kubeadm's health check certificate there. Speaks to etcd's own JSON gateway, so
    that no other program is needed.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  wait:
    description:
      - Seconds to wait for all members to be healthy voters; the module fails when they are not by then.
      - V(0) only looks.
    type: int
    default: 0
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
  - module: hostplane.cluster.etcd_member
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Wait until etcd is whole before the next control plane joins
  hostplane.cluster.etcd_member_info:
    wait: 120
"""

RETURN = r"""
members:
  description: The members, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name; empty when it has never started.
      type: str
    id:
      description: Its number as C(etcdctl) writes it.
      type: str
    peer_urls:
      description: Where other members reach it.
      type: list
      elements: str
    client_urls:
      description: Where clients reach it.
      type: list
      elements: str
    learner:
      description: Whether it has no vote yet.
      type: bool
    leader:
      description: Whether it is the leader.
      type: bool
    healthy:
      description: Whether it answers, knows a leader and is not corrupt.
      type: bool
    version:
      description: Version of etcd.
      type: str
    db_size:
      description: Bytes that its database takes on disk.
      type: int
    db_in_use:
      description: Bytes of that which hold data; the rest is freed by defragmentation.
      type: int
    revision:
      description: Revision of the data that it has.
      type: int
    alarms:
      description: Alarms that are raised for it, such as V(NOSPACE), sorted.
      type: list
      elements: str
    error:
      description: Why it is not healthy.
      type: str
  sample:
    - name: cp1
      id: 2f79956f264cfa13
      peer_urls: ["https://10.99.0.11:2380"]
      client_urls: ["https://10.99.0.11:2379"]
      learner: false
      leader: true
      healthy: true
      version: 3.6.8
      db_size: 2236416
      db_in_use: 2236416
      revision: 1115
      alarms: []
      error: ""
voters:
  description: How many members have a vote.
  returned: success
  type: int
  sample: 3
healthy:
  description: How many of the voters are healthy.
  returned: success
  type: int
  sample: 3
quorum:
  description: How many healthy voters etcd needs.
  returned: success
  type: int
  sample: 2
has_quorum:
  description: Whether it has them.
  returned: success
  type: bool
  sample: true
tolerates:
  description: How many of the healthy voters can fail before the API stops.
  returned: success
  type: int
  sample: 1
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _etcd

POLL_SECONDS = 0.5


def look(params: dict[str, Any]) -> list[_etcd.Member]:
    """The members, as soon as there is nothing to wait for."""
    etcd = _etcd.Etcd(params["endpoints"], params["pki"])
    deadline = time.monotonic() + params["wait"]
    while True:
        try:
            members = etcd.look()
            lines = [f"{m.title}: {m.error}" for m in members if not m.healthy]
            lines += [f"{m.title}: it has no vote yet" for m in members if m.healthy and m.learner]
        except _etcd.EtcdError as exc:
            if not params["wait"]:
                raise
            lines = [str(exc)]
        if not params["wait"] or not lines:
            return members
        if time.monotonic() > deadline:
            raise _etcd.EtcdError(f"etcd is not whole after {params['wait']} s:\n" + "\n".join(lines))
        time.sleep(POLL_SECONDS)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wait": {"type": "int", "default": 0},
            "endpoints": {"type": "list", "elements": "str", "default": ["https://127.0.0.1:2379"]},
            "pki": {"type": "path", "default": _etcd.PKI},
        },
        supports_check_mode=True,
    )
    try:
        members = look(module.params)
    except _etcd.EtcdError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, members=[member.public() for member in members], **_etcd.summary(members))


if __name__ == "__main__":
    main()
