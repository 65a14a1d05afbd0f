#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_plan
short_description: Turn an inventory into the plan of a Kubernetes cluster
version_added: "0.1.0"
description:
  - Reads the settings of the cluster and of all its hosts, checks everything and returns one dictionary, the plan,
    which the roles of this collection apply.
  - Lists B(all) problems together, each with the host, the variable and what to do. Advice is returned as well but
    never fails.
  - Computes only. It contacts no host, and the order of its input does not matter.
extends_documentation_fragment:
  - hostplane.cluster.cluster_inventory
  - hostplane.cluster.networks
  - hostplane.cluster.endpoint
  - hostplane.cluster.cluster_settings
attributes:
  check_mode:
    description: The module only computes, so it does the same in check mode.
    support: full
  diff_mode:
    description:
      - Shows the plan as YAML against O(previous).
      - Ansible prints a difference only of a task that is changed. The module changes nothing; but in check mode and
        with O(previous) given it reports RV(ignore:changed) when the plan differs, because a run would then make that
        difference.
    support: full
options:
  previous:
    description: The plan to compare with in a difference; V({}) when there is none. See the attribute C(diff_mode).
    type: dict
  fail_on_problems:
    description: Fail with one report of all problems. When V(false) they are only returned.
    type: bool
    default: true
seealso:
  - module: hostplane.cluster.cidr_plan
  - module: hostplane.cluster.plan_report
  - plugin: hostplane.cluster.cluster_hosts
    plugin_type: filter
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Plan the cluster
  hostplane.cluster.cluster_plan:
    name: "{{ cluster_name }}"
    kubernetes_version: "{{ cluster_kubernetes_version }}"
    pod_cidr: "{{ cluster_pod_cidr }}"
    service_cidr: "{{ cluster_service_cidr }}"
    mirror_address: "{{ mirror_address }}"
    hosts: "{{ groups | hostplane.cluster.cluster_hosts(hostvars) }}"
  delegate_to: localhost
  run_once: true
  register: cluster_plan

- name: Plan, and leave the report to plan_report
  hostplane.cluster.cluster_plan:
    name: lab
    kubernetes_version: 1.36.3
    mirror_address: 10.9.0.5:5000
    hosts:
      - {inventory_hostname: cp-1, role: control_plane, node_address: 10.9.0.11}
      - {inventory_hostname: node-1, role: worker, node_address: 10.9.0.21}
    fail_on_problems: false
  delegate_to: localhost
  register: cluster_plan
