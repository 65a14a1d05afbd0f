#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_csr
short_description: Approve the serving certificates of the kubelets that are in the inventory
version_added: "0.1.0"
description:
  - With C(serverTLSBootstrap) each kubelet asks the cluster to sign the certificate with which it serves logs, exec and
    metrics. Kubernetes itself approves none of these requests, since it can't know which names a host may have.
  - This module approves those that the inventory vouches for. The requestor is the kubelet of a node of the inventory,
    the subject is that of this node, the certificate is for nothing but the node's name and addresses, and is used for
    nothing but serving.
  - All others are left as they are and returned with the reason; approve or deny them with C(kubectl certificate).
  - Waits until the API server gets an answer from the kubelets named in O(wait_for), which it does not before they
    have their certificate.
  - Runs on the controller.
  - In check mode O(kubeconfig) may be missing, as before the cluster is created.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  hosts:
    description:
      - The hosts of a plan (RV(hostplane.cluster.cluster_plan#module:plan)); C(name), C(address) and C(address_ipv6)
        count.
    type: dict
    required: true
  wait_for:
    description: Names of the nodes that must have their certificate.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for them.
    type: int
    default: 120
requirements:
  - cryptography >= 41 on the controller
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Approve the kubelets' serving certificates
  hostplane.cluster.kubelet_csr:
    kubeconfig: /root/.kube/production.conf
    hosts: "{{ cluster_plan.plan.hosts }}"
    wait_for: [cp1, worker1]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
approved:
  description: Nodes whose requests were (or would be) approved, sorted.
  returned: success
  type: list
  elements: str
  sample: [worker1]
refused:
  description: Requests that were left pending, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    request:
      description: Its name in the API.
      type: str
    node:
      description: The node that made it; empty when it was no node.
      type: str
    reason:
      description: Why it was not approved.
      type: str
  sample:
    - request: csr-7x2kq
      node: worker9
      reason: no host of the inventory is the node 'worker9'
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _csr, _kubeapi

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
POLL_SECONDS = 0.4
PARALLEL = 16


class NotServing(Exception):
    """The deadline passed; the message names each kubelet that has no certificate yet."""


def approve(api: _kubeapi.KubeApi, hosts: dict[str, Any], check: bool) -> tuple[list[str], list[_csr.Request]]:
    """Approve what may be approved now; returns the nodes and what was refused."""
    csrs = api.items(REQUESTS)
    addresses = {
        host["name"]: [item for item in (host["address"], host.get("address_ipv6")) if item] for host in hosts.values()
    }
    good, refused = _csr.pending(csrs, addresses)
    by_name = {csr["metadata"]["name"]: csr for csr in csrs}
    for request in [] if check else good:
        try:
            api.call("PUT", f"{REQUESTS}/{request.name}/approval", body=_csr.approval(by_name[request.name]))
        except _kubeapi.API_ERRORS as exc:
            # Gone, or somebody else was faster; the next look tells.
            if _kubeapi.status_of(exc) not in (404, 409):
                raise
    return [request.node for request in good], refused


def kubelet_error(api: _kubeapi.KubeApi, node: str) -> str:
    """Why the API server gets no answer from the kubelet; empty when it does."""
    try:
        api.call("GET", f"/api/v1/nodes/{node}/proxy/configz")
    except _kubeapi.API_ERRORS as exc:
        return _kubeapi.reason_of(exc)
    return ""


def not_serving(api: _kubeapi.KubeApi, nodes: list[str]) -> dict[str, str]:
    """By node, why its kubelet can't be used yet."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        errors = pool.map(lambda node: kubelet_error(api, node), nodes)
    return {node: error for node, error in zip(nodes, errors, strict=True) if error}


def explain(waiting: dict[str, str], refused: list[_csr.Request], timeout: int) -> str:
    """What an operator has to know when kubelets have no certificate in time."""
    reasons = {request.node: f"its request {request.name} was refused: {request.reason}" for request in refused}
    lines = [f"node {node}: {reasons.get(node) or error}" for node, error in sorted(waiting.items())]
    return f"the API server can't use these kubelets after {timeout} s:\n" + "\n".join(lines)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Approve until every kubelet that is waited for answers."""
    params = module.params
    if module.check_mode and not os.path.exists(params["kubeconfig"]):
        return {"changed": bool(params["wait_for"]), "approved": sorted(params["wait_for"]), "refused": []}
    api = _kubeapi.KubeApi(params["kubeconfig"])
    deadline = time.monotonic() + params["timeout"]
    approved: set[str] = set()
    refused: list[_csr.Request] = []
    waiting = dict.fromkeys(sorted(set(params["wait_for"])), "")
    while True:
        try:
            nodes, refused = approve(api, params["hosts"], module.check_mode)
            approved.update(nodes)
            waiting = not_serving(api, list(waiting))
        except _kubeapi.API_ERRORS as exc:
            if time.monotonic() > deadline or not waiting:
                raise
            waiting = dict.fromkeys(waiting, _kubeapi.reason_of(exc))
        if module.check_mode:
            approved.update(waiting)
            break
        if not waiting:
            break
        if time.monotonic() > deadline:
            raise NotServing(explain(waiting, refused, params["timeout"]))
        time.sleep(POLL_SECONDS)
    return {
        "changed": bool(approved),
        "approved": sorted(approved),
        "refused": [{"request": one.name, "node": one.node, "reason": one.reason} for one in refused],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "hosts": {"type": "dict", "required": True},
            "wait_for": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    for library, error in (("kubernetes", _kubeapi.IMPORT_ERROR), ("cryptography", _csr.IMPORT_ERROR)):
        if error:
            module.fail_json(msg=missing_required_lib(library), exception=error)
    try:
        result = run(module)
    except (NotServing, _kubeapi.KubeApiError) as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    if module._diff and result["changed"]:
        result["diff"] = {
            "before": "",
            "after": "".join(f"serving certificate of {node}\n" for node in result["approved"]),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
