#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Move the pods off nodes with the eviction API
version_added: "0.1.0"
description:
  - Cordons nodes and evicts their pods, all nodes at the same time. Returns when the pods are gone.
  - PodDisruptionBudgets are respected. An eviction that a budget refuses is tried again until the deadline.
  - Pods of DaemonSets and static pods stay, since they belong to the node.
  - The kubelet of a node that the cluster has lost (C(Ready) is C(Unknown)) can't report the end of a pod. Such a node
    is not waited for longer than ten seconds, and its pods that were accepted for eviction or refused by a budget are
    reported.
  - Nothing is evicted and nothing is cordoned when a pod on any of the nodes would be lost that nobody agreed to lose,
    see O(unmanaged_pods) and O(delete_emptydir_data). All of them are named.
  - Runs on the controller.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  nodes:
    description: Names of the nodes. One that is not in the cluster has nothing to drain.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(drained) cordons the nodes and moves their pods off.
      - V(cordoned) only keeps new pods off.
      - V(schedulable) takes the cordon off.
    type: str
    choices: [drained, cordoned, schedulable]
    default: drained
  timeout:
    description: Seconds that each node has. They all begin together.
    type: int
    default: 900
  on_timeout:
    description:
      - What to do about a node that is not empty after O(timeout).
      - With V(fail) the module fails when the other nodes are done. The nodes stay cordoned.
      - With V(skip) the node is returned in RV(not_drained), schedulable again if this call has cordoned it.
      - With V(force) the pods that are left are deleted past every budget, with a grace period of 0. What finalizers
        hold even then is returned in RV(blockers).
    type: str
    choices: [fail, skip, force]
    default: fail
  grace_period:
    description: Seconds that a pod has to end, instead of its own; V(-1) keeps its own.
    type: int
    default: -1
  delete_emptydir_data:
    description:
      - Whether pods with C(emptyDir) volumes may go, whose data is lost with them.
      - As with C(kubectl drain), they stop the drain when this is V(false).
    type: bool
    default: false
  unmanaged_pods:
    description:
      - What to do about pods that no controller makes again elsewhere.
      - As with C(kubectl drain), they stop the drain unless they may be deleted.
    type: str
    choices: [fail, delete]
    default: fail
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Empty two nodes before they are removed
  hostplane.cluster.node_drain:
    kubeconfig: /root/.kube/production.conf
    nodes: [worker7, worker8]
    delete_emptydir_data: true
    timeout: 600
    on_timeout: skip
  delegate_to: localhost
  run_once: true

- name: See what would be evicted and which budgets are in the way (run with --check)
  hostplane.cluster.node_drain:
    kubeconfig: /root/.kube/production.conf
    nodes: [worker7]
  delegate_to: localhost
"""

RETURN = r"""
drained:
  description: Nodes that are empty (in check mode, those that would be drained), sorted. Only with O(state=drained).
  returned: always
  type: list
  elements: str
  sample: [worker7]
not_drained:
  description: Nodes that were not empty in time, sorted.
  returned: always
  type: list
  elements: str
  sample: [worker8]
lost:
  description: Nodes whose kubelet the cluster has lost and that still have pods, sorted. Nothing was waited for there.
  returned: always
  type: list
  elements: str
  sample: []
missing:
  description: Nodes that are not in the cluster, sorted.
  returned: always
  type: list
  elements: str
  sample: []
cordoned:
  description: Nodes that were (or would be) cordoned by this call and still are, sorted.
  returned: always
  type: list
  elements: str
  sample: [worker7]
evicted:
  description: How many pods were (or would be) evicted.
  returned: always
  type: int
  sample: 1
pods:
  description: By node, the pods that were (or would be) evicted, as C(namespace/name), sorted.
  returned: always
  type: dict
  sample:
    worker7: [shop/web-5d4f8c7b9-x2k4q]
forced:
  description: Pods that were deleted past every budget, as C(namespace/name), sorted.
  returned: always
  type: list
  elements: str
  sample: []
blockers:
  description: What keeps pods on the nodes (in check mode, what would right now), sorted by node and pod.
  returned: always
  type: list
  elements: dict
  contains:
    node:
      description: The node.
      type: str
    pod:
      description: The pod, as C(namespace/name).
      type: str
    kind:
      description:
        - V(budget) when a PodDisruptionBudget refuses, V(budgets) when the pod has several, with which the API evicts
          nothing.
        - V(finalizers) or V(terminating) when the pod was deleted and is still there.
        - V(refused) when the API refuses for another reason, V(waiting) when it has not accepted yet.
      type: str
    name:
      description: The budgets as C(namespace/name), or the finalizers.
      type: str
    message:
      description: The same for people.
      type: str
  sample:
    - node: worker8
      pod: shop/db-0
      kind: budget
      name: shop/db
      message: PodDisruptionBudget shop/db needs 1 healthy pods and has 1
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 12.5
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _drain, _drainer, _kubeapi


