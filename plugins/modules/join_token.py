#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: join_token
short_description: Make a short-lived bootstrap token on a control plane
version_added: "0.1.0"
description:
  - Makes a bootstrap token with C(kubeadm token create) and returns it with the hash of the cluster's CA.
  - The token is never part of a command line. Use C(no_log) on the task that calls this module.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  certificates:
    description:
      - Whether to upload the control plane's certificates as well, so that another control plane can join.
      - They are encrypted with a key that exists only in RV(certificate_key), and kubeadm removes them after two hours.
    type: bool
    default: false
  ttl:
    description: Minutes that the token lives.
    type: int
    default: 15
  description:
    description: What it is for, shown by C(kubeadm token list).
    type: str
    default: "hosts joined by hostplane.cluster"
notes:
  - Always reports a change, since each call makes a token; call it only when a host is to join.
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Make a join token
  hostplane.cluster.join_token:
    ttl: 15
  register: join_token
  no_log: true
"""

RETURN = r"""
token:
  description: The token; empty in check mode.
  returned: always
  type: str
  sample: abcdef.0123456789abcdef
ca_hash:
  description: C(sha256:...) of the public key of the cluster's CA; empty in check mode.
  returned: always
  type: str
  sample: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
certificate_key:
  description: Key of the uploaded certificates; empty without O(certificates=true) and in check mode.
  returned: always
  type: str
  sample: 5f3c…
"""

import json
import os
import re
import secrets
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write

KUBEADM = "/usr/local/bin/kubeadm"
KUBECTL = "/usr/local/bin/kubectl"
ADMIN = "/etc/kubernetes/admin.conf"
API_VERSION = "kubeadm.k8s.io/v1beta4"
UPLOAD_CONFIG = "/run/hostplane-upload-certs.yaml"
SIGNING_TIMEOUT = 15


class TokenError(Exception):
    """No token could be made; the message says why."""


def parse_join_command(text: str) -> tuple[str, str]:
    """Token and CA hash out of what C(kubeadm token create --print-join-command) prints."""
    token = re.search(r"--token\s+([a-z0-9]{6}\.[a-z0-9]{16})", text)
    ca_hash = re.search(r"--discovery-token-ca-cert-hash\s+(sha256:[0-9a-f]{64})", text)
    if not token or not ca_hash:
        raise TokenError("kubeadm's answer has no token and CA hash in it; is its version the cluster's?")
    return token.group(1), ca_hash.group(1)


def wait_until_signed(module: AnsibleModule, token: str) -> None:
    """Wait until the controller manager has signed the cluster's public data with the token.

    A kubeadm that comes before that asks again only after five seconds, and in a new cluster all of them would.
    """
    signature = f"jws-kubeconfig-{token.partition('.')[0]}"
    command = [KUBECTL, "--kubeconfig", ADMIN, "--namespace", "kube-public", "get", "configmap", "cluster-info"]
    deadline = time.monotonic() + SIGNING_TIMEOUT
    while time.monotonic() < deadline:
        code, out, dummy = module.run_command([*command, "-o", "json"])
        if code == 0 and signature in json.loads(out).get("data", {}):
            return
        time.sleep(0.2)


def upload_certificates(module: AnsibleModule) -> str:
    """Upload the certificates under a fresh key, which goes to kubeadm in a file of mode 0600; returns the key."""
    key = secrets.token_hex(32)
    code, version, err = module.run_command([KUBEADM, "version", "-o", "short"], check_rc=True)
    init = {"apiVersion": API_VERSION, "kind": "InitConfiguration", "certificateKey": key}
    # Without a version kubeadm would ask the internet for the newest one.
    cluster = {"apiVersion": API_VERSION, "kind": "ClusterConfiguration", "kubernetesVersion": version.strip()}
    atomic_write(UPLOAD_CONFIG, f"{json.dumps(init)}\n---\n{json.dumps(cluster)}\n".encode(), 0o600)
    try:
        command = [KUBEADM, "init", "phase", "upload-certs", "--upload-certs", "--config", UPLOAD_CONFIG]
        code, dummy, err = module.run_command(command)
    finally:
        os.unlink(UPLOAD_CONFIG)
    if code:
        raise TokenError(f"kubeadm could not upload the certificates: {err.strip()}")
    return key


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "bool", "default": False},
            "ttl": {"type": "int", "default": 15},
            "description": {"type": "str", "default": "hosts joined by hostplane.cluster"},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, token="", ca_hash="", certificate_key="")
    command = [KUBEADM, "token", "create", "--kubeconfig", ADMIN, "--print-join-command"]
    command += ["--ttl", f"{module.params['ttl']}m", "--description", module.params["description"]]
    code, out, err = module.run_command(command)
    try:
        if code:
            raise TokenError(f"kubeadm token create failed: {err.strip()}")
        token, ca_hash = parse_join_command(out)
        wait_until_signed(module, token)
        key = upload_certificates(module) if module.params["certificates"] else ""
    except TokenError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=True, token=token, ca_hash=ca_hash, certificate_key=key)


if __name__ == "__main__":
    main()
