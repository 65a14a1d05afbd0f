#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_trust
short_description: Make what runs in a cluster trust the cluster's CAs
version_added: "0.1.0"
description:
  - Puts the CAs into the ConfigMap C(cluster-info), with which new nodes join.
  - Waits until the controller manager has put them into C(kube-root-ca.crt) of every namespace and into the Secrets of
    service accounts.
  - Restarts pods by a rolling update of their Deployment, DaemonSet or StatefulSet, since a running process may go on
    with the CAs that it read when it started. Which CAs they were is kept in an annotation of the pods' template.
  - Runs on the controller.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  ca:
    description: The CAs (PEM) as the control planes have them.
    type: str
    required: true
  workloads:
    description: What is restarted, as C(kind/namespace/name) in lower case. The module waits until each is complete.
    type: list
    elements: str
    default:
      - daemonset/kube-system/kube-proxy
      - deployment/kube-system/coredns
  restart_all:
    description: Whether to restart all other Deployments, DaemonSets and StatefulSets too; these are not waited for.
    type: bool
    default: false
  timeout:
    description: Seconds to wait in all.
    type: int
    default: 300
seealso:
  - module: hostplane.cluster.certificate_authority
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Let the pods trust the new CA as well
  hostplane.cluster.cluster_trust:
    kubeconfig: /root/.kube/production.conf
    ca: "{{ certificate_authority.bundle }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
published:
  description: Whether C(cluster-info) was (or would be) changed.
  returned: success
  type: bool
  sample: true
restarted:
  description: Workloads that were (or would be) restarted, sorted.
  returned: success
  type: list
  elements: str
  sample: [daemonset/kube-system/kube-proxy]
"""

import base64
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca, _kubeapi, _ready, _x509

# Which CAs the pods of a workload were started with.
TRUST = "hostplane.io/trusted-ca"
CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
TOKENS = "/api/v1/secrets"
KINDS = ("deployment", "daemonset", "statefulset")
POLL_SECONDS = 0.5


def publish(api: _kubeapi.KubeApi, bundle: str, check: bool) -> bool:
    """Put the CAs where new nodes look for them; whether that was a change."""
    text = api.call("GET", CLUSTER_INFO)["data"]["kubeconfig"]
    wanted = _ca.with_ca_data(text, bundle)
    if wanted != text and not check:
        api.patch(CLUSTER_INFO, {"data": {"kubeconfig": wanted}})
    return wanted != text


def unpublished(api: _kubeapi.KubeApi, bundle: str) -> list[str]:
    """Where the controller manager has not put the CAs yet."""
    configs = api.call("GET", "/api/v1/configmaps", query=[("fieldSelector", "metadata.name=kube-root-ca.crt")])[
        "items"
    ]
    selector = [("fieldSelector", "type=kubernetes.io/service-account-token")]
    secrets = api.call("GET", TOKENS, query=selector)["items"]
    found = [("configmap", item["metadata"], (item.get("data") or {}).get("ca.crt") or "") for item in configs]
    found += [("secret", item["metadata"], _decoded((item.get("data") or {}).get("ca.crt"))) for item in secrets]
    return [
        f"{kind} {meta['namespace']}/{meta['name']} does not hold these CAs yet"
        for kind, meta, text in found
        if text.strip() != bundle.strip()
    ]


def _decoded(data: str | None) -> str:
    return base64.b64decode(data or "").decode(errors="replace")


def path_of(reference: str) -> str:
    """The API path of kind/namespace/name."""
    kind, namespace, name = reference.split("/")
    return f"/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}"


def others(api: _kubeapi.KubeApi) -> list[str]:
    """All workloads whose pods a rolling update replaces."""
    return [
        f"{kind}/{item['metadata']['namespace']}/{item['metadata']['name']}"
        for kind in KINDS
        for item in api.items(f"/apis/apps/v1/{kind}s")
    ]


def restart(api: _kubeapi.KubeApi, references: list[str], mark: str, check: bool) -> list[str]:
    """Restart what was not started with these CAs; returns what that was."""
    done = []
    for reference in sorted(set(references)):
        template = api.call("GET", path_of(reference))["spec"]["template"]
        if ((template.get("metadata") or {}).get("annotations") or {}).get(TRUST) != mark:
            if not check:
                annotations = {"metadata": {"annotations": {TRUST: mark}}}
                api.patch(path_of(reference), {"spec": {"template": annotations}})
            done.append(reference)
    return done


def run(module: AnsibleModule) -> dict[str, Any]:
    """Publish, wait for the pods' source of CAs, restart, wait for the pods."""
    params, check = module.params, module.check_mode
    deadline = time.monotonic() + params["timeout"]
    late = f"not everything trusts the CAs after {params['timeout']} s"
    api = _kubeapi.KubeApi(params["kubeconfig"])
    bundle = params["ca"]
    published = publish(api, bundle, check)
    if not check:
        _kubeapi.wait(deadline, late, lambda: unpublished(api, bundle), POLL_SECONDS)
    references = params["workloads"] + (others(api) if params["restart_all"] else [])
    restarted = restart(api, references, _ca.trust_id(_x509.certificates_in(bundle)), check)

    def incomplete() -> list[str]:
        lines = [_ready.workload_not_ready(api.call("GET", path_of(reference))) for reference in params["workloads"]]
        return [line for line in lines if line]

    if not check:
        _kubeapi.wait(deadline, late, incomplete, POLL_SECONDS)
    lines = [*(["configmap kube-public/cluster-info"] if published else []), *restarted]
    return {
        "changed": bool(lines),
        "published": published,
        "restarted": restarted,
        "diff": {"before": "", "after": "".join(f"{line}\n" for line in lines)},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "ca": {"type": "str", "required": True},
            "workloads": {
                "type": "list",
                "elements": "str",
                "default": ["daemonset/kube-system/kube-proxy", "deployment/kube-system/coredns"],
            },
            "restart_all": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        result = run(module)
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    if not module._diff or not result["changed"]:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
