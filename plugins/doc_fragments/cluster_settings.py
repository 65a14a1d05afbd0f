# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What is known of one cluster besides its networks and its endpoint.
    DOCUMENTATION = r"""
options:
  pod_cidr:
    description: Range from which every node gets a block for its pods.
    type: str
    default: 10.244.0.0/16
  service_cidr:
    description: Range of the addresses of Services.
    type: str
    default: 10.96.0.0/20
  pod_cidr_ipv6:
    description: IPv6 range beside O(pod_cidr), V(/48) to V(/64); a node's block is a V(/64). Only with Flannel.
    type: str
    default: ""
  service_cidr_ipv6:
    description: IPv6 range beside O(service_cidr), V(/112) to V(/120) inside C(fc00::/7). Only with Flannel.
    type: str
    default: ""
  facts:
    description:
      - C(cpus), C(memory_mb) and C(link) of every host that is known, by inventory name, as
        M(hostplane.cluster.host_check) returns them; other keys are ignored.
      - What a node reserves follows from them. Without them the settings of the kubelet lack the reservation.
    type: dict
    default: {}
  node_cpus:
    description:
      - CPUs of the nodes of the existing cluster, by node name, as M(hostplane.cluster.node_info) returns them; for
        hosts that O(facts) lacks.
    type: dict
    default: {}
  api_sans:
    description: More names and addresses for the API's certificate.
    type: list
    elements: str
    default: []
  cni:
    description:
      - How pods reach each other. V(flannel) gives them a network of their own, V(underlay) addresses of the hosts'
        own network, which reach them from everywhere without NAT.
      - Checked by the plan, as O(network_policy), O(flannel) and O(underlay) are, so that all mistakes are reported at
        once.
    type: str
    default: flannel
  flannel:
    description:
      - Settings of Flannel.
      - C(backend) (V(vxlan) or V(host-gw)), C(direct_routing), C(port), C(vni), C(mtu) (V(0) for that of the hosts'
        interfaces, less 50 with V(vxlan), or 70 where pods have IPv6), C(interface), C(nftables).
    type: dict
    default: {}
  underlay:
    description:
      - Settings of the underlay.
      - C(zones) as O(hostplane.cluster.cidr_plan#module:zones), C(mode) (V(ptp) or V(macvlan)), C(addresses_per_pod),
        C(interface) (empty for that of the host's address), C(mtu) (V(0) for that of the hosts' interfaces).
    type: dict
    default: {}
  slices:
    description:
      - The slices that nodes of the existing cluster have, by node name, as M(hostplane.cluster.node_slices) returns
        them. They never move.
    type: dict
    default: {}
  network_policy:
    description:
      - What enforces NetworkPolicies, V(none) or V(kube-router), with either network plugin.
      - Refused when the bundle has no image of it.
    type: str
    default: none
  dns_domain:
    description: DNS domain of the cluster.
    type: str
    default: cluster.local
  dns:
    description:
      - How cluster DNS is set up. C(replicas) (by rule when left out), C(upstream) (servers for names outside of the
        cluster; the node's own when left out), C(stub_domains) (domain to servers), C(cache) (a cache on every node)
        and C(log) (every question in the log of CoreDNS). Empty leaves DNS as kubeadm makes it.
    type: dict
    default: {}
  load_balancer:
    description:
      - Addresses for Services of type LoadBalancer, as C(pools) with C(name), C(addresses) (first-last or CIDR),
        C(auto_assign) and C(interfaces).
    type: dict
    default: {}
  ingress:
    description:
      - How Traefik is set up for Ingress and Gateway API, by C(service) (V(load_balancer) or V(node_port)), C(address),
        C(http_port), C(https_port), C(replicas), C(gateway), C(default_class). Empty means no ingress controller.
    type: dict
    default: {}
  node_port_range:
    description: Ports of Services of type NodePort. Cannot be changed later.
    type: str
    default: 30000-32767
  kubelet_config:
    description: More settings of the kubelet (C(KubeletConfiguration)).
    type: dict
    default: {}
  kube_proxy_config:
    description: More settings of kube-proxy (C(KubeProxyConfiguration)).
    type: dict
    default: {}
  jwt_authenticators:
    description:
      - Issuers whose tokens the API accepts, as O(hostplane.cluster.api_authentication#module:jwt).
      - They are only checked here, so that what is wrong with them comes together with everything else.
    type: list
    elements: dict
    default: []
  storage:
    description:
      - Drivers and StorageClasses. C(local_path), C(local_volume) and C(nfs) are V(true), V(false) or a mapping of what
        differs from the defaults; C(classes) and C(drivers) are lists.
      - What hosts prepare for it is in the C(node_storage) of O(hosts).
    type: dict
    default: {}
  ignore_preflight:
    description: Names of findings and of kubeadm's preflight errors that are accepted. They are passed on in the plan.
    type: list
    elements: str
    default: []
  kubeconfig:
    description: File on the controller for the administrator's kubeconfig. It is passed on in the plan.
    type: str
    default: ""
  mirror_address:
    description: Host and port of the registry as the hosts reach it.
    type: str
    default: ""
  mirror_prefix:
    description: Path before every repository in the registry, ended by C(/).
    type: str
    default: ""
"""
