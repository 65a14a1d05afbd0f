#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_settings
short_description: Bring labels, taints and the cordon of nodes in line with the inventory
version_added: "0.1.0"
description:
  - Sets labels and taints of many nodes in one call, and takes those away that it has set before and that are no longer
    wanted. What others have set is left alone.
  - What it has set is remembered on the node itself, in the annotation C(hostplane.io/owned), so any controller can
    continue.
  - Reads all nodes with one request and changes only those that need it, with one request each. A node that changes
    meanwhile is read again, so that no taint of others is lost.
  - Runs on the controller.
  - In check mode O(kubeconfig) may be missing, as before the cluster is created.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  nodes:
    description:
      - The wanted settings by node name. Each is a dictionary with the keys C(labels), C(taints) and C(state), all of
        them optional; what is missing is left as it is. Other keys are ignored, so the hosts of a plan can be given.
      - C(labels) is a dictionary of names and values. A label that is there with the wanted value already, whoever set
        it, is ours from then on.
      - C(taints) is a list of C({key, value, effect}) or of texts such as C(key=value:effect). A taint is told from
        others by key and effect.
      - C(state) is V(cordoned) or V(schedulable). V(schedulable) only takes a cordon off that this module has put on;
        the nodes that somebody else has cordoned are returned in RV(left_cordoned).
    type: dict
    required: true
seealso:
  - module: hostplane.cluster.cluster_plan
  - module: hostplane.cluster.node_drain
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Bring the nodes in line with their pools
  hostplane.cluster.node_settings:
    kubeconfig: /root/.kube/production.conf
    nodes: "{{ dict(plan.hosts.values() | map(attribute='name') | zip(plan.hosts.values())) }}"
  delegate_to: localhost
  run_once: true

- name: Reserve a node for one team, and keep new pods off it for now
  hostplane.cluster.node_settings:
    kubeconfig: /root/.kube/production.conf
    nodes:
      worker1:
        labels: {example.com/team: search}
        taints: ["example.com/team=search:NoSchedule"]
        state: cordoned
  delegate_to: localhost

- name: Take back everything that was set by this module
  hostplane.cluster.node_settings:
    kubeconfig: /root/.kube/production.conf
    nodes:
      worker1: {labels: {}, taints: [], state: schedulable}
  delegate_to: localhost
"""

RETURN = r"""
nodes:
  description: Names of the nodes that were (or would be) changed, sorted.
  returned: success
  type: list
  elements: str
  sample: [worker1]
missing:
  description: Names of nodes that are not in the cluster, sorted.
  returned: success
  type: list
  elements: str
  sample: []
left_cordoned:
  description: Names of the nodes that shall be schedulable and are not, as somebody else has cordoned them, sorted.
  returned: success
  type: list
  elements: str
  sample: [worker2]
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.yaml import HAS_YAML, yaml_dump
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.module_utils._nodesettings import (
    Change,
    SettingsError,
    Wanted,
    change,
    read_wanted,
)

ATTEMPTS = 5
CONFLICT = 409
NOT_FOUND = 404


class NotChanged(Exception):
    """Some nodes could not be changed; the message names them and says why."""


def read_all(nodes: dict[str, Any]) -> dict[str, Wanted]:
    """The settings of all nodes; raises SettingsError with everything that is wrong with them."""
    wanted, wrong = {}, []
    for name, data in sorted(nodes.items()):
        try:
            wanted[name] = read_wanted(name, data)
        except SettingsError as exc:
            wrong.append(str(exc))
    if wrong:
        raise SettingsError("\n".join(wrong))
    return wanted


def apply(api: _kubeapi.KubeApi, node: dict[str, Any], wanted: Wanted) -> Change:
    """Change one node; what was done may differ from what was planned when the node has changed meanwhile."""
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    for attempt in range(1, ATTEMPTS + 1):
        found = change(node, wanted)
        if not found.patch:
            return found
        try:
            api.patch(path, found.patch)
            return found
        except _kubeapi.API_ERRORS as exc:
            if _kubeapi.status_of(exc) != CONFLICT or attempt == ATTEMPTS:
                raise
        node = api.call("GET", path)
    raise AssertionError("unreachable")


def run(api: _kubeapi.KubeApi, wanted: dict[str, Wanted], check: bool) -> dict[str, Any]:
    """Change what differs. A node that refuses does not keep the others from being changed."""
    listing = {node["metadata"]["name"]: node for node in api.items("/api/v1/nodes")}
    missing = sorted(set(wanted) - set(listing))
    done: dict[str, Change] = {}
    refused = []
    for name in sorted(set(wanted) & set(listing)):
        try:
            done[name] = change(listing[name], wanted[name]) if check else apply(api, listing[name], wanted[name])
        except _kubeapi.API_ERRORS as exc:
            status = _kubeapi.status_of(exc)
            if not status:
                raise
            if status == NOT_FOUND:
                missing.append(name)
            else:
                refused.append(f"node {name}: {_kubeapi.reason_of(exc)}")
    if refused:
        raise NotChanged("the API has refused changes:\n" + "\n".join(refused))
    changed = [name for name, found in done.items() if found.patch]
    return {
        "changed": bool(changed),
        "nodes": changed,
        "missing": sorted(missing),
        "left_cordoned": [name for name, found in done.items() if found.left_cordoned],
        "diff": [as_text({name: getattr(done[name], side) for name in changed}) for side in ("before", "after")],
    }


def as_text(nodes: dict[str, Any]) -> str:
    """A readable form for the difference."""
    if not nodes:
        return ""
    if HAS_YAML:
        return str(yaml_dump(nodes, default_flow_style=False, sort_keys=True))
    return json.dumps(nodes, indent=2, sort_keys=True) + "\n"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "nodes": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        wanted = read_all(params["nodes"])
        if module.check_mode and not os.path.exists(params["kubeconfig"]):
            # From empty hosts there is no cluster to look at yet.
            module.exit_json(changed=False, nodes=[], missing=sorted(wanted), left_cordoned=[])
        result = run(_kubeapi.KubeApi(params["kubeconfig"]), wanted, module.check_mode)
    except (SettingsError, NotChanged, _kubeapi.KubeApiError) as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    before, after = result.pop("diff")
    if module._diff and result["changed"]:
        result["diff"] = {"before_header": "nodes", "after_header": "nodes", "before": before, "after": after}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
