#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: csi_ready
short_description: Wait until storage drivers are registered on every node
version_added: "0.1.0"
description:
  - Waits until the cluster has a CSIDriver of every name, the CSINode of every named node lists it, and the workloads
    are complete. What is still missing after O(timeout) is named, node by node, with what the kubelets say about the
    pods.
  - A driver is usable on a node only when the node's kubelet knows it. That its pod runs is not enough.
  - Runs on the controller, and only looks.
  - In check mode nothing is waited for.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.attributes.api
options:
  drivers:
    description: Names of the CSI drivers.
    type: list
    elements: str
    default: []
  nodes:
    description: Names of the nodes that must know them.
    type: list
    elements: str
    default: []
  workloads:
    description: Deployments and DaemonSets that must be complete, as C(kind/namespace/name) in lower case.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait in all.
    type: int
    default: 300
seealso:
  - module: hostplane.cluster.cluster_ready
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Wait until volumes can be used on every node
  hostplane.cluster.csi_ready:
    kubeconfig: /root/.kube/production.conf
    drivers: [local.hostplane.io]
    nodes: [cp1, worker1, worker2]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
missing:
  description: What is missing. The module fails when that is anything, so this is of interest in check mode only.
  returned: success
  type: list
  elements: str
  sample: []
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 2.1
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _ready, _workloads

STORAGE = "/apis/storage.k8s.io/v1"


def missing(api: _kubeapi.KubeApi, drivers: list[str], nodes: list[str], workloads: list[str]) -> list[str]:
    """Everything that is missing right now, with what the kubelets say about the pods of incomplete workloads."""
    lines = []
    if drivers:
        lines += _ready.drivers_not_registered(
            drivers, nodes, api.items(f"{STORAGE}/csidrivers"), api.items(f"{STORAGE}/csinodes")
        )
    return lines + _workloads.incomplete(api, workloads, nodes)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "drivers": {"type": "list", "elements": "str", "default": []},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "workloads": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    params, start = module.params, time.monotonic()
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    if module.check_mode and not os.path.exists(params["kubeconfig"]):
        module.exit_json(changed=False, missing=[], seconds=0.0)
    lines: list[str] = []
    try:
        api = _kubeapi.KubeApi(params["kubeconfig"])
        if module.check_mode:
            lines = missing(api, params["drivers"], params["nodes"], params["workloads"])
        else:
            _kubeapi.wait(
                start + params["timeout"],
                f"storage is not ready after {params['timeout']} s",
                lambda: missing(api, params["drivers"], params["nodes"], params["workloads"]),
            )
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    module.exit_json(changed=False, missing=lines, seconds=round(time.monotonic() - start, 1))


if __name__ == "__main__":
    main()
