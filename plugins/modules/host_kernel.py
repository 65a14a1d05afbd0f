#!/usr/bin/python

# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_kernel
short_description: Kernel modules and settings that a Kubernetes node needs
version_added: "0.1.0"
author:
  - hostplane contributors (@hostplane)
description:
  - Loads kernel modules, sets sysctls and writes the files that bring both back at boot. Optionally turns swap off.
  - It compares with what the kernel has now, so a setting that somebody changed by hand, or that a killed run had not
    applied, is put right; one that is right is not touched.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  modules:
    description: Kernel modules to load, now and at boot. What is built into the kernel counts as loaded.
    type: list
    elements: str
    default: []
  sysctls:
    description:
      - Settings that must have exactly these values.
      - A key that starts with C(-) may be missing or read-only, as in sysctl.d.
    type: dict
    default: {}
  minimums:
    description: Numeric settings that must be at least as large. Larger values, also those of other files, stay.
    type: dict
    default: {}
  part:
    description:
      - Keep these settings in files of their own, beside those of the host. For roles that add to what the role
        P(hostplane.cluster.host#role) sets.
    type: str
    choices: ["", underlay]
    default: ""
  disable_swap:
    description:
      - Turn swap off now and mask C(swap.target), so that it stays off.
      - With V(false) nothing is done about swap; it is not turned on again either.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Prepare the kernel
  hostplane.cluster.host_kernel:
    modules: [overlay, br_netfilter]
    sysctls:
      net.ipv4.ip_forward: 1
      net.bridge.bridge-nf-call-iptables: 1
    minimums:
      fs.inotify.max_user_instances: 1024

- name: Show what would change
  hostplane.cluster.host_kernel:
    modules: [overlay]
  check_mode: true
  diff: true
"""

RETURN = r"""
changes:
  description: What was different, in the order in which it was put right.
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: One of V(file), V(module), V(sysctl) or V(swap).
      type: str
      sample: sysctl
    name:
      description: The file, module, setting or swap area.
      type: str
      sample: net.ipv4.ip_forward
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostkernel
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "modules": {"type": "list", "elements": "str", "default": []},
            "sysctls": {"type": "dict", "default": {}},
            "minimums": {"type": "dict", "default": {}},
            "part": {"type": "str", "choices": ["", *_hostkernel.PARTS], "default": ""},
            "disable_swap": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options: dict[str, t.Any] = module.params
    system = System()
    changes = _hostkernel.plan(
        system,
        options["modules"],
        options["sysctls"],
        options["minimums"],
        options["disable_swap"],
        options["part"],
    )
    try:
        if not module.check_mode:
            _hostkernel.apply(system, changes)
    except _hostkernel.HostKernelError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(changes),
        changes=[{"kind": change.kind, "name": change.name} for change in changes],
        diff={"before": _hostkernel.as_text(changes, "before"), "after": _hostkernel.as_text(changes, "after")},
    )


if __name__ == "__main__":
    main()
