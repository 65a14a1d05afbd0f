# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""StorageClasses as data: read, compared with those of a cluster, and what to do about the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.hostplane.cluster.plugins.module_utils import _names
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# Adds a problem: code, variable, message, remedy.
Add = Callable[[str, str, str, str], None]

DEFAULT_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "hostplane"
RECLAIM = ("Delete", "Retain")
BINDING = ("WaitForFirstConsumer", "Immediate")
# The API server refuses to change these (ValidateStorageClassUpdate).
IMMUTABLE = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
_DEFAULTS: dict[str, Any] = {
    "provisioner": "",
    "parameters": {},
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": False,
    "mountOptions": [],
    "allowedTopologies": [],
}
_KEYS = {"name", "default", "recreate", *_DEFAULTS}


def read_class(entry: Any, path: str, add: Add) -> dict[str, Any] | None:
    """A StorageClass with all its fields; None when it has no usable name."""
    name = str(entry.get("name") or "") if isinstance(entry, Mapping) else ""
    if not isinstance(entry, Mapping) or set(entry) - _KEYS or not _names.is_dns_name(name):
        add("storage_class_invalid", path, f"{entry!r} is not a StorageClass.",
            f"Write a mapping with a name of lower-case letters, digits, '-' and '.'; keys are"
            f" {', '.join(sorted(_KEYS))}.")  # fmt: skip
        return None
    made: dict[str, Any] = {
        "name": name,
        "default": entry.get("default", False),
        "recreate": entry.get("recreate", False),
        **{key: default if entry.get(key) is None else entry[key] for key, default in _DEFAULTS.items()},
    }

    def wrong(key: str, remedy: str) -> None:
        add("storage_class_invalid", path, f"{key} of the StorageClass {name} is {made[key]!r}.", remedy)
        made[key] = _DEFAULTS.get(key, False)

    for key in ("default", "recreate", "allowVolumeExpansion"):
        if not isinstance(made[key], bool):
            wrong(key, "Write true or false.")
    if not isinstance(made["provisioner"], str) or not made["provisioner"]:
        wrong("provisioner", "Set it to local_path, local_volume, nfs or the name of a driver.")
    for key, choices in (("reclaimPolicy", RECLAIM), ("volumeBindingMode", BINDING)):
        if made[key] not in choices:
            wrong(key, f"Write {' or '.join(choices)}.")
    parameters = made["parameters"]
    if not isinstance(parameters, Mapping) or not all(isinstance(item, str) for item in parameters.values()):
        wrong("parameters", "Write a mapping of texts; put numbers, true and false into quotes.")
    options = made["mountOptions"]
    if not isinstance(options, (list, tuple)) or not all(isinstance(item, str) for item in options):
        wrong("mountOptions", "Write a list of texts.")
    topologies = made["allowedTopologies"]
    if not isinstance(topologies, (list, tuple)) or not all(
        isinstance(item, Mapping) and set(item) == {"matchLabelExpressions"} for item in topologies
    ):
        wrong("allowedTopologies", "Write a list of {matchLabelExpressions: [{key: …, values: […]}]}.")
    return made


def _annotations(item: Mapping[str, Any]) -> dict[str, str]:
    made = {DEFAULT_ANNOTATION: "true" if item["default"] else "false"}
    if item["provisioner"] == "rancher.io/local-path":
        # Its own default, hostPath, is a directory that the kubelet makes empty when the volume's disk is missing.
        made["defaultVolumeType"] = "local"
    return made


def to_object(item: Mapping[str, Any]) -> dict[str, Any]:
    """The StorageClass as the API takes it."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": item["name"],
            "labels": {OWNER_LABEL: OWNER},
            "annotations": _annotations(item),
        },
        **{key: item[key] for key in _DEFAULTS},
    }


def from_object(found: Mapping[str, Any]) -> dict[str, Any]:
    """A StorageClass of the API with every field, where it leaves out what is empty."""
    annotations = found["metadata"].get("annotations") or {}
    return {
        "name": found["metadata"]["name"],
        "default": annotations.get(DEFAULT_ANNOTATION) == "true",
        "provisioner": found["provisioner"],
        "parameters": found.get("parameters") or {},
        "reclaimPolicy": found.get("reclaimPolicy") or "Delete",
        # The API server's own default, not this collection's.
        "volumeBindingMode": found.get("volumeBindingMode") or "Immediate",
        "allowVolumeExpansion": bool(found.get("allowVolumeExpansion")),
        "mountOptions": found.get("mountOptions") or [],
        "allowedTopologies": found.get("allowedTopologies") or [],
    }


def is_ours(found: Mapping[str, Any]) -> bool:
    return (found["metadata"].get("labels") or {}).get(OWNER_LABEL) == OWNER


def _unmarked(item: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return not _annotations(item).items() <= (found["metadata"].get("annotations") or {}).items()


@dataclass
class Changes:
    """What is to be done, by names; everything else stays."""

    create: list[str] = field(default_factory=list)
    update: list[str] = field(default_factory=list)
    recreate: list[str] = field(default_factory=list)
    demote: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)

    def any(self) -> bool:
        return any(vars(self).values())


def compare(
    wanted: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], used: Mapping[str, int]
) -> tuple[Changes, list[Problem]]:
    """What differs, and what the API would refuse. used: how many PersistentVolumes each class has."""
    there = {item["metadata"]["name"]: item for item in found}
    changes, problems = Changes(), []
    for item in wanted:
        name = item["name"]
        if name not in there:
            changes.create.append(name)
            continue
        now = from_object(there[name])
        fixed = [key for key in IMMUTABLE if now[key] != item[key]]
        if fixed and item["recreate"]:
            changes.recreate.append(name)
        elif fixed:
            differences = ", ".join(f"{key} is {now[key]!r}, wanted is {item[key]!r}" for key in fixed)
            problems.append(
                Problem(
                    "storage_class_immutable",
                    f"The StorageClass {name} exists and Kubernetes can't change it: {differences}.",
                    f"Use another name, or set recreate: true on it: the class is then made anew, and its"
                    f" {used.get(name, 0)} volumes keep what they were made with.",
                    path="cluster_storage.classes",
                )
            )
        elif any(now[key] != item[key] for key in now) or not is_ours(there[name]) or _unmarked(item, there[name]):
            changes.update.append(name)
    names = {item["name"] for item in wanted}
    new_default = any(item["default"] for item in wanted)
    for name, item in sorted(there.items()):
        if name in names:
            continue
        # A class with volumes stays: without it they can't be expanded any more.
        if is_ours(item) and not used.get(name):
            changes.delete.append(name)
        # Of two defaults Kubernetes takes the newer one, whichever that is.
        elif new_default and from_object(item)["default"]:
            changes.demote.append(name)
    return changes, problems


def describe(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Classes by name, for a difference that people read."""
    keys = ("default", *_DEFAULTS)
    return {str(item["name"]): {key: item[key] for key in keys if item[key] or key == "provisioner"} for item in items}
