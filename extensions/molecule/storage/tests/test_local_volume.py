# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes with a hard limit on real nodes: what they hold, how they grow, copies of them, and what they survive."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from cluster import NAMESPACE, Volumes
from kubernetes import client
from kubernetes.stream import stream
from kubernetes.utils import parse_quantity
from waiting import until

CLASS = "local-volume"
DRIVER = "local.hostplane.io"
POOL = "/var/lib/hostplane-storage/volumes"
MIB = 1 << 20
SNAPSHOTS = ("snapshot.storage.k8s.io", "v1", NAMESPACE, "volumesnapshots")


def loops(worker: Any) -> int:
    """Loop devices over files of the pool."""
    return int(worker.check_output("losetup --list --noheadings --output BACK-FILE | grep -c volumes/ || true"))


def size(volumes: Volumes, pod: str) -> int:
    """MiB of the file system at /data."""
    return int(volumes.sh(pod, "df -m /data | tail -1 | awk '{print $2}'").split()[0])


def used(worker: Any) -> int:
    """MiB that the pool takes of the host's disk, which others in the lab fill too."""
    return int(worker.check_output(f"du --summarize --block-size=1M {POOL}").split()[0])


def files_in(worker: Any) -> list[str]:
    found: str = worker.check_output(f"ls {POOL}")
    return sorted(name for name in found.split() if name.endswith((".img", ".part")))


def driver_on(api: client.CoreV1Api, node: str) -> str:
    pods = api.list_namespaced_pod("kube-system", field_selector=f"spec.nodeName={node}").items
    return next(
        pod.metadata.name
        for pod in pods
        if pod.metadata.name.startswith("local-volume-") and "resizer" not in pod.metadata.name
    )


def orphans(volumes: Volumes, node: str) -> list[str]:
    """What the driver of the node reports, as kind and file."""
    command = ["python3", "-m", "hostplane_local", "report", "--pool", POOL]
    ask = volumes.api.connect_get_namespaced_pod_exec
    said = stream(
        ask, driver_on(volumes.api, node), "kube-system", container="driver", command=command, stdout=True,
        _preload_content=False,
    )  # fmt: skip
    said.run_forever(timeout=30)
    text = said.read_stdout()
    assert text, "the driver does not answer"
    found = json.loads(text)["orphans"]
    return sorted(f"{item['kind']} {item.get('file', item.get('device'))}" for item in found)


@pytest.fixture
def worker(hosts: dict[str, Any]) -> Any:
    return hosts["worker1"]


def test_every_node_is_registered_and_says_how_much_room_it_has(
    classes: client.StorageV1Api, hosts: dict[str, Any]
) -> None:
    for item in classes.list_csi_node().items:
        assert DRIVER in [driver.name for driver in item.spec.drivers or []], item.metadata.name
    found = classes.list_csi_storage_capacity_for_all_namespaces().items
    # One for each node and class.
    assert {next(iter(item.node_topology.match_labels.values())) for item in found} == set(hosts)


def test_a_full_volume_fills_nothing_else(volumes: Volumes, worker: Any) -> None:
    volumes.claim("full", "64Mi", CLASS)
    assert volumes.api.read_namespaced_persistent_volume_claim("full", NAMESPACE).status.phase == "Pending"
    volumes.pod("user", "full", securityContext={"runAsUser": 1000, "fsGroup": 2000})
    assert 48 <= size(volumes, "user") <= 64
    assert "2000" in volumes.sh("user", "stat -c %g /data")
    before = used(worker)
    said = volumes.sh("user", "dd if=/dev/zero of=/data/big bs=1M count=200")
    assert "No space left on device" in said and said.endswith("1")
    assert used(worker) - before <= 64


