# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What csi-sanity does not look at: that the size is a hard limit, where data is, that nothing is left."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import os
import random
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import grpc
import pytest
from local_driver import MIB, NOTHING, Driver, csi, filesystems

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
SIZES = {"ext4": 64 * MIB, "xfs": 304 * MIB}


@pytest.fixture
def driver(tmp_path: Path) -> t.Iterator[Driver]:
    driver = Driver(tmp_path)
    driver.start()
    yield driver
    driver.clear()


@pytest.fixture
def reflink_driver(tmp_path: Path) -> t.Iterator[Driver]:
    """With its pool on xfs, where a copy is a reference."""
    disk, where = tmp_path / "disk", tmp_path / "disk.mounted"
    disk.touch()
    os.truncate(disk, 3 << 30)
    where.mkdir()
    subprocess.run(["mkfs.xfs", "-q", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(where)], check=True)
    folder = tmp_path / "driver"
    folder.mkdir()
    driver = Driver(folder, where / "pool")
    driver.start()
    yield driver
    driver.clear()
    subprocess.run(["umount", str(where)], check=True)


def fill(path: Path) -> int:
    """Write until nothing more goes in; the answer is how much did."""
    written = 0
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                written += stream.write(os.urandom(MIB))
        except OSError as exc:
            assert exc.errno == errno.ENOSPC
        with contextlib.suppress(OSError):
            os.fsync(stream.fileno())
    return written


def losetup(*arguments: str) -> str:
    return subprocess.run(["losetup", *arguments], capture_output=True, text=True, check=True).stdout


