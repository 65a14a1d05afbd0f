#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_check
short_description: Find everything that speaks against an upgrade of the cluster
version_added: "0.1.0"
description:
  - Judges versions, API versions and feature gates that go away, nodes, pods that a drain would meet, webhooks, etcd,
    certificates, disks, the mirror, and returns B(all) findings at once, each with a remedy. It changes nothing.
  - An V(error) blocks the upgrade, a V(warning) informs.
  - Reads each list of the API once, in parts, and asks the mirror for each file and image of the release without
    fetching any. What only the hosts know comes from M(hostplane.cluster.upgrade_facts).
  - Runs on the controller.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.attributes.api
options:
  version:
    description: The Kubernetes version to upgrade to.
    type: str
    required: true
  hosts:
    description:
      - The hosts of the plan, inventory name to a dictionary with C(name) (of the node), C(role), C(arch),
        C(pool) and C(state).
    type: dict
    required: true
  facts:
    description: RV(hostplane.cluster.upgrade_facts#module:facts) of each host that could be reached.
    type: list
    elements: dict
    required: true
  images:
    description:
      - C(images) of the plan. Names by what they are, those of each role, and C(digests) by architecture.
    type: dict
    default: {}
  files:
    description: C(files) of the plan, architecture to purpose to programs with C(name), C(sha256) and C(size).
    type: dict
    default: {}
  kubelet_config:
    description: What the inventory sets for all kubelets, C(cluster.kubelet_config) of the plan.
    type: dict
    default: {}
  mirror:
    description: The OCI registry that holds the bundle, as the controller reaches it; left out, it is not looked at.
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
        description: Certificates (PEM text) to verify the registry with; empty for the controller's trust store.
        type: str
        default: ""
  problems:
    description: Findings that others have made, such as the plan, in the form of M(hostplane.cluster.plan_report).
    type: list
    elements: dict
    default: []
  drain:
    description:
      - Which nodes the upgrade empties. V(minor), those whose kubelet gets another minor version; V(always), all whose
        kubelet gets another version; V(never), none.
    type: str
    choices: [minor, always, never]
    default: minor
  unmanaged_pods:
    description: What the drain does with pods that no controller makes again, as in M(hostplane.cluster.node_drain).
    type: str
    choices: [fail, delete]
    default: fail
  delete_emptydir_data:
    description: Whether the drain may lose what is in emptyDir volumes.
    type: bool
    default: true
  certificate_days:
    description: Warn of certificates that expire within so many days.
    type: int
    default: 30
  rollout:
    description: C(max_unavailable), C(pools) and C(pause) as they are set for the playbook C(upgrade).
    type: dict
    default: {}
  backup_key:
    description: Whether there is the key for the backup that comes before the first change, or none is wanted.
    type: bool
    default: true
  accept:
    description:
      - Codes of findings to let pass, in upper or lower case; they come back in RV(accepted).
      - V(version_downgrade), V(version_skipped), V(ca_rotation_unfinished) and V(setting_invalid) can't be accepted.
    type: list
    elements: str
    default: []
  fail_on_errors:
    description: Whether the task fails, with the whole report, when an error stands.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for each answer of the mirror.
    type: int
    default: 10
seealso:
  - module: hostplane.cluster.upgrade_facts
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Find everything that speaks against the upgrade
  hostplane.cluster.upgrade_check:
    kubeconfig: /root/.kube/production.conf
    version: 1.36.3
    hosts: "{{ cluster_plan.plan.hosts }}"
    facts: "{{ groups['all'] | map('extract', hostvars, ['upgrade_facts', 'facts']) | list }}"
    accept: [pod_unmanaged]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: What stands, errors first, then by host; each with the keys of M(hostplane.cluster.plan_report).
  returned: always
  type: list
  elements: dict
  sample:
    - code: node_cordoned
      severity: warning
      host: worker1
      path: ""
      message: The node is cordoned; pods that leave other nodes can't come here.
      remedy: kubectl uncordon it.
      witness: []
accepted:
  description: What was let pass.
  returned: always
  type: list
  elements: dict
  sample: []
errors:
  description: How many errors stand.
  returned: always
  type: int
  sample: 0
report:
  description: Everything for people, line by line; a task that fails says it in its message.
  returned: success
  type: list
  elements: str
  sample: ["Check of the upgrade to 1.36.3: nothing found"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _kubeapi,
    _skew,
    _upgrade,
    _upgrade_mirror,
    _upgrade_settings,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._mirror import MIRROR_SPEC, Mirror, MirrorError
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import ERROR, Finding, report, settle


def held(params: dict[str, Any]) -> _upgrade_mirror.Held:
    """What the mirror lacks."""
    if not params["mirror"]:
        return _upgrade_mirror.Held()
    try:
        mirror = Mirror.from_options(params["mirror"], params["timeout"])
    except MirrorError as exc:
        return _upgrade_mirror.Held(error=str(exc))
    return _upgrade_mirror.look(mirror, params["images"].get("digests") or {}, params["files"])


def wanted(params: dict[str, Any]) -> _upgrade.Wanted:
    images = params["images"]
    hosts = {name: {**host, "images": images.get(host.get("role"), [])} for name, host in params["hosts"].items()}
    pools, known = params["rollout"].get("pools"), {host.get("pool") for host in hosts.values()}
    # With a mistake in them all nodes are judged, so that nothing comes up only when it was corrected.
    valid = isinstance(pools, list) and set(map(str, pools)) <= known
    return _upgrade.Wanted(
        version=params["version"],
        hosts=hosts,
        etcd=str(images.get("etcd", "")),
        drain=params["drain"],
        pools=pools if valid else None,
        unmanaged_refused=params["unmanaged_pods"] == "fail",
        emptydir_refused=not params["delete_emptydir_data"],
        certificate_days=params["certificate_days"],
        kubelet_config=params["kubelet_config"],
        held=held(params),
    )


def find(params: dict[str, Any]) -> list[Finding]:
    """All findings."""
    others = [Problem.from_dict(item) for item in params["problems"]]
    findings = [Finding(item.code, item.message, item.remedy, item.host, item.path, item.witness) for item in others]
    wish, facts, cluster = wanted(params), params["facts"], None
    try:
        api = _kubeapi.KubeApi(params["kubeconfig"])
        cluster = _upgrade.read(api)
        findings += _upgrade.check_cluster(api, cluster, wish, facts)
    except _kubeapi.KubeApiError as exc:
        findings.append(_upgrade.api_silent(str(exc), wish, facts))
    except _kubeapi.API_ERRORS as exc:
        findings.append(_upgrade.api_silent(_kubeapi.reason_of(exc), wish, facts))
    findings += _upgrade.check_hosts(wish, facts, _upgrade.etcd_quota(cluster))
    due = any(_skew.parse(entry.get("version", "")) != wish.target for entry in facts)
    findings += _upgrade_settings.check_backup(params["backup_key"], due)
    pools = {str(host.get("pool", "")) for host in params["hosts"].values()}
    return [*findings, *_upgrade_settings.check_rollout(params["rollout"], pools)]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "hosts": {"type": "dict", "required": True},
            "facts": {"type": "list", "elements": "dict", "required": True},
            "images": {"type": "dict", "default": {}},
            "files": {"type": "dict", "default": {}},
            "kubelet_config": {"type": "dict", "default": {}},
            "mirror": MIRROR_SPEC,
            "problems": {"type": "list", "elements": "dict", "default": []},
            "drain": {"type": "str", "choices": ["minor", "always", "never"], "default": "minor"},
            "unmanaged_pods": {"type": "str", "choices": ["fail", "delete"], "default": "fail"},
            "delete_emptydir_data": {"type": "bool", "default": True},
            "certificate_days": {"type": "int", "default": 30},
            "rollout": {"type": "dict", "default": {}},
            "backup_key": {"type": "bool", "default": True},
            "accept": {"type": "list", "elements": "str", "default": []},
            "fail_on_errors": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    if _upgrade.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=_upgrade.IMPORT_ERROR)
    params = module.params
    try:
        findings, accepted = settle(find(params), params["accept"])
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    lines = report(findings, accepted, f"Check of the upgrade to {params['version']}")
    errors = sum(item.severity == ERROR for item in findings)
    result = {
        "changed": False,
        "findings": [item.to_dict() for item in findings],
        "accepted": [item.to_dict() for item in accepted],
        "errors": errors,
    }
    if errors and params["fail_on_errors"]:
        module.fail_json(msg="\n".join(lines), **result)
    module.exit_json(report=lines, **result)


if __name__ == "__main__":
    main()
