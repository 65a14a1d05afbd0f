#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_ready
short_description: Wait until a cluster works, and prove it with probe pods
version_added: "0.1.0"
description:
  - Waits until the named nodes are Ready and the named workloads are complete.
  - With O(probe=new) it runs a pod on every node that has never been proven, and each must reach a Service through
    cluster DNS, the API and a pod on another node. The pods are removed again, and the node is annotated.
  - Runs on the controller.
  - In check mode nothing is waited for, since a node may be missing that the run itself would join.
  - In check mode O(kubeconfig) may be missing, as before the cluster is created.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  nodes:
    description: Names of the nodes that must be Ready.
    type: list
    elements: str
    required: true
  workloads:
    description:
      - Deployments and DaemonSets that must be complete, as C(kind/namespace/name) in lower case.
      - Pods on a node that is not Ready are not waited for, unless it is one of O(nodes).
    type: list
    elements: str
    default:
      - daemonset/kube-system/kube-proxy
      - deployment/kube-system/coredns
  version:
    description: Version that the kubelets of O(nodes) must have, such as V(1.36.3); empty for any.
    type: str
    default: ""
  probe:
    description: Which nodes to prove with probe pods.
    type: str
    choices: [never, new, always]
    default: never
  probe_image:
    description: Image of C(agnhost); required with O(probe=new) and O(probe=always).
    type: str
  dns_domain:
    description: DNS domain of the cluster.
    type: str
    default: cluster.local
  timeout:
    description: Seconds to wait in all.
    type: int
    default: 300
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Wait until the cluster works
  hostplane.cluster.cluster_ready:
    kubeconfig: /root/.kube/production.conf
    nodes: [cp1, worker1, worker2]
    probe: new
    probe_image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
nodes:
  description: The nodes with their version and addresses, sorted by name.
  returned: success
  type: list
  elements: dict
  sample:
    - name: cp1
      version: v1.36.3
      address: 10.99.0.11
probed:
  description: Names of the nodes that were (or would be) proven by this run, sorted.
  returned: success
  type: list
  elements: str
  sample: [worker2]
probes:
  description: How many connections the probe pods made.
  returned: success
  type: int
  sample: 9
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 4.2
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _ready, _workloads

NAMESPACE = f"/api/v1/namespaces/{_ready.PROBE}"
NOT_READY = "the cluster is not ready"


def not_ready(api: _kubeapi.KubeApi, nodes: list[str], workloads: list[str], version: str = "") -> list[str]:
    """Everything that is not ready right now, with what the kubelets say about it."""
    listing = api.items("/api/v1/nodes")
    lines = _ready.nodes_not_ready(listing, nodes) + _ready.other_version(listing, nodes, version)
    return lines + _workloads.incomplete(api, workloads, nodes)


def probe_failures(api: _kubeapi.KubeApi, domain: str, nodes: list[str]) -> tuple[list[str], int]:
    """What the probe pods can't reach right now, and how many connections were tried."""
    pods = api.items(f"{NAMESPACE}/pods")
    running = [pod for pod in pods if _ready.condition(pod, "Ready").get("status") == "True"]
    covered = {pod["spec"]["nodeName"] for pod in running}
    lines = [f"node {node}: its probe pod is not running" for node in sorted(set(nodes) - covered)]
    if lines:
        return lines + _ready.pods_waiting(pods), 0
    tried = 0
    for pod in running:
        for what, host, port in _ready.probe_targets(pod, running, domain):
            tried += 1
            path = f"{NAMESPACE}/pods/{pod['metadata']['name']}:{_ready.PROBE_PORT}/proxy/dial"
            query = [("host", host), ("port", str(port)), ("request", "hostname"), ("protocol", "http"), ("tries", "1")]
            try:
                answer = api.call("GET", path, query=query)
            except _kubeapi.API_ERRORS as exc:
                answer = {"errors": [_kubeapi.reason_of(exc)]}
            failure = _ready.dial_failure(answer, what, pod["spec"]["nodeName"])
            if failure:
                lines.append(failure)
    return lines, tried


