#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_authority
short_description: Replace the CAs of a cluster, one phase on one host at a time
version_added: "0.1.0"
description:
  - V(prepare) makes new CAs with kubeadm beside the old ones, in C(/etc/kubernetes/pki/next).
  - V(trust) makes the host trust the old and the new CAs; the old ones still sign.
  - V(issue) makes the new CAs sign, and replaces every certificate of the host that an old one has signed.
  - V(drop) makes the host forget the old CAs. Refused while a certificate of the host is still signed by an old one.
  - V(clean) removes what only the rotation needed.
  - A phase must have ended on all hosts before the next one begins on any; the playbook C(rotate_ca) sees to that.
  - A host that has come further is left as it is, and a phase that was interrupted is finished when it is run again.
  - The key of the service accounts is not touched, so their tokens stay valid.
  - Before the first change of a phase all certificates, keys and kubeconfigs are copied to
    C(/etc/kubernetes/backups/certificates).
  - Needs the C(openssl) command on the host.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  phase:
    description: What to do.
    type: str
    choices: [prepare, trust, issue, drop, clean]
    required: true
  scope:
    description:
      - V(control_plane) is the CAs' files and the static pods, one control plane after the other.
      - V(node) is the kubelet, and on workers the CA's file.
    type: str
    choices: [control_plane, node]
    default: control_plane
  authorities:
    description: What V(prepare) makes.
    type: list
    elements: str
    choices: [cluster, etcd, front_proxy]
    default: [cluster, etcd, front_proxy]
  files:
    description:
      - Instead of making new CAs, V(prepare) writes these, which another control plane has made; path to content in
        Base64, as M(ansible.builtin.slurp) returns it. Use C(no_log) on the task that reads them.
    type: dict
    default: {}
  next:
    description: The new CAs' certificates (PEM) by name, for V(trust), V(issue) and V(drop).
    type: dict
    default: {}
  validity_days:
    description: Days that CAs made by V(prepare) are valid.
    type: int
    default: 3650
  timeout:
    description: Seconds for all components of the host to work again.
    type: int
    default: 300
seealso:
  - module: hostplane.cluster.certificate_authority_info
  - name: Manual rotation of CA certificates
    description: What Kubernetes says about it.
    link: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Trust the new CAs as well
  hostplane.cluster.certificate_authority:
    phase: trust
    next: "{{ rotation.next }}"
"""

RETURN = r"""
paths:
  description: Files that were (or would be) written, in their order.
  returned: success
  type: list
  elements: str
  sample: [/etc/kubernetes/pki/ca.crt]
issued:
  description: Certificates that were (or would be) issued by the new CAs.
  returned: success
  type: list
  elements: str
  sample: [apiserver, admin.conf]
restarted:
  description: Components that were (or would be) restarted, in their order.
  returned: success
  type: list
  elements: str
  sample: [kube-apiserver]
backup:
  description: Directory with the files as they were before; empty when nothing changed.
  returned: success
  type: str
  sample: /etc/kubernetes/backups/certificates/20261121T120000.000000Z
bundle:
  description: What the cluster's CA file holds now (PEM).
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----\n..."
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _ca,
    _ca_host,
    _ca_kubelet,
    _ca_state,
    _renewal_host,
    _x509,
)


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """One phase."""
    result = _ca_host.Result()
    if params["phase"] == "prepare":
        changed = _ca_host.prepare(params["authorities"], params["validity_days"], params["files"], check)
    elif params["phase"] == "clean":
        changed = _ca_host.clean(check)
    else:
        phase = _ca_host.Phase(params["phase"], params["next"], params["timeout"], check)
        result = phase.run_node() if params["scope"] == "node" else phase.run_control_plane()
        changed = result.changed
    return {"changed": changed, **vars(result), "bundle": _ca_state.read(_ca.AUTHORITIES["cluster"].path)}


def main() -> None:
    names = sorted(_ca.AUTHORITIES)
    module = AnsibleModule(
        argument_spec={
            "phase": {"type": "str", "choices": ["prepare", "trust", "issue", "drop", "clean"], "required": True},
            "scope": {"type": "str", "choices": ["control_plane", "node"], "default": "control_plane"},
            "authorities": {"type": "list", "elements": "str", "choices": names, "default": names},
            "files": {"type": "dict", "default": {}, "no_log": True},
            "next": {"type": "dict", "default": {}},
            "validity_days": {"type": "int", "default": 3650},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except (
        _ca_host.CaError,
        _ca_kubelet.KubeletError,
        _renewal_host.HostError,
        _x509.X509Error,
        OSError,
    ) as exc:
        module.fail_json(msg=str(exc))
    if module._diff and result["changed"]:
        lines = [*result["paths"], *result["issued"], *(f"restart {name}" for name in result["restarted"])]
        result["diff"] = {"before": "", "after": "".join(f"{line}\n" for line in lines or [module.params["phase"]])}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
