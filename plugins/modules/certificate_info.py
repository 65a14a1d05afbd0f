#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_info
short_description: Tell every certificate of a host
version_added: "0.1.0"
description:
  - Reads all certificates that a cluster has put on this host, whatever made them, kubeadm, the kubelet, the mirror or
    a CA rotation, also the ones inside kubeconfigs, and checks each against its CA and its private key.
  - Needs no API and no valid certificate, so it works on a cluster that is down because they have expired.
  - Runs on the host and needs the C(openssl) command there, 1.1.1 or later. Private keys are read to compare them and
    never leave the host.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  days:
    description: What expires within so many days is due for renewal.
    type: int
    default: 90
  kubeconfigs:
    description: Kubeconfigs to look at as well, such as the administrator's on the controller.
    type: list
    elements: path
    default: []
  mirror_ca:
    description:
      - CA certificates (PEM text) that the mirror's certificate is checked with, on a host that has them not itself.
      - Without it, a mirror's certificate is not checked against a CA.
    type: str
    default: ""
  wait:
    description:
      - Seconds to wait until etcd and this host's API server are well, on a control plane; the module fails when they
        are not by then.
      - V(0) does not ask them.
    type: int
    default: 0
seealso:
  - module: hostplane.cluster.certificate_renewal
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Look at every certificate of the host
  hostplane.cluster.certificate_info:
    days: 60
  register: certificates

- name: Look at kubeconfigs on the controller
  hostplane.cluster.certificate_info:
    kubeconfigs: [~/.kube/config]
  delegate_to: localhost
"""

RETURN = r"""
certificates:
  description: The certificates, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: What C(kubeadm certs) calls it, or a name of the same kind; of a kubeconfig its file name.
      type: str
    path:
      description: The file.
      type: str
    managed_by:
      description: Who renews it; V(kubeadm), V(kubelet), V(mirror), V(rotation) for a CA of the cluster, or V(user).
      type: str
    used_by:
      description: The programs that read it.
      type: list
      elements: str
    subject:
      description: Whom it names, as RFC 2253 writes it.
      type: str
    issuer:
      description: Who signed it.
      type: str
    serial:
      description: Its serial number in hex.
      type: str
    fingerprint:
      description: SHA-256 of it in hex.
      type: str
    not_before:
      description: Start of its validity in UTC.
      type: str
    not_after:
      description: End of its validity in UTC.
      type: str
    days_left:
      description: Whole days until then, negative when it has expired.
      type: int
    sans:
      description: The names and addresses that it is for, sorted.
      type: list
      elements: str
    usages:
      description: Its extended key usages, sorted.
      type: list
      elements: str
    key_type:
      description: Kind of its key, such as V(RSA) or V(EC).
      type: str
    key_bits:
      description: Size of its key in bits.
      type: int
    key_matches:
      description: Whether the private key beside it is its own; null where no key is kept.
      type: bool
    chain:
      description: V(ok), V(unchecked) where no CA is known, or why its CA did not sign it.
      type: str
    modes:
      description: The mode of each file that holds a private key.
      type: dict
    findings:
      description: What is unsafe although it works.
      type: list
      elements: str
    broken:
      description: Why it can't be used now; empty when it can.
      type: str
    due:
      description: Why it has to be renewed; empty when it need not be.
      type: str
  sample:
    - name: apiserver
      path: /etc/kubernetes/pki/apiserver.crt
      managed_by: kubeadm
      used_by: [kube-apiserver]
      subject: CN=kube-apiserver
      issuer: CN=kubernetes
      serial: 2f79956f264cfa13
      fingerprint: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      not_before: "2026-01-01T00:00:00Z"
      not_after: "2027-01-01T00:00:00Z"
      days_left: 200
      sans: ["DNS:kubernetes", "IP:10.96.0.1"]
      usages: [serverAuth]
      key_type: RSA
      key_bits: 2048
      key_matches: true
      chain: ok
      modes: {/etc/kubernetes/pki/apiserver.key: "0600"}
      findings: []
      broken: ""
      due: ""
due:
  description: Names of those that have to be renewed, by whomever.
  returned: success
  type: list
  elements: str
  sample: [apiserver]
kubelet:
  description:
    - How the kubelet's client certificate has to be renewed, since the kubelet itself can't; V(sign) on this host with
      the CA's key, or V(bootstrap) with a join token. Empty when it need not be.
  returned: success
  type: str
  sample: ""
problems:
  description: What keeps a certificate that is due from being renewed, each with its remedy.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _certificates, _renewal
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import KubeadmError
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import to_dicts
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_plan import make_plan
from ansible_collections.hostplane.cluster.plugins.module_utils._x509 import X509Error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "days": {"type": "int", "default": 90},
            "kubeconfigs": {"type": "list", "elements": "path", "default": []},
            "mirror_ca": {"type": "str", "default": ""},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params, now = module.params, datetime.now(timezone.utc)
    complaint = ""
    if params["wait"] and _certificates.is_control_plane():
        complaint = _renewal.wait_whole(params["wait"])
    if complaint:
        module.fail_json(msg=f"the control plane is not well after {params['wait']} s: {complaint}")
    wanted = [*_certificates.places(), *_certificates.user_places(params["kubeconfigs"])]
    try:
        found = _certificates.look(wanted, mirror_ca=params["mirror_ca"])
        wrong = _renewal.refusals(found, params["days"])
    except (X509Error, KubeadmError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(
        changed=False,
        certificates=[item.public(params["days"], now) for item in found],
        due=[item.place.name for item in found if item.due(params["days"], now)],
        kubelet=make_plan(found, params["days"], now).kubelet,
        problems=to_dicts(wrong),
    )


if __name__ == "__main__":
    main()
