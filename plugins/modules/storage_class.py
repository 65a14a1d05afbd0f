#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_class
short_description: Bring the StorageClasses of a cluster in line with a list
version_added: "0.1.0"
description:
  - Takes all StorageClasses in one call, lists those of the cluster once and writes only what differs.
  - Kubernetes can't change C(provisioner), C(parameters), C(reclaimPolicy) and C(volumeBindingMode) of a class. Such a
    change is refused with the values of both, unless O(classes[].recreate) says to make the class anew. Volumes that
    exist keep what they were made with.
  - Classes that this module made (with the label C(app.kubernetes.io/managed-by=hostplane)) and that are not listed
    any more are removed, unless volumes still need them. Other classes are left alone, apart from their mark as the
    default when a listed class is the default.
  - Runs on the controller.
  - In check mode O(kubeconfig) may be missing, as before the cluster is created.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  classes:
    description: The StorageClasses. The keys are Kubernetes' own where there are such.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the class.
        type: str
        required: true
      provisioner:
        description: Name of the driver that makes the volumes.
        type: str
        required: true
      parameters:
        description: What the driver is told, a mapping of texts.
        type: dict
        default: {}
      reclaimPolicy:
        description: What happens to a volume when its claim is deleted.
        type: str
        choices: [Delete, Retain]
        default: Delete
      volumeBindingMode:
        description: Whether a volume is made when a pod that uses it is scheduled, or at once.
        type: str
        choices: [WaitForFirstConsumer, Immediate]
        default: WaitForFirstConsumer
      allowVolumeExpansion:
        description: Whether claims may grow.
        type: bool
        default: false
      mountOptions:
        description: Options with which volumes are mounted.
        type: list
        elements: str
        default: []
      allowedTopologies:
        description: Where volumes may be, as in Kubernetes.
        type: list
        elements: dict
        default: []
      default:
        description: Whether claims without a class get this one. At most one class is the default.
        type: bool
        default: false
      recreate:
        description: Whether the class may be removed and made anew when Kubernetes can't change it.
        type: bool
        default: false
  fail_on_problems:
    description: Fail when something can't be done. When V(false), it is only returned, and nothing is changed.
    type: bool
    default: true
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Two classes of node-local volumes, one of which is the default
  hostplane.cluster.storage_class:
    kubeconfig: /root/.kube/production.conf
    classes:
      - name: local
        provisioner: local.hostplane.io
        allowVolumeExpansion: true
        default: true
      - name: local-keep
        provisioner: local.hostplane.io
        parameters: {csi.storage.k8s.io/fstype: xfs}
        reclaimPolicy: Retain
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
created:
  description: Classes that were (or would be) made, sorted.
  returned: success
  type: list
  elements: str
  sample: [local, local-keep]
updated:
  description: Classes that were (or would be) changed, sorted.
  returned: success
  type: list
  elements: str
  sample: []
recreated:
  description: Classes that were (or would be) removed and made anew, sorted.
  returned: success
  type: list
  elements: str
  sample: []
demoted:
  description: Classes of others that were (or would be) the default no more, sorted.
  returned: success
  type: list
  elements: str
  sample: [standard]
deleted:
  description: Classes of this module that were (or would be) removed, sorted.
  returned: success
  type: list
  elements: str
  sample: []
kept:
  description: Classes of this module that are not listed and stay, since volumes need them, sorted.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: What can't be done; each with C(code), C(message), C(remedy) and C(path).
  returned: always
  type: list
  elements: dict
  sample: []
