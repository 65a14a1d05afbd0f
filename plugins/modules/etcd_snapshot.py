#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
short_description: Back up a cluster on a control plane, verified and encrypted
version_added: "0.1.0"
description:
  - Takes a snapshot of etcd from a healthy member, which is not the leader when there is a choice. Restores it to a
    temporary member and reads revision, keys and hash back.
  - Puts it away in one encrypted file together with C(/etc/kubernetes) (PKI, kubeconfigs, manifests) and kubeadm's
    configuration. A second file of the same name and C(.json) says what is in it.
  - Afterwards removes old backups of the cluster from the directory. The newest one always stays.
  - Runs on a control plane. Needs Python's standard library and C(openssl) there; C(etcd), C(etcdctl) and C(etcdutl)
    come out of the image that the host's etcd runs.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  directory:
    description: Where backups are kept on the host. Made with mode V(0700) when it is missing.
    type: path
    default: /var/backups/hostplane
  key_file:
    description:
      - File on the host whose first line is the passphrase, 20 to 512 bytes. Must be readable by its owner only.
      - Without the key a backup is worthless. Keep it where the cluster's end can't reach it.
    type: path
    default: /etc/hostplane/backup.key
  keep:
    description: How many backups to keep; V(0) for any number.
    type: int
    default: 14
  keep_days:
    description: Days after which a backup is removed; V(0) for never.
    type: int
    default: 30
  fresh:
    description: Make none when there is a backup that is younger than so many seconds.
    type: int
    default: 0
  upload_config:
    description:
      - Configuration file of C(curl) on the host, with which both files are uploaded; empty for none.
      - See the role P(hostplane.cluster.backup#role), which makes it for S3-compatible storage.
    type: path
    default: ""
  hook:
    description:
      - Command and arguments that are called on the host with each new backup. Its path is in the environment variable
        E(HOSTPLANE_BACKUP), that of its metadata in E(HOSTPLANE_METADATA).
    type: list
    elements: str
    default: []
  endpoints:
    description: URLs of etcd by which its members are found, tried in order.
    type: list
    elements: str
    default: ["https://127.0.0.1:2379"]
  pki:
    description: Directory of etcd's C(ca.crt), C(healthcheck-client.crt) and C(healthcheck-client.key).
    type: path
    default: /etc/kubernetes/pki/etcd
  programs:
    description: Directory of C(etcd), C(etcdctl) and C(etcdutl) on the host; empty to use those of etcd's image.
    type: path
    default: ""
seealso:
  - module: hostplane.cluster.etcd_restore
  - module: hostplane.cluster.etcd_member_info
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Have a backup before something is changed
  hostplane.cluster.etcd_snapshot:
    cluster: production
  register: backup

- name: Have one of the last hour
  hostplane.cluster.etcd_snapshot:
    cluster: production
    fresh: 3600
"""

RETURN = r"""
path:
  description: The backup on the host; the fresh one when none was made, empty in check mode.
  returned: success
  type: str
  sample: /var/backups/hostplane/production-r123456-20260102T030405Z.backup
metadata:
  description: What is known of it, as in the file beside it. Counts are those that were read back.
  returned: success
  type: dict
  sample:
    cluster: production
    time: 20260102T030405Z
    member: cp2
    leader: false
    size: 1242608
    snapshot: {revision: 123456, keys: 1358, hash: dade1942, resources: {pods: 87, secrets: 12}}
pruned:
  description: Names of the old backups that were removed, sorted.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup, _backup_job
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import PKI, EtcdError
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Back up unless there is a backup that is fresh enough."""
    job = _backup_job.Job.from_dict(params)
    now = time.time()
    fresh = _backup_job.newest_fresh(job, now)
    if fresh is not None:
        path = os.path.join(job.directory, fresh.name)
        return {"changed": False, "path": path, "metadata": _backup.read_metadata(path), "pruned": []}
    before = [backup.name for backup in _backup.find(job.directory, job.cluster)]
    made: dict[str, Any] = {} if check else _backup_job.perform(job)
    path = made.pop("path", "")
    pruned = made.pop("pruned", [])
    after = [name for name in before if name not in pruned] + [os.path.basename(path) or "(a new backup)"]
    return {
        "changed": True,
        "path": path,
        "metadata": made,
        "pruned": pruned,
        "diff": {
            "before": "".join(f"{n}\n" for n in sorted(before)),
            "after": "".join(f"{n}\n" for n in sorted(after)),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "directory": {"type": "path", "default": "/var/backups/hostplane"},
            "key_file": {"type": "path", "default": "/etc/hostplane/backup.key", "no_log": False},
            "keep": {"type": "int", "default": 14},
            "keep_days": {"type": "int", "default": 30},
            "fresh": {"type": "int", "default": 0},
            "upload_config": {"type": "path", "default": ""},
            "hook": {"type": "list", "elements": "str", "default": []},
            "endpoints": {"type": "list", "elements": "str", "default": ["https://127.0.0.1:2379"]},
            "pki": {"type": "path", "default": PKI},
            "programs": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except (SnapshotError, EtcdError, OSError) as exc:
        module.fail_json(msg=_backup_job.failure(exc))
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
