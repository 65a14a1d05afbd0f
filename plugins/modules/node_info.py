#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: What the API knows about the sizes of a cluster's nodes
version_added: "0.1.0"
description:
  - Reads how many CPUs every node has, for what follows from all nodes in a run that looks at few of the hosts.
  - Runs on the controller. When O(kubeconfig) is missing, as before the cluster is created, there are no nodes.
  - An API that doesn't answer, as while a control plane is repaired, is a warning.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.attributes.api
seealso:
  - module: hostplane.cluster.cluster_plan
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Read how large the nodes are
  hostplane.cluster.node_info:
    kubeconfig: /root/.kube/production.conf
  delegate_to: localhost
  register: node_info
"""

RETURN = r"""
cpus:
  description: Number of CPUs by node name.
  returned: success
  type: dict
  sample: {worker1: 16}
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi


def cpus(nodes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The CPUs of the nodes that have told theirs; the kubelet writes whole ones, or thousandths of one."""
    found = {}
    for node in nodes:
        text = str(((node.get("status") or {}).get("capacity") or {}).get("cpu") or "")
        number, part = text.removesuffix("m"), text.endswith("m")
        if number.isdecimal():
            found[str(node["metadata"]["name"])] = int(number) // (1000 if part else 1)
    return dict(sorted(found.items()))


def main() -> None:
    module = AnsibleModule(argument_spec={"kubeconfig": {"type": "path", "required": True}}, supports_check_mode=True)
    kubeconfig = module.params["kubeconfig"]
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    found: dict[str, int] = {}
    try:
        if os.path.exists(kubeconfig):
            found = cpus(_kubeapi.KubeApi(kubeconfig).items("/api/v1/nodes"))
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        if 400 <= _kubeapi.status_of(exc) < 500:
            module.fail_json(msg=f"the API refused: {_kubeapi.reason_of(exc)}")
        module.warn(
            f"the API did not answer, so sizes of nodes are those of this run's hosts: {_kubeapi.reason_of(exc)}"
        )
    module.exit_json(changed=False, cpus=found)


if __name__ == "__main__":
    main()
