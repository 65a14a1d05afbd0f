# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A damaged volume is its own problem, and a full pool can be emptied."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostplane_local import filesystems, images, loops, mounts, report, server
from hostplane_local.engine import Engine
from hostplane_local.errors import Full
from hostplane_local.host import Host
from hostplane_local.pool import Pool
from hostplane_local.record import DELETING, READY, VOLUME, Record, Store


def volume(name: str, **fields: t.Any) -> Record:
    return Record(**{"id": name, "name": name, "kind": VOLUME, "size": 1 << 20, "state": READY, "fs": "xfs", **fields})


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(Store(tmp_path), 1)


def test_one_damaged_file_system_does_not_keep_the_driver_from_starting(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        pool.store.write(volume(name))
        pool.store.image(name).touch()
    thawed = []

    def ioctl(path: str, number: int, already: int) -> None:
        if path == "/stage/a":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        thawed.append(path)

    def find(image: Path) -> str:
        if image.stem == "b":
            raise OSError(errno.EBADF, "loop device")
        return f"/dev/{image.stem}"

    monkeypatch.setattr(mounts, "_ioctl", ioctl)
    monkeypatch.setattr(mounts, "of", lambda device: [f"/stage/{os.path.basename(device)}"])
    monkeypatch.setattr(loops, "find", find)
    monkeypatch.setattr(loops, "size", lambda device: 1 << 20)
    problems = Engine(Host(pool.store, pool)).recover()
    assert thawed == ["/stage/c"]
    assert [problem.split(":")[0] for problem in problems] == ["a", "b", "b"]


def test_a_file_system_is_thawed_by_any_of_its_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first may be one of a pod that has a single file of the volume."""
    (tmp_path / "file").touch()
    asked = []
    monkeypatch.setattr(fcntl, "ioctl", lambda handle, number, argument: asked.append(number))
    both = [str(tmp_path / "file"), str(tmp_path)]
    mounts.thaw(both)
    mounts.freeze(both)
    assert len(asked) == 2
    with pytest.raises(NotADirectoryError):
        mounts.thaw(both[:1])
    mounts.thaw([])


@pytest.mark.parametrize(("number", "raised"), [(errno.ENXIO, False), (errno.ENODEV, False), (errno.EIO, True)])
def test_a_device_that_goes_away_is_not_ours(
    number: int, raised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any other error it may be; a second device on the same image would destroy it."""

    def opened(path: Path, flags: int) -> t.Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(loops, "backing_files", lambda: {3: "/pool/a.img"})
    monkeypatch.setattr(loops, "node", lambda found: Path(f"/dev/loop{found}"))
    monkeypatch.setattr(loops, "opened", opened)
    (tmp_path / "a.img").touch()
    with pytest.raises(OSError) if raised else contextlib.nullcontext():
        assert loops.find(tmp_path / "a.img") == ""


def test_a_record_on_a_bad_block_is_reported_and_the_others_are_served(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        pool.store.write(volume(name))
        pool.store.image(name).touch()
    read = Path.read_text

    def fails(path: Path, **how: t.Any) -> str:
        if path.name == "a.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path, **how)

    monkeypatch.setattr(Path, "read_text", fails)
    assert [record.id for record in pool.store.records()] == ["b"]
    assert report.report(pool)["orphans"] == [{"kind": "record_unreadable", "file": "a.json"}]
    monkeypatch.setattr(server, "report", lambda pool: fails(Path("a.json")))
    server.log_report(pool)


def test_xfs_is_made_for_the_oldest_kernel_of_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Linux 5.10 can't mount an xfs with large extent counters, which mkfs.xfs has turned on since 6.6."""
    said = []
    monkeypatch.setattr(mounts, "run", lambda *argv: said.append(argv))
    filesystems.make("/dev/loop3", "xfs")
    (argv,) = said
    assert argv[argv.index("-i") + 1] == "nrext64=0" and argv[-1] == "/dev/loop3"


def full_file_system(path: Path) -> None:
    with (path / "others").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A pool with a volume, on a file system without a free block."""
    if os.getuid():
        pytest.skip("mounts need root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "pool", tmp_path], check=True)
    Store(tmp_path).write(volume("a"))
    (tmp_path / "a.img").write_bytes(bytes(1 << 16))
    full_file_system(tmp_path)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_pool_can_be_emptied(full: Path) -> None:
    before = sorted(os.listdir(full))
    pool = Pool(Store(full), 1)
    assert pool.reflinks is False and report.report(pool)["orphans"] == [{"kind": "stranger", "file": "others"}]
    with pytest.raises(Full, match="no room for the record of b"):
        pool.store.write(volume("b"))
    assert sorted(os.listdir(full)) == before
    Engine(Host(pool.store, pool)).delete("a", VOLUME)
    assert sorted(os.listdir(full)) == ["others"]


def test_a_deletion_that_was_begun_is_remembered(pool: Pool) -> None:
    store = pool.store
    store.write(volume("a"))
    store.image("a").touch()
    store.mark_deleting("a")
    found = store.read("a")
    assert found == volume("a", state=DELETING) and list(store.records()) == [found]
    assert report.report(pool)["orphans"] == []
    assert Engine(Host(store, pool)).recover() == [] and store.names() == []
    # A name that is used again is a new volume.
    store.write(volume("a"))
    assert store.read("a") == volume("a")


def test_a_record_of_a_deletion_that_cannot_be_read(pool: Pool) -> None:
    (pool.store.directory / "a.gone").write_text("{")
    pool.store.image("a").touch()
    assert report.report(pool)["orphans"] == [{"kind": "record_unreadable", "file": "a.gone"}]
    assert list(pool.store.records()) == []


def test_reflinks_are_asked_for_again_when_the_pool_was_full(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [None, True]
    monkeypatch.setattr(images, "can_clone", lambda directory: answers.pop(0))
    assert [pool.reflinks, pool.reflinks, pool.reflinks] == [False, True, True]


def test_a_file_system_without_inodes_cannot_tell_about_reflinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**where: t.Any) -> t.Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", fails)
    assert images.can_clone(tmp_path) is None


def test_a_report_writes_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "can_clone", lambda directory: pytest.fail("tried to clone"))
    report.read_only(pool.store.directory, 1, 0)


@pytest.mark.parametrize(("reflink", "expected"), [("reflink=1", True), ("reflink=0", False)])
def test_reflinks_of_a_real_file_system(tmp_path: Path, reflink: str, expected: bool) -> None:
    if os.getuid() or not os.path.exists("/dev/loop-control"):
        pytest.skip("needs root and loop devices")
    image, where = tmp_path / "image", tmp_path / "mounted"
    where.mkdir()
    with image.open("wb") as stream:
        stream.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", reflink, image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, where], capture_output=True, check=False).returncode:
        pytest.skip("no loop device")
    try:
        assert images.can_clone(where) is expected and os.listdir(where) == []
    finally:
        subprocess.run(["umount", where], check=True)