"""

import os
from collections import Counter
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.module_utils import _storage_classes as storage
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, format_report, to_dicts

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
CLASS = {
    "name": {"type": "str", "required": True},
    "provisioner": {"type": "str", "required": True},
    "parameters": {"type": "dict", "default": {}},
    "reclaimPolicy": {"type": "str", "choices": list(storage.RECLAIM), "default": "Delete"},
    "volumeBindingMode": {"type": "str", "choices": list(storage.BINDING), "default": "WaitForFirstConsumer"},
    "allowVolumeExpansion": {"type": "bool", "default": False},
    "mountOptions": {"type": "list", "elements": "str", "default": []},
    "allowedTopologies": {"type": "list", "elements": "dict", "default": []},
    "default": {"type": "bool", "default": False},
    "recreate": {"type": "bool", "default": False},
}


def volumes_of(api: _kubeapi.KubeApi) -> Counter[str]:
    """How many volumes each class has."""
    volumes = api.items("/api/v1/persistentvolumes")
    return Counter(str(item["spec"].get("storageClassName") or "") for item in volumes)


def write(api: _kubeapi.KubeApi, wanted: dict[str, dict[str, Any]], changes: storage.Changes) -> None:
    """Make the changes. A class that loses its mark as the default loses it before another one gets it."""
    mark = {"metadata": {"annotations": {storage.DEFAULT_ANNOTATION: "false"}}}
    for name in changes.demote:
        api.patch(f"{CLASSES}/{name}", mark)
    for name in [*changes.delete, *changes.recreate]:
        try:
            api.call("DELETE", f"{CLASSES}/{name}")
        except _kubeapi.API_ERRORS as exc:
            if _kubeapi.status_of(exc) != 404:
                raise
    for name in sorted(changes.update, key=lambda name: wanted[name]["default"]):
        api.patch(f"{CLASSES}/{name}", storage.to_object(wanted[name]))
    for name in [*changes.create, *changes.recreate]:
        if not api.create(CLASSES, storage.to_object(wanted[name])):
            raise _kubeapi.KubeApiError(f"StorageClass {name}: somebody else made it at the same time; run this again")


def after_change(
    found: list[dict[str, Any]], wanted: dict[str, dict[str, Any]], changes: storage.Changes
) -> list[dict[str, Any]]:
    """The classes as they are when the changes are made."""
    before = [storage.from_object(item) for item in found]
    left = [{**item, "default": item["default"] and item["name"] not in changes.demote} for item in before
            if item["name"] not in wanted and item["name"] not in changes.delete]  # fmt: skip
    return left + list(wanted.values())


def run(module: AnsibleModule) -> tuple[dict[str, Any], list[Problem]]:
    """Compare, then write unless something can't be done."""
    params = module.params
    wanted = {item["name"]: item for item in params["classes"]}
    problems = []
    if len(wanted) < len(params["classes"]) or sum(item["default"] for item in params["classes"]) > 1:
        problems.append(Problem("storage_class_twice", "Two classes have one name, or two are the default.",
                                "Keep one of them.", path="classes"))  # fmt: skip
    api = None
    if not module.check_mode or os.path.exists(params["kubeconfig"]):
        api = _kubeapi.KubeApi(params["kubeconfig"])
    found = api.items(CLASSES) if api else []
    changes, refused = storage.compare(list(wanted.values()), found, {})
    if api and (refused or changes.delete or changes.recreate):
        # Only then it matters which of them are used, and the list of volumes is long.
        changes, refused = storage.compare(list(wanted.values()), found, volumes_of(api))
    problems += refused
    kept = [item["metadata"]["name"] for item in found
            if storage.is_ours(item) and item["metadata"]["name"] not in {*wanted, *changes.delete}]  # fmt: skip
    if api and not module.check_mode and not problems:
        write(api, wanted, changes)
    result: dict[str, Any] = {
        "changed": changes.any() and not problems,
        "created": sorted(changes.create),
        "updated": sorted(changes.update),
        "recreated": sorted(changes.recreate),
        "demoted": sorted(changes.demote),
        "deleted": sorted(changes.delete),
        "kept": sorted(kept),
        "problems": to_dicts(problems),
    }
    if module._diff:
        before = [storage.from_object(item) for item in found]
        result["diff"] = {
            "before": storage.describe(before),
            "after": storage.describe(after_change(found, wanted, changes)),
        }
    return result, problems


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "classes": {"type": "list", "elements": "dict", "required": True, "options": CLASS},
            "fail_on_problems": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        result, problems = run(module)
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    if problems and module.params["fail_on_problems"]:
        module.fail_json(msg=format_report(problems, "The StorageClasses were not changed."), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
