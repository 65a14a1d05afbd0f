#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_storage
short_description: Format and mount disks for volumes, and make the directories of pools
version_added: "0.1.0"
description:
  - Takes all disks and directories of a host in one call, looks at everything first, and changes nothing when anything
    is wrong.
  - A disk is formatted only when it is empty. A signature of a file system, RAID, LVM or partition table, a partition,
    a mount, somebody who uses it, or unknown bytes at its beginning or end make it a disk with data, which is left
    alone unless O(disks[].allow_data_loss_serial) is its serial. A disk that is in use is never touched.
  - The file system gets a UUID that follows from the disk and the mount point. By it a disk that was formatted by this
    module is known again, so that it is never formatted twice, and a run that was killed while it formatted goes on.
  - Disks are mounted by UUID in C(/etc/fstab), of which the previous version is kept as C(/etc/fstab.hostplane).
    C(nofail) lets the host start when a disk is missing. So put a pool in a directory below the mount point, and a
    driver will not fill the system's disk then.
  - Disks that are not listed any more stay as they are.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  disks:
    description: The disks.
    type: list
    elements: dict
    default: []
    suboptions:
      device:
        description:
          - A link below C(/dev/disk/by-id), C(/dev/disk/by-path), C(/dev/disk/by-partuuid) or C(/dev/mapper).
          - Names such as C(/dev/sdb) are refused, since they may be of another disk after the next start.
        type: str
      serial:
        description: Serial of the disk. With O(disks[].device) both have to be of the same disk.
        type: str
      filesystem:
        description: V(ext4) or V(xfs).
        type: str
        default: ext4
      mount:
        description: Where it is mounted.
        type: str
        required: true
      options:
        description: More mount options.
        type: list
        elements: str
        default: []
      reflink:
        description: Whether files can share blocks, so that clones and snapshots cost no space. V(xfs) only.
        type: bool
        default: false
      use_existing:
        description: Mount the file system that is there, whoever made it.
        type: bool
        default: false
      allow_data_loss_serial:
        description: Serial of the disk whose data may be lost. Once the disk is formatted, it has no effect any more.
        type: str
  directories:
    description: Directories that have to be there. They are made after the disks are mounted.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path.
        type: str
        required: true
      mode:
        description: Its mode as octal text.
        type: str
        default: "0755"
      owner:
        description: Name or number of its user.
        type: str
        default: root
      group:
        description: Name or number of its group.
        type: str
        default: root
  host:
    description: Name of the host in the problems.
    type: str
    default: ""
  fail_on_problems:
    description: Fail when something is wrong. When V(false), it is only returned, and nothing is changed.
    type: bool
    default: true
notes:
  - Needs C(lsblk) and C(wipefs) of util-linux 2.33 or newer, and C(mkfs.ext4) or C(mkfs.xfs).
  - A file system without a signature that C(wipefs) knows, on a disk whose first and last MiB are zero, is not seen.
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: A pool on a disk of its own
  hostplane.cluster.host_storage:
    disks:
      - serial: S4EVNX0R123456
        filesystem: xfs
        reflink: true
        mount: /srv/volumes
    directories:
      - path: /srv/volumes/pool
        mode: "0700"

- name: Give up what is on a disk that was used before
  hostplane.cluster.host_storage:
    disks:
      - device: /dev/disk/by-id/nvme-eui.0025385b71b0f1c2
        mount: /srv/volumes
        allow_data_loss_serial: S4EVNX0R123456
"""

RETURN = r"""
disks:
  description: The disks that are (or would be) mounted.
  returned: success
  type: list
  elements: dict
  contains:
    mount:
      description: Where.
      type: str
    device:
      description: The kernel's name of it right now.
      type: str
    serial:
      description: Its serial, empty when it has none.
      type: str
    wwn:
      description: Its world wide name, by which a disk is known that more than one host sees; empty when it has none.
      type: str
    uuid:
      description: UUID of its file system.
      type: str
    size:
      description: Its size in bytes.
      type: int
    action:
      description: V(format) and V(mount) were (or would be) done, V(keep) is none.
      type: str
  sample:
    - mount: /srv/volumes
      device: /dev/sdb
      serial: S4EVNX0R123456
      wwn: "0x5000c500a1b2c3d4"
      uuid: 0c0f…
      size: 960197124096
      action: format
problems:
  description: What is wrong; each with C(code), C(host), C(message), C(remedy) and C(path).
  returned: always
  type: list
  elements: dict
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._disks import DiskError
from ansible_collections.hostplane.cluster.plugins.module_utils._hostdisks import HostStorage
from ansible_collections.hostplane.cluster.plugins.module_utils._hoststorage import read_storage
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, format_report, to_dicts

DISK = {
    "device": {"type": "str"},
    "serial": {"type": "str"},
    "filesystem": {"type": "str", "default": "ext4"},
    "mount": {"type": "str", "required": True},
    "options": {"type": "list", "elements": "str", "default": []},
    "reflink": {"type": "bool", "default": False},
    "use_existing": {"type": "bool", "default": False},
    "allow_data_loss_serial": {"type": "str"},
}
DIRECTORY = {
    "path": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0755"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "disks": {"type": "list", "elements": "dict", "default": [], "options": DISK},
            "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY},
            "host": {"type": "str", "default": ""},
            "fail_on_problems": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    params, problems = module.params, []

    def add(code: str, path: str, message: str, remedy: str) -> None:
        problems.append(Problem(code, message, remedy, host=params["host"], path=path))

    wanted = {key: params[key] for key in ("disks", "directories")}
    storage = HostStorage(*read_storage(wanted, "node_storage", add), host=params["host"])
    result: dict[str, Any] = {"changed": False, "disks": []}
    try:
        if not problems:
            storage.prepare()
        problems += storage.problems
        result["problems"] = to_dicts(problems)
        if problems and params["fail_on_problems"]:
            module.fail_json(msg=format_report(problems, "The storage was not changed."), **result)
        if not problems:
            result["changed"] = storage.changed
            result["disks"] = [
                {"mount": plan.disk.mount, "device": plan.found.path, "serial": plan.found.serial,
                 "wwn": plan.found.wwn, "uuid": plan.uuid, "size": plan.found.size, "action": plan.action}
                for plan in storage.plans
            ]  # fmt: skip
            if module._diff:
                result["diff"] = storage.diff()
            if not module.check_mode:
                for note in storage.apply():
                    module.warn(note)
    except DiskError as exc:
        module.fail_json(msg=str(exc), **{"problems": to_dicts(problems), **result})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
