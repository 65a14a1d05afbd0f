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
  - With O(probe=true) it runs a pod on every node, and each must reach a Service through cluster DNS, the API and a pod on another node.
    The pods are removed again.
  - Runs on the controller.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  kubeconfig:
    description: Path of an administrator's kubeconfig.
    type: path
    required: true
  nodes:
    description: Names of the nodes that must be Ready.
    type: list
    elements: str
    required: true
  workloads:
    description: Deployments and DaemonSets that must be complete, as C(kind/namespace/name) in lower case.
    type: list
    elements: str
    default:
      - daemonset/kube-system/kube-proxy
      - deployment/kube-system/coredns
  probe:
    description: Whether to run the probe pods.
    type: bool
    default: false
  probe_image:
    description: Image of C(agnhost); required with O(probe=true).
    type: str
    default: ""
  dns_domain:
    description: DNS domain of the cluster.
    type: str
    default: cluster.local
  timeout:
    description: Seconds to wait in all.
    type: int
    default: 300
requirements:
  - kubernetes >= 29 on the controller
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Wait until the cluster works
  hostplane.cluster.cluster_ready:
    kubeconfig: /root/.kube/production.conf
    nodes: [cp1, worker1, worker2]
    probe: true
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

import json
import os
import time
import traceback
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _ready

try:
    from kubernetes import config
    from kubernetes.client.exceptions import ApiException
    from kubernetes.dynamic import DynamicClient
    from urllib3.exceptions import HTTPError

    IMPORT_ERROR = ""
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

REQUEST_SECONDS = 15
PATHS = {"daemonset": "daemonsets", "deployment": "deployments"}


class NotReady(Exception):
    """The deadline passed; the message lists everything that was still missing."""


class Cluster:
    """The few calls that are needed, as plain JSON."""

    def __init__(self, kubeconfig: str) -> None:
        # Without discovery: every path is known, and asking for it would cost more than the calls themselves.
        self.api = DynamicClient(config.new_client_from_config(kubeconfig), discoverer=lambda *dummy: None)

    def call(self, method: str, path: str, body: Any = None, query: list[tuple[str, str]] | None = None) -> Any:
        """One request; the answer as JSON."""
        answer = self.api.request(
            method, path, body=body, query_params=query or [], serialize=False, _request_timeout=REQUEST_SECONDS
        )
        return json.loads(answer.data)

    def workload(self, reference: str) -> dict[str, Any]:
        """A Deployment or DaemonSet by C(kind/namespace/name)."""
        kind, namespace, name = reference.split("/")
        return dict(self.call("GET", f"/apis/apps/v1/namespaces/{namespace}/{PATHS[kind]}/{name}"))


def wait(deadline: float, missing: Callable[[], list[str]]) -> None:
    """Ask again until nothing is missing. An API that doesn't answer (yet) counts as missing."""
    while True:
        try:
            lines = missing()
        except (ApiException, HTTPError, OSError) as exc:
            reason = getattr(exc, "reason", None) or exc
            lines = [f"the API does not answer: {reason}"]
        if not lines:
            return
        if time.monotonic() > deadline:
            raise NotReady("the cluster is not ready:\n" + "\n".join(lines))
        time.sleep(0.4)


def not_ready(cluster: Cluster, nodes: list[str], workloads: list[str]) -> list[str]:
    """Everything that is not ready right now."""
    listing = cluster.call("GET", "/api/v1/nodes")["items"]
    lines = _ready.nodes_not_ready(listing, nodes)
    return lines + [line for line in (_ready.workload_not_ready(cluster.workload(ref)) for ref in workloads) if line]


def create(cluster: Cluster, obj: dict[str, Any]) -> None:
    """Create one probe object; one that an interrupted run left behind is used."""
    base = "/apis/apps/v1" if obj["apiVersion"] == "apps/v1" else "/api/v1"
    namespace = obj["metadata"].get("namespace")
    path = f"{base}/namespaces/{namespace}/{obj['kind'].lower()}s" if namespace else f"{base}/namespaces"
    try:
        cluster.call("POST", path, body=obj)
    except ApiException as exc:
        if exc.status != 409:
            raise


def probe_failures(cluster: Cluster, domain: str, nodes: list[str]) -> tuple[list[str], int]:
    """What the probe pods can't reach right now, and how many connections were tried."""
    pods = cluster.call("GET", f"/api/v1/namespaces/{_ready.PROBE}/pods")["items"]
    running = [pod for pod in pods if _ready.condition(pod, "Ready").get("status") == "True"]
    covered = {pod["spec"]["nodeName"] for pod in running}
    lines = [f"node {node}: its probe pod is not running" for node in sorted(set(nodes) - covered)]
    tried = 0
    for pod in running if not lines else []:
        for what, host, port in _ready.probe_targets(pod, running, domain):
            tried += 1
            path = f"/api/v1/namespaces/{_ready.PROBE}/pods/{pod['metadata']['name']}:{_ready.PROBE_PORT}/proxy/dial"
            query = [("host", host), ("port", str(port)), ("request", "hostname"), ("protocol", "http"), ("tries", "1")]
            try:
                answer = cluster.call("GET", path, query=query)
            except ApiException as exc:
                answer = {"errors": [exc.body or exc.reason]}
            failure = _ready.dial_failure(answer, what, pod["spec"]["nodeName"])
            if failure:
                lines.append(failure)
    return lines, tried


def probe(cluster: Cluster, params: dict[str, Any], deadline: float) -> int:
    """Run the probe and remove it again, also when it fails; returns the number of connections."""
    tried = 0

    def missing() -> list[str]:
        nonlocal tried
        lines, tried = probe_failures(cluster, params["dns_domain"], params["nodes"])
        return lines

    for obj in _ready.probe_objects(params["probe_image"]):
        create(cluster, obj)
    try:
        wait(deadline, missing)
    finally:
        cluster.call("DELETE", f"/api/v1/namespaces/{_ready.PROBE}")
    return tried


def run(module: AnsibleModule) -> dict[str, Any]:
    """Wait, probe, and describe the nodes."""
    params, start = module.params, time.monotonic()
    if module.check_mode and not os.path.exists(params["kubeconfig"]):
        return {"nodes": [], "probes": 0, "seconds": 0.0}
    deadline = start + params["timeout"]
    cluster = Cluster(params["kubeconfig"])
    wait(deadline, lambda: not_ready(cluster, params["nodes"], params["workloads"]))
    probes = probe(cluster, params, deadline) if params["probe"] and not module.check_mode else 0
    nodes = [
        {
            "name": node["metadata"]["name"],
            "version": node["status"]["nodeInfo"]["kubeletVersion"],
            "address": next((a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"), ""),
        }
        for node in cluster.call("GET", "/api/v1/nodes")["items"]
    ]
    nodes.sort(key=lambda node: str(node["name"]))
    return {"nodes": nodes, "probes": probes, "seconds": round(time.monotonic() - start, 1)}


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
            "probe": {"type": "bool", "default": False},
            "probe_image": {"type": "str", "default": ""},
            "dns_domain": {"type": "str", "default": "cluster.local"},
            "timeout": {"type": "int", "default": 300},
        },
        required_if=[("probe", True, ["probe_image"])],
        supports_check_mode=True,
    )
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=IMPORT_ERROR)
    try:
        module.exit_json(changed=False, **run(module))
    except (NotReady, ApiException, HTTPError, OSError, config.ConfigException) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
