#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_revived
short_description: Wait until API, controllers and nodes show life after etcd was restored
version_added: "0.1.0"
description:
  - What a restored cluster says of itself is of the past, also that its nodes are Ready. So this waits until controller
    manager, scheduler and the nodes have renewed their leases, which raises the leases' revision above O(revision).
  - Says which nodes the cluster does not know (any more), so that their kubelets can be made to register again.
  - Runs on the controller.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.attributes.api
options:
  revision:
    description: Revision of etcd after which signs of life count, see M(hostplane.cluster.etcd_restore).
    type: int
    required: true
  nodes:
    description: Names of the nodes to wait for.
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
- name: Wait until the control plane lives
  hostplane.cluster.cluster_revived:
    kubeconfig: /root/.kube/production.conf
    revision: 1767323106000123456
  delegate_to: localhost
"""

RETURN = r"""
nodes:
  description: Names of the nodes that the cluster knows, sorted.
  returned: success
  type: list
  elements: str
  sample: [cp1, worker1]
silent:
  description: Names of those that have not shown life yet, sorted.
  returned: success
  type: list
  elements: str
  sample: []
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
POLL_SECONDS = 0.5


class StillDead(Exception):
    """The deadline passed; the message lists everything that showed no life."""


def renewed(leases: list[dict[str, Any]], revision: int) -> set[str]:
    """Names of the leases that were written after the revision."""
    return {
        lease["metadata"]["name"] for lease in leases if int(lease["metadata"].get("resourceVersion") or 0) > revision
    }


def look(api: _kubeapi.KubeApi, revision: int, wanted: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """What shows no life yet, and the nodes."""
    controllers = renewed(api.items(LEASES.format("kube-system")), revision)
    living = renewed(api.items(LEASES.format("kube-node-lease")), revision)
    nodes = sorted(node["metadata"]["name"] for node in api.items("/api/v1/nodes"))
    lines = [f"{name} has not become leader" for name in CONTROLLERS if name not in controllers]
    lines += [f"node {name} is not in the cluster" for name in sorted(set(wanted) - set(nodes))]
    lines += [f"the kubelet of node {name} shows no life" for name in wanted if name in nodes and name not in living]
    return lines, {"nodes": nodes, "silent": [name for name in nodes if name not in living]}


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Wait until there is nothing to wait for."""
    deadline = time.monotonic() + params["timeout"]
    while True:
        try:
            api = _kubeapi.KubeApi(params["kubeconfig"])
            lines, found = look(api, params["revision"], params["nodes"])
        except _kubeapi.API_ERRORS as exc:
            lines, found = [f"the API does not answer: {_kubeapi.reason_of(exc)}"], {}
        if not lines:
            return found
        if time.monotonic() > deadline:
            raise StillDead(f"the cluster is not back after {params['timeout']} s:\n" + "\n".join(lines))
        time.sleep(POLL_SECONDS)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "revision": {"type": "int", "required": True},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    # In check mode nothing was restored, so there is nothing to wait for.
    if module.check_mode:
        module.exit_json(changed=False, nodes=module.params["nodes"], silent=[])
    try:
        module.exit_json(changed=False, **run(module.params))
    except (StillDead, _kubeapi.KubeApiError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
