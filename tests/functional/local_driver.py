# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSI driver for node-local volumes as a process of its own, and a client for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import grpc

SOURCE = Path(__file__).resolve().parents[2] / "csi" / "driver"
sys.path.insert(0, str(SOURCE))

from hostplane_local import filesystems, loops, wire  # noqa: E402

__all__ = ["MIB", "NOTHING", "Driver", "capability", "csi", "filesystems"]
csi = wire.csi
MIB = 1 << 20
WRITER = csi.VolumeCapability.AccessMode.SINGLE_NODE_WRITER


def capability(fs: str = "", mode: int = WRITER, block: bool = False) -> t.Any:
    found = csi.VolumeCapability(access_mode=csi.VolumeCapability.AccessMode(mode=mode))
    if block:
        found.block.SetInParent()
    else:
        found.mount.fs_type = fs
    return found


class Driver:
    """`folder` gets the pool, the socket and the log; `reserve` is what stays free of its file system, in percent."""

    def __init__(self, folder: Path, pool: Path | None = None, node: str = "node-1") -> None:
        self.folder = folder
        self.pool = pool or folder / "pool"
        self.node = node
        self.socket = folder / "csi.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: grpc.Channel | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        self.pool.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "hostplane_local", "serve", "--reserve-percent=1", f"--pool={self.pool}"]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*argv, f"--node={self.node}", f"--endpoint={self.socket}"],
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
            )
        self.channel = grpc.insecure_channel(f"unix://{self.socket}", options=[("grpc.use_local_subchannel_pool", 1)])
        deadline = time.monotonic() + 20
        while True:
            try:
                if self("Identity", "Probe").ready.value:
                    return
            except grpc.RpcError:
                assert time.monotonic() < deadline and self.process.poll() is None, self.log
                time.sleep(0.05)

    def kill(self) -> None:
        """As the kernel or a power cut would: at once."""
        assert self.process and self.channel
        self.process.kill()
        self.process.wait()
        self.channel.close()

    def stop(self) -> None:
        assert self.process and self.channel
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log
        self.channel.close()

    def __call__(self, service: str, method: str, **fields: t.Any) -> t.Any:
        assert self.channel
        call = wire.stub(self.channel, csi, service, method)
        return call(getattr(csi, f"{method}Request")(**fields), timeout=60)

    def create(self, name: str, size: int, fs: str = "", source: t.Any = None, **fields: t.Any) -> t.Any:
        capabilities = [capability(fs, block=fields.pop("block", False))]
        return self(
            "Controller",
            "CreateVolume",
            name=name,
            volume_capabilities=capabilities,
            capacity_range={"required_bytes": size} if size else None,
            volume_content_source=source,
            **fields,
        ).volume

    def delete(self, identity: str) -> None:
        self("Controller", "DeleteVolume", volume_id=identity)

    def mount(self, identity: str, where: Path, **options: t.Any) -> Path:
        """Stage and publish; the answer is the path of the pod."""
        found = capability(**options)
        stage, target = where / "stage", where / "target"
        self("Node", "NodeStageVolume", volume_id=identity, staging_target_path=str(stage), volume_capability=found)
        self(
            "Node",
            "NodePublishVolume",
            volume_id=identity,
            staging_target_path=str(stage),
            target_path=str(target),
            volume_capability=found,
        )
        return target

    def unmount(self, identity: str, where: Path) -> None:
        self("Node", "NodeUnpublishVolume", volume_id=identity, target_path=str(where / "target"))
        self("Node", "NodeUnstageVolume", volume_id=identity, staging_target_path=str(where / "stage"))

    def report(self) -> dict[str, t.Any]:
        argv = [sys.executable, "-m", "hostplane_local", "report", f"--pool={self.pool}"]
        env = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
        found: dict[str, t.Any] = json.loads(done.stdout)
        assert done.returncode == bool(found["orphans"])
        return found

    def left(self) -> dict[str, list[str]]:
        """Files, devices and mounts that belong to the pool or lie below the folder."""
        devices = loops.backing_files()
        mounted = Path("/proc/self/mountinfo").read_text().splitlines()
        return {
            "files": sorted(name for name in os.listdir(self.pool) if name != "lock"),
            "devices": sorted(f"loop{number}" for number, path in devices.items() if path.startswith(f"{self.pool}/")),
            "mounts": sorted(line.split()[4] for line in mounted if line.split()[4].startswith(f"{self.folder}/")),
        }

    def clear(self) -> None:
        """For a test that failed half way: only what this driver's own folder holds."""
        if self.process and self.process.poll() is None:
            self.kill()
        for path in reversed(self.left()["mounts"]):
            subprocess.run(["umount", path], check=False)
        for device in self.left()["devices"]:
            subprocess.run(["losetup", "--detach", f"/dev/{device}"], check=False)


NOTHING: dict[str, list[str]] = {"files": [], "devices": [], "mounts": []}