def code(call: t.Callable[[], t.Any]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(caught.value.code().name)


def free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_the_size_is_a_hard_limit_and_can_grow(fs: str, driver: Driver) -> None:
    size = SIZES[fs]
    volume = driver.create("limited", size, fs)
    image = driver.pool / f"{volume.volume_id}.img"
    assert volume.capacity_bytes == size == image.stat().st_size
    assert image.stat().st_blocks * 512 >= size, "allocated before the first write"
    target = driver.mount(volume.volume_id, driver.folder, fs=fs)
    blocks = image.stat().st_blocks
    written = fill(target / "full")
    assert size * 0.7 < written < size
    # It took all that it ever takes when it was made; a little is the pool's own metadata.
    assert abs(image.stat().st_blocks - blocks) * 512 < MIB

    before = os.statvfs(target)
    more = {"required_bytes": 2 * size}
    grown = driver("Controller", "ControllerExpandVolume", volume_id=volume.volume_id, capacity_range=more)
    assert grown.node_expansion_required and grown.capacity_bytes == 2 * size

    def grow_file_system() -> None:
        driver("Node", "NodeExpandVolume", volume_id=volume.volume_id, volume_path=str(target))

    if fs == "ext4" and not filesystems.can_grow_online():
        assert code(grow_file_system) == "FAILED_PRECONDITION"
        driver.unmount(volume.volume_id, driver.folder)
        driver.mount(volume.volume_id, driver.folder, fs=fs)
    grow_file_system()
    after = os.statvfs(target)
    assert after.f_blocks * after.f_frsize > 1.7 * before.f_blocks * before.f_frsize
    assert fill(target / "more") > 0.8 * size
    stats = driver("Node", "NodeGetVolumeStats", volume_id=volume.volume_id, volume_path=str(target))
    assert not stats.volume_condition.abnormal, stats.volume_condition.message
    assert [usage.unit for usage in stats.usage] == [csi.VolumeUsage.BYTES, csi.VolumeUsage.INODES]
    assert code(lambda: driver.delete(volume.volume_id)) == "FAILED_PRECONDITION"
    driver.unmount(volume.volume_id, driver.folder)
    driver.delete(volume.volume_id)
    assert driver.left() == NOTHING


def check_copies(driver: Driver) -> None:
    """A snapshot of a volume in use holds what was written before it, and copies of both are volumes of their own."""
    first = driver.create("first", 64 * MIB)
    target = driver.mount(first.volume_id, driver.folder / "first")
    (target / "data").write_text("before")
    snapshot = driver("Controller", "CreateSnapshot", name="snap", source_volume_id=first.volume_id).snapshot
    assert snapshot.ready_to_use and snapshot.size_bytes == 64 * MIB
    (target / "data").write_text("after")
    restored = driver.create("restored", 96 * MIB, source={"snapshot": {"snapshot_id": snapshot.snapshot_id}})
    cloned = driver.create("cloned", 0, source={"volume": {"volume_id": first.volume_id}})
    assert (restored.capacity_bytes, cloned.capacity_bytes) == (96 * MIB, 64 * MIB)
    one = driver.mount(restored.volume_id, driver.folder / "restored")
    two = driver.mount(cloned.volume_id, driver.folder / "cloned")
    assert (one / "data").read_text() == "before" and (two / "data").read_text() == "after"
    found = os.statvfs(one)
    assert found.f_blocks * found.f_frsize > 80 * MIB, "grown to its own size when it was mounted"
    (one / "data").write_text("changed")
    assert (two / "data").read_text() == (target / "data").read_text() == "after"
    # None of them needs the others.
    driver.unmount(first.volume_id, driver.folder / "first")
    driver.delete(first.volume_id)
    assert fill(two / "full") > 40 * MIB
    driver("Controller", "DeleteSnapshot", snapshot_id=snapshot.snapshot_id)
    for volume, name in ((restored, "restored"), (cloned, "cloned")):
        driver.unmount(volume.volume_id, driver.folder / name)
        driver.delete(volume.volume_id)
    assert driver.left() == NOTHING


def test_snapshots_and_clones_by_copying(driver: Driver) -> None:
    check_copies(driver)


def test_snapshots_and_clones_by_reference(reflink_driver: Driver) -> None:
    capacity = reflink_driver("Controller", "GetCapacity").available_capacity
    volume = reflink_driver.create("volume", 512 * MIB)
    held = free(reflink_driver.pool)
    made = reflink_driver("Controller", "CreateSnapshot", name="volume", source_volume_id=volume.volume_id)
    assert held - free(reflink_driver.pool) < 8 * MIB, "takes nothing now"
    left = reflink_driver("Controller", "GetCapacity").available_capacity
    assert abs(capacity - left - 1024 * MIB) < 16 * MIB, "but what it may need is kept"
    reflink_driver.delete(volume.volume_id)
    left = reflink_driver("Controller", "GetCapacity").available_capacity
    assert abs(capacity - left - 512 * MIB) < 16 * MIB, "until it shares its blocks with nobody"
    reflink_driver("Controller", "DeleteSnapshot", snapshot_id=made.snapshot.snapshot_id)
    check_copies(reflink_driver)


def test_a_pool_that_is_full_to_the_last_block_can_be_emptied(reflink_driver: Driver) -> None:
    driver = reflink_driver
    volume = driver.create("volume", 64 * MIB)
    driver.mount(volume.volume_id, driver.folder)
    others, size = driver.pool.parent / "others", 1 << 32
    with others.open("wb", buffering=0) as stream:
        while size >= 4096:
            try:
                os.posix_fallocate(stream.fileno(), stream.seek(0, os.SEEK_END), size)
            except OSError as exc:
                assert exc.errno == errno.ENOSPC
                size //= 2
    with contextlib.suppress(OSError):
        for number in range(100000):
            (driver.pool.parent / f"small-{number}").write_bytes(bytes(64))
    driver.kill()
    driver.start()
    assert code(lambda: driver.create("more", MIB, block=True)) == "RESOURCE_EXHAUSTED"
    driver.unmount(volume.volume_id, driver.folder)
    driver.delete(volume.volume_id)
    assert driver.left() == NOTHING


def test_a_mount_of_another_pool_is_not_forgotten(tmp_path: Path, driver: Driver) -> None:
    volume = driver.create("there", 64 * MIB)
    driver.mount(volume.volume_id, driver.folder)
    driver("Node", "NodeUnpublishVolume", volume_id=volume.volume_id, target_path=str(driver.folder / "target"))
    other = tmp_path / "other"
    other.mkdir()
    another = Driver(other)
    another.start()
    stage = {"volume_id": volume.volume_id, "staging_target_path": str(driver.folder / "stage")}
    assert code(lambda: another("Node", "NodeUnstageVolume", **stage)) == "FAILED_PRECONDITION"
    another.clear()
    driver("Node", "NodeUnstageVolume", **stage)
    driver.delete(volume.volume_id)
    assert driver.left() == NOTHING


def test_growth_without_room_keeps_no_pod_from_starting(driver: Driver) -> None:
    volume = driver.create("wide", 64 * MIB)
    target = driver.mount(volume.volume_id, driver.folder)
    more = {"required_bytes": driver("Controller", "GetCapacity").available_capacity + 128 * MIB}

    def grow() -> None:
        driver("Node", "NodeExpandVolume", volume_id=volume.volume_id, volume_path=str(target), capacity_range=more)

    # With any other answer the kubelet would not go on, and it asks at every start of a pod.
    assert code(grow) == "FAILED_PRECONDITION"
    driver.unmount(volume.volume_id, driver.folder)
    driver.mount(volume.volume_id, driver.folder)
    assert code(grow) == "FAILED_PRECONDITION"
    (target / "data").write_text("still there")
    driver.unmount(volume.volume_id, driver.folder)
    driver.delete(volume.volume_id)
    assert driver.left() == NOTHING


def test_room_is_counted_and_never_promised_twice(reflink_driver: Driver) -> None:
    driver = reflink_driver
    room = driver("Controller", "GetCapacity").available_capacity
    assert code(lambda: driver.create("large", room + MIB)) == "RESOURCE_EXHAUSTED"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = [pool.submit(driver.create, f"half-{number}", room * 2 // 5 >> 20 << 20) for number in range(4)]
    failed = [future.exception() for future in made if future.exception()]
    assert len(failed) == 2 and all(error.code().name == "RESOURCE_EXHAUSTED" for error in failed)  # type: ignore[union-attr]
    thin = driver.create("thin", 300 * MIB, parameters={"thin": "true"})
    assert (driver.pool / f"{thin.volume_id}.img").stat().st_blocks < 2048
    for future in made:
        if not future.exception():
            driver.delete(future.result().volume_id)
    driver.delete(thin.volume_id)
    deadline = time.monotonic() + 20
    # xfs gives back the blocks of a removed file a little later.
    while abs(driver("Controller", "GetCapacity").available_capacity - room) > 4 * MIB:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert driver.left()["files"] == []


def test_an_inline_volume_lives_with_its_pod(driver: Driver) -> None:
    context = {"csi.storage.k8s.io/ephemeral": "true", "size": "20Mi"}
    target = driver.folder / "pod"
    fields = {"volume_id": "csi-0123", "target_path": str(target), "volume_context": context}
    capability = {"mount": {}, "access_mode": {"mode": csi.VolumeCapability.AccessMode.SINGLE_NODE_WRITER}}
    for _again in range(2):
        driver("Node", "NodePublishVolume", volume_capability=capability, **fields)
    (target / "file").write_text("kept")
    # The driver comes back while the pod runs.
    driver.kill()
    driver.start()
    driver("Node", "NodePublishVolume", volume_capability=capability, **fields)
    assert (target / "file").read_text() == "kept"
    assert fill(target / "full") < 20 * MIB
    for _again in range(2):
        driver("Node", "NodeUnpublishVolume", volume_id="csi-0123", target_path=str(target))
    assert driver.left() == NOTHING and not target.exists()


def test_raw_block(driver: Driver) -> None:
    volume = driver.create("raw", 8 * MIB, block=True)
    target = driver.mount(volume.volume_id, driver.folder, block=True)
    with target.open("r+b", buffering=0) as stream:
        stream.write(b"raw" * 4096)
        os.fsync(stream.fileno())
    assert (driver.pool / f"{volume.volume_id}.img").read_bytes()[:6] == b"rawraw"
    # Its blocks change while they are copied, and this pool has no other way.
    refused = code(lambda: driver("Controller", "CreateSnapshot", name="s", source_volume_id=volume.volume_id))
    assert refused == "FAILED_PRECONDITION"
    driver.unmount(volume.volume_id, driver.folder)
    driver.delete(volume.volume_id)
    assert driver.left() == NOTHING


def test_devices_of_others_are_left_alone(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another node's driver on the same kernel has an image of the same name."""
    volume = driver.create("mine", 16 * MIB)
    other = tmp_path_factory.mktemp("other") / f"{volume.volume_id}.img"
    other.touch()
    os.truncate(other, 16 * MIB)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(other)], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        driver.mount(volume.volume_id, driver.folder)
        driver.unmount(volume.volume_id, driver.folder)
        driver.delete(volume.volume_id)
        assert str(other) in losetup(device)
    finally:
        losetup("--detach", device)


def test_after_a_reboot(driver: Driver) -> None:
    """Mounts and devices are gone, the kubelet stages and publishes again."""
    volume = driver.create("stays", 16 * MIB)
    target = driver.mount(volume.volume_id, driver.folder)
    (target / "data").write_text("stays")
    driver.kill()
    for path in (target, driver.folder / "stage"):
        subprocess.run(["umount", str(path)], check=True)
    for device in driver.left()["devices"]:
        subprocess.run(["losetup", "--detach", f"/dev/{device}"], check=True)
    driver.start()
    assert (driver.mount(volume.volume_id, driver.folder) / "data").read_text() == "stays"
    driver.unmount(volume.volume_id, driver.folder)
    driver.delete(volume.volume_id)
    assert driver.left() == NOTHING


def test_an_orphan_is_reported_and_left(driver: Driver) -> None:
    driver.create("volume", 16 * MIB)
    image = driver.pool / "nobody.img"
    image.touch()
    os.truncate(image, MIB)
    device = losetup("--find", "--show", str(image)).strip()
    try:
        image.unlink()
        (driver.pool / "left.img").touch()
        kinds = {row["kind"] for row in driver.report()["orphans"]}
        assert kinds == {"device_without_volume", "image_without_record"}
        driver.kill()
        driver.start()
        assert (driver.pool / "left.img").exists() and device in losetup("--all")
    finally:
        losetup("--detach", device)


def cycle(driver: Driver, name: str) -> None:
    where = driver.folder / name
    volume = driver.create(name, 16 * MIB)
    (driver.mount(volume.volume_id, where) / "file").write_text(name)
    driver.unmount(volume.volume_id, where)
    driver.delete(volume.volume_id)


def test_200_cycles_leave_nothing(driver: Driver) -> None:
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cycle(driver, f"cycle-{number}"), range(200)))
    print(f"200 cycles: {time.monotonic() - started:.1f} s")
    assert driver.left() == NOTHING


class Caller:
    """As the sidecars and the kubelet: the same call again until it succeeds."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.stop = threading.Event()

    def __call__(self, function: t.Callable[..., t.Any], *args: t.Any, **fields: t.Any) -> t.Any:
        deadline = time.monotonic() + 60
        while True:
            try:
                return function(*args, **fields)
            except (grpc.RpcError, ValueError) as exc:
                # ValueError: the channel of a driver that was killed.
                assert time.monotonic() < deadline and not self.stop.is_set(), exc
                time.sleep(0.02)

    def life(self, name: str, where: Path) -> None:
        """Volume, snapshot, growth, copy and their ends."""
        driver = self.driver
        volume = self(driver.create, name, 24 * MIB).volume_id
        target = self(driver.mount, volume, where)
        (target / "data").write_text(name)
        snapshot = self(driver, "Controller", "CreateSnapshot", name=name, source_volume_id=volume).snapshot.snapshot_id
        self(
            driver,
            "Controller",
            "ControllerExpandVolume",
            volume_id=volume,
            capacity_range={"required_bytes": 32 * MIB},
        )
        copy = self(driver.create, f"{name}-copy", 0, source={"snapshot": {"snapshot_id": snapshot}}).volume_id
        assert (target / "data").read_text() == name
        self(driver.unmount, volume, where)
        assert (self(driver.mount, copy, where) / "data").read_text() == name
        self(driver.unmount, copy, where)
        assert (self(driver.mount, volume, where) / "data").read_text() == name
        self(driver.unmount, volume, where)
        for identity in (volume, copy):
            self(driver.delete, identity)
        self(driver, "Controller", "DeleteSnapshot", snapshot_id=snapshot)


def test_killed_at_any_step(driver: Driver) -> None:
    """SIGKILL at random moments; at the end all is as if nothing had happened."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    caller = Caller(driver)

    def work(number: int) -> None:
        for turn in range(6):
            caller.life(f"life-{number}-{turn}", driver.folder / f"worker-{number}")

    kills = 0
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(work, number) for number in range(3)]
        try:
            while not all(future.done() for future in futures):
                time.sleep(chance.uniform(0.05, 0.8))
                driver.kill()
                kills += 1
                driver.start()
        finally:
            caller.stop.set()
        for future in futures:
            future.result()
    print(f"{kills} kills")
    assert kills > 3
    assert driver.left() == NOTHING
