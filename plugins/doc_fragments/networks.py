# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What the address plan of a cluster is made from, apart from its own ranges and hosts.
    DOCUMENTATION = r"""
options:
  node_cidrs:
    description:
      - Networks of the hosts. They may contain each other, such as a site's range and its subnets.
      - When given, every host's address must be inside one of them.
    type: list
    elements: str
    default: []
  peer_cidrs:
    description: Networks that nodes or pods must reach, or be reached from, such as other sites and data centres.
    type: list
    elements: str
    default: []
  other_clusters:
    description: Other clusters that share a network with this one.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name for messages.
        type: str
        required: true
      pod_cidr:
        description: Its pod range, which must not overlap anything of this cluster.
        type: str
        default: ""
      service_cidr:
        description: Its service range. It is compared only when it is O(other_clusters[].routed).
        type: str
        default: ""
      routed:
        description: Whether its Services are reachable from outside of that cluster by their own addresses.
        type: bool
        default: false
  max_pods:
    description:
      - Pods per node, V(10) to V(1000).
      - A node's block is the smallest power of two with at least twice as many addresses, so V(110) gives a V(/24).
    type: int
    default: 110
  max_nodes:
    description: Number of nodes that the cluster may grow to. V(0) means as many as there are hosts.
    type: int
    default: 0
"""