def set_schedulable(api: _kubeapi.KubeApi, works: list[_drainer.Work], schedulable: bool, check: bool) -> list[str]:
    """Cordon or uncordon what is not so yet; returns the names of those nodes."""
    wrong = [work.name for work in works if work.node and _drain.is_cordoned(work.node) == schedulable]
    for name in [] if check else wrong:
        _drainer.set_schedulable(api, name, schedulable)
    return wrong


def preview(api: _kubeapi.KubeApi, works: list[_drainer.Work]) -> list[dict[str, str]]:
    """Mark what would be done; returns what would be in the way right now."""
    for work in works:
        if work.node:
            work.state = "unreachable" if work.pods and _drain.is_unreachable(work.node) else "drained"
            work.cordoned = not _drain.is_cordoned(work.node)
            going = [pod for pod in work.pods if not _drain.is_terminating(pod)]
            work.evicted = {_drain.uid(pod): _drain.full_name(pod) for pod in going}
    return [entry for entry in _drainer.list_blockers(api, works) if entry["kind"] != "waiting"]


def draw(works: list[_drainer.Work]) -> dict[str, str]:
    """The nodes before and after, for people."""
    before, after = [], []
    for work in works:
        gone = {**work.evicted, **work.forced}
        if work.cordoned:
            before.append(f"node {work.name}: schedulable")
            after.append(f"node {work.name}: cordoned")
        before += [f"node {work.name}: pod {name}" for name in sorted(gone.values())]
    return {"before": "\n".join([*before, ""]), "after": "\n".join([*after, ""])}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Drain, cordon or uncordon the nodes; the result has a msg when a node was not drained in time."""
    params, start = module.params, time.monotonic()
    api = _kubeapi.KubeApi(params["kubeconfig"])
    policy = _drainer.Policy(**{key: params[key] for key in _drainer.Policy.__dataclass_fields__})
    works = [_drainer.Work(name) for name in sorted(set(params["nodes"]))]
    for work in works:
        _drainer.look(api, work)
    result: dict[str, Any] = {"blockers": [], "cordoned": []}
    if params["state"] == "drained":
        lines = _drainer.refusals(works, policy)
        if lines:
            raise _drainer.DrainError("nothing was drained, since these pods would be lost:\n" + "\n".join(lines))
        if module.check_mode:
            result["blockers"] = preview(api, works)
        else:
            _drainer.Drainer(api, policy, works).run()
            result["blockers"] = _drainer.list_blockers(api, works)
        result["cordoned"] = [work.name for work in works if work.cordoned]
        result["changed"] = any(work.cordoned or work.evicted or work.forced for work in works)
        result["diff"] = draw(works)
    else:
        schedulable = params["state"] == "schedulable"
        turned = set_schedulable(api, works, schedulable, module.check_mode)
        words = ("cordoned", "schedulable") if schedulable else ("schedulable", "cordoned")
        result["cordoned"] = [] if schedulable else turned
        result["changed"] = bool(turned)
        result["diff"] = dict(
            zip(("before", "after"), ("".join(f"node {name}: {word}\n" for name in turned) for word in words))
        )
    expired = [work for work in works if work.state == "expired"]
    if expired and params["on_timeout"] != "skip":
        lines = [f"node {work.name}: the API does not answer: {work.error}" for work in expired if work.error]
        lines += [_drain.describe(entry for entry in result["blockers"] if entry["node"] == w.name) for w in expired]
        result["msg"] = "these pods did not leave in time, and the nodes stay cordoned:\n" + "\n".join(lines)
    return {
        **result,
        "drained": [work.name for work in works if work.state == "drained"],
        "not_drained": [work.name for work in expired],
        # Not named "unreachable": Ansible takes a result with that key for a host that it can't reach.
        "lost": [work.name for work in works if work.state == "unreachable"],
        "missing": [work.name for work in works if work.state == "missing"],
        "evicted": sum(len(work.evicted) for work in works),
        "pods": {work.name: sorted(work.evicted.values()) for work in works if work.node},
        "forced": sorted(name for work in works for name in work.forced.values()),
        "seconds": round(time.monotonic() - start, 1),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "cordoned", "schedulable"], "default": "drained"},
            "timeout": {"type": "int", "default": 900},
            "on_timeout": {"type": "str", "choices": ["fail", "skip", "force"], "default": "fail"},
            "grace_period": {"type": "int", "default": -1},
            "delete_emptydir_data": {"type": "bool", "default": False},
            "unmanaged_pods": {"type": "str", "choices": ["fail", "delete"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        result = run(module)
    except (_drainer.DrainError, _kubeapi.KubeApiError) as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    if not module._diff:
        result.pop("diff")
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
