#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_authority_info
short_description: Tell which CAs a node trusts and how far their rotation has come
version_added: "0.1.0"
description:
  - Reads the files of the CAs that kubeadm has made on this host; nothing about a rotation is remembered anywhere else.
  - Give the results of all hosts to the filter P(hostplane.cluster.ca_rotation#filter).
  - Needs the C(openssl) command on the host.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
seealso:
  - module: hostplane.cluster.certificate_authority
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Look at the CAs
  hostplane.cluster.certificate_authority_info:
  register: ca_info
"""

RETURN = r"""
control_plane:
  description: Whether the host is a control plane.
  returned: success
  type: bool
  sample: true
authorities:
  description: The CAs by name, V(cluster), V(etcd) and V(front_proxy); a worker has only the first.
  returned: success
  type: dict
  contains:
    bundle:
      description: Fingerprints (SHA-256) of the certificates in the CA's file; the first one signs.
      type: list
      elements: str
    made:
      description: When the first one was made, UTC.
      type: str
    not_after:
      description: When it expires, UTC.
      type: str
    key:
      description: Whether its key is here.
      type: bool
    next:
      description: Certificate (PEM) of the CA that is to follow; empty when there is none.
      type: str
    next_key:
      description: Whether the key of that one is here.
      type: bool
    not_signed:
      description: Certificates of this host that the first one alone does not vouch for.
      type: list
      elements: str
  sample:
    cluster:
      bundle: [20edaf4cbcb51c9d591d45516e145df408a4b4ef5f2f03bf12e1abc97ede7b33]
      made: "2026-11-21T12:30:11Z"
      not_after: "2036-11-18T12:30:11Z"
      key: true
      next: ""
      next_key: false
      not_signed: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca_state, _x509


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        found = _ca_state.look()
    except (_x509.X509Error, OSError) as exc:
        module.fail_json(msg=f"the CAs of this host can't be read: {exc}")
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
