#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_absent
short_description: Delete nodes from the cluster's API
version_added: "0.1.0"
description:
  - Deletes Node objects and their leases.
  - Unless O(drained=false), refuses when a node isn't cordoned or still has pods that M(hostplane.cluster.node_drain)
    would move. A node that the cluster has lost (C(Ready) is C(Unknown)) may have such pods. The cluster deletes them
    once their node is gone, so be sure that the host is off and stays off.
  - A host whose kubelet is restarted afterwards registers its node again; reset the host.
  - Runs on the controller.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  nodes:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
  drained:
    description: Whether the nodes must be drained.
    type: bool
    default: true
seealso:
  - module: hostplane.cluster.node_drain
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Delete a drained node
  hostplane.cluster.node_absent:
    kubeconfig: /root/.kube/production.conf
    nodes: [worker7]
  delegate_to: localhost
"""

RETURN = r"""
removed:
  description: Nodes that were (or would be) deleted, sorted.
  returned: success
  type: list
  elements: str
  sample: [worker7]
pods:
  description:
    - By node, the pods that were still on it, as C(namespace/name), sorted.
    - Those of DaemonSets and static pods are left out.
  returned: success
  type: dict
  sample:
    worker7: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _drain, _drainer, _kubeapi

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class NotDrained(Exception):
    """Nothing was deleted; the message names every reason."""


def reasons(work: _drainer.Work) -> list[str]:
    """Why the node does not count as drained."""
    lines = [] if _drain.is_cordoned(work.node) else [f"node {work.name}: is not cordoned"]
    if not _drain.is_unreachable(work.node):
        lines += [f"node {work.name}: still has pod {_drain.full_name(pod)}" for pod in work.pods]
    return lines


def delete(api: _kubeapi.KubeApi, path: str, uid: str = "") -> None:
    """Delete an object; one that is gone already is fine."""
    try:
        api.call("DELETE", path, body={"preconditions": {"uid": uid}} if uid else None)
    except _kubeapi.API_ERRORS as exc:
        if _kubeapi.status_of(exc) != 404:
            raise


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look at all nodes first, then delete them."""
    api = _kubeapi.KubeApi(module.params["kubeconfig"])
    works = [_drainer.Work(name) for name in sorted(set(module.params["nodes"]))]
    for work in works:
        _drainer.look(api, work)
    there = [work for work in works if work.node]
    lines = [line for work in there for line in reasons(work)] if module.params["drained"] else []
    if lines:
        raise NotDrained("nothing was deleted, since these nodes are not drained:\n" + "\n".join(lines))
    for work in [] if module.check_mode else there:
        # By its number: a host that was replaced meanwhile keeps its new node.
        delete(api, f"/api/v1/nodes/{work.name}", str(work.node["metadata"]["uid"]))
        delete(api, f"{LEASES}/{work.name}")
    names = [work.name for work in there]
    return {
        "changed": bool(names),
        "removed": names,
        "pods": {work.name: [_drain.full_name(pod) for pod in work.pods] for work in there},
        "diff": {"before": "".join(f"node {name}\n" for name in names), "after": ""},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "drained": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        result = run(module)
    except (NotDrained, _kubeapi.KubeApiError) as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
