#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_node
short_description: Make a host a member of a cluster with kubeadm
version_added: "0.1.0"
description:
  - Runs C(kubeadm init) or C(kubeadm join) once, and finishes a run that was killed.
  - How far a host got is kept on the host itself, in C(/etc/kubernetes/hostplane.json).
  - A host of another cluster is refused.
  - A kubeadm that is still working after its caller was killed is waited for, not started a second time.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  action:
    description: V(init) makes the first control plane of a new cluster, V(join) adds the host to an existing one.
    type: str
    choices: [init, join]
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  config:
    description:
      - kubeadm's configuration (C(v1beta4) documents).
      - It is on the host only while kubeadm runs, since it may hold a token.
      - May be empty when the host is already a member.
    type: str
    required: true
  control_plane:
    description: Whether O(action=join) makes the host a control plane; O(config) then has a C(controlPlane) section.
    type: bool
    default: false
  settings:
    description: The cluster's immutable settings, kept with the marker so that later runs can refuse to change them.
    type: dict
    default: {}
  ignore_preflight:
    description: Names of kubeadm's preflight errors that the operator accepts.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that kubeadm may take.
    type: int
    default: 600
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Make the first control plane
  hostplane.cluster.kubeadm_node:
    action: init
    cluster: production
    config: "{{ lookup('ansible.builtin.template', 'init.yaml.j2') }}"
"""

RETURN = r"""
resumed:
  description: Whether an earlier run had been interrupted on this host and was finished now.
  returned: always
  type: bool
  sample: false
removed:
  description: Half-written files of the interrupted run that were removed, sorted.
  returned: always
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import (
    JOINED_PHASES,
    RESUME_IGNORES,
    KubeadmError,
    Marker,
    drop_configs,
    drop_unfinished,
    has_identity,
    one_at_a_time,
    read_marker,
    refuse_foreign,
    run_kubeadm,
    write_marker,
)


def become_member(params: dict[str, Any], lock: int | None) -> dict[str, Any]:
    """Init or join unless the marker says that it is done; without a lock only tell what would happen."""
    action, cluster = params["action"], params["cluster"]
    marker = read_marker()
    refuse_foreign(marker, cluster)
    resumed = bool(marker.phase) and not marker.verb_done()
    result: dict[str, Any] = {"changed": not marker.verb_done(), "resumed": resumed, "removed": []}
    if marker.verb_done() or lock is None:
        return result
    ignores = list(params["ignore_preflight"])
    if resumed:
        drop_configs()
        ignores += RESUME_IGNORES
        if marker.phase == "init-started":
            result["removed"] = drop_unfinished()
    joined = marker.phase == "join-started" and has_identity()
    if params["control_plane"] or not joined:
        write_marker(Marker(cluster, f"{action}-started", params["settings"]))
        skip = JOINED_PHASES if joined else ()
        run_kubeadm(action, params["config"], ignores, params["timeout"], lock, skip)
    write_marker(Marker(cluster, f"{action}-done", params["settings"]))
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "action": {"type": "str", "choices": ["init", "join"], "required": True},
            "cluster": {"type": "str", "required": True},
            "config": {"type": "str", "required": True, "no_log": True},
            "control_plane": {"type": "bool", "default": False},
            "settings": {"type": "dict", "default": {}},
            "ignore_preflight": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        if module.check_mode:
            result = become_member(params, lock=None)
        else:
            with one_at_a_time(params["timeout"]) as lock:
                result = become_member(params, lock)
    except (KubeadmError, OSError) as exc:
        module.fail_json(msg=str(exc))
    if module._diff and result["changed"]:
        result["diff"] = {"before": "", "after": f"{params['action']} cluster {params['cluster']}\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
