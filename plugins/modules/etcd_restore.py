#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: One step of bringing a cluster back to a backup, or back from its last etcd member
version_added: "0.1.0"
description:
  - The playbook C(hostplane.cluster.restore) calls the steps in order. Every control plane has to finish a step before
    any begins the next.
  - Each step can be repeated, and one that was finished does nothing. The host remembers how far it is, also when it
    has finished. A run that was killed is finished by the next one, which touches no host that has finished.
  - The data of before stays beside the new in etcd's data directory, as C(member-before-<token>).
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  step:
    description:
      - V(check) proves that the backup is whole, was made with this key and is of this cluster. Changes nothing. Works
        on the controller too, where there is no cluster to compare with.
      - V(stop) stops the API server, the controllers and etcd of the host.
      - V(restore) puts the backup's data in place. On a host that is no member of the cluster (any more) the cluster's
        CAs too; the host is then left for C(kubeadm init), which M(hostplane.cluster.kubeadm_node) does.
      - V(start_etcd) starts etcd alone, so that V(compare) can count every resource before the API server changes any.
        A host that was replaced is compared with a temporary etcd on its data, and started by C(kubeadm init).
      - V(start_api) starts the others, and V(finish) removes what the restore needed.
    type: str
    choices: [check, stop, restore, start_etcd, compare, start_api, finish]
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  confirm:
    description: The cluster's name again, since everything that was written after the backup is lost.
    type: str
    default: ""
  backup:
    description: The backup on this host. Its metadata, of the same name and C(.json), must lie beside it.
    type: path
    default: ""
  key_file:
    description: File on this host whose first line is the passphrase. Must be readable by its owner only.
    type: path
    default: ""
  survivor:
    description:
      - Name of the host whose own data is used instead of a backup, when the quorum is lost.
      - Refused while etcd has its quorum.
    type: str
    default: ""
  host:
    description:
      - Name of this host, to compare with O(survivor).
      - Empty on the controller, where V(check) looks at the backup and at nothing of the host.
    type: str
    default: ""
  version:
    description: Kubernetes version that a host which was replaced is to run. A host that was not knows it by itself.
    type: str
    default: ""
  accept_ca:
    description: SHA-256 of an earlier C(ca.crt) of this cluster. A backup from before the rotation of the CA needs it.
    type: str
    default: ""
  token:
    description: RV(token) of V(check) on the first of the hosts; the same for all of them.
    type: str
    default: ""
  members:
    description: Members of the restored etcd, name to peer URL; of a host that was replaced only itself.
    type: dict
    default: {}
  pki:
    description: Directory of etcd's C(ca.crt), C(healthcheck-client.crt) and C(healthcheck-client.key).
    type: path
    default: /etc/kubernetes/pki/etcd
  programs:
    description: Directory of C(etcd), C(etcdctl) and C(etcdutl) on the host; empty to use those of etcd's image.
    type: path
    default: ""
seealso:
  - module: hostplane.cluster.etcd_snapshot
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: See whether a backup can be restored
  hostplane.cluster.etcd_restore:
    step: check
    cluster: production
    confirm: production
    backup: /var/backups/hostplane/production-r123456-20260102T030405Z.backup
    key_file: /etc/hostplane/backup.key
"""

RETURN = r"""
resumed:
  description: Whether an interrupted restore from the same source is continued.
  returned: with O(step=check) and O(host)
  type: bool
  sample: false
token:
  description: What all hosts must use in the other steps; of the interrupted restore when there is one.
  returned: with O(step=check) and O(host)
  type: str
  sample: 20260102T040506Z
last_token:
  description: Token of the host's last restore from the same source, finished or not; empty when there was none.
  returned: with O(step=check) and O(host)
  type: str
  sample: ""
done:
  description: The last step of it that was finished.
  returned: with O(step=check) and O(host)
  type: str
  sample: ""
name:
  description: Name of the host's etcd member; empty when the host has none.
  returned: with O(step=check) and O(host)
  type: str
  sample: cp1
