#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cidr_plan
short_description: Check, propose and extend the address plan of a Kubernetes cluster
version_added: "0.1.0"
description:
  - Compares every pair of address ranges that must not overlap, checks that the ranges are large enough, and returns
    the numbers that follow from them.
  - Finds what is not given among the free private ranges, and extends an earlier plan without moving anything.
  - Lists B(all) problems, each with the pair that proves it and with what to do.
  - Computes only. It needs neither a host nor a cluster, and the order of its input does not matter.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.networks
  - hostplane.cluster.networks.planner
options:
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
    lan_cidrs: [192.168.0.0/16]
    node_cidrs: [192.168.0.0/24]
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

- name: Propose ranges for 500 nodes beside two clusters, in both families
  hostplane.cluster.cidr_plan:
    node_cidrs: [10.0.0.0/16]
    other_clusters:
      - {name: one, pod_cidr: 10.244.0.0/16}
      - {name: two, pod_cidr: 10.245.0.0/16, service_cidr: 10.96.0.0/20, routed: true}
    max_nodes: 500
    propose: true
    dual_stack: true
  delegate_to: localhost
  register: addresses

- name: Pods with addresses of the hosts' networks, in two zones
  hostplane.cluster.cidr_plan:
    lan_cidrs: [192.168.0.0/16]
    service_cidr: 172.21.0.0/20
    zones:
      - {name: i, node_cidrs: [192.168.0.0/19], pod_subnets: [192.168.32.0/19]}
      - {name: j, node_cidrs: [192.168.64.0/19], pod_subnets: [192.168.96.0/19]}
    nodes:
      - {name: node-1, address: 192.168.0.11}
      - {name: node-2, address: 192.168.64.11}
  delegate_to: localhost
  register: addresses

- name: The same plan for the hosts of today; nodes keep their slices
  hostplane.cluster.cidr_plan:
    lan_cidrs: [192.168.0.0/16]
    zones:
      - {name: i, node_cidrs: [192.168.0.0/19]}
      - {name: j, node_cidrs: [192.168.64.0/19]}
    nodes: "{{ hosts_of_today }}"
    previous: "{{ addresses.plan }}"
    propose: true
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
      description: The pod range, empty when it cannot be read and with O(zones).
      type: str
    service_cidr:
      description: The service range, empty when it cannot be read.
      type: str
    pod_cidr_ipv6:
      description: The IPv6 pod range, or empty.
      type: str
    service_cidr_ipv6:
      description: The IPv6 service range, or empty.
      type: str
    node_cidrs:
      description: The node ranges, sorted.
      type: list
      elements: str
    zones:
      description:
        - For each zone C(name), C(node_cidrs), C(pod_subnets), C(pod_addresses), C(nodes), C(max_nodes) and C(growth),
          the number of nodes with O(max_pods) that can be added.
      type: list
      elements: dict
    api_address:
      description: First address of the service range, at which pods reach the API.
      type: str
    dns_address:
      description: Tenth address of the service range, which is that of the cluster's DNS.
      type: str
    node_mask:
      description: Prefix length of the block of a node with O(max_pods).
      type: int
    node_block:
      description: Addresses in that block, the smallest power of two with O(addresses_per_pod) for each pod.
      type: int
    addresses_per_pod:
      description: As given.
      type: int
    max_pods:
      description: Pods per node.
      type: int
    nodes:
      description: Hosts that were given.
      type: int
    planned_nodes:
      description: Nodes that the plan must have room for, from O(nodes), O(max_nodes) and O(pods).
      type: int
    max_nodes:
      description: Nodes that the pod range or subnets have room for.
      type: int
    growth:
      description: Nodes that can be added to those that were given.
      type: int
    pod_addresses:
      description: Addresses in the pod range or subnets.
      type: int
    total_pods:
      description: Pods on RV(plan.max_nodes) nodes, those of O(nodes) with their own number.
      type: int
    total_services:
      description: Services that the service range has room for.
      type: int
    blocks:
      description:
        - Blocks of each node by its name; several when a slice was extended. In each the first and last address are not
          used and the one after the first is the node's.
        - Without O(zones) and O(assign_blocks) only those of O(previous).
      type: dict
    routes:
      description:
        - Static routes for routers outside of the cluster.
        - With C(at=lan) the block C(destination) of C(node) by the address C(via); for pods to be reached from the LAN,
          and between hosts where no network plugin sets them. A slice inside of its node's own network needs none.
        - Otherwise C(at) is a range of O(peer_cidrs) where the way back to C(destination) leads to the hosts' network.
      type: list
      elements: dict
  sample:
    addresses_per_pod: 2
    api_address: 172.21.0.1
    blocks: {node-1: [172.20.0.0/24]}
    dns_address: 172.21.0.10
    growth: 253
    max_nodes: 256
    max_pods: 110
    node_block: 256
    node_cidrs: [192.168.0.0/24]
    node_mask: 24
    nodes: 3
    planned_nodes: 200
    pod_addresses: 65536
    pod_cidr: 172.20.0.0/16
    pod_cidr_ipv6: ""
    routes:
      - {at: lan, destination: 172.20.0.0/24, node: node-1, via: 192.168.0.11}
    service_cidr: 172.21.0.0/20
    service_cidr_ipv6: ""
    total_pods: 28160
    total_services: 4094
    zones: []
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
advice:
  description: What is allowed but worth knowing, in the same form.
  returned: always
  type: list
  elements: dict
  sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._address_advice import advise_addresses
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import plan_addresses
from ansible_collections.hostplane.cluster.plugins.module_utils._address_request import (
    AddressRequest,
    Zone,
    network_arguments,
    planner_arguments,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import format_report, to_dicts


def argument_spec() -> dict[str, t.Any]:
    return {
        **network_arguments(),
        **planner_arguments(),
        "fail_on_problems": {"type": "bool", "default": True},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    params = dict(module.params)
    fail = params.pop("fail_on_problems")
    params["nodes"] = [Node(host=node.pop("name"), **node) for node in params["nodes"]]
    params["zones"] = [Zone(**zone) for zone in params["zones"]]
    plan, problems = plan_addresses(AddressRequest(**params))
    result = {
        "changed": False,
        "plan": plan,
        "problems": to_dicts(problems),
        "advice": to_dicts(advise_addresses(plan)),
    }
    if problems and fail:
        module.fail_json(msg=format_report(problems, "The address plan cannot be used."), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
