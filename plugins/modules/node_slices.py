#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_slices
short_description: Slices of the hosts' network that nodes give to their pods
version_added: "0.1.0"
description:
  - Reads which slices the nodes of a cluster hold, and gives slices to nodes. A node's slices are the annotation
    C(hostplane.io/slices) of the node, so they are free again as soon as the node is deleted.
  - A node must hold its slices before it gets the configuration with which it starts pods.
  - Takes no slice away, and gives none to two nodes, whatever was planned meanwhile or runs at the same time. All
    claims are first written to the ConfigMap C(hostplane-slices) in C(kube-system), by one run after the other.
  - Runs on the controller. When O(kubeconfig) is missing, as before the cluster is created, nodes hold nothing.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  slices:
    description:
      - Slices by node name. Empty only reads.
      - Every node must be in the cluster, except in check mode.
    type: dict
    default: {}
seealso:
  - module: hostplane.cluster.cluster_plan
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Read which addresses the nodes have
  hostplane.cluster.node_slices:
    kubeconfig: /root/.kube/production.conf
  delegate_to: localhost
  register: node_slices

- name: Give a node its slice
  hostplane.cluster.node_slices:
    kubeconfig: /root/.kube/production.conf
    slices:
      worker1: [10.20.1.0/24]
  delegate_to: localhost
"""

RETURN = r"""
slices:
  description: The slices that every node holds, by node name.
  returned: success
  type: dict
  sample: {worker1: [10.20.1.0/24]}
nodes:
  description: Names of the nodes that were (or would be) given slices, sorted.
  returned: success
  type: list
  elements: str
  sample: [worker1]
without:
  description:
    - Names of nodes in the cluster that hold none, sorted. Such a node gets its first one, or was deleted and
      has registered itself again, and then its host still uses what it held.
  returned: success
  type: list
  elements: str
  sample: []
missing:
  description: Names of nodes in O(slices) that are not in the cluster, sorted.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _slices
from ansible_collections.hostplane.cluster.plugins.module_utils._slices import SliceError

# Each one that fails is another run's success, and a run claims once or twice.
ATTEMPTS = 20


def claimed(api: _kubeapi.KubeApi, record: dict[str, Any], exists: bool) -> bool:
    """Write the record; False when another run has written it since it was read."""
    if not exists:
        return api.create(_slices.RECORDS, record)
    try:
        api.call("PUT", f"{_slices.RECORDS}/{_slices.RECORD}", body=record)
    except _kubeapi.API_ERRORS as exc:
        if _kubeapi.status_of(exc) != 409:
            raise
        return False
    return True


def run(api: _kubeapi.KubeApi, wanted: dict[str, list[str]], check: bool) -> dict[str, Any]:
    """Give slices to the nodes that lack them."""
    for _attempt in range(ATTEMPTS):
        record = _kubeapi.find(api, f"{_slices.RECORDS}/{_slices.RECORD}")
        nodes = api.items("/api/v1/nodes")
        names = {str(node["metadata"]["name"]) for node in nodes}
        missing = sorted(set(wanted) - names)
        if missing and not check:
            raise SliceError(f"not in the cluster, and so without addresses for pods: {', '.join(missing)}")
        current = _slices.held(nodes, record)
        mine = {name: slices for name, slices in wanted.items() if name in names}
        changed = _slices.claims(current, mine)
        after = dict(sorted({**current, **changed}.items()))
        if check or not changed or claimed(api, _slices.record_of(nodes, after, record), bool(record)):
            break
    else:
        raise SliceError("other runs give slices to nodes all the time; run the playbook again when they have ended")
    shown = _slices.held(nodes)
    given = {name: after[name] for name in mine if name in after and set(after[name]) != set(shown.get(name, ()))}
    for name, slices in given.items() if not check else ():
        api.patch(f"/api/v1/nodes/{name}", {"metadata": {"annotations": {_slices.ANNOTATION: ",".join(slices)}}})
    return {
        "changed": bool(given),
        "slices": after,
        "nodes": sorted(given),
        "without": sorted(names - set(after)),
        "missing": missing,
        "diff": [{name: found.get(name, []) for name in given} for found in (shown, after)],
    }


def as_text(slices: dict[str, list[str]]) -> str:
    """A readable form for the difference."""
    return "".join(f"{name}: {', '.join(found) or 'none'}\n" for name, found in sorted(slices.items()))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "slices": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    wanted = {str(name): [str(item) for item in slices] for name, slices in params["slices"].items()}
    if not os.path.exists(params["kubeconfig"]) and (module.check_mode or not wanted):
        module.exit_json(changed=False, slices={}, nodes=[], without=[], missing=sorted(wanted))
    try:
        result = run(_kubeapi.KubeApi(params["kubeconfig"]), wanted, module.check_mode)
    except (SliceError, _kubeapi.KubeApiError) as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    before, after = result.pop("diff")
    if module._diff and result["changed"]:
        result["diff"] = {"before": as_text(before), "after": as_text(after)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
