#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_lock
short_description: Read the lock of a release from the mirror
version_added: "0.1.0"
description:
  - Reads the list of files and images with their digests that the mirror holds for a release, one per architecture.
  - A mirror that can't be used is returned as a problem, so that it can be reported together with everything else.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  mirror:
    description: The OCI registry that holds the bundle, as the controller reaches it.
    type: dict
    required: true
    suboptions:
      address:
        description: Host and port, such as V(mirror.example.com:5000). TLS is always used.
        type: str
        required: true
      prefix:
        description: Path before every repository, ending in a slash, such as the project of a Harbor registry.
        type: str
        default: ""
      username:
        description: User for basic authentication; empty for none.
        type: str
        default: ""
      password:
        description: Password for basic authentication.
        type: str
        default: ""
      ca:
        description:
          - Certificates (PEM text) that the registry's certificate is verified with.
          - Empty for the host's own trust store.
        type: str
        default: ""
  release:
    description: Kubernetes version of the release.
    type: str
    required: true
  architectures:
    description: Architectures to read.
    type: list
    elements: str
    default: [amd64]
  repository:
    description: Repository of the locks below the mirror's prefix.
    type: str
    default: hostplane/lock
  timeout:
    description: Seconds to wait for the mirror.
    type: int
    default: 10
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Read what the mirror holds
  hostplane.cluster.bundle_lock:
    mirror: {address: "mirror.example.com:5000", username: hostplane, password: "{{ mirror_password }}"}
    release: 1.36.3
  delegate_to: localhost
"""

RETURN = r"""
locks:
  description: Architecture to lock, without the images of addons that the mirror was not given.
  returned: always
  type: dict
  sample: {amd64: {release: 1.36.3, arch: amd64, files: {}, images: {}}}
problems:
  description: Why a lock could not be read, in the form that M(hostplane.cluster.plan_report) takes.
  returned: always
  type: list
  elements: dict
  sample: []
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._mirror import MIRROR_SPEC, Mirror, MirrorError


def read_lock(mirror: Mirror, repository: str, release: str, arch: str) -> dict[str, Any]:
    """The lock of one architecture.

    Raises MirrorError when it can't be had, or is for something else.
    """
    data = mirror.read_artifact(repository, f"{release}-{arch}")
    try:
        lock = json.loads(data)
        found = (lock["release"], lock["arch"])
    except (ValueError, KeyError, TypeError) as exc:
        raise MirrorError(
            f"the lock of {release} for {arch} on mirror {mirror.address} is not readable: {exc}"
        ) from exc
    if found != (release, arch):
        raise MirrorError(f"mirror {mirror.address} holds a lock of {found} under the name of {release} for {arch}")
    return dict(lock)


def without_missing_addons(mirror: Mirror, lock: dict[str, Any]) -> dict[str, Any]:
    """The lock as far as the mirror holds it: images of addons may have been left out when it was filled."""
    images = lock.get("images") or {}
    missing = [
        name
        for name, entry in sorted(images.items())
        if entry.get("addon") and not mirror.has_manifest(name.rpartition(":")[0], entry["digest"])
    ]
    return {**lock, "images": {name: entry for name, entry in images.items() if name not in missing}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "mirror": {**MIRROR_SPEC, "required": True},
            "release": {"type": "str", "required": True},
            "architectures": {"type": "list", "elements": "str", "default": ["amd64"]},
            "repository": {"type": "str", "default": "hostplane/lock"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    locks: dict[str, Any] = {}
    problems = []
    for arch in sorted(set(params["architectures"])):
        try:
            mirror = Mirror.from_options(params["mirror"], params["timeout"])
            lock = read_lock(mirror, params["repository"], params["release"], arch)
            locks[arch] = without_missing_addons(mirror, lock)
        except MirrorError as exc:
            problems.append(
                {
                    "code": "MirrorLock",
                    "host": "",
                    "message": str(exc),
                    "remedy": f"run the bundle and mirror playbooks for {params['release']}, or correct mirror_*",
                    "path": "mirror_address",
                }
            )
    module.exit_json(changed=False, locks=locks, problems=problems)


if __name__ == "__main__":
    main()