def test_growing_while_it_is_used(volumes: Volumes) -> None:
    """With xfs: the kernel lets nobody grow a mounted ext4 without CAP_SYS_RESOURCE, which lab nodes don't have."""
    volumes.claim("grows", "320Mi", "local-xfs")
    volumes.pod("user", "grows")
    volumes.sh("user", "echo kept > /data/file")
    before = size(volumes, "user")
    volumes.api.patch_namespaced_persistent_volume_claim(
        "grows", NAMESPACE, {"spec": {"resources": {"requests": {"storage": "480Mi"}}}}
    )
    # The kubelet looks at the sizes of its volumes once in a minute or two.
    until("the volume has grown", lambda: size(volumes, "user") > before + 140, 300)
    assert volumes.sh("user", "cat /data/file") == "kept\n0"

    # No node has so much. Whoever finds that out, the resizer or the kubelet, its pod goes on and starts anew.
    claim = volumes.api.read_namespaced_persistent_volume_claim
    until("the claim knows", lambda: not claim("grows", NAMESPACE).status.conditions, 120)
    volumes.api.patch_namespaced_persistent_volume_claim(
        "grows", NAMESPACE, {"spec": {"resources": {"requests": {"storage": "100Ti"}}}}
    )
    until("somebody has tried", lambda: claim("grows", NAMESPACE).status.conditions, 120)
    volumes.drop_pod("user")
    volumes.pod("user", "grows")
    assert volumes.sh("user", "cat /data/file") == "kept\n0"


def test_a_raw_device(volumes: Volumes) -> None:
    volumes.claim("raw", "32Mi", CLASS, volumeMode="Block")
    volumes.pod("user", "raw", block=True)
    assert volumes.sh("user", "blockdev --getsize64 /dev/data").split()[0] == str(32 * MIB)
    assert volumes.sh("user", "echo raw | dd of=/dev/data conv=notrunc").endswith("0")


def test_snapshot_restore_and_clone(volumes: Volumes) -> None:
    custom = client.CustomObjectsApi(volumes.api.api_client)
    volumes.claim("source", "64Mi", CLASS)
    volumes.pod("writer", "source")
    volumes.sh("writer", "echo first > /data/file; sync")
    body = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": "snap"},
        "spec": {"volumeSnapshotClassName": CLASS, "source": {"persistentVolumeClaimName": "source"}},
    }
    custom.create_namespaced_custom_object(*SNAPSHOTS, body)
    try:

        def ready() -> bool:
            found = custom.get_namespaced_custom_object(*SNAPSHOTS, "snap")
            return bool((found.get("status") or {}).get("readyToUse"))

        until("the snapshot is ready", ready)
        volumes.sh("writer", "echo second > /data/file; sync")
        source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "snap"}
        volumes.claim("restored", "64Mi", CLASS, dataSource=source)
        volumes.claim("cloned", "64Mi", CLASS, dataSource={"kind": "PersistentVolumeClaim", "name": "source"})
        volumes.pod("old", "restored", wait=False)
        volumes.pod("new", "cloned")
        until("the restored one runs", lambda: volumes.read("old").status.phase == "Running")
        assert volumes.sh("old", "cat /data/file") == "first\n0"
        assert volumes.sh("new", "cat /data/file") == "second\n0"
    finally:
        custom.delete_namespaced_custom_object(*SNAPSHOTS, "snap")
    until("the snapshot is gone", lambda: not custom.list_namespaced_custom_object(*SNAPSHOTS)["items"])


def test_a_volume_that_lives_as_long_as_its_pod(volumes: Volumes, worker: Any) -> None:
    before = files_in(worker)
    inline = {"csi": {"driver": DRIVER, "volumeAttributes": {"size": "32Mi"}}}
    volumes.pod("user", volume=inline)
    assert size(volumes, "user") <= 32 and len(files_in(worker)) == len(before) + 1
    volumes.drop_pod("user")
    until("its file is gone", lambda: files_in(worker) == before)


