#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_push
short_description: Push bundles to a registry
version_added: "0.1.0"
author: hostplane contributors (@hostplane)
description:
  - Pushes every named image and artifact of one or more OCI image layouts to a registry over TLS,
    and nothing that it has already.
  - An image keeps its public name as repository, C(registry.k8s.io/pause:3.10.2) becomes
    C(<registry>/<prefix>registry.k8s.io/pause:3.10.2). Names without a path (V(files), V(lock)) go below
    C(<prefix>hostplane/).
  - Images that several layouts have under one name but for different architectures are put together into one index.
  - Runs on the controller.
options:
  layouts:
    description: Directories of the OCI image layouts. Give the bundles of all architectures together.
    type: list
    elements: path
    required: true
  registry:
    description: Host name or address of the registry, with its port if it is not 443.
    type: str
    required: true
  prefix:
    description: What is put before every repository, such as a Harbor project with its slash, V(hostplane/).
    type: str
    default: ""
  addons:
    description:
      - Push the images of only these addons, and everything that belongs to none. Without it everything is pushed.
      - Which image belongs to which addon is told by the bundle's C(lock.json).
    type: list
    elements: str
  username:
    description: User who may push.
    type: str
    default: ""
  password:
    description: Password or token of O(username). Sent over TLS only.
    type: str
    default: ""
  ca_file:
    description: File with the CA certificates to trust, in PEM. Empty means those of the system.
    type: path
    default: ""
  parallel:
    description: Number of transfers at a time.
    type: int
    default: 4
  wait:
    description: Seconds to wait for a registry that does not answer (yet). Not used in check mode.
    type: int
    default: 0
notes:
  - In check mode a registry that does not answer counts as empty, with a warning,
    because it may be made by the same run.
attributes:
  check_mode:
    description: Asks the registry what it has and tells what would be pushed.
    support: full
  diff_mode:
    description: Shows the digest of every name before and after.
    support: full
"""

EXAMPLES = r"""
- name: Push a bundle to the mirror
  hostplane.cluster.oci_push:
    layouts:
      - ~/.cache/hostplane/bundle/1.36.3-amd64
    registry: mirror.example.org:5000
    username: hostplane
    password: "{{ mirror_password }}"
    ca_file: ~/.config/hostplane/mirror/ca.crt
  delegate_to: localhost

- name: Push bundles of two architectures to a project of Harbor
  hostplane.cluster.oci_push:
    layouts:
      - ~/.cache/hostplane/bundle/1.36.3-amd64
      - ~/.cache/hostplane/bundle/1.36.3-arm64
    registry: harbor.example.org
    prefix: hostplane/
    username: robot$hostplane+push
    password: "{{ mirror_password }}"
  delegate_to: localhost
"""

RETURN = r"""
pushed:
  description: What was pushed, or would be in check mode, sorted by name.
  type: list
  elements: dict
  returned: always
  sample:
    - name: registry.k8s.io/pause:3.10.2
      repository: registry.k8s.io/pause
      tag: 3.10.2
      digest: sha256:8a1a7a1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6
present:
  description: Number of images and artifacts that the registry had already.
  type: int
  returned: always
  sample: 12
bytes_sent:
  description: Size of the blobs that had to be sent.
  type: int
  returned: always
  sample: 734003200
problems:
  description: What failed, one line each, with the remedy.
  type: list
  elements: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._oci import Layout
from ansible_collections.hostplane.cluster.plugins.module_utils._push import PushError, combine, push, stored_digests
from ansible_collections.hostplane.cluster.plugins.module_utils._registry import Registry, RegistryError, Unreachable

# Not crane or skopeo: they push one image per process, and neither can tell in check mode what a registry lacks.


def reconcile(module: AnsibleModule) -> dict:
    options = module.params
    artifacts = combine([Layout(path) for path in options["layouts"]], options["prefix"], options["addons"])
    stored: dict[str, str | None] = {}
    try:
        registry = Registry(options["registry"], options["username"], options["password"], options["ca_file"])
        registry.wait(0 if module.check_mode else options["wait"])
        stored = stored_digests(registry, artifacts, options["parallel"])
    except Unreachable as error:
        if not module.check_mode:
            raise
        module.warn(f"The registry counts as empty: {error}")

    missing = [a for a in artifacts if stored.get(a.name) != a.manifest.digest]
    sent = 0
    if missing and not module.check_mode:
        sent = push(registry, missing, options["parallel"])
    return {
        "changed": bool(missing),
        "pushed": [
            {"name": a.name, "repository": a.repository, "tag": a.tag, "digest": a.manifest.digest} for a in missing
        ],
        "present": len(artifacts) - len(missing),
        "bytes_sent": sent,
        "diff": {
            "before": "".join(f"{a.name} {stored[a.name]}\n" for a in artifacts if stored.get(a.name)),
            "after": "".join(f"{a.name} {a.manifest.digest}\n" for a in artifacts),
            "before_header": options["registry"],
            "after_header": options["registry"],
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "layouts": {"type": "list", "elements": "path", "required": True},
            "registry": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": ""},
            "addons": {"type": "list", "elements": "str"},
            "username": {"type": "str", "default": ""},
            "password": {"type": "str", "default": "", "no_log": True},
            "ca_file": {"type": "path", "default": ""},
            "parallel": {"type": "int", "default": 4},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        result = reconcile(module)
    except PushError as error:
        module.fail_json(msg=f"The push failed:\n{error}", problems=error.problems)
    except RegistryError as error:
        module.fail_json(msg=f"The push failed:\n{error}", problems=[str(error)])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
