# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories as volumes, StorageClasses as data, disks of a host, and what is refused."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Volumes
from kubernetes import client
from plays import INVENTORY, play
from waiting import until

DEFAULT = "storageclass.kubernetes.io/is-default-class"
DIRECTORY = "/var/lib/hostplane-storage/local-path"
LINK = "/dev/disk/by-path/hostplane-test"
SETTINGS = yaml.safe_load((INVENTORY / "group_vars/all/scenario.yml").read_text())
STORAGE: dict[str, Any] = SETTINGS["cluster_storage"]
NAMES = ["local-path", "local-volume", "local-xfs"]


def defaults(classes: client.StorageV1Api) -> list[str]:
    found = classes.list_storage_class().items
    return [item.metadata.name for item in found if item.metadata.annotations.get(DEFAULT) == "true"]


@pytest.fixture(scope="module")
def disk(
    hosts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, inventory: dict[str, Any], lab_dir: Path
) -> Iterator[str]:
    """A loop device of worker1 with a file system and a file in it, by a link as udev makes them."""
    image = tmp_path_factory.mktemp("disk") / "image"
    with image.open("wb") as handle:
        handle.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    worker = hosts["worker1"]
    address = inventory["groups"]["worker"]["worker1"]["ansible_host"]
    options = ["-i", f"{lab_dir}/id_ed25519", "-o", f"UserKnownHostsFile={lab_dir}/known_hosts"]
    subprocess.run(["scp", "-q", *options, image, f"root@{address}:/root/disk.img"], check=True)
    device = worker.check_output("losetup --find --show /root/disk.img")
    worker.check_output(f"mkdir -p /dev/disk/by-path && ln -sfn {device} {LINK}")
    yield device
    worker.run("umount /srv/volumes")
    worker.check_output(
        f"losetup --detach {device}; rm -rf /root/disk.img {LINK} /srv/volumes; sed -i '/volumes/d' /etc/fstab"
    )


def test_local_path(volumes: Volumes, hosts: dict[str, Any], classes: client.StorageV1Api) -> None:
    assert defaults(classes) == ["local-path"]
    # No class is asked for, so it is the default.
    volumes.claim("data")
    assert volumes.api.read_namespaced_persistent_volume_claim("data", "default").status.phase == "Pending"
    volumes.pod("first", "data")
    assert volumes.sh("first", "echo kept > /data/file") == "0"
    volume = volumes.volume_of("data")
    assert volume.spec.storage_class_name == "local-path"
    path = volume.spec.host_path.path if volume.spec.host_path else volume.spec.local.path
    assert path.startswith(f"{DIRECTORY}/") and hosts["worker1"].file(f"{path}/file").exists
    volumes.drop_pod("first")
    volumes.pod("second", "data")
    assert volumes.sh("second", "cat /data/file") == "kept\n0"
    volumes.drop_pod("second")
    volumes.drop_claim("data")
    assert not hosts["worker1"].file(path).exists


def test_what_is_wrong_comes_together_and_before_any_change(
    classes: client.StorageV1Api, hosts: dict[str, Any], disk: str
) -> None:
    before = [item.metadata.resource_version for item in classes.list_storage_class().items]
    wrong = {
        **STORAGE,
        "nfs": True,
        "local_volume": {"pool": "/srv/elsewhere"},
        "classes": [
            *STORAGE["classes"],
            {"name": "local-path", "provisioner": "local_path", "reclaimPolicy": "Retain"},
        ],
    }
    worker = hosts["worker1"]
    worker.check_output("echo 'UUID=1 /srv/gone ext4 nofail 0 2' >> /etc/fstab")
    try:
        log = play(
            "create",
            code=2,
            cluster_storage=wrong,
            node_storage={
                "disks": [{"device": LINK, "mount": "/srv/volumes"}],
                "directories": ["/srv/gone/pool"],
            },
        )
    finally:
        worker.check_output("sed -i '/gone/d' /etc/fstab")
    for text in (
        "[addon_missing]", "nfsplugin", "bundle_source: upstream",
        "[storage_class_immutable]", "reclaimPolicy is 'Delete', wanted is 'Retain'",
        "cp1:", "[storage_disk_missing]", "worker1:", "[storage_disk_not_empty]", disk,
        "[storage_pool_moved]", "Set it to /var/lib/hostplane-storage/volumes",
        "[storage_disk_not_mounted]", "/srv/gone/pool is to be on UUID=1",
    ):  # fmt: skip
        assert text in log, text
    # Only where the machine of the lab lacks it.
    modules = "/lib/modules/$(uname -r)/modules"
    knows_nfs = worker.run(f"grep -w nfs /proc/filesystems || grep /nfs.ko {modules}.dep {modules}.builtin").rc == 0
    assert ("[KernelFeature-nfs]" in log) != knows_nfs
    assert re.findall(r"changed=[1-9]", log) == []
    assert [item.metadata.resource_version for item in classes.list_storage_class().items] == before


def test_another_default_and_a_disk(
    classes: client.StorageV1Api, volumes: Volumes, hosts: dict[str, Any], disk: str
) -> None:
    storage = {**STORAGE, "classes": [
        *STORAGE["classes"],
        {"name": "local-path", "provisioner": "local_path"},
        {"name": "kept", "provisioner": "local_path", "default": True, "reclaimPolicy": "Retain"},
    ]}  # fmt: skip
    node = {
        "disks": [{"device": LINK, "mount": "/srv/volumes", "use_existing": True}],
        "directories": [{"path": "/srv/volumes/pool", "mode": "0700"}],
    }
    own = f"{{{{ {node} if inventory_hostname == 'worker1' else {{}} }}}}"
    log = play("create", cluster_storage=storage, node_storage=own)
    assert re.findall(r"(\w+) +: .*changed=([1-9])", log) == [("cp1", "1"), ("worker1", "1")], log
    assert defaults(classes) == ["kept"]
    worker = hosts["worker1"]
    assert worker.mount_point("/srv/volumes").filesystem == "ext4" and worker.file("/srv/volumes/pool").mode == 0o700
    assert "nofail" in worker.check_output("grep /srv/volumes /etc/fstab")
    log = play("create", cluster_storage=storage, node_storage=own)
    assert re.findall(r"changed=[1-9]", log) == [], log
    volumes.claim("data")
    volumes.pod("user", "data")
    assert volumes.volume_of("data").spec.persistent_volume_reclaim_policy == "Retain"
    name = volumes.volume_of("data").metadata.name
    volumes.drop_pod("user")
    volumes.api.delete_namespaced_persistent_volume_claim("data", "default")
    volumes.claims.remove("data")

    # The class has a volume, so it stays when it is not listed any more; it is the default no longer.
    play("create")
    assert defaults(classes) == ["local-path"]
    assert "kept" in [item.metadata.name for item in classes.list_storage_class().items]
    volumes.api.delete_persistent_volume(name)
    until(
        "the volume is gone",
        lambda: name not in [item.metadata.name for item in volumes.api.list_persistent_volume().items],
    )
    log = play("create")
    assert re.findall(r"(\w+) +: .*changed=([1-9])", log) == [("cp1", "1")], log
    assert [item.metadata.name for item in classes.list_storage_class().items] == NAMES
