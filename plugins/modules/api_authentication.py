#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_authentication
short_description: Say whose tokens a control plane's API server accepts
version_added: "0.1.0"
description:
  - Writes the C(AuthenticationConfiguration) of one control plane and waits until its API server uses it. It does that
    by itself; nothing is restarted.
  - Everything that can be judged without the API server is checked before, with all problems at once.
  - When the API server refuses the settings or can't reach an issuer, the former file comes back, since an API server
    that is started with a wrong file does not come up.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  jwt:
    description:
      - Issuers of JSON web tokens, such as an enterprise's OpenID Connect provider, in the form of C(jwt) of
        C(AuthenticationConfiguration) (C(apiserver.config.k8s.io/v1)). Empty for none.
      - An empty C(prefix) is refused as long as there are no C(userValidationRules), since the issuer could make
        anybody a member of C(system:masters).
    type: list
    elements: dict
    default: []
  path:
    description: The file, in the directory that the API server's pod mounts.
    type: path
    default: /etc/kubernetes/authentication/config.json
  initial:
    description: Only write the file before there is an API server; one that is there is left alone.
    type: bool
    default: false
  timeout:
    description: Seconds to wait until the API server uses the file. It looks at least once a minute.
    type: int
    default: 150
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Accept the tokens of the enterprise directory
  hostplane.cluster.api_authentication:
    jwt:
      - issuer:
          url: https://login.example.com/realms/staff
          audiences: [kubernetes]
        claimMappings:
          username: {claim: email, prefix: "staff:"}
          groups: {claim: groups, prefix: "staff:"}

- name: Accept no foreign tokens any more
  hostplane.cluster.api_authentication:
    jwt: []
"""

RETURN = r"""
issuers:
  description: URLs of the issuers, sorted.
  returned: success
  type: list
  elements: str
  sample: [https://login.example.com/realms/staff]
loaded:
  description: Whether the API server uses the file; false in check mode when it would change.
  returned: success
  type: bool
  sample: true
seconds:
  description: How long the API server took to load it, in seconds.
  returned: success
  type: float
  sample: 0.6
"""

import glob
import os
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _authentication
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import format_report, to_dicts

MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# By its name, since every API server's certificate has that one, and its own address even behind a balancer.
METRICS = [
    "/usr/local/bin/kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--server", "https://127.0.0.1:6443",
    "--tls-server-name", "kubernetes", "--request-timeout", "10s", "get", "--raw", "/metrics",
]  # fmt: skip
LOGS = "/var/log/pods/kube-system_kube-apiserver-*/kube-apiserver/*.log"
LOG_TAIL = 1 << 16


class AuthenticationError(Exception):
    """The API server doesn't use the settings; the message says why."""


def read_text(path: str) -> str:
    """A file's text; empty when it is not there."""
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except FileNotFoundError:
        return ""


def write(path: str, text: str) -> None:
    """Replace the file, or remove it when there was none; only root may look into the directory."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if text:
        atomic_write(path, text.encode(), 0o600)
    else:
        os.unlink(path)


def ask(module: AnsibleModule) -> tuple[str, int]:
    """What this host's API server uses, and how often it failed to load something."""
    code, out, err = module.run_command(METRICS)
    if code:
        raise AuthenticationError(f"this host's API server does not answer: {err.strip()}")
    return _authentication.read_metrics(out)


def why() -> str:
    """The API server's own words, from its log."""
    text = ""
    for path in sorted(glob.glob(LOGS), key=os.path.getmtime)[-1:]:
        with open(path, "rb") as handle:
            handle.seek(max(0, os.path.getsize(path) - LOG_TAIL))
            text = handle.read().decode(errors="replace")
    return _authentication.read_reason(text) or "its log says why"


def wait(look: Callable[[], tuple[str, int]], wanted: str, failures: int, timeout: float) -> float:
    """Wait until the API server uses the file; returns the seconds that took.

    Raises AuthenticationError when it could not load it or did not look.
    """
    start = time.monotonic()
    while True:
        loaded, failed = look()
        passed = time.monotonic() - start
        if loaded == wanted:
            return round(passed, 1)
        if failed > failures:
            raise AuthenticationError(f"the API server refused the settings: {why()}")
        if passed > timeout:
            raise AuthenticationError(f"the API server did not load the settings within {timeout:g} s: {why()}")
        time.sleep(0.5)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, write, wait; and take it back when that fails."""
    params = module.params
    path, text = params["path"], _authentication.render(params["jwt"])
    issuers = sorted(entry["issuer"]["url"] for entry in params["jwt"])
    manifest, before = read_text(MANIFEST), read_text(path)
    result = {"changed": before != text, "issuers": issuers, "loaded": False, "seconds": 0.0}
    result["diff"] = {"before": before, "after": text, "before_header": path, "after_header": path}
    if params["initial"]:
        if manifest:
            return {**result, "changed": False, "diff": {}}
        if before != text and not module.check_mode:
            write(path, text)
        return result
    if not manifest:
        # The playbooks that make one write the same settings.
        if module.check_mode:
            return {**result, "changed": False}
        raise AuthenticationError("this host has no API server; run the create or scale playbook first")
    if f"--authentication-config={path}" not in manifest:
        if not params["jwt"]:
            return {**result, "changed": False}
        raise AuthenticationError(
            f"the API server was not set up to read {path}; make this control plane anew with the scale playbook"
        )
    loaded, failures = ask(module)
    if loaded == _authentication.digest(text) and before == text:
        return {**result, "loaded": True}
    if module.check_mode:
        return result
    if before != text:
        write(path, text)
    try:
        result["seconds"] = wait(lambda: ask(module), _authentication.digest(text), failures, params["timeout"])
    except AuthenticationError:
        if before != text:
            write(path, before)
        raise
    return {**result, "loaded": True}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "jwt": {"type": "list", "elements": "dict", "default": []},
            "path": {"type": "path", "default": "/etc/kubernetes/authentication/config.json"},
            "initial": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 150},
        },
        supports_check_mode=True,
    )
    problems = _authentication.find_problems(module.params["jwt"])
    if problems:
        module.fail_json(
            msg=format_report(problems, "The API server can't accept tokens like this."), problems=to_dicts(problems)
        )
    try:
        result = run(module)
    except (AuthenticationError, OSError) as exc:
        module.fail_json(msg=str(exc))
    if not module._diff or not result["changed"]:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
