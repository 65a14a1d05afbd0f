# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool on a disk of its own, which is not mounted any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from test_local_volume import DRIVER, POOL, driver_on
from waiting import until

ABOVE, DISK = Path(POOL).parent, "/mnt/disk"
MEMORY = f"/var/lib/kubelet/plugins/{DRIVER}/pool.json"


def new_driver(api: client.CoreV1Api) -> None:
    """Replace the driver's pod on cp1, and wait for the next one."""
    old = driver_on(api, "cp1")
    api.delete_namespaced_pod(old, "kube-system")
    # None is found in between.
    until("there is another pod", lambda: old not in names(api) and names(api))


def names(api: client.CoreV1Api) -> list[str]:
    listed = api.list_namespaced_pod(
        "kube-system", field_selector="spec.nodeName=cp1", label_selector="app=local-volume"
    )
    return [pod.metadata.name for pod in listed.items]


def serves(api: client.CoreV1Api) -> bool:
    (name,) = names(api)
    statuses = api.read_namespaced_pod(name, "kube-system").status.container_statuses or []
    return bool(statuses) and all(status.ready for status in statuses)


def complaint(api: client.CoreV1Api) -> str:
    """The last words of a driver that has ended."""
    (name,) = names(api)
    statuses = api.read_namespaced_pod(name, "kube-system").status.container_statuses or []
    ended = [status for status in statuses if status.name == "driver" and status.restart_count]
    said: str = api.read_namespaced_pod_log(name, "kube-system", container="driver", previous=True) if ended else ""
    return said


@pytest.fixture
def cp1(hosts: dict[str, Any], api: client.CoreV1Api) -> Iterator[Any]:
    """A control plane whose pool is on a disk of its own."""
    host = hosts["cp1"]
    host.check_output(f"mkdir {DISK} && mount -t tmpfs -o size=512M tmpfs {DISK} && mkdir -m 700 {DISK}/volumes")
    host.check_output(f"mount --bind {DISK} {ABOVE}")
    yield host
    host.run(f"umount {ABOVE}; umount {DISK}; rmdir {DISK}; rm {MEMORY}")
    new_driver(api)
    until("the driver serves", lambda: serves(api))


def test_a_pool_that_has_lost_its_disk_is_not_used(cp1: Any, api: client.CoreV1Api) -> None:
    new_driver(api)
    until("the driver serves from the disk", lambda: serves(api))
    cp1.check_output(f"umount {ABOVE}")
    node = cp1.check_output(f"ls -lA --time-style=full-iso {POOL}")

    new_driver(api)
    said = until("the driver ends", lambda: complaint(api))
    assert f"{POOL} was /volumes on a disk of its own" in said and "Mount the disk, then delete this pod" in said
    assert cp1.check_output(f"ls -lA --time-style=full-iso {POOL}") == node

    cp1.check_output(f"mount --bind {DISK} {ABOVE}")
    new_driver(api)
    until("the driver serves from the disk again", lambda: serves(api))
