#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cidr_plan
short_description: Check and compute the address plan of a Kubernetes cluster
version_added: "0.1.0"
description:
  - Compares every pair of address ranges that must not overlap, checks that the ranges are large enough, and returns
    the numbers that follow from them.
  - Lists B(all) problems, each with the two ranges that prove it and with what to do.
  - Computes only. It needs neither a host nor a cluster, and the order of its input does not matter.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.networks
options:
  pod_cidr:
    description: Range from which every node gets a block for its pods.
    type: str
    required: true
  service_cidr:
    description: Range of the addresses of Services, V(/12) to V(/28).
    type: str
    required: true
  nodes:
    description: The hosts.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name for messages.
        type: str
        required: true
      address:
        description: The host's IPv4 address.
        type: str
        required: true
  services:
    description: Number of Services that must have room. V(0) does not check it.
    type: int
    default: 0
  fail_on_problems:
    description: Fail with one report of all problems. When V(false) they are only returned.
    type: bool
    default: true
seealso:
  - module: hostplane.cluster.cluster_plan
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Check the address plan of a new cluster
  hostplane.cluster.cidr_plan:
    node_cidrs: [192.168.0.0/16]
    pod_cidr: 172.20.0.0/16
    service_cidr: 172.21.0.0/20
    max_nodes: 200
  delegate_to: localhost
  register: addresses

- name: See what a peering with another site would break
  hostplane.cluster.cidr_plan:
    node_cidrs: [192.168.0.0/16]
    pod_cidr: 172.20.0.0/16
    service_cidr: 172.21.0.0/20
    peer_cidrs: [172.16.0.0/12]
    fail_on_problems: false
  delegate_to: localhost
  register: addresses
"""

RETURN = r"""
plan:
  description: The numbers of the plan.
  returned: always
  type: dict
  contains:
    pod_cidr:
      description: The pod range, empty when it cannot be read.
      type: str
    service_cidr:
      description: The service range, empty when it cannot be read.
      type: str
    node_cidrs:
      description: The node ranges, sorted.
      type: list
      elements: str
    api_address:
      description: First address of the service range, at which pods reach the API.
      type: str
    dns_address:
      description: Tenth address of the service range, which is that of the cluster's DNS.
      type: str
    node_mask:
      description: Prefix length of one node's block.
      type: int
    node_block:
      description: Addresses in one node's block.
      type: int
    max_pods:
      description: Pods per node.
      type: int
    nodes:
      description: Hosts that were given.
      type: int
    planned_nodes:
      description: Nodes that the plan must have room for.
      type: int
    max_nodes:
      description: Nodes that the pod range has room for.
      type: int
    growth:
      description: Nodes that can be added to those that were given.
      type: int
    pod_addresses:
      description: Addresses in the pod range.
      type: int
    total_pods:
      description: Pods on RV(plan.max_nodes) nodes.
      type: int
    total_services:
      description: Services that the service range has room for.
      type: int
  sample:
    api_address: 172.21.0.1
    dns_address: 172.21.0.10
    growth: 253
    max_nodes: 256
    max_pods: 110
    node_block: 256
    node_cidrs: [192.168.0.0/16]
    node_mask: 24
    nodes: 3
    planned_nodes: 200
    pod_addresses: 65536
    pod_cidr: 172.20.0.0/16
    service_cidr: 172.21.0.0/20
    total_pods: 28160
    total_services: 4094
problems:
  description: Everything that is wrong; the plan can be used only when this is empty.
  returned: always
  type: list
  elements: dict
  sample:
    - code: cidr_overlap
      host: ""
      message: "The pod range 172.20.0.0/16 overlaps the peer range 172.16.0.0/12: both contain 172.20.0.0/16."
      path: pod_cidr
      remedy: Choose another range for pod_cidr, for example 10.244.0.0/16.
      witness: [172.20.0.0/16, 172.16.0.0/12]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    network_arguments,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import format_report, to_dicts


def argument_spec() -> dict[str, t.Any]:
    return {
        "pod_cidr": {"type": "str", "required": True},
        "service_cidr": {"type": "str", "required": True},
        **network_arguments(),
        "nodes": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "address": {"type": "str", "required": True},
            },
        },
        "services": {"type": "int", "default": 0},
        "fail_on_problems": {"type": "bool", "default": True},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    params = dict(module.params)
    fail = params.pop("fail_on_problems")
    params["nodes"] = [Node(node["name"], node["address"]) for node in params["nodes"]]
    plan, problems = plan_addresses(AddressRequest(**params))
    result = {"changed": False, "plan": plan, "problems": to_dicts(problems)}
    if problems and fail:
        module.fail_json(msg=format_report(problems, "The address plan cannot be used."), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
