#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_members
short_description: Compare a cluster's nodes with the inventory
version_added: "0.1.0"
description:
  - Reads the nodes from the API and tells which hosts of the inventory are to join, which nodes are to leave, and which
    control plane can act for the cluster.
  - Refuses, with all reasons at once, what would lose the cluster. It contacts no host and changes nothing.
  - Runs on the controller.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.attributes.api
options:
  hosts:
    description: The hosts of the inventory, inventory name to C(name) (of the node), C(address) and C(role).
    type: dict
    required: true
  remove:
    description: Hosts that are to leave, by inventory name or by node name.
    type: list
    elements: str
    default: []
  endpoint_host:
    description: Host part of the API's endpoint.
    type: str
    default: ""
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: See who has to join and who has to leave
  hostplane.cluster.cluster_members:
    kubeconfig: /root/.kube/production.conf
    hosts: "{{ cluster_plan.plan.hosts }}"
    remove: "{{ scale_remove }}"
  delegate_to: localhost
  register: cluster_members
"""

RETURN = r"""
join:
  description: Inventory names of hosts that are not in the cluster.
  returned: success
  type: list
  elements: str
  sample: [worker3]
suspect:
  description:
    - Inventory names of hosts whose node is not Ready, or whose kubelet has renewed no Lease for 25 seconds.
    - One that says it belongs to no cluster has been replaced.
  returned: success
  type: list
  elements: str
  sample: []
remove:
  description: What is to leave, workers first; C(member) is false when only the host is left to be cleaned.
  returned: success
  type: list
  elements: dict
  sample:
    - {host: worker1, node: worker1, member: true, control_plane: false}
batches:
  description: RV(remove) in the order of work, workers in growing batches, control planes one by one.
  returned: success
  type: list
  elements: list
  sample:
    - - {host: worker1, node: worker1, member: true, control_plane: false}
actor:
  description: Inventory name of the control plane that acts for the cluster.
  returned: success
  type: str
  sample: cp2
unknown:
  description: Nodes of the cluster that are in neither the inventory nor O(remove); they are left alone.
  returned: success
  type: list
  elements: str
  sample: []
nodes:
  description: How many nodes the cluster has.
  returned: success
  type: int
  sample: 5
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import format_report, to_dicts
from ansible_collections.hostplane.cluster.plugins.module_utils._scale import Member, plan_scale, silent_nodes


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read the nodes and compare."""
    params = module.params
    api = _kubeapi.KubeApi(params["kubeconfig"])
    silent = silent_nodes(api.items("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"))
    members = [Member.from_node(node, silent) for node in api.items("/api/v1/nodes")]
    plan = plan_scale(members, params["hosts"], params["remove"], params["endpoint_host"])
    if plan.problems:
        module.fail_json(
            msg=format_report(plan.problems, "The cluster can't be scaled like this."),
            problems=to_dicts(plan.problems),
        )
    return {
        "join": plan.join,
        "suspect": plan.suspect,
        "batches": plan.batches,
        "remove": plan.remove,
        "actor": plan.actor,
        "unknown": plan.unknown,
        "nodes": len(members),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "hosts": {"type": "dict", "required": True},
            "remove": {"type": "list", "elements": "str", "default": []},
            "endpoint_host": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        module.exit_json(changed=False, **run(module))
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")


if __name__ == "__main__":
    main()
