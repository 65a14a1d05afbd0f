#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_upgrade
short_description: Upgrade a host of a cluster with kubeadm
version_added: "0.1.0"
description:
  - Runs C(kubeadm upgrade apply) on the first control plane and C(kubeadm upgrade node) everywhere else. Which one it
    is follows from the cluster itself, so it does not matter which control plane comes first.
  - Upgrades static pods, kube-proxy, CoreDNS and the kubelet's configuration, not the programs on the host. Those come
    afterwards, and then O(state=finished) remembers the version on the host.
  - A control plane must be well before, and is proven to be well after. When it is not, or kubeadm fails, its manifests
    from before come back, and the module fails and says so once it is well again. kubeadm itself takes back an etcd
    that does not come up, with its data.
  - An interrupted run is finished by the next one; a kubeadm that still works is waited for.
  - Runs on the host.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  cluster:
    description: Name of the cluster. A host of another one is refused.
    type: str
    required: true
  version:
    description: Kubernetes version to upgrade to.
    type: str
    required: true
  state:
    description:
      - V(upgraded) runs kubeadm where it is due, V(finished) says that all of the host has the version.
      - V(quiet) changes nothing. It waits for a kubeadm that a killed run has left at work, and on a control plane
        between two versions also until that is well, which is not an error when it isn't within O(timeout).
    type: str
    choices: [upgraded, finished, quiet]
    default: upgraded
  images:
    description: Static pod to the image that it has in this version. An etcd of another image is thus noticed as well.
    type: dict
    default: {}
  kubeadm_sha256:
    description: Digest (hex) of kubeadm of that version. Required unless O(state=finished).
    type: str
    default: ""
  staging:
    description: Directory into which M(hostplane.cluster.release_files) has fetched it.
    type: path
    default: /var/lib/hostplane/staging/kubelet
  ignore_preflight:
    description: Names of kubeadm's preflight errors that are accepted.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that one static pod, or the control plane as a whole, has to become well.
    type: int
    default: 300
seealso:
  - module: hostplane.cluster.upgrade_check
  - name: Upgrading kubeadm clusters
    description: The procedure that this module follows.
    link: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Upgrade the control plane of this host
  hostplane.cluster.kubeadm_upgrade:
    cluster: production
    version: 1.36.3
    images:
      etcd: registry.k8s.io/etcd:3.6.8-0
      kube-apiserver: registry.k8s.io/kube-apiserver:v1.36.3
    kubeadm_sha256: bba1733c701bf70ec74ba1cc3fd5745404c1134a8a4b0a5f8560cc9832023421
"""

RETURN = r"""
due:
  description: Whether the host is (or was) of another version, or between two.
  returned: success
  type: bool
  sample: true
before:
  description: Version of the host, empty when it has none yet.
  returned: success
  type: str
  sample: 1.35.4
resumed:
  description: Whether an upgrade of this host had been interrupted.
  returned: success
  type: bool
  sample: false
components:
  description: Static pods that had another image, sorted.
  returned: success
  type: list
  elements: str
  sample: [etcd, kube-apiserver, kube-controller-manager, kube-scheduler]
way:
  description: V(apply) or V(node) as kubeadm was run, empty when it was not.
  returned: success
  type: str
  sample: apply
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_node as _upgrade
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import (
    KubeadmError,
    Marker,
    one_at_a_time,
    read_marker,
    refuse_foreign,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_host import HostError


def run(params: dict[str, Any], lock: int | None) -> dict[str, Any]:
    """Look, and upgrade or finish; without a lock only tell what would happen."""
    if params["state"] == "quiet":
        return _wait(params, lock)
    marker = read_marker()
    refuse_foreign(marker, params["cluster"])
    if not marker.verb_done():
        raise KubeadmError(
            "this host is not a full member of the cluster; finish that with the playbook create or scale"
        )
    due = _upgrade.look(marker, params["version"], params["images"])
    result = _result(due)
    if params["state"] == "finished":
        result["changed"] = _finish(marker, params, lock)
    elif due.needed and lock is not None:
        result["way"] = _upgrade.upgrade(marker, due, params, lock)
    return result


def _result(due: _upgrade.Due) -> dict[str, Any]:
    return {
        "changed": due.needed,
        "due": due.needed,
        "before": due.before,
        "resumed": due.resumed,
        "components": list(due.components),
        "way": "",
    }


def _wait(params: dict[str, Any], lock: int | None) -> dict[str, Any]:
    try:
        marker = read_marker()
    except KubeadmError:
        # Whoever waits looks at the host next, and finds that as well as what else is wrong.
        marker = Marker()
    due = _upgrade.look(marker, params["version"], params["images"])
    if lock is not None and due.resumed:
        _upgrade.settle(params["timeout"])
    return {**_result(due), "changed": False}


def _finish(marker: Marker, params: dict[str, Any], lock: int | None) -> bool:
    if lock is None:
        return _upgrade.finished(marker, params["version"]) != marker
    return _upgrade.finish(marker, params["version"], params["timeout"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["upgraded", "finished", "quiet"], "default": "upgraded"},
            "images": {"type": "dict", "default": {}},
            "kubeadm_sha256": {"type": "str", "default": ""},
            "staging": {"type": "path", "default": "/var/lib/hostplane/staging/kubelet"},
            "ignore_preflight": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 300},
        },
        required_if=[("state", "upgraded", ["kubeadm_sha256"])],
        supports_check_mode=True,
    )
    try:
        if module.check_mode:
            result = run(module.params, lock=None)
        else:
            # A kubeadm that a killed run has left working may have all four static pods before it.
            with one_at_a_time(module.params["timeout"] * 6) as lock:
                result = run(module.params, lock)
    except (KubeadmError, HostError, OSError) as exc:
        module.fail_json(msg=str(exc))
    if module._diff and result["changed"]:
        pods = "".join(f"{name}: another image\n" for name in result["components"])
        before = f"version: {result['before']}\n{pods}"
        result["diff"] = {"before": before, "after": f"version: {module.params['version']}\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
