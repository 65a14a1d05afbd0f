# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The release, the hosts and the cluster that may be there already.
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the cluster. At most 63 letters, digits and C(-).
    type: str
    required: true
  kubernetes_version:
    description: The release, such as V(1.36.3).
    type: str
    required: true
  hosts:
    description:
      - The hosts, best from the filter P(hostplane.cluster.cluster_hosts#filter).
      - Keys are C(inventory_hostname), C(role) (V(control_plane) or V(worker)), C(pools), C(ansible_host),
        C(node_address), C(node_address_ipv6), C(node_zone), C(node_name), C(node_name_rule), C(node_arch),
        C(node_labels), C(node_taints), C(node_max_pods), C(node_kubelet_config), C(node_reserved), C(node_cpu_policy),
        C(node_state), C(node_storage) and C(errors), a dictionary of variables that could not be evaluated. Only the
        first two are required.
      - Their values are checked by the plan and not by the module's arguments, so that all mistakes are reported at
        once.
    type: list
    elements: dict
    required: true
  releases:
    description: Versions that are known. Empty means that O(kubernetes_version) is not checked.
    type: list
    elements: str
    default: []
  release:
    description: The catalogue's entry for O(kubernetes_version), which names the images. Empty means those in O(lock).
    type: dict
    default: {}
  lock:
    description: The content of the bundle's C(lock.json) by architecture. Empty when there is no bundle yet.
    type: dict
    default: {}
  existing:
    description:
      - What the existing cluster says about itself. Empty when there is none.
      - Keys are C(version), C(pod_cidr), C(service_cidr), C(node_mask), C(cni), C(pod_network), C(dns_domain) and
        C(endpoint); what is missing is not compared. With O(endpoint) empty the plan keeps the existing endpoint.
    type: dict
    default: {}
  upgrade:
    description:
      - Whether the existing cluster may get another version. It may be the next minor version or another patch of its
        own; to go back or to leave a minor version out is still a problem.
    type: bool
    default: false
"""
