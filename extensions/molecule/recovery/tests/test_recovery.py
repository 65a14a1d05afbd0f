# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups are whole and secret; what can't be restored is refused; all objects come back. In this order."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup, _backup_crypt
from etcdctl import ETCDCTL, etcd, processes
from kubernetes import client, config
from plays import Run, play


def objects(api: client.CoreV1Api) -> dict[str, Any]:
    """What users keep in a cluster."""
    maps = {
        (item.metadata.namespace, item.metadata.name): item.data
        for item in api.list_config_map_for_all_namespaces().items
    }
    secrets = {
        (item.metadata.namespace, item.metadata.name): item.data for item in api.list_secret_for_all_namespaces().items
    }
    return {"maps": maps, "secrets": secrets}


@pytest.fixture(scope="module")
def copies(lab_dir: Path) -> Path:
    return lab_dir / "backups"


@pytest.fixture(scope="module")
def key(lab_dir: Path) -> Path:
    return lab_dir / "backup.key"


def test_the_backup_is_on_the_controller_and_on_the_control_plane(
    hosts: dict[str, Any], copies: Path, key: Path
) -> None:
    (path,) = copies.glob("recovery-r*.backup")
    metadata = _backup.read_metadata(str(path))
    _backup_crypt.authenticate(str(path), metadata, _backup_crypt.read_key(str(key)))
    assert metadata["snapshot"]["keys"] > 200 and metadata["snapshot"]["resources"]["minions"] == 2
    assert metadata["ca_sha256"] == hosts["cp1"].file("/etc/kubernetes/pki/ca.crt").sha256sum
    there = hosts["cp1"].file(f"/var/backups/hostplane/{path.name}")
    assert there.sha256sum == metadata["sha256"]
    assert there.mode == 0o600 and hosts["cp1"].file("/var/backups/hostplane").mode == 0o700


def test_nothing_stays_in_the_clear(hosts: dict[str, Any]) -> None:
    assert hosts["cp1"].file("/etc/hostplane/backup.key").mode == 0o600
    assert hosts["cp1"].check_output("find /var/lib/hostplane/backup -type f") == "/var/lib/hostplane/backup/lock"
    assert hosts["cp1"].check_output("mount | grep -c hostplane || true") == "0"


def test_the_timer_backs_up_without_the_controller(hosts: dict[str, Any]) -> None:
    cp1 = hosts["cp1"]
    assert cp1.service("hostplane-backup.timer").is_enabled and cp1.service("hostplane-backup.timer").is_running
    before = cp1.check_output("ls /var/backups/hostplane | wc -l")
    assert cp1.run("systemctl start hostplane-backup.service").rc == 0, cp1.run("journalctl -u hostplane-backup").stdout
    assert int(cp1.check_output("ls /var/backups/hostplane | wc -l")) == int(before) + 2


@pytest.fixture(scope="module")
def backup(api: client.CoreV1Api, copies: Path) -> tuple[str, dict[str, Any]]:
    """A backup and the objects that were there."""
    for name in ("kept", "changed", "deleted"):
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data={"value": "before"})
        api.create_namespaced_config_map("default", body)
    held = objects(api)
    play("backup", backup_fresh=0)
    path = max(copies.glob("recovery-r*.backup"), key=lambda found: _backup.read_metadata(str(found))["time"])
    return str(path), held


def copied(path: str, target: Path) -> Path:
    for suffix in ("", ".json"):
        shutil.copy(f"{path}{suffix}", target)
    return target / Path(path).name


