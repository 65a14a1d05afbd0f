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
  lan_cidrs:
    description: The networks, such as a site or a VPC, of which O(node_cidrs) and pod subnets are parts.
    type: list
    elements: str
    default: []
  bridge_cidrs:
    description:
      - Ranges that container engines on the hosts take for bridges of their own. The default is Docker's.
      - Podman takes C(10.88.0.0/16), CRI-O C(10.85.0.0/16), libvirt C(192.168.122.0/24). V([]) where there is none.
    type: list
    elements: str
    default: [172.17.0.0/16]
  taken_cidrs:
    description: What is in use inside of the hosts' networks and not theirs, such as DHCP pools, routers (V(/32)).
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
      pod_cidr_ipv6:
        description: Its IPv6 pod range.
        type: str
        default: ""
      pod_subnets:
        description: Its pod subnets, when its pods have addresses of the hosts' networks. They may be parts of these.
        type: list
        elements: str
        default: []
      service_cidr:
        description: Its service range. It is compared only when it is O(other_clusters[].routed).
        type: str
        default: ""
      service_cidr_ipv6:
        description: Its IPv6 service range, under the same condition.
        type: str
        default: ""
      node_cidrs:
        description: Networks of its hosts. They may be those of this cluster's hosts.
        type: list
        elements: str
        default: []
      routed:
        description: Whether its Services are reachable from outside of that cluster by their own addresses.
        type: bool
        default: false
  max_pods:
    description:
      - Pods per node, V(10) to V(1000).
      - A node's block is the smallest power of two with at least twice as many addresses, so V(110) gives a V(/24).
        Twice, so that an address that a pod gave up rests before another pod gets it.
    type: int
    default: 110
  max_nodes:
    description: Number of nodes that the cluster may grow to. V(0) means as many as there are hosts.
    type: int
    default: 0
"""

    # What only the address planner by itself is asked for.
    PLANNER = r"""
options:
  pod_cidr:
    description:
      - Range from which every node gets a block for its pods.
      - Leave it empty with O(zones), with O(propose), and with O(previous).
    type: str
    default: ""
  service_cidr:
    description: Range of the addresses of Services, V(/12) to V(/28). Leave it empty as O(pod_cidr).
    type: str
    default: ""
  pod_cidr_ipv6:
    description: IPv6 range beside O(pod_cidr), V(/48) to V(/64); a node's block is a V(/64). Not with O(zones).
    type: str
    default: ""
  service_cidr_ipv6:
    description: IPv6 range beside O(service_cidr), V(/112) to V(/120) inside C(fc00::/7).
    type: str
    default: ""
  zones:
    description:
      - Given when pods have addresses of the hosts' own networks (underlay, as with Terway) and so no O(pod_cidr).
        Every node then gets a slice of a pod subnet of its zone.
      - One zone for each layer 2 network or site.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the zone.
        type: str
        required: true
      node_cidrs:
        description: Networks of the zone's hosts. A host belongs to the zone in whose network it is.
        type: list
        elements: str
        default: []
      pod_subnets:
        description:
          - Subnets of the zone's pods. They may be parts of a network of hosts, but never all of it.
          - Add to them when the zone grows. What is in use has to stay.
        type: list
        elements: str
        default: []
      max_nodes:
        description: Number of nodes that the zone may grow to.
        type: int
        default: 0
  nodes:
    description: The hosts.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the host, which is its identity in RV(plan.blocks).
        type: str
        required: true
      address:
        description: The host's IPv4 address.
        type: str
        required: true
      address_ipv6:
        description: The host's IPv6 address.
        type: str
        default: ""
      zone:
        description: Zone of the host, where its address does not tell.
        type: str
        default: ""
      max_pods:
        description: Pods on this host when they are not O(max_pods). With O(zones) its slice has that size.
        type: int
        default: 0
  pods:
    description: Number of pods, of all nodes together, that must have room. V(0) does not check it.
    type: int
    default: 0
  services:
    description: Number of Services that must have room. V(0) does not check it.
    type: int
    default: 0
  addresses_per_pod:
    description:
      - Addresses of a block for each pod. V(2) lets a returned address rest before it is given to another pod.
      - V(1) saves addresses where the LAN has few. Three addresses of a block are never a pod's.
    type: int
    choices: [1, 2]
    default: 2
  assign_blocks:
    description:
      - Plan the block of every node of O(pod_cidr) too, for routers that are set up beforehand. With O(zones) that is
        always done.
      - Kubernetes by itself hands blocks out in the order in which nodes join. So this needs an installer that sets
        C(spec.podCIDRs), and C(allocate-node-cidrs=false) for the controller manager.
    type: bool
    default: false
  propose:
    description:
      - Find the ranges that are not given, among those that are free in O(within), and pod subnets in O(lan_cidrs).
      - The same input gives the same plan. Give the plan as O(previous) from then on.
    type: bool
    default: false
  dual_stack:
    description: Propose IPv6 ranges as well.
    type: bool
    default: false
  within:
    description:
      - Ranges to propose from, of either family. Empty means C(10.0.0.0/8), C(172.16.0.0/12) and C(192.168.0.0/16),
        and C(fd00::/8).
    type: list
    elements: str
    default: []
  previous:
    description:
      - RV(plan) of an earlier run, which is extended. What it has settled is kept, and no block of a listed node moves.
        Blocks of hosts that are no longer listed are free again.
      - Of a running cluster C(pod_cidr), C(service_cidr), C(node_mask) and C(blocks) (C(spec.podCIDRs) by node) are
        enough.
    type: dict
    default: {}
"""
