#!/usr/bin/python

# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_reset
short_description: Take a cluster off a host and report what is left
version_added: "0.1.0"
author:
  - hostplane contributors (@hostplane)
description:
  - Stops and removes everything that creating the cluster made on the host (pods, units, mounts, links, nftables
    tables, iptables chains, data, configuration and programs) and then looks again. What is still there fails the task
    by name.
  - Loop devices of node-local volumes are detached. The volumes themselves, files in O(pools), stay.
  - Data directories that are mount points or symbolic links are emptied, not removed. A directory with a foreign mount
    below is left alone and reported.
  - A host of another cluster, or of a cluster that was not made by this collection, is refused.
  - Sysctls and kernel modules stay in force until the next boot; only their files are removed. Swap stays as it is.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  cluster_name:
    description: Name of the cluster to remove.
    type: str
    required: true
  confirm:
    description: Must be the name of the cluster again, because all data of the cluster is destroyed.
    type: str
    default: ''
  force:
    description: Also remove a cluster that this collection did not make. Never one that it made under another name.
    type: bool
    default: false
  timeout:
    description: Seconds that C(kubeadm reset) gets to stop the pods in order, before they are killed.
    type: int
    default: 60
  cni_files:
    description: Files in C(/etc/cni/net.d) that belong to the cluster.
    type: list
    elements: str
    default: [10-flannel.conflist, 10-underlay.conflist]
  units:
    description: Further systemd units to stop and remove, such as the mirror's.
    type: list
    elements: str
    default: []
  paths:
    description: Further files and directories to remove.
    type: list
    elements: path
    default: []
  pools:
    description: Directories of node-local volumes. They stay, with all that is in them, unless O(paths) names them too.
    type: list
    elements: path
    default: [/var/lib/hostplane-storage/volumes]
  node:
    description: Whether the host carries a node. With V(false) only O(units), O(paths) and settings files are removed.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Take the cluster off this host
  hostplane.cluster.host_reset:
    cluster_name: shop
    confirm: "{{ reset_confirm }}"

- name: Show what would be removed
  hostplane.cluster.host_reset:
    cluster_name: shop
    confirm: shop
  check_mode: true
  diff: true
"""

RETURN = r"""
removed:
  description: What was removed (in check mode, what would be), in the order of removal.
  type: list
  elements: str
  returned: always
  sample: [unit kubelet.service, link cni0, path /etc/kubernetes]
residue:
  description: What is still there although it should not be. The task fails if there is any.
  type: list
  elements: str
  returned: always
  sample: [mount /var/lib/kubelet/pods/x/volumes/y]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostremains, _hostreset
from ansible_collections.hostplane.cluster.plugins.module_utils._hostfacts import cluster_facts
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System

CNI_FILES = ["10-flannel.conflist", "10-underlay.conflist"]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster_name": {"type": "str", "required": True},
            "confirm": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
            "cni_files": {
                "type": "list",
                "elements": "str",
                "default": CNI_FILES,
            },
            "units": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "pools": {"type": "list", "elements": "path", "default": ["/var/lib/hostplane-storage/volumes"]},
            "node": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    options: dict[str, t.Any] = module.params
    system = System()
    cluster = cluster_facts(system, options["cluster_name"])
    reason = _hostreset.refusal(cluster, options["cluster_name"], options["confirm"], options["force"])
    if reason:
        module.fail_json(msg=reason, removed=[], residue=[])
    scope = _hostremains.Scope(
        owned=options["node"] and _hostreset.owns(system, cluster, options["force"]),
        cni_files=tuple(options["cni_files"]),
        units=tuple(options["units"]),
        paths=tuple(options["paths"]),
        pools=tuple(options["pools"]),
    )
    before = _hostremains.survey(system, scope)
    left = [] if module.check_mode else _hostreset.reset(system, scope, options["timeout"])
    removed = [str(item) for item in before if item not in left]
    result: dict[str, t.Any] = {
        "changed": bool(removed),
        "removed": removed,
        "residue": [str(item) for item in left],
        "diff": {"before": "".join(f"{name}\n" for name in removed), "after": ""},
    }
    if left:
        module.fail_json(msg="The reset left behind: " + ", ".join(result["residue"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