def test_data_outlives_pods_and_the_driver(volumes: Volumes, worker: Any) -> None:
    volumes.claim("data", "64Mi", CLASS)
    volumes.pod("first", "data")
    volumes.sh("first", "echo kept > /data/file; sync")
    # Killed, not stopped: it cannot tidy up.
    worker.check_output("pkill -KILL -f 'hostplane_local serve'")
    assert volumes.sh("first", "cat /data/file") == "kept\n0"
    until("the driver is back", lambda: worker.run("pgrep -f 'hostplane_local serve'").rc == 0)
    volumes.api.delete_namespaced_pod(driver_on(volumes.api, "worker1"), "kube-system")
    volumes.drop_pod("first")
    volumes.pod("second", "data")
    assert volumes.sh("second", "cat /data/file; echo more > /data/more") == "kept\n0"


def test_a_volume_whose_object_is_gone_is_used_again(volumes: Volumes) -> None:
    """As after a reset, or when somebody has deleted the wrong thing."""
    volumes.claim("data", "64Mi", CLASS)
    volumes.pod("user", "data")
    volumes.sh("user", "echo kept > /data/file")
    volume = volumes.volume_of("data")
    name, identity = volume.metadata.name, volume.spec.csi.volume_handle
    retain = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    volumes.api.patch_persistent_volume(name, retain)
    volumes.drop_pod("user")
    volumes.api.delete_namespaced_persistent_volume_claim("data", NAMESPACE)
    volumes.claims.remove("data")
    volumes.api.delete_persistent_volume(name)
    until("the object is gone", lambda: not volumes.api.list_persistent_volume().items)
    where = {"key": "topology.local.hostplane.io/node", "operator": "In", "values": ["worker1"]}
    spec = {
        "capacity": {"storage": "64Mi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": CLASS,
        "csi": {"driver": DRIVER, "volumeHandle": identity, "fsType": "ext4"},
        "claimRef": {"namespace": NAMESPACE, "name": "again"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}},
    }
    marks = {"pv.kubernetes.io/provisioned-by": DRIVER}
    volumes.api.create_persistent_volume({"metadata": {"name": "again", "annotations": marks}, "spec": spec})
    volumes.claim("again", "64Mi", CLASS)
    volumes.pod("second", "again")
    assert volumes.sh("second", "cat /data/file") == "kept\n0"


def test_what_belongs_to_nothing_is_reported_and_left_alone(volumes: Volumes, worker: Any) -> None:
    until("nothing lies around", lambda: orphans(volumes, "worker1") == [])
    worker.check_output(f"touch {POOL}/stray.img {POOL}/notes")
    try:
        assert orphans(volumes, "worker1") == ["image_without_record stray.img", "stranger notes"]
        volumes.api.delete_namespaced_pod(driver_on(volumes.api, "worker1"), "kube-system")
        until("a new driver says so too", lambda: len(orphans(volumes, "worker1")) == 2)
        assert worker.file(f"{POOL}/stray.img").exists
    finally:
        worker.check_output(f"rm {POOL}/stray.img {POOL}/notes")


def test_a_restart_of_the_kubelet(volumes: Volumes, worker: Any) -> None:
    """It shows running pods their volumes again, a part of one and a raw device too, which no second pod may have."""
    for name in ("part", "raw"):
        block = {"volumeMode": "Block"} if name == "raw" else {}
        volumes.claim(name, "32Mi", CLASS, accessModes=["ReadWriteOncePod"], **block)
    volumes.pod("part", "part", restartPolicy="Always", sub_path="below")
    volumes.pod("raw", "raw", restartPolicy="Always", block=True)
    volumes.sh("part", "echo kept > /data/file; sync")
    volumes.sh("raw", "echo raw | dd of=/dev/data conv=notrunc,fsync")
    worker.check_output("systemctl restart kubelet")
    for name in ("part", "raw"):
        # A container is started once all volumes of its pod are there.
        until("the kubelet is back", lambda name=name: volumes.sh(name, "touch /tmp/end") == "0")
    for name in ("part", "raw"):

        def again(name: str = name) -> bool:
            (status,) = volumes.read(name).status.container_statuses
            return bool(status.restart_count and status.ready)

        until(f"{name} runs again", again)
    assert volumes.sh("part", "cat /data/file") == "kept\n0"
    assert volumes.sh("raw", "head -c 3 /dev/data").startswith("raw")


