# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three members go back together although runs are killed; two are lost for good; all are replaced. In this order."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup
from etcdctl import etcd, leader, members, processes
from kubernetes import client, config
from plays import Run, play

CONTROL_PLANES = ["cp1", "cp2", "cp3"]
JOURNAL = "/var/lib/hostplane/restore/journal.json"


@pytest.fixture
def planes(hosts: dict[str, Any]) -> dict[str, Any]:
    return {name: hosts[name] for name in CONTROL_PLANES}


@pytest.fixture(scope="module")
def podman(inventory: dict[str, Any]) -> Callable[..., None]:
    """Do something to a host's container."""

    def run(host: str, *words: str) -> None:
        subprocess.run(["podman", *words, f"{inventory['vars']['lab_name']}-{host}"], check=True, capture_output=True)

    return run


def core(lab_dir: Path) -> client.CoreV1Api:
    """The API as the newest kubeconfig of the administrator reaches it."""
    return client.CoreV1Api(config.new_client_from_config(str(lab_dir / "admin.conf")))


def note(lab_dir: Path, name: str, value: str = "before") -> None:
    core(lab_dir).create_namespaced_config_map("default", {"metadata": {"name": name}, "data": {"value": value}})


def objects(lab_dir: Path) -> dict[str, Any]:
    """What users keep; what Kubernetes and probes keep for themselves goes on changing."""
    api = core(lab_dir)
    found = api.list_config_map_for_all_namespaces().items + api.list_secret_for_all_namespaces().items
    return {
        f"{item.metadata.namespace}/{item.metadata.name}": item.data
        for item in found
        if not item.metadata.namespace.startswith(("kube-", "hostplane-"))
    }


def ready(lab_dir: Path) -> list[str]:
    return sorted(
        node.metadata.name
        for node in core(lab_dir).list_node().items
        if any(entry.type == "Ready" and entry.status == "True" for entry in node.status.conditions)
    )


def newest(lab_dir: Path) -> str:
    """The controller's copy of the last backup."""
    copies = [str(path) for path in (lab_dir / "backups").glob("recovery-ha-r*.backup")]
    return max(copies, key=lambda path: _backup.read_metadata(path)["time"])


def killed_at(line: str, times: int = 1, **variables: Any) -> None:
    """Start a restore and kill it when it has said this so many times."""
    run = Run("restore", restore_confirm="recovery-ha", **variables)
    run.kill_when(lambda log: log.count(line) >= times)


def killed_after_first_host(task: str, **variables: Any) -> None:
    """Start a restore, one host after the other, and kill it when the first has done the task."""
    run = Run("restore", "--forks=1", restore_confirm="recovery-ha", **variables)
    run.kill_when(lambda log: re.search(rf"\[{task}\].*^(changed|ok): \[", log, re.M | re.S))


def steps(planes: dict[str, Any]) -> dict[str, str]:
    """The last step that each control plane has finished."""
    return {name: json.loads(host.file(JOURNAL).content_string)["done"] for name, host in planes.items()}


def test_the_backup_is_of_a_member_that_does_not_lead(lab_dir: Path, planes: dict[str, Any]) -> None:
    metadata = _backup.read_metadata(newest(lab_dir))
    assert metadata["leader"] is False
    assert metadata["snapshot"]["resources"]["minions"] == 4
    version = planes["cp1"].check_output("kubelet --version").split()[-1]
    assert metadata["snapshot"]["kubernetes"] == version.removeprefix("v")


def test_three_members_go_back_although_two_runs_are_killed(lab_dir: Path, planes: dict[str, Any]) -> None:
    for name in ("kept", "changed", "deleted"):
        note(lab_dir, name)
    held = objects(lab_dir)
    play("backup")
    path = newest(lab_dir)
    api = core(lab_dir)
    api.create_namespace({"metadata": {"name": "later"}})
    api.patch_namespaced_config_map("changed", "default", {"data": {"value": "after"}})
    api.delete_namespaced_config_map("deleted", "default")

    killed_after_first_host("Put the data in place", restore_backup=path)
    assert sorted(steps(planes).values())[0] == "restore" and "stop" in steps(planes).values()
    killed_after_first_host("Remove what the restore needed", restore_backup=path)
    assert sorted(set(steps(planes).values())) == ["finish", "start_api"]
    running = {name: processes(host) for name, host in planes.items()}
    log = play("restore", restore_backup=path, restore_confirm="recovery-ha")

    assert "is back at" in log
    assert {name: processes(host) for name, host in planes.items()} == running
    assert set(steps(planes).values()) == {"finish"}
    assert objects(lab_dir) == held
    assert ready(lab_dir) == [*CONTROL_PLANES, "worker1"]
    assert all(members(host) == CONTROL_PLANES for host in planes.values())
    # Backup and key are with none of them.
    for host in planes.values():
        assert len(host.check_output("ls -d /var/lib/etcd/member-before-*").split()) == 1
        assert host.check_output("ls /var/lib/hostplane/restore") == "journal.json"


def test_the_last_member_brings_back_what_was_written_last(
    lab_dir: Path, planes: dict[str, Any], podman: Callable[..., None]
) -> None:
    # Of cp1 nothing is left; another one has lost its data; who survives did not lead.
    survivor = "cp2" if leader(planes) == "cp3" else "cp3"
    broken = "cp3" if survivor == "cp2" else "cp2"
    note(lab_dir, "last-write")
    held = objects(lab_dir)
    podman("cp1", "rm", "--force", "--volumes")
    # A file in the place of the directory: an empty disk would be filled by the others.
    planes[broken].check_output("rm -r /var/lib/etcd/member && touch /var/lib/etcd/member")
    planes[broken].check_output("crictl stop $(crictl ps --quiet --name '^etcd$')")
    play("restore", restore_survivor=survivor, restore_confirm="recovery-ha")
    assert objects(lab_dir) == held
    assert members(planes[survivor]) == [survivor]
    assert "etcd.yaml" in planes[broken].check_output("ls /etc/kubernetes/hostplane-restore")

    play("reset", "--limit", broken, reset_confirm="recovery-ha")
    play("lab")
    play("scale")
    assert objects(lab_dir) == held
    assert ready(lab_dir) == [*CONTROL_PLANES, "worker1"]
    assert members(planes[survivor]) == CONTROL_PLANES
    etcd(planes["cp1"], "endpoint health --cluster")


def test_fresh_hosts_become_the_cluster_of_the_backup(
    lab_dir: Path, planes: dict[str, Any], podman: Callable[..., None]
) -> None:
    play("backup")
    path, held = newest(lab_dir), objects(lab_dir)
    note(lab_dir, "too-late")
    for name in CONTROL_PLANES:
        podman(name, "rm", "--force", "--volumes")
    play("lab")
    # One batch for each control plane: the first two are members then.
    killed_at("PLAY [Join the other control planes", times=3, restore_backup=path)
    assert members(planes["cp1"]) == ["cp1", "cp2"]
    running = processes(planes["cp1"]), processes(planes["cp2"])
    log = play("restore", restore_backup=path, restore_confirm="recovery-ha")

    assert "is back at" in log
    assert (processes(planes["cp1"]), processes(planes["cp2"])) == running
    assert objects(lab_dir) == held
    assert ready(lab_dir) == [*CONTROL_PLANES, "worker1"]
    assert all(members(host) == CONTROL_PLANES for host in planes.values())
    # Backup and key were with all of them.
    found = {name: host.run("ls /var/lib/hostplane/restore").stdout.split() for name, host in planes.items()}
    assert found == {"cp1": ["journal.json"], "cp2": [], "cp3": []}
