# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The one address of the API, and what stands behind it.
    DOCUMENTATION = r"""
options:
  endpoint:
    description:
      - Host and port of the API.
      - Empty means O(vip) and O(balancer_port) with O(balancer=managed), and otherwise port 6443 of the only control
        plane.
    type: str
    default: ""
  balancer:
    description:
      - How the endpoint reaches several control planes.
      - V(managed) means haproxy and keepalived on the control planes, V(external) a load balancer of yours at
        O(endpoint), V(none) that there is one control plane. More of them with V(none) and an O(endpoint) count as
        V(external).
      - Checked by the plan and not by the module's arguments, so that all mistakes are reported at once.
    type: str
    default: none
  vip:
    description: The virtual address that the control planes share with O(balancer=managed).
    type: str
    default: ""
  balancer_port:
    description:
      - Port on which haproxy listens with O(balancer=managed); the API server beside it keeps 6443.
      - V(1024) or higher, since haproxy does not run as root.
    type: int
    default: 8443
  vrrp_id:
    description: Virtual router ID of keepalived, V(1) to V(255). V(0) means one that follows from the endpoint.
    type: int
    default: 0
"""
