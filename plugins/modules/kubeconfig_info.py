#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig_info
short_description: List the kubeconfigs that were issued
version_added: "0.1.0"
description:
  - Lists every kubeconfig that M(hostplane.cluster.kubeconfig) issued for a cluster, from whichever controller, with
    its state and what it allows now. It changes nothing.
  - Runs on the controller.
  - In check mode O(kubeconfig) may be missing, as before the cluster is created.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.attributes.api
options:
  user:
    description: Only those of this user; empty for all.
    type: str
    default: ""
  warn_days:
    description: Days before its end from which on a credential is V(expiring); at most the last third of its life.
    type: float
    default: 10
requirements:
  - cryptography >= 41 on the controller
seealso:
  - module: hostplane.cluster.kubeconfig
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: See who has access until when
  hostplane.cluster.kubeconfig_info:
    kubeconfig: /root/.kube/production.conf
  delegate_to: localhost
  register: issued
"""

RETURN = r"""
credentials:
  description: All of them, sorted by user and age. What ended more than 90 days ago may be forgotten.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Name of the credential.
      type: str
    user:
      description: For whom it was issued.
      type: str
    username:
      description: Under which name the API server and its audit log know it.
      type: str
    kind:
      description: V(certificate) or V(token).
      type: str
    state:
      description:
        - V(effective), V(expiring), V(expired) or V(revoked).
        - One without any right counts as revoked, whoever took them. One whose record was deleted counts as effective.
      type: str
    bindings:
      description: What it allows now, each with C(role) and C(namespaces).
      type: list
      elements: dict
    not_before:
      description: Begin of its validity.
      type: str
    not_after:
      description: End of its validity.
      type: str
    days_left:
      description: Days until then, V(0) when it is over.
      type: float
    revoked_at:
      description: When it was revoked, or empty.
      type: str
    serial:
      description: Serial number of the certificate (hex) or ID of the token.
      type: str
    fingerprint:
      description: SHA-256 of the certificate (hex); empty for a token.
      type: str
    audit_id:
      description: What the audit log calls C(authentication.kubernetes.io/credential-id).
      type: str
    signer:
      description: Who signed it.
      type: str
    path:
      description: The file that it was written to, on the controller that issued it.
      type: str
    left:
      description: Bindings of others to its identity, as C(namespace/name); revoking does not take what they give.
      type: list
      elements: str
  sample: []
report:
  description: The same as a table for people, a line each.
  returned: success
  type: list
  elements: str
  sample: []
counts:
  description: How many there are in each state.
  returned: success
  type: dict
  sample: {effective: 3, expiring: 1, expired: 0, revoked: 2}
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _credential_file, _kubeapi, _kubeconfig_run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "user": {"type": "str", "default": ""},
            "warn_days": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    for library, error in (("kubernetes", _kubeapi.IMPORT_ERROR), ("cryptography", _credential_file.IMPORT_ERROR)):
        if error:
            module.fail_json(msg=missing_required_lib(library), exception=error)
    try:
        result = _kubeconfig_run.listed(module.params, module.check_mode)
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
