# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: registry_files
short_description: containerd's registry configuration for a mirror
version_added: "0.1.0"
description:
  - For each public registry, the C(hosts.toml) that makes containerd take its images from the mirror, and only there.
  - An image that is not in the bundle is thus an error on the node and never a download from the internet.
positional: mirror
options:
  _input:
    description: Names of the public registries, such as V(registry.k8s.io).
    type: list
    elements: str
    required: true
  mirror:
    description: The mirror, as in the C(mirror) option of M(hostplane.cluster.release_files).
    type: dict
    required: true
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
secret_files: "{{ ['registry.k8s.io'] | hostplane.cluster.registry_files(mirror) }}"
"""

RETURN = r"""
_value:
  description:
    - Path to text, for the C(secret_files) option of M(hostplane.cluster.release_files).
    - The text carries the mirror's credentials.
  type: dict
"""

import base64
from typing import Any

CERTS = "/etc/containerd/certs.d"
CA_PATH = "/etc/containerd/mirror-ca.crt"


def hosts_toml(registry: str, mirror: dict[str, Any]) -> str:
    """The hosts.toml of one registry name."""
    url = f"https://{mirror['address']}/v2/{mirror.get('prefix') or ''}{registry}"
    lines = [
        "# Ansible managed (hostplane.cluster)",
        f'server = "{url}"',
        f'[host."{url}"]',
        '  capabilities = ["pull", "resolve"]',
        "  override_path = true",
    ]
    if mirror.get("ca"):
        lines.append(f'  ca = "{CA_PATH}"')
    if mirror.get("username"):
        basic = base64.b64encode(f"{mirror['username']}:{mirror.get('password', '')}".encode()).decode()
        lines += [f'  [host."{url}".header]', f'    authorization = "Basic {basic}"']
    return "\n".join(lines) + "\n"


def registry_files(registries: list[str], mirror: dict[str, Any]) -> dict[str, str]:
    """One file per registry name, sorted."""
    return {f"{CERTS}/{registry}/hosts.toml": hosts_toml(registry, mirror) for registry in sorted(set(registries))}


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"registry_files": registry_files}