"""

RETURN = r"""
plan:
  description: The plan. With O(fail_on_problems=false) it is returned even when there are problems; do not apply it
    then.
  returned: success
  type: dict
  contains:
    cluster:
      description: Settings of the cluster; C(endpoint_host) is C(endpoint) without its port.
      type: dict
    balancer:
      description:
        - C(mode) (V(none), V(managed) or V(external)), C(vip), C(port), C(backends) (C(name) and C(address) of every
          control plane, whose API servers listen on 6443) and C(virtual_router_id).
      type: dict
    addons:
      description: What there is to set up besides the cluster itself, V(dns), V(load_balancer) or V(ingress), in order.
      type: list
      elements: str
    dns:
      description: C(managed) and, when it is, C(address), C(cache), C(replicas), C(upstream), C(stub_domains), C(log).
      type: dict
    load_balancer:
      description: The C(pools) of addresses for Services.
      type: dict
    ingress:
      description: The settings of Traefik with their defaults; only C(enabled) when there is none.
      type: dict
    networks:
      description: The address plan as M(hostplane.cluster.cidr_plan) returns it, and of pods of the mode V(macvlan) the
        C(ranges) of every host for the plugin host-local.
      type: dict
    pod_network:
      description:
        - What the role of the network plugin is given, C(mtu) of the pods, C(policy), and C(workloads) that must be
          ready for the network to work.
        - C(identity) is what cannot be changed in a cluster that exists.
      type: dict
    mirror:
      description: Address and prefix of the registry.
      type: dict
    release:
      description: The version, whether a lock is known, and for each architecture the digest of the artifact with the
        programs.
      type: dict
    images:
      description:
        - The image of every component, and the lists C(control_plane) and C(worker) of what these roles need.
        - C(digests) has the digests for each architecture and image.
      type: dict
    storage:
      description:
        - C(local_path), C(local_volume), C(nfs) (empty when they are off), C(classes), C(drivers), C(csi_drivers) and
          C(workloads) to wait for, and in C(hosts) the disks and directories of each host that has any.
      type: dict
    files:
      description: For each architecture and purpose (C(containerd), C(kubelet), C(cni)) the programs with path,
        digest, size, mode.
      type: dict
    hosts:
      description:
        - Every host by its inventory name.
        - C(kubelet_config) has the settings of the kubelet that differ from host to host, C(kubelet_labels) those of
          C(labels) with which a kubelet may register itself.
      type: dict
    order:
      description: Inventory names of the hosts of each role in natural order.
      type: dict
    pools:
      description: Inventory names of the hosts of each node pool, and of C(control_plane), in natural order.
      type: dict
  sample:
    balancer:
      backends: [{name: cp-1, address: 10.9.0.11}]
      mode: none
      port: 6443
      vip: ""
      virtual_router_id: 0
    cluster: {name: lab, version: 1.36.3, cni: flannel, endpoint: "10.9.0.11:6443", endpoint_host: 10.9.0.11}
    files:
      amd64:
        cni:
          - {name: cni-bridge, path: /opt/cni/bin/bridge, sha256: 0f1e…, size: 4587520, mode: "0755"}
    hosts:
      cp-1:
        address: 10.9.0.11
        arch: amd64
        kubelet_config: {maxPods: 110, kubeReserved: {cpu: 100m, memory: 1752Mi}}
        kubelet_labels: {}
        labels: {}
        max_pods: 110
        name: cp-1
        pool: control_plane
        role: control_plane
        state: schedulable
        taints:
          - {key: node-role.kubernetes.io/control-plane, value: "", effect: NoSchedule}
    images:
      control_plane: ["registry.k8s.io/kube-apiserver:v1.36.3"]
      digests:
        amd64: {"registry.k8s.io/kube-apiserver:v1.36.3": "sha256:5e6f…"}
      kube_apiserver: registry.k8s.io/kube-apiserver:v1.36.3
      worker: ["registry.k8s.io/pause:3.10.2"]
    mirror: {address: "10.9.0.5:5000", prefix: ""}
    networks: {node_mask: 24, pod_cidr: 10.244.0.0/16, service_cidr: 10.96.0.0/20}
    order: {control_plane: [cp-1], worker: [node-1]}
    pools: {control_plane: [cp-1], default: [node-1]}
    release: {locked: true, manifests: {amd64: "sha256:7a8b…"}, version: 1.36.3}
problems:
  description: Everything that is wrong, the cluster's settings first and then host by host.
  returned: always
  type: list
  elements: dict
  sample:
    - code: control_plane_even
      host: ""
      message: 2 control planes survive no more failures than 1, and fail more often.
      path: groups
      remedy: Use 1 or 3 hosts in the group control_plane.
      witness: []
advice:
  description: What is allowed but worth knowing, in the same form.
  returned: success
  type: list
  elements: dict
  sample: []
"""

import dataclasses
import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.yaml import HAS_YAML, yaml_dump
from ansible_collections.hostplane.cluster.plugins.module_utils._plan import plan_cluster
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import ClusterRequest, cluster_arguments
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import format_report, to_dicts


def argument_spec() -> dict[str, t.Any]:
    return {
        **cluster_arguments(),
        "previous": {"type": "dict"},
        "fail_on_problems": {"type": "bool", "default": True},
    }


def as_text(plan: dict[str, t.Any] | None) -> str:
    if not plan:
        return ""
    if HAS_YAML:
        return str(yaml_dump(plan, default_flow_style=False, sort_keys=True))
    return json.dumps(plan, indent=2, sort_keys=True) + "\n"


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    params = module.params
    fields = [field.name for field in dataclasses.fields(ClusterRequest)]
    planned = plan_cluster(ClusterRequest(**{name: params[name] for name in fields}))
    previous = params["previous"]
    differs = planned.plan != (previous or {})
    result: dict[str, t.Any] = {
        # Announced only: Ansible shows a difference for nothing but a changed task.
        "changed": module.check_mode and previous is not None and differs,
        "plan": planned.plan,
        "problems": to_dicts(planned.problems),
        "advice": to_dicts(planned.advice),
    }
    if module._diff and differs:
        result["diff"] = {
            "before_header": "plan",
            "after_header": "plan",
            "before": as_text(previous),
            "after": as_text(planned.plan),
        }
    if planned.problems and params["fail_on_problems"]:
        # A plan that cannot be applied would only hide the report.
        report = format_report(planned.problems, "The cluster cannot be made as described.")
        module.fail_json(msg=report, problems=result["problems"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
