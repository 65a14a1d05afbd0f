# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Modules that write.
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
  diff_mode:
    description: Returns what changed (or would change) when in diff mode.
    support: full
options: {}
"""

    # Modules that only look.
    INFO = r"""
attributes:
  check_mode:
    description: Can run in check mode; the module only looks, so there is no difference.
    support: full
  diff_mode:
    description: The module changes nothing, so there is nothing to show.
    support: none
options: {}
"""

    # Modules that fetch from the mirror.
    MIRROR = r"""
options:
  mirror:
    description:
      - The OCI registry that holds the bundle, as this host reaches it.
    type: dict
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
"""

    # Modules that speak to a cluster's API, on the controller.
    API = r"""
options:
  kubeconfig:
    description: Path of an administrator's kubeconfig.
    type: path
    required: true
requirements:
  - kubernetes >= 29 on the controller
"""
