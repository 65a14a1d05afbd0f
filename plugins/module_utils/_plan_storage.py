# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The storage of a cluster: drivers, StorageClasses and what every host prepares for them, checked as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.hostplane.cluster.plugins.module_utils import _hoststorage, _names
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key
from ansible_collections.hostplane.cluster.plugins.module_utils._storage_classes import read_class

PATH = "cluster_storage"
KINDS = ("local_path", "local_volume", "nfs")
PROVISIONERS = {
    "local_path": "rancher.io/local-path",
    "local_volume": "local.hostplane.io",
    "nfs": "nfs.csi.k8s.io",
}
STATIC = "kubernetes.io/no-provisioner"
# Kinds that are CSI drivers: the kubelet of every node has to know them.
CSI_KINDS = ("local_volume", "nfs")
DIRECTORIES = {
    "local_path": ("directory", "/var/lib/hostplane-storage/local-path", "0755"),
    "local_volume": ("pool", "/var/lib/hostplane-storage/volumes", "0700"),
}
# Addons of the catalogue whose images a kind needs.
ADDONS = {"local_path": ["local_path"], "local_volume": ["csi", "local_volume"], "nfs": ["csi", "nfs"]}
_SNAPSHOTS = "deployment/kube-system/snapshot-controller"
WORKLOADS = {
    "local_path": ["deployment/local-path-storage/local-path-provisioner"],
    "local_volume": [
        "daemonset/kube-system/local-volume",
        "deployment/kube-system/local-volume-resizer",
        _SNAPSHOTS,
    ],
    "nfs": ["daemonset/kube-system/csi-nfs-node", "deployment/kube-system/csi-nfs-controller", _SNAPSHOTS],
}
_OPTIONS = {"local_path": {"directory"}, "local_volume": {"pool"}, "nfs": set()}
_KEYS = {*KINDS, "classes", "drivers"}
_DRIVER_KEYS = {"name", "manifests", "files", "workloads"}


