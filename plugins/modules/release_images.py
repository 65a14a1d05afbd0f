#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_images
short_description: Make container images of a release present on a host
version_added: "0.1.0"
description:
  - Asks the container runtime once which images it has, pulls the missing ones in parallel and verifies every digest.
  - Where from is the runtime's own configuration (C(hosts.toml)); the names stay the public ones.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  images:
    description: Image name with tag, to the digest (C(sha256:...)) that it must have.
    type: dict
    required: true
  crictl:
    description: Path of C(crictl).
    type: path
    default: /usr/local/bin/crictl
  endpoint:
    description: Socket of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  parallel:
    description: How many images are pulled at the same time.
    type: int
    default: 3
  timeout:
    description: Seconds that one pull may take.
    type: int
    default: 600
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Have the images before kubeadm asks for them
  hostplane.cluster.release_images:
    images:
      registry.k8s.io/pause:3.10.2: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""

RETURN = r"""
pulled:
  description: Names of the images that were (or would be) pulled, sorted.
  returned: always
  type: list
  elements: str
  sample: ["registry.k8s.io/pause:3.10.2"]
"""

import concurrent.futures
import json
import os
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._present_images import present_images


class ImagesError(Exception):
    """The runtime can't be asked, or an image can't be had; the message names it."""


def missing_images(listing: dict[str, Any], wanted: dict[str, str]) -> list[str]:
    """The wanted names that the runtime doesn't have under the wanted digest.

    listing is what C(crictl images -o json) prints.
    """
    present = present_images(listing)
    return sorted(name for name, digest in wanted.items() if f"{name}@{digest}" not in present)


class Runtime:
    """The container runtime as crictl shows it."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.command = [module.params["crictl"], "--runtime-endpoint", module.params["endpoint"]]

    def exists(self) -> bool:
        """Whether there is something to ask."""
        scheme, _sep, path = self.command[2].partition("://")
        return os.path.exists(self.command[0]) and (scheme != "unix" or os.path.exists(path))

    def listing(self) -> dict[str, Any]:
        """All images; asks again for a few seconds, since the socket answers before the service behind it."""
        deadline = time.monotonic() + 15
        while True:
            code, out, err = self.module.run_command([*self.command, "images", "-o", "json"])
            if code == 0:
                return dict(json.loads(out))
            if time.monotonic() > deadline:
                raise ImagesError(f"the container runtime does not answer on {self.command[2]}: {err.strip()}")
            time.sleep(0.3)

    def pull(self, name: str) -> str:
        """Pull one image; returns what went wrong, or nothing."""
        limit = f"{self.module.params['timeout']}s"
        # Not run_command: that one isn't made for several threads.
        command = [*self.command, "pull", "--pull-timeout", limit, name]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return "" if done.returncode == 0 else f"{name}: {last}"


def run(module: AnsibleModule) -> dict[str, Any]:
    """Pull what is missing and check that the digests are the release's."""
    wanted = module.params["images"]
    runtime = Runtime(module)
    # In check mode the runtime may not be installed or started yet, so everything would be pulled.
    empty = module.check_mode and not runtime.exists()
    missing = sorted(wanted) if empty else missing_images(runtime.listing(), wanted)
    if missing and not module.check_mode:
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, module.params["parallel"])) as pool:
            errors = [error for error in pool.map(runtime.pull, missing) if error]
        if errors:
            raise ImagesError("\n".join(sorted(errors)))
        wrong = missing_images(runtime.listing(), wanted)
        if wrong:
            raise ImagesError(
                "the mirror holds another image under: "
                + ", ".join(f"{name} (wanted {wanted[name]})" for name in wrong)
                + "; run the mirror playbook for this release"
            )
    result: dict[str, Any] = {"changed": bool(missing), "pulled": missing}
    if module._diff and missing:
        result["diff"] = {"before": "", "after": "".join(f"{name}@{wanted[name]}\n" for name in missing)}
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "dict", "required": True},
            "crictl": {"type": "path", "default": "/usr/local/bin/crictl"},
            "endpoint": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
            "parallel": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except ImagesError as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
