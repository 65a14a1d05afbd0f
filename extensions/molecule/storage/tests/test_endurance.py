# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many volumes, and a driver that is killed all the time: at the end nothing is lost and nothing is left."""

from __future__ import annotations

import concurrent.futures
import random
import time
from pathlib import Path
from typing import Any

import pytest
from cluster import NAMESPACE, Volumes
from kubernetes import client, config
from test_local_volume import CLASS, DRIVER, SNAPSHOTS, files_in, loops, orphans, size
from waiting import until

SECONDS = 400
DRIVERS = "app in (local-volume, local-volume-resizer)"


@pytest.fixture
def worker(hosts: dict[str, Any]) -> Any:
    return hosts["worker1"]


def test_nothing_is_left_of_200_volumes(volumes: Volumes, worker: Any) -> None:
    before, there = loops(worker), files_in(worker)
    for turn in range(8):
        names = [f"many-{turn}-{number}" for number in range(25)]
        for name in names:
            volumes.claim(name, "16Mi", CLASS)
        # Made, mounted, unmounted and removed one by one; a pod for each would only take its time.
        for first in range(0, 25, 5):
            volumes.pod(names[first], names[first], wait=False, more=names[first + 1 : first + 5])
        for name in names[::5]:
            until(f"{name} runs", lambda name=name: volumes.read(name).status.phase == "Running", SECONDS)
        assert loops(worker) >= before + 25
        volumes.clean(SECONDS)
    until("no loop device is left", lambda: loops(worker) <= before and files_in(worker) == there)
    assert orphans(volumes, "worker1") == []


def life(kubeconfig: Path, worker: Any, name: str) -> None:
    """What happens to a volume, from its claim to its end. The client's exec is not for several threads."""
    api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
    volumes, custom = Volumes(api), client.CustomObjectsApi(api.api_client)

    def runs(pod: str) -> None:
        until(f"{pod} runs", lambda: volumes.read(pod).status.phase == "Running", SECONDS)

    volumes.claim(name, "32Mi", CLASS)
    volumes.pod(name, name, wait=False)
    inline = {"csi": {"driver": DRIVER, "volumeAttributes": {"size": "16Mi"}}}
    volumes.pod(f"{name}-inline", volume=inline, wait=False)
    runs(name)
    assert volumes.sh(name, f"echo {name} > /data/file; sync") == "0"
    snapshot = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {"volumeSnapshotClassName": CLASS, "source": {"persistentVolumeClaimName": name}},
    }
    custom.create_namespaced_custom_object(*SNAPSHOTS, snapshot)
    more = {"spec": {"resources": {"requests": {"storage": "64Mi"}}}}
    api.patch_namespaced_persistent_volume_claim(name, NAMESPACE, more)

    def ready() -> bool:
        found = custom.get_namespaced_custom_object(*SNAPSHOTS, name)
        return bool((found.get("status") or {}).get("readyToUse"))

    until("the snapshot is ready", ready, SECONDS)
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name}
    volumes.claim(f"{name}-copy", "64Mi", CLASS, dataSource=source)
    volumes.pod(f"{name}-copy", f"{name}-copy", wait=False)
    until("the volume has grown", lambda: volumes.volume_of(name).spec.capacity["storage"] == "64Mi", SECONDS)
    runs(f"{name}-copy")
    assert volumes.sh(f"{name}-copy", "cat /data/file") == f"{name}\n0"
    runs(f"{name}-inline")
    assert size(volumes, f"{name}-inline") <= 16
    before = size(volumes, name)
    volumes.drop_pod(name)
    # In the lab an ext4 grows when it is mounted the next time; the node would keep it for a pod that comes at once.
    file = volumes.volume_of(name).metadata.name
    devices = "losetup --list --noheadings --output BACK-FILE"
    until("the volume is let go", lambda: file not in worker.check_output(devices), SECONDS)
    volumes.pod(f"{name}-again", name, wait=False)
    runs(f"{name}-again")
    assert volumes.sh(f"{name}-again", "cat /data/file") == f"{name}\n0"
    assert size(volumes, f"{name}-again") >= before + 24
    custom.delete_namespaced_custom_object(*SNAPSHOTS, name)
    volumes.clean(SECONDS)
    until("the snapshot is gone", lambda: name not in str(custom.list_namespaced_custom_object(*SNAPSHOTS)), SECONDS)


def end_backoff(api: client.CoreV1Api) -> None:
    """The kubelet would wait minutes with a container that ended so often; a new pod is started at once."""
    for pod in api.list_namespaced_pod("kube-system", label_selector=DRIVERS).items:
        waiting = [status.state.waiting for status in pod.status.container_statuses or []]
        if any(state and state.reason == "CrashLoopBackOff" for state in waiting):
            api.delete_namespaced_pod(pod.metadata.name, "kube-system", grace_period_seconds=0)


def test_the_driver_is_killed_at_any_moment(volumes: Volumes, worker: Any, lab_dir: Path) -> None:
    before, there = loops(worker), files_in(worker)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance, kills = random.Random(seed), 0
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(life, lab_dir / "admin.conf", worker, f"life-{number}") for number in range(6)]
        while not all(future.done() for future in futures):
            # The driver needs some seconds to come back, and has to get on with its work now and then.
            time.sleep(chance.uniform(1, 12))
            # Not the pod: the driver alone, at once, wherever it is.
            kills += worker.run("pkill -KILL -f 'hostplane_local serve'").rc == 0
            end_backoff(volumes.api)
        for future in futures:
            future.result()
    print(f"{kills} kills")
    assert kills >= 8
    # The kubelet knows the driver again.
    volumes.claim("after", "16Mi", CLASS)
    volumes.pod("after", "after")
    volumes.clean()
    until("nothing is left", lambda: loops(worker) <= before and files_in(worker) == there, SECONDS)
    until("nothing lies around", lambda: orphans(volumes, "worker1") == [])
