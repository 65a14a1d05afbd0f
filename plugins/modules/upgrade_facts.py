#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_facts
short_description: Look at everything on a host that matters to an upgrade
version_added: "0.1.0"
description:
  - Tells in one call what only the host itself knows. Versions of the installed programs, the kubelet's flags and
    feature gates, free space, certificates, a CA rotation that was not finished, the images of its static pods.
  - On a control plane also etcd's members and which API versions with a date of removal its API server was asked for.
  - Runs on the host, needs no API, and changes nothing. M(hostplane.cluster.upgrade_check) judges what it finds.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  host:
    description: The host's name in the inventory, which comes back in RV(facts).
    type: str
    required: true
  certificate_days:
    description: What expires within so many days is called due.
    type: int
    default: 30
  backup_directory:
    description:
      - Where backups go on a control plane, as in O(hostplane.cluster.etcd_snapshot#module:directory), to look at the
        space there.
      - Empty when the upgrade takes none.
    type: path
    default: ''
seealso:
  - module: hostplane.cluster.upgrade_check
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Look at what matters to an upgrade
  hostplane.cluster.upgrade_facts:
    host: "{{ inventory_hostname }}"
  register: upgrade_facts
"""

RETURN = r"""
facts:
  description:
    - C(version) that the host has and, while it is between two, the one that it is C(upgrading_to).
    - C(programs), program to version. C(kubelet_flags), each with C(name), C(value) and C(file). C(kubelet_config),
      with C(feature_gates) and C(fail_cgroup_v1). C(cgroup), V(1) or V(2). C(manifests), static pod to image.
    - C(disks), one entry per file system with C(paths), C(free) and C(size) in bytes. C(backups), where they go.
    - C(images) that are there, as name and digest; C(staged), SHA-256 of programs that wait for their turn.
    - C(certificates), with C(found) and C(error). C(ca_next), whether a CA rotation is under way.
    - On a control plane C(etcd), as M(hostplane.cluster.etcd_member_info) returns it, with an C(error), and
      C(deprecated_requests), with C(found) and C(error).
  returned: success
  type: dict
  sample:
    host: cp1
    control_plane: true
    version: 1.35.4
    upgrading_to: ""
    programs: {containerd: 2.3.4, kubeadm: 1.35.4, kubectl: 1.35.4, kubelet: 1.35.4, runc: 1.4.3}
    kubelet_flags: []
    kubelet_config: {feature_gates: {}, fail_cgroup_v1: true}
    cgroup: 2
    disks: [{paths: [/var/lib/etcd], free: 4294967296, size: 8589934592}]
    backups: /var/backups/hostplane
    images: ["registry.k8s.io/pause:3.10.1@sha256:278f…"]
    staged: []
    ca_next: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "certificate_days": {"type": "int", "default": 30},
            "backup_directory": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        facts = _upgrade_host.collect(
            module.params["host"], module.params["certificate_days"], backups=module.params["backup_directory"]
        )
    except OSError as exc:
        module.fail_json(msg=f"this host can't be looked at: {exc}")
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
