# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of the cluster, with volumes in use. Nothing can be tested after it."""

from __future__ import annotations

from typing import Any

from cluster import Volumes
from plays import play
from test_local_volume import CLASS, POOL, files_in, loops


def test_a_reset_lets_go_of_volumes_and_keeps_their_data(volumes: Volumes, hosts: dict[str, Any]) -> None:
    worker = hosts["worker1"]
    volumes.claim("data", "64Mi", CLASS)
    volumes.claim("raw", "32Mi", CLASS, volumeMode="Block")
    volumes.claim("directory", storage_class="local-path")
    volumes.pod("user", "data")
    volumes.pod("raw", "raw", block=True)
    volumes.pod("plain", "directory")
    volumes.sh("user", "echo outlives-the-cluster > /data/file")
    volumes.sh("plain", "echo outlives-the-cluster > /data/file")
    identity = volumes.volume_of("data").spec.csi.volume_handle
    directory = volumes.volume_of("directory").spec
    path = (directory.local or directory.host_path).path
    # The cluster is gone when the test ends, and these with it.
    volumes.pods.clear()
    volumes.claims.clear()
    assert loops(worker) == 2
    there = files_in(worker)

    play("reset", reset_confirm="storage")
    assert loops(worker) == 0, "no device is left on a file of the pool"
    # In the lab the directory itself is a mount.
    assert "/var/lib/kubelet/" not in worker.check_output("cat /proc/mounts")
    assert files_in(worker) == there and worker.file(f"{POOL}/{identity}.json").exists
    assert worker.file(f"{path}/file").content_string == "outlives-the-cluster\n"
    device = worker.check_output(f"losetup --find --show {POOL}/{identity}.img")
    try:
        worker.check_output(f"mount {device} /mnt")
        assert worker.file("/mnt/file").content_string == "outlives-the-cluster\n"
    finally:
        worker.run(f"umount /mnt; losetup --detach {device}")

    play("reset", reset_confirm="storage", reset_volumes=True)
    assert not worker.file(POOL).exists and not worker.file(path).exists