def test_a_damaged_backup_is_refused(hosts: dict[str, Any], backup: tuple[str, Any], tmp_path: Path) -> None:
    running, path = processes(hosts["cp1"]), copied(backup[0], tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "is damaged" in play("restore", code=2, restore_backup=str(path), restore_confirm="recovery")
    assert processes(hosts["cp1"]) == running


def test_a_backup_of_another_cluster_is_refused(
    hosts: dict[str, Any], backup: tuple[str, Any], key: Path, tmp_path: Path
) -> None:
    running, path = processes(hosts["cp1"]), copied(backup[0], tmp_path)
    metadata = {**_backup.read_metadata(str(path)), "ca_sha256": "0" * 64}
    metadata["hmac"] = _backup_crypt.sign(metadata, _backup_crypt.read_key(str(key)))
    _backup.write_metadata(str(path), metadata)
    assert "of another cluster" in play("restore", code=2, restore_backup=str(path), restore_confirm="recovery")
    assert processes(hosts["cp1"]) == running


def test_another_key_and_a_wrong_confirmation_are_refused(
    hosts: dict[str, Any], backup: tuple[str, Any], tmp_path: Path
) -> None:
    running, other = processes(hosts["cp1"]), tmp_path / "key"
    other.write_text("quite another key than that\n")
    other.chmod(0o600)
    wanted = {"restore_backup": backup[0], "restore_confirm": "recovery"}
    assert "another key" in play("restore", code=2, restore_key_file=str(other), **wanted)
    assert "Confirm by setting" in play("restore", code=2, **{**wanted, "restore_confirm": "production"})
    assert processes(hosts["cp1"]) == running


def test_everything_comes_back_although_the_restore_is_killed(
    hosts: dict[str, Any], api: client.CoreV1Api, backup: tuple[str, dict[str, Any]], lab_dir: Path
) -> None:
    path, held = backup
    api.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="later")))
    api.patch_namespaced_config_map("changed", "default", {"data": {"value": "after"}})
    api.delete_namespaced_config_map("deleted", "default")
    assert int(etcd(hosts["cp1"], "del '' --from-key").split()[0]) > 200
    wanted = {"restore_backup": path, "restore_confirm": "recovery"}
    Run("restore", **wanted).kill_when(lambda log: "[Put the data in place]" in log, after=1)
    log = play("restore", **wanted)
    assert "is back at" in log
    again = client.CoreV1Api(config.new_client_from_config(str(lab_dir / "admin.conf")))
    assert objects(again) == held
    assert "later" not in [item.metadata.name for item in again.list_namespace().items]
    kept = hosts["cp1"].check_output("ls -d /var/lib/etcd/member-before-*").split()
    assert len(kept) == 1
    assert hosts["cp1"].check_output("ls /var/lib/hostplane/restore") == "journal.json"
    nodes = {item.metadata.name: item.status.conditions for item in again.list_node().items}
    assert sorted(nodes) == ["cp1", "worker1"]
    for name, conditions in nodes.items():
        assert [entry.status for entry in conditions if entry.type == "Ready"] == ["True"], name


def test_a_workload_is_scheduled_after_the_restore(lab_dir: Path) -> None:
    """Controllers, scheduler and kubelets act on what is written now, not on what they remember."""
    connection = config.new_client_from_config(str(lab_dir / "admin.conf"))
    image = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
    pod = {"containers": [{"name": "main", "image": image, "args": ["pause"]}]}
    labels = {"app": "after"}
    body = {
        "metadata": {"name": "after"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    apps = client.AppsV1Api(connection)
    apps.create_namespaced_deployment("default", body)
    until = time.monotonic() + 120
    while apps.read_namespaced_deployment("after", "default").status.available_replicas != 1:
        assert time.monotonic() < until, "not available"
        time.sleep(0.5)


def test_a_restored_cluster_is_backed_up_again(hosts: dict[str, Any]) -> None:
    assert hosts["cp1"].run("systemctl start hostplane-backup.service").rc == 0
    newest = hosts["cp1"].check_output("ls -t /var/backups/hostplane/*.json | head -1")
    metadata = json.loads(hosts["cp1"].file(newest).content_string)
    # Revisions go on far above those of before.
    assert metadata["snapshot"]["revision"] > 10**12


def test_a_survivor_brings_the_cluster_back_when_the_quorum_is_lost(
    hosts: dict[str, Any], api: client.CoreV1Api, lab_dir: Path
) -> None:
    wanted = {"restore_survivor": "cp1", "restore_confirm": "recovery"}
    assert "etcd has its quorum" in play("restore", code=2, **wanted)
    last = client.CoreV1Api(config.new_client_from_config(str(lab_dir / "admin.conf")))
    last.create_namespaced_config_map("default", {"metadata": {"name": "last-write"}, "data": {"value": "kept"}})
    # A second voter that never answers: one of two is no quorum.
    etcd(hosts["cp1"], "member add lost --peer-urls=https://10.79.0.12:2380")
    assert hosts["cp1"].run(ETCDCTL + "put /lost x").rc != 0
    play("restore", **wanted)
    again = client.CoreV1Api(config.new_client_from_config(str(lab_dir / "admin.conf")))
    assert again.read_namespaced_config_map("last-write", "default").data == {"value": "kept"}
    assert "lost" not in etcd(hosts["cp1"], "member list")
