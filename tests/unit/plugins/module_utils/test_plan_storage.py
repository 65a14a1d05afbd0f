# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils import _plan_bundle, _plan_storage
from hypothesis import given
from hypothesis import strategies as st

RELEASES = Path(__file__).parents[4] / "releases"
HOSTS = ({"inventory_hostname": "cp1", "role": "control_plane"}, {"inventory_hostname": "node1", "role": "worker"})


def plan(setting: Any, hosts: Any = HOSTS, files: tuple[str, ...] = ()) -> _plan_storage.StoragePlan:
    return _plan_storage.plan_storage(setting, hosts, lambda path: path in files)


def codes(setting: Any, hosts: Any = HOSTS) -> list[str]:
    return sorted(problem.code for problem in plan(setting, hosts).problems)


def classes(setting: Any) -> dict[str, dict[str, Any]]:
    planned = plan(setting)
    assert planned.problems == []
    return {item["name"]: item for item in planned.plan["classes"]}


@pytest.mark.parametrize("setting", [None, {}, {"local_path": False, "nfs": None}])
def test_nothing_is_wanted(setting: Any) -> None:
    planned = plan(setting)
    assert (planned.problems, planned.addons, planned.plan["enabled"]) == ([], [], False)
    assert planned.plan["hosts"] == {} and planned.plan["classes"] == []


def test_local_path_alone_is_the_default() -> None:
    planned = plan({"local_path": True})
    assert (planned.problems, planned.addons) == ([], ["local_path"])
    (item,) = planned.plan["classes"]
    assert (item["name"], item["default"], item["provisioner"]) == ("local-path", True, "rancher.io/local-path")
    assert item["volumeBindingMode"] == "WaitForFirstConsumer" and not item["allowVolumeExpansion"]
    assert planned.plan["csi_drivers"] == []
    directory = {"path": "/var/lib/hostplane-storage/local-path", "mode": "0755", "owner": "root", "group": "root"}
    assert planned.plan["hosts"] == {name: {"directories": [directory], "disks": []} for name in ("cp1", "node1")}


def test_kinds_are_csi_drivers_or_not() -> None:
    planned = plan({"local_path": True, "local_volume": {"pool": "/srv/pool"}, "nfs": True})
    assert planned.problems == []
    assert planned.addons == ["csi", "local_path", "local_volume", "nfs"]
    assert planned.plan["csi_drivers"] == ["local.hostplane.io", "nfs.csi.k8s.io"]
    assert [item["path"] for item in planned.plan["hosts"]["node1"]["directories"]] == [
        "/srv/pool", "/var/lib/hostplane-storage/local-path",
    ]  # fmt: skip


def test_standard_classes_step_back_for_own_ones() -> None:
    found = classes({"local_path": True, "local_volume": True})
    assert {name: item["default"] for name, item in found.items()} == {"local-path": True, "local-volume": False}
    assert found["local-volume"]["allowVolumeExpansion"]
    own = [{"name": "fast", "provisioner": "local_volume", "default": True}]
    found = classes({"local_path": True, "local_volume": True, "classes": own})
    assert {name: item["default"] for name, item in found.items()} == {"fast": True, "local-path": False}
    assert found["fast"]["provisioner"] == "local.hostplane.io"
    own.append({"name": "plain", "provisioner": "local_path"})
    assert sorted(classes({"local_path": True, "local_volume": True, "classes": own})) == ["fast", "plain"]


def test_every_problem_of_the_classes_at_once() -> None:
    wanted = [
        {"name": "a", "provisioner": "local_path", "default": True},
        {"name": "b", "provisioner": "local_path", "default": True, "volumeBindingMode": "Immediate"},
        {"name": "b", "provisioner": "local_path", "allowVolumeExpansion": True},
        {"name": "c", "provisioner": "local_volume"},
        {"name": "d", "provisioner": "ebs.csi.aws.com"},
        {"name": "Bad Name", "provisioner": "local_path"},
        {"name": "e", "provisioner": "local_path", "parameters": {"a": 1}, "reclaimPolicy": "Recycle"},
        "text",
    ]
    assert codes({"local_path": True, "classes": wanted}) == [
        "storage_binding_impossible", "storage_class_invalid", "storage_class_invalid", "storage_class_invalid",
        "storage_class_invalid", "storage_class_twice", "storage_default_twice", "storage_expansion_impossible",
        "storage_provisioner_unknown", "storage_provisioner_unknown",
    ]  # fmt: skip