def room(classes: client.StorageV1Api, node: str) -> int:
    """MiB that the scheduler believes the node to have for the class."""
    found = classes.list_csi_storage_capacity_for_all_namespaces().items
    sizes = [
        int(parse_quantity(item.capacity or 0))
        for item in found
        if item.storage_class_name == CLASS and node in item.node_topology.match_labels.values()
    ]
    return max(sizes, default=0) // MIB


def test_a_volume_goes_where_there_is_room(volumes: Volumes, worker: Any, classes: client.StorageV1Api) -> None:
    """worker1 gets a small file system for its pool; its pods would rather be there all the same."""
    worker.check_output(f"mount -t tmpfs -o size=128m small {POOL}")
    prefer = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["worker1"]}]}
    anywhere = {
        "tolerations": [{"operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": prefer}]}
        },
    }
    try:
        volumes.api.delete_namespaced_pod(driver_on(volumes.api, "worker1"), "kube-system")
        until("the room of the small one is known", lambda: 16 < room(classes, "worker1") < 128)
        sizes = {"small": "16Mi", "large": "300Mi", "huge": "1000Ti"}
        for name, size in sizes.items():
            volumes.claim(name, size, CLASS)
            volumes.pod(name, name, wait=False, **anywhere)
        for name, node in (("small", "worker1"), ("large", "cp1")):
            until(f"{name} runs", lambda name=name: volumes.read(name).status.phase == "Running")
            assert volumes.read(name).spec.node_name == node

        def refused() -> bool:
            conditions = volumes.read("huge").status.conditions or []
            return any("did not have enough free storage" in (item.message or "") for item in conditions)

        until("the scheduler says why the third one waits", refused)
        volumes.clean()
    finally:
        worker.check_output(f"umount {POOL}")
        volumes.api.delete_namespaced_pod(driver_on(volumes.api, "worker1"), "kube-system")
    until("the old room is known", lambda: room(classes, "worker1") > 300)


def test_a_restart_of_the_node(volumes: Volumes, worker: Any, inventory: dict[str, Any]) -> None:
    volumes.claim("data", "64Mi", CLASS)
    volumes.pod("user", "data", restartPolicy="Always")
    volumes.sh("user", "echo kept > /data/file; sync")
    inline = {"csi": {"driver": DRIVER, "volumeAttributes": {"size": "32Mi"}}}
    volumes.pod("scratch", volume=inline, restartPolicy="Always")
    volumes.claim("raw", "32Mi", CLASS, volumeMode="Block")
    volumes.pod("raw", "raw", block=True, restartPolicy="Always")
    volumes.sh("raw", "echo raw | dd of=/dev/data conv=notrunc,fsync")
    started = volumes.read("user").status.container_statuses[0].container_id
    # The kernel lists devices of all nodes that are containers on it.
    names = [*files_in(worker), *(item.metadata.name for item in volumes.api.list_persistent_volume().items)]
    listed = worker.check_output("losetup --list --noheadings --output NAME,BACK-FILE").splitlines()
    held = [line.split()[0] for line in listed if any(name in line for name in names)]
    # As a power cut, but for the kernel's memory: the node's processes and mounts are gone at once.
    subprocess.run(["podman", "restart", "--time=0", f"{inventory['vars']['lab_name']}-worker1"], check=True)

    def again() -> bool:
        status = volumes.read("user").status
        return status.phase == "Running" and status.container_statuses[0].container_id != started

    until("the pod is back", again, 240)
    until("its data is", lambda: volumes.sh("user", "cat /data/file") == "kept\n0")
    until("a raw device is", lambda: volumes.sh("raw", "head -c 3 /dev/data").startswith("raw"))
    until("an inline volume is", lambda: size(volumes, "scratch") <= 32)
    until("nothing lies around", lambda: orphans(volumes, "worker1") == [])
    # Loop devices end with a machine, but not with a container.
    worker.check_output(f"losetup --detach {' '.join(held)}")
    volumes.clean()
    until("no loop device is left", lambda: loops(worker) == 0)
