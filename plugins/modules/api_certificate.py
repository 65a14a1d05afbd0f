#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_certificate
short_description: Change the names in the API server's certificate
version_added: "0.1.0"
description:
  - Asks kubeadm which names the certificate of this control plane's API server is to have, and replaces the certificate
    when it has others. No other certificate is touched.
  - The API server takes up the new certificate by itself; it is restarted only when it does not.
  - The old pair is kept in C(/etc/kubernetes/backups/certificates), and put back when the API server fails with the
    new one.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  configuration:
    description: The cluster's C(ClusterConfiguration) with the wanted C(apiServer.certSANs).
    type: dict
    required: true
  node_name:
    description: Name of the node.
    type: str
    required: true
  address:
    description: The address at which this API server is announced.
    type: str
    required: true
  upload:
    description: Whether to keep O(configuration) in the cluster (ConfigMap C(kubeadm-config)) instead.
    type: bool
    default: false
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Bring the names of the API up to date
  hostplane.cluster.api_certificate:
    configuration: "{{ configuration }}"
    node_name: cp1
    address: 10.20.0.11
"""

RETURN = r"""
before:
  description: The names and addresses in the certificate as it was, sorted.
  returned: success
  type: list
  elements: str
  sample: ["DNS:cp1", "IP:10.20.0.11"]
after:
  description: The names and addresses that it has (or would have) now, sorted.
  returned: success
  type: list
  elements: str
  sample: ["DNS:api.example.com", "DNS:cp1", "IP:10.20.0.11"]
reloaded:
  description: Whether the API server took up a new certificate without a restart.
  returned: success
  type: bool
  sample: true
backup:
  description: Directory with the pair as it was; empty when nothing changed.
  returned: success
  type: str
  sample: /etc/kubernetes/backups/certificates/20261121T120000.000000Z
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca_api, _renewal_host, _x509


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Replace the certificate, or upload the configuration."""
    arguments = (params["configuration"], params["node_name"], params["address"])
    if params["upload"]:
        if not check:
            _ca_api.upload(*arguments)
        return {"changed": True, "before": [], "after": [], "reloaded": False, "backup": ""}
    names = _ca_api.update(*arguments, check)
    return {
        "changed": names.before != names.after,
        "before": list(names.before),
        "after": list(names.after),
        "reloaded": names.reloaded,
        "backup": names.backup,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "configuration": {"type": "dict", "required": True},
            "node_name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "upload": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except (_ca_api.ApiNamesError, _renewal_host.HostError, _x509.X509Error, OSError) as exc:
        module.fail_json(msg=str(exc))
    if module._diff and result["changed"]:
        lines = {key: "".join(f"{name}\n" for name in result[key]) for key in ("before", "after")}
        result["diff"] = lines if lines["after"] else {"before": "", "after": "configmap kube-system/kubeadm-config\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