def test_other_drivers() -> None:
    driver = {
        "name": "ebs.csi.aws.com",
        "files": ["/srv/driver.yml"],
        "manifests": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ebs"}}],
        "workloads": ["daemonset/ebs/node"],
    }
    setting = {"drivers": [driver], "classes": [{"name": "ebs", "provisioner": "ebs.csi.aws.com"}]}
    planned = plan(setting, files=("/srv/driver.yml",))
    assert planned.problems == [] and planned.addons == []
    assert planned.plan["csi_drivers"] == ["ebs.csi.aws.com"]
    assert planned.plan["workloads"] == ["daemonset/ebs/node"]
    assert [problem.code for problem in plan(setting).problems] == ["storage_manifest_missing"]
    wrong = [
        {**driver, "files": ["driver.yml"]},
        {"name": "x.y", "manifests": [{"kind": "Namespace"}], "workloads": ["pod/a/b"], "files": "text"},
        {"name": "nfs.csi.k8s.io"},
        {"name": "No Name"},
        {"name": "z.y", "colour": "red"},
    ]
    assert codes({"nfs": True, "drivers": wrong}) == [
        "storage_driver_invalid", "storage_driver_invalid", "storage_driver_invalid", "storage_driver_invalid",
        "storage_driver_invalid", "storage_driver_twice", "storage_manifest_missing",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("text", "storage_invalid"),
        ({"local_paths": True}, "storage_unknown"),
        ({"local_path": "yes"}, "storage_invalid"),
        ({"local_path": {"path": "/srv"}}, "storage_invalid"),
        ({"local_path": {"directory": "srv"}}, "storage_path_invalid"),
        ({"local_volume": {"pool": "/var/lib/kubelet/pool"}}, "storage_path_invalid"),
        ({"nfs": {"server": "x"}}, "storage_invalid"),
        ({"classes": {}}, ""),
        ({"classes": "text"}, "storage_invalid"),
        ({"drivers": "text"}, "storage_invalid"),
        ({"local_path": {"directory": "/srv/a"}, "local_volume": {"pool": "/srv/a/b"}}, "storage_pools_overlap"),
    ],
)
def test_refusals(setting: Any, code: str) -> None:
    assert codes(setting) == ([code] if code else [])


def test_what_hosts_prepare_is_named_by_host() -> None:
    disk = {"serial": "A1", "mount": "/srv/volumes"}
    hosts = [{**HOSTS[0], "node_storage": {"disks": [disk]}}, {**HOSTS[1], "node_storage": {"disks": ["sdb"]}}]
    planned = plan({"local_volume": {"pool": "/srv/volumes/pool"}}, hosts)
    assert [(problem.host, problem.code) for problem in planned.problems] == [("node1", "storage_disk_invalid")]
    assert planned.plan["hosts"]["cp1"]["disks"][0]["serial"] == "A1"
    planned = plan({"local_volume": {"pool": "/srv/volumes"}}, hosts[:1])
    assert [(problem.host, problem.code) for problem in planned.problems] == [("cp1", "storage_pool_is_mount")]
    own = [{**HOSTS[0], "node_storage": {"directories": [{"path": "/srv/pool", "mode": "0711"}]}}]
    (directory,) = plan({"local_volume": {"pool": "/srv/pool"}}, own).plan["hosts"]["cp1"]["directories"]
    assert directory["mode"] == "0711"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "provisioner", "classes", "drivers", "local_path", "directory", "files", "disks"]),
        inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(JUNK)
def test_nothing_that_can_be_written_breaks_the_plan(setting: Any) -> None:
    planned = plan(setting, [{**HOSTS[0], "node_storage": setting}])
    assert all(problem.message and problem.remedy and problem.path for problem in planned.problems)


@pytest.mark.parametrize("release", ["1.35.4", "1.36.3"])
def test_the_catalogue_has_the_images_of_every_kind(release: str) -> None:
    images = yaml.safe_load((RELEASES / f"{release}.yml").read_text())["images"]
    there = {name.rpartition(":")[0]: entry.get("addon") for name, entry in images.items()}
    for kind in ("local_path", "nfs"):
        for addon in _plan_storage.ADDONS[kind]:
            for repository in _plan_bundle.ADDON_REPOSITORIES[addon].values():
                assert there[repository] == addon


def test_nfs_is_refused_with_the_reason_when_the_bundle_was_built_from_source() -> None:
    images = yaml.safe_load((RELEASES / "1.36.3.yml").read_text())["images"]
    locked = {name: {"digest": "sha256:0"} for name, entry in images.items() if entry.get("recipe")}
    lock = {"amd64": {"release": "1.36.3", "arch": "amd64", "images": locked, "files": {}}}
    addons = plan({"nfs": True}).addons
    bundle = _plan_bundle.BundlePlan("1.36.3", "flannel", ["amd64"], {"images": images}, lock, addons=addons)
    missing = [problem for problem in bundle.problems() if problem.code == "addon_missing"]
    assert len(missing) == 3 and all("nfs" in problem.message for problem in missing)
    assert all("bundle_source: upstream" in problem.remedy for problem in missing)
