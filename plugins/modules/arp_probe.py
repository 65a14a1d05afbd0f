#!/usr/bin/python

# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: arp_probe
short_description: Ask the LAN whether anybody uses addresses that pods are to get
version_added: "0.1.0"
author:
  - hostplane contributors (@hostplane)
description:
  - Asks for every address of some ranges by ARP, all of them within about two seconds, and returns who has one.
  - A host's own addresses are not counted. An address of a pod on another node is found, as that node answers for it.
  - Finds only what is switched on and in the same layer 2 network.
  - Needs root.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  cidrs:
    description: The ranges. The first and the last address of each are not asked for. Empty asks nobody.
    type: list
    elements: str
    required: true
  address:
    description:
      - An address of the host. Where O(interface) is in another network, it asks in the name of the address that it has
        there.
    type: str
    required: true
  interface:
    description: The interface to ask at; empty for that of the network in which O(address) is.
    type: str
    default: ""
  host:
    description: Name of the host in RV(problems).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: See whether the addresses are free
  hostplane.cluster.arp_probe:
    cidrs: [10.20.1.0/24]
    address: "{{ ansible_host }}"
  register: arp_probe
"""

RETURN = r"""
used:
  description: The addresses that somebody has, sorted.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
    mac:
      description: The hardware address that answered.
      type: str
  sample: [{address: 10.20.1.7, mac: "52:54:00:12:34:56"}]
problems:
  description: The same as findings for M(hostplane.cluster.plan_report), one for each range.
  returned: success
  type: list
  elements: dict
  sample: []
"""

import ipaddress
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _arp, _hostlinks
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# An operator who sees eight of them knows enough.
NAMED = 8


def problems_of(host: str, cidrs: list[str], answers: list[_arp.Answer]) -> list[dict[str, t.Any]]:
    """One finding for each range that somebody uses."""
    found = []
    for cidr in cidrs:
        network = ipaddress.IPv4Network(cidr)
        inside = [answer for answer in answers if ipaddress.IPv4Address(answer.address) in network]
        if inside:
            named = ", ".join(f"{answer.address} ({answer.mac})" for answer in inside[:NAMED])
            more = f" and {len(inside) - NAMED} more" if len(inside) > NAMED else ""
            found.append(
                Problem(
                    "slice_in_use",
                    f"Pods of the host are to get {cidr}, but somebody answers for {named}{more}.",
                    "Take these machines off the LAN, or put their addresses outside of the zone's pod_subnets.",
                    host=host,
                    path="cluster_underlay.zones",
                    witness=(cidr, inside[0].address),
                ).to_dict()
            )
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cidrs": {"type": "list", "elements": "str", "required": True},
            "address": {"type": "str", "required": True},
            "interface": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    system = System()
    answers: list[_arp.Answer] = []
    try:
        addresses = _arp.addresses_of(params["cidrs"])
        if addresses:
            link = _hostlinks.link_facts(system, params["address"], params["interface"])
            if not link:
                wanted = params["interface"] or f"one in the network of {params['address']}"
                module.fail_json(msg=f"this host lacks the interface that is to ask: {wanted}")
            source = link["address"] or params["address"]
            answers = _arp.probe(link["interface"], source, addresses, _hostlinks.address_facts(system))
    except ValueError as error:
        module.fail_json(msg=f"cidrs: {error}")
    except _arp.ArpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        used=[answer._asdict() for answer in answers],
        problems=problems_of(params["host"], params["cidrs"], answers),
    )


if __name__ == "__main__":
    main()