peer_url:
  description: Where other members reach it.
  returned: with O(step=check) and O(host)
  type: str
  sample: https://10.99.0.11:2380
versions:
  description: Kubernetes versions that the host runs or is on the way to. A backup should be of one of them.
  returned: with O(step=check) and O(host)
  type: list
  elements: str
  sample: ["1.36.3"]
description:
  description: The backup's metadata, or the members as the survivor sees them.
  returned: with O(step=check)
  type: dict
  sample: {cluster: production, time: 20260102T030405Z}
revision:
  description: Revision of etcd at which it held exactly the backup; whatever is newer happened after the restore.
  returned: with O(step=restore)
  type: int
  sample: 1767323106000123456
resources:
  description: How many objects of each resource were restored.
  returned: with O(step=restore)
  type: dict
  sample: {pods: 87, secrets: 12}
kept:
  description: Where the data of before is; empty when there was none.
  returned: with O(step=finish)
  type: str
  sample: /var/lib/etcd/member-before-20260102T040506Z
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _backup,
    _restore,
    _restore_check,
    _restore_journal,
    _restore_node,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._backup_job import one_at_a_time
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import PKI, EtcdError
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError


def perform(step: str, request: _restore_journal.Request) -> dict[str, Any]:
    """Do one step."""
    if step == "stop":
        source = request.survivor or str(_backup.read_metadata(request.backup)["sha256"])
        return {"changed": _restore.stop(request, source)}
    if step == "restore":
        return _restore.restore(request)
    if step == "start_etcd":
        return {"changed": _restore.start(_restore_node.ETCD, step)}
    if step == "start_api":
        return {"changed": _restore.start(_restore_node.API, step)}
    if step == "compare":
        _restore.compare(request)
        return {"changed": False}
    journal = _restore_journal.read_journal()
    return {"changed": bool(journal.token) and not journal.has_done("finish"), "kept": _restore.finish()}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Refuse, look, or do the step."""
    step, cluster = params["step"], params["cluster"]
    if params["confirm"] != cluster:
        raise SnapshotError(
            f"everything that cluster {cluster!r} has written since then would be lost. Confirm by setting "
            f"restore_confirm to the cluster's name (it is {params['confirm']!r})"
        )
    request = _restore_journal.Request(
        cluster=cluster,
        backup=params["backup"],
        key_file=params["key_file"],
        survivor=params["survivor"],
        name=params["host"],
        token=params["token"],
        members=tuple(sorted(params["members"].items())),
        version=params["version"],
        accept_ca=params["accept_ca"].lower(),
        programs=params["programs"],
        pki=params["pki"],
    )
    if step == "check":
        # The controller has looked at the backup; in check mode it is not copied here.
        absent = check and not request.survivor and not os.path.exists(request.backup)
        found = _restore_check.describe(version=request.version) if absent else _restore_check.check(request)
        return {"changed": False, **found}
    if check:
        return {"changed": step != "compare", "kept": "", "revision": 0, "resources": {}}
    with one_at_a_time(_restore_journal.WORK):
        return perform(step, request)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": list(_restore_journal.STEPS), "required": True},
            "cluster": {"type": "str", "required": True},
            "confirm": {"type": "str", "default": ""},
            "backup": {"type": "path", "default": ""},
            "key_file": {"type": "path", "default": "", "no_log": False},
            "survivor": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
            "version": {"type": "str", "default": ""},
            "accept_ca": {"type": "str", "default": ""},
            "token": {"type": "str", "default": "", "no_log": False},
            "members": {"type": "dict", "default": {}},
            "pki": {"type": "path", "default": PKI},
            "programs": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    if not module.params["backup"] and not module.params["survivor"]:
        module.fail_json(msg="say what to restore from: a backup, or the host that survived")
    try:
        result = run(module.params, module.check_mode)
    except (SnapshotError, EtcdError, OSError) as exc:
        module.fail_json(msg=str(exc))
    if module._diff and result["changed"]:
        result["diff"] = {"before": "", "after": f"{module.params['step'].replace('_', ' ')}\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