def remove(api: _kubeapi.KubeApi) -> None:
    """Ask for the removal of the probe."""
    try:
        api.call("DELETE", NAMESPACE)
    except _kubeapi.API_ERRORS as exc:
        # Not there, or on its way out already.
        if _kubeapi.status_of(exc) not in (404, 409):
            raise


def left_behind(api: _kubeapi.KubeApi) -> list[str]:
    """Whether an earlier probe is still there; it may be for other nodes, so it isn't used again."""
    names = [item["metadata"]["name"] for item in api.items("/api/v1/namespaces")]
    return [f"namespace {_ready.PROBE} of an earlier probe is still being removed"] if _ready.PROBE in names else []


def probe(api: _kubeapi.KubeApi, params: dict[str, Any], fresh: list[str], deadline: float) -> int:
    """Prove the fresh nodes, remember it on them and remove the probe again; returns the number of connections."""
    nodes = _ready.probe_nodes(api.items("/api/v1/nodes"), fresh)
    tried = 0

    def missing() -> list[str]:
        nonlocal tried
        lines, tried = probe_failures(api, params["dns_domain"], nodes)
        return lines

    remove(api)
    _kubeapi.wait(deadline, NOT_READY, lambda: left_behind(api))
    try:
        for path, body in _ready.probe_objects(params["probe_image"], nodes):
            api.create(path, body)
        _kubeapi.wait(deadline, NOT_READY, missing)
    finally:
        remove(api)
    for node in fresh:
        api.patch(f"/api/v1/nodes/{node}", {"metadata": {"annotations": {_ready.PROBED: "true"}}})
    return tried


def run(module: AnsibleModule) -> dict[str, Any]:
    """Wait, probe, and describe the nodes."""
    params, start = module.params, time.monotonic()
    if module.check_mode and not os.path.exists(params["kubeconfig"]):
        return {"changed": False, "nodes": [], "probed": [], "probes": 0, "seconds": 0.0}
    deadline = start + params["timeout"]
    api = _kubeapi.KubeApi(params["kubeconfig"])
    if not module.check_mode:
        _kubeapi.wait(
            deadline, NOT_READY, lambda: not_ready(api, params["nodes"], params["workloads"], params["version"])
        )
    listing = api.items("/api/v1/nodes")
    fresh = {
        "never": [],
        "new": _ready.unprobed(listing, params["nodes"]),
        "always": sorted(params["nodes"]),
    }[params["probe"]]
    probes = probe(api, params, fresh, deadline) if fresh and not module.check_mode else 0
    nodes = [
        {
            "name": node["metadata"]["name"],
            "version": node["status"]["nodeInfo"]["kubeletVersion"],
            "address": next(
                (a["address"] for a in node["status"].get("addresses") or [] if a["type"] == "InternalIP"), ""
            ),
        }
        for node in listing
    ]
    nodes.sort(key=lambda node: str(node["name"]))
    changed = bool(_ready.unprobed(listing, fresh))
    seconds = round(time.monotonic() - start, 1)
    return {"changed": changed, "nodes": nodes, "probed": fresh, "probes": probes, "seconds": seconds}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "workloads": {
                "type": "list",
                "elements": "str",
                "default": ["daemonset/kube-system/kube-proxy", "deployment/kube-system/coredns"],
            },
            "version": {"type": "str", "default": ""},
            "probe": {"type": "str", "choices": ["never", "new", "always"], "default": "never"},
            "probe_image": {"type": "str"},
            "dns_domain": {"type": "str", "default": "cluster.local"},
            "timeout": {"type": "int", "default": 300},
        },
        required_if=[("probe", "new", ["probe_image"]), ("probe", "always", ["probe_image"])],
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        module.exit_json(**run(module))
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")


if __name__ == "__main__":
    main()