@dataclass
class StoragePlan:
    """What the storage of the cluster consists of; addons are those of the catalogue that it needs."""

    plan: dict[str, Any]
    addons: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class _Planner:
    def __init__(self, setting: Any, hosts: Sequence[Mapping[str, Any]], exists: Callable[[str], bool]) -> None:
        self._setting = setting if isinstance(setting, Mapping) else {}
        self._hosts = hosts
        self._exists = exists
        self.problems: list[Problem] = []
        if setting and not isinstance(setting, Mapping):
            self._add("storage_invalid", PATH, f"{PATH} is not a mapping.", f"Use the keys {', '.join(sorted(_KEYS))}.")

    def _add(self, code: str, path: str, message: str, remedy: str, host: str = "") -> None:
        self.problems.append(Problem(code, message, remedy, host=host, path=path))

    def plan(self) -> StoragePlan:
        for key in sorted(set(map(str, self._setting)) - _KEYS):
            self._add("storage_unknown", PATH, f"{PATH} has no setting {key}.", f"Use {', '.join(sorted(_KEYS))}.")
        kinds = {kind: made for kind in KINDS if (made := self._kind(kind)) is not None}
        drivers = self._drivers(kinds)
        classes = self._classes(kinds, drivers)
        hosts = self._host_plans(kinds)
        plan = {
            "enabled": bool(kinds or classes or drivers),
            **{kind: kinds.get(kind, {}) for kind in KINDS},
            "classes": classes,
            "drivers": drivers,
            "csi_drivers": sorted({PROVISIONERS[kind] for kind in kinds if kind in CSI_KINDS}
                                  | {driver["name"] for driver in drivers}),
            "workloads": sorted({name for kind in kinds for name in WORKLOADS[kind]}
                                | {name for driver in drivers for name in driver["workloads"]}),
            "hosts": hosts,
        }  # fmt: skip
        return StoragePlan(plan, sorted({addon for kind in kinds for addon in ADDONS[kind]}), self.problems)

    def _kind(self, kind: str) -> dict[str, Any] | None:
        """The settings of a kind, None when it is off: true, or a mapping of what differs from the defaults."""
        value = self._setting.get(kind)
        if value is None or value is False:
            return None
        path, options = f"{PATH}.{kind}", _OPTIONS[kind]
        if value is not True and (not isinstance(value, Mapping) or set(value) - options):
            known = f" or a mapping of {', '.join(sorted(options))}" if options else ""
            self._add("storage_invalid", path, f"{path} is {value!r}.", f"Set it to true, to false{known}.")
            value = True
        made: dict[str, Any] = {"provisioner": PROVISIONERS[kind]}
        if kind in DIRECTORIES:
            key, default, _mode = DIRECTORIES[kind]
            made[key] = str((value.get(key) if isinstance(value, Mapping) else "") or default)
            wrong = _hoststorage.path_problem(made[key])
            if wrong:
                self._add("storage_path_invalid", path, f"{wrong}.", f"Use a directory of its own, such as {default}.")
        return made

    def _drivers(self, kinds: Mapping[str, Any]) -> list[dict[str, Any]]:
        value, path = self._setting.get("drivers") or [], f"{PATH}.drivers"
        if not isinstance(value, (list, tuple)):
            self._add("storage_invalid", path, f"{path} is not a list.", "Write a list of drivers.")
            return []
        drivers = [made for entry in value if (made := self._driver(entry, path))]
        names = [driver["name"] for driver in drivers] + [PROVISIONERS[kind] for kind in kinds]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._add("storage_driver_twice", path, f"The driver {name} is there more than once.",
                      "Keep one of them.")  # fmt: skip
        return sorted(drivers, key=lambda driver: natural_key(str(driver["name"])))

    def _driver(self, entry: Any, path: str) -> dict[str, Any] | None:
        name = str(entry.get("name") or "") if isinstance(entry, Mapping) else ""
        if not isinstance(entry, Mapping) or set(entry) - _DRIVER_KEYS or not _names.is_dns_name(name, 63):
            self._add("storage_driver_invalid", path, f"{entry!r} is not a driver.",
                      "Write {name: <name of its CSIDriver>, files: [<manifests on this machine>]}, with manifests for"
                      " inline objects and workloads for what has to be complete.")  # fmt: skip
            return None
        made: dict[str, Any] = {"name": name}
        for key in ("manifests", "files", "workloads"):
            made[key] = entry.get(key) or []
            kind = Mapping if key == "manifests" else str
            if not isinstance(made[key], (list, tuple)) or not all(isinstance(item, kind) for item in made[key]):
                self._add("storage_driver_invalid", path, f"{key} of the driver {name} is not a list of"
                          f" {'objects' if key == 'manifests' else 'texts'}.", "Write a list.")  # fmt: skip
                made[key] = []
            made[key] = list(made[key])
        for file in made["files"]:
            if not os.path.isabs(os.path.expanduser(file)) or not self._exists(os.path.expanduser(file)):
                self._add("storage_manifest_missing", path, f"There is no manifest {file} of the driver {name}.",
                          "Give the absolute path of a file on this machine, such as"
                          " {{ inventory_dir }}/driver.yml.")  # fmt: skip
        for index, item in enumerate(made["manifests"]):
            if not item.get("apiVersion") or not item.get("kind") or not (item.get("metadata") or {}).get("name"):
                self._add("storage_driver_invalid", path, f"Object {index + 1} of the driver {name} lacks apiVersion,"
                          " kind or metadata.name.", "Write whole Kubernetes objects.")  # fmt: skip
        for item in made["workloads"]:
            if item.count("/") != 2 or item.split("/")[0] not in ("daemonset", "deployment"):
                self._add("storage_driver_invalid", path, f"'{item}' is not a workload.",
                          "Write daemonset/namespace/name or deployment/namespace/name.")  # fmt: skip
                made["workloads"] = [other for other in made["workloads"] if other != item]
        return made

    def _classes(self, kinds: Mapping[str, Any], drivers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        value, path = self._setting.get("classes") or [], f"{PATH}.classes"
        if not isinstance(value, (list, tuple)):
            self._add("storage_invalid", path, f"{path} is not a list.", "Write a list of StorageClasses.")
            value = []
        provided = {**{kind: PROVISIONERS[kind] for kind in kinds}, STATIC: STATIC,
                    **{driver["name"]: driver["name"] for driver in drivers}}  # fmt: skip
        classes = [made for entry in value if (made := read_class(entry, path, self._add))]
        for item in classes:
            if item["provisioner"] not in {*provided, *provided.values()}:
                off = item["provisioner"] in KINDS
                self._add("storage_provisioner_unknown", path, f"Nothing here provides volumes for the StorageClass"
                          f" {item['name']}: {item['provisioner']} is {'off' if off else 'unknown'}.",
                          f"Set {PATH}.{item['provisioner']} to true." if off else
                          "Use local_path, local_volume or nfs, or name the driver in drivers, without manifests when"
                          " it is installed in another way.")  # fmt: skip
            item["provisioner"] = provided.get(item["provisioner"], item["provisioner"])
            self._check_local(item, path)
        used = {item["provisioner"] for item in classes}
        # Without a word about classes a kind can be used all the same; a server for nfs cannot be guessed.
        standard = [
            read_class({"name": kind.replace("_", "-"), "provisioner": PROVISIONERS[kind],
                        "allowVolumeExpansion": kind == "local_volume"}, path, self._add)
            for kind in ("local_path", "local_volume") if kind in kinds and PROVISIONERS[kind] not in used
        ]  # fmt: skip
        made_here = [item for item in standard if item]
        if made_here and not any(item["default"] for item in classes):
            made_here[0]["default"] = True
        classes += made_here
        self._check_unique(classes, path)
        return sorted(classes, key=lambda item: natural_key(str(item["name"])))

    def _check_local(self, item: Mapping[str, Any], path: str) -> None:
        """What drivers of node-local volumes cannot do."""
        if item["provisioner"] not in (PROVISIONERS["local_path"], PROVISIONERS["local_volume"]):
            return
        if item["volumeBindingMode"] != "WaitForFirstConsumer":
            self._add("storage_binding_impossible", path, f"The StorageClass {item['name']} is of a node-local driver:"
                      " a volume that is made before its pod is scheduled could be where the pod may not run.",
                      "Use volumeBindingMode: WaitForFirstConsumer.")  # fmt: skip
        if item["allowVolumeExpansion"] and item["provisioner"] == PROVISIONERS["local_path"]:
            self._add("storage_expansion_impossible", path, f"The StorageClass {item['name']} is of local_path, whose"
                      " volumes are directories without a size.",
                      "Leave allowVolumeExpansion out, or use local_volume.")  # fmt: skip

    def _check_unique(self, classes: Sequence[Mapping[str, Any]], path: str) -> None:
        names = [str(item["name"]) for item in classes]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._add("storage_class_twice", path, f"The StorageClass {name} is listed more than once.",
                      "Keep one of them.")  # fmt: skip
        defaults = sorted({str(item["name"]) for item in classes if item["default"]})
        if len(defaults) > 1:
            self._add("storage_default_twice", path, f"The StorageClasses {' and '.join(defaults)} are both the"
                      " default.", "Keep default: true on one of them.")  # fmt: skip

    def _host_plans(self, kinds: Mapping[str, Any]) -> dict[str, Any]:
        pools = [_hoststorage.Directory(kinds[kind][key], mode)
                 for kind, (key, _default, mode) in DIRECTORIES.items() if kind in kinds]  # fmt: skip
        if len(pools) == 2 and _nested(pools[0].path, pools[1].path):
            self._add("storage_pools_overlap", PATH, f"{pools[0].path} and {pools[1].path} are inside each other.",
                      "Give local_path and local_volume directories of their own.")  # fmt: skip
        made: dict[str, Any] = {}
        for data in sorted(self._hosts, key=lambda item: natural_key(str(item.get("inventory_hostname", "")))):
            host = str(data.get("inventory_hostname", ""))

            def add(code: str, path: str, message: str, remedy: str, host: str = host) -> None:
                self._add(code, path, message, remedy, host)

            if host in made:
                continue
            directories, disks = _hoststorage.read_storage(data.get("node_storage"), "node_storage", add)
            own = {directory.path for directory in directories}
            directories = [pool for pool in pools if pool.path not in own] + directories
            for disk in disks:
                if any(pool.path == disk.mount for pool in pools):
                    add("storage_pool_is_mount", "node_storage", f"{disk.mount} is a pool and a disk's mount point:"
                        " when the disk is missing, volumes would fill the system's own disk.",
                        f"Mount the disk one level higher, such as at {os.path.dirname(disk.mount)}.")  # fmt: skip
            if not directories and not disks:
                continue
            made[host] = {
                "directories": [item.to_dict() for item in sorted(directories, key=lambda item: item.path)],
                "disks": [item.to_dict() for item in sorted(disks, key=lambda item: item.mount)],
            }
        return made


def _nested(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def plan_storage(
    setting: Any, hosts: Sequence[Mapping[str, Any]], exists: Callable[[str], bool] = os.path.isfile
) -> StoragePlan:
    """Plan the storage; exists answers for paths on this machine. Without a setting the hosts' own wishes count."""
    return _Planner(setting, hosts, exists).plan()
