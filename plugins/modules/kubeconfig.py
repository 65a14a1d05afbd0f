#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Issue and revoke kubeconfigs of single users
version_added: "0.1.0"
description:
  - Issues a kubeconfig with an expiry, as a client certificate or as a service account's token, and revokes it.
  - Each one is an identity of its own, C(hostplane:<id>) or the service account C(hostplane-access/<id>). Its rights
    are those of O(bindings) and nothing else, so that they can be taken away although Kubernetes can't revoke
    certificates.
  - A file that still serves is left alone. Changed O(bindings) change the rights of the credential, not the file.
  - The private key is made here and goes into the file (mode 0600) only. The cluster remembers who got what until when,
    in the namespace C(hostplane-access), without anything secret; see M(hostplane.cluster.kubeconfig_info).
  - Runs on the controller.
  - In check mode O(kubeconfig) may be missing, as before the cluster is created.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  state:
    description:
      - V(present) issues the kubeconfig unless the file holds one that the API server accepts for long enough.
      - V(absent) revokes what O(id), or O(user) and O(path), name, and deletes the file.
    type: str
    choices: [present, absent]
    default: present
  user:
    description: For whom. Several kubeconfigs of one user need different paths.
    type: str
  path:
    description:
      - The file to write. Anything at that path that was not written by this module for the user is left alone, and the
        module fails.
      - Empty with O(state=absent) stands for all kubeconfigs of O(user).
    type: path
  id:
    description: Name of one credential to revoke, as M(hostplane.cluster.kubeconfig_info) lists it.
    type: str
  kind:
    description:
      - V(certificate) is signed by the cluster's CA (C(kubernetes.io/kube-apiserver-client)). After it was revoked it
        may do no more than everybody who logs in, until it expires.
      - V(token) belongs to a service account. After it was revoked the API server refuses it.
    type: str
    choices: [certificate, token]
    default: certificate
  bindings:
    description:
      - What the kubeconfig allows, as in M(hostplane.cluster.rbac_binding). At least one with O(state=present).
    type: list
    elements: dict
    default: []
    suboptions:
      role:
        description: V(admin), V(ops), V(developer), V(restricted), V(ClusterRole/name) or V(Role/name).
        type: str
        required: true
      namespaces:
        description: Where, V(*) alone for the whole cluster; empty only for V(admin) and V(ops).
        type: list
        elements: str
        default: []
  days:
    description:
      - Validity of a new credential in days; V(0.5) is twelve hours. At least ten minutes.
      - The cluster may give less (C(--cluster-signing-duration), by default a year).
    type: float
    default: 30
  renew_before:
    description: Days before its end from which on a credential is replaced; by default a third of O(days).
    type: float
  server:
    description: URL under which the user reaches the API; by default that of O(kubeconfig).
    type: str
    default: ""
  force:
    description: Whether to revoke the last administrator's credential that was issued.
    type: bool
    default: false
notes:
  - C(admin.conf) of kubeadm is not counted as an administrator's credential, since it is for emergencies.
  - Revoking does not end requests that run, such as C(kubectl exec) or a watch.
requirements:
  - cryptography >= 41 on the controller
seealso:
  - module: hostplane.cluster.kubeconfig_info
  - module: hostplane.cluster.rbac_binding
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Give alice three months of access to the shop
  hostplane.cluster.kubeconfig:
    kubeconfig: /root/.kube/production.conf
    user: alice
    path: /root/kubeconfigs/alice.conf
    days: 90
    bindings:
      - role: developer
        namespaces: [shop, shop-test]
  delegate_to: localhost

- name: Give the deployment pipeline a token for a day
  hostplane.cluster.kubeconfig:
    kubeconfig: /root/.kube/production.conf
    user: pipeline
    path: /root/kubeconfigs/pipeline.conf
    kind: token
    days: 1
    bindings:
      - role: ClusterRole/edit
        namespaces: [shop]
  delegate_to: localhost

- name: Take everything from alice
  hostplane.cluster.kubeconfig:
    kubeconfig: /root/.kube/production.conf
    user: alice
    state: absent
  delegate_to: localhost

- name: Revoke one kubeconfig
  hostplane.cluster.kubeconfig:
    kubeconfig: /root/.kube/production.conf
    id: alice-x7k2m9qd
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
credential:
  description:
    - What the file holds, with O(state=present).
    - The fields are those of RV(hostplane.cluster.kubeconfig_info#module:credentials).
    - In check mode, C(id) and what only the cluster can say are empty when one would be issued.
  returned: success
  type: dict
  sample:
    audit_id: X509SHA256=4e07…
    bindings: [{role: developer, namespaces: [shop, shop-test]}]
    days_left: 90.0
    fingerprint: 4e07…
    id: alice-x7k2m9qd
    kind: certificate
    not_after: "2026-06-01T08:00:00Z"
    not_before: "2026-03-03T07:55:00Z"
    path: /root/kubeconfigs/alice.conf
    revoked_at: ""
    serial: 3d1f…
    signer: kubernetes.io/kube-apiserver-client (CN=kubernetes)
    state: effective
    user: alice
    username: hostplane:alice-x7k2m9qd
reason:
  description: Why a credential was (or would be) issued; empty when the one that was there stays.
  returned: success
  type: str
  sample: there is no file
revoked:
  description: Names of the credentials that were (or would be) revoked, sorted.
  returned: success
  type: list
  elements: str
  sample: [alice-p4q8zzr2]
left:
  description: Bindings of others to a revoked identity, as C(namespace/name). They are left and still give rights.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: Why nothing was changed; each with C(code), C(path), C(message) and C(remedy).
  returned: failure
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _credential_file, _kubeapi, _kubeconfig_run
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeconfig import Refused
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import format_report, to_dicts


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "user": {"type": "str"},
            "path": {"type": "path"},
            "id": {"type": "str"},
            "kind": {"type": "str", "choices": ["certificate", "token"], "default": "certificate"},
            "bindings": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "role": {"type": "str", "required": True},
                    "namespaces": {"type": "list", "elements": "str", "default": []},
                },
            },
            "days": {"type": "float", "default": 30},
            "renew_before": {"type": "float"},
            "server": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
        required_if=[("state", "present", ("user", "path")), ("state", "absent", ("user", "id"), True)],
        mutually_exclusive=[("id", "user"), ("id", "path")],
        supports_check_mode=True,
    )
    for library, error in (("kubernetes", _kubeapi.IMPORT_ERROR), ("cryptography", _credential_file.IMPORT_ERROR)):
        if error:
            module.fail_json(msg=missing_required_lib(library), exception=error)
    act = _kubeconfig_run.present if module.params["state"] == "present" else _kubeconfig_run.absent
    try:
        result, warnings = act(module.params, module.check_mode)
    except Refused as exc:
        introduction = f"The kubeconfig can't be {'issued' if module.params['state'] == 'present' else 'revoked'}."
        module.fail_json(msg=format_report(exc.problems, introduction), problems=to_dicts(exc.problems))
    except (_credential_file.KubeconfigError, _kubeapi.KubeApiError) as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    for text in warnings:
        module.warn(text)
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
