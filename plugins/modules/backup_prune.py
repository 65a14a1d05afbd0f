#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_prune
short_description: Keep the newest backups of a cluster in a directory and remove the others
version_added: "0.1.0"
description:
  - Removes backups of M(hostplane.cluster.etcd_snapshot) that were copied to this directory, by count and age.
  - The newest one always stays, however old it is. Files that are not named as backups of the cluster are left alone.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  directory:
    description: Where the backups are.
    type: path
    required: true
  keep:
    description: How many to keep; V(0) for any number.
    type: int
    default: 14
  keep_days:
    description: Days after which one is removed; V(0) for never.
    type: int
    default: 30
seealso:
  - module: hostplane.cluster.etcd_snapshot
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Keep a month of copies on the controller
  hostplane.cluster.backup_prune:
    cluster: production
    directory: /srv/backups
    keep: 0
    keep_days: 31
  delegate_to: localhost
"""

RETURN = r"""
pruned:
  description: Names of the backups that were (or would be) removed, sorted.
  returned: success
  type: list
  elements: str
  sample: [production-r123456-20260102T030405Z.backup]
kept:
  description: Names of the backups that are left, newest first.
  returned: success
  type: list
  elements: str
  sample: [production-r234567-20260103T030405Z.backup]
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Remove what is neither among the newest nor young enough."""
    found = _backup.find(params["directory"], params["cluster"])
    going = _backup.surplus(found, params["keep"], params["keep_days"], time.time())
    if not check:
        _backup.remove(params["directory"], going)
    kept = [backup.name for backup in found if backup not in going]
    return {
        "changed": bool(going),
        "pruned": sorted(backup.name for backup in going),
        "kept": kept,
        "diff": {"before": "".join(f"{b.name}\n" for b in found), "after": "".join(f"{name}\n" for name in kept)},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "keep": {"type": "int", "default": 14},
            "keep_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except OSError as exc:
        module.fail_json(msg=str(exc))
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
