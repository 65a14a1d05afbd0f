# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks on recorded output of lsblk and wipefs, and on real loop devices where this machine lets us have some."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _disks, _formatting, _hostdisks, _hoststorage
from ansible_collections.hostplane.cluster.plugins.module_utils._hoststorage import Disk
from ansible_collections.hostplane.cluster.plugins.modules import host_storage

Run = Callable[..., dict[str, Any]]

# A system disk, an LVM disk, an empty one, an old one, two paths to one LUN; as util-linux 2.32 writes it.
LSBLK = json.dumps(
    {
        "blockdevices": [
            {
                "kname": "/dev/sda",
                "maj:min": "8:0",
                "type": "disk",
                "size": "480",
                "ro": "0",
                "serial": "SYS1",
                "wwn": "0x1",
                "mountpoint": None,
                "children": [
                    {
                        "kname": "/dev/sda1",
                        "maj:min": "8:1",
                        "type": "part",
                        "size": "100",
                        "ro": "0",
                        "mountpoint": "/boot",
                    },
                    {
                        "kname": "/dev/sda2",
                        "maj:min": "8:2",
                        "type": "part",
                        "size": "100",
                        "ro": "0",
                        "mountpoint": "[SWAP]",
                    },
                ],
            },
            {
                "kname": "/dev/sdb",
                "maj:min": "8:16",
                "type": "disk",
                "size": "960",
                "ro": "0",
                "serial": "LVM1",
                "children": [{"kname": "/dev/dm-0", "maj:min": "253:0", "type": "lvm", "size": "960", "ro": "0"}],
            },
            {"kname": "/dev/sdc", "maj:min": "8:32", "type": "disk", "size": "960", "ro": "0", "serial": " NEW1 "},
            {
                "kname": "/dev/sdd",
                "maj:min": "8:48",
                "type": "disk",
                "size": "960",
                "ro": "0",
                "serial": "OLD1",
                "children": [{"kname": "/dev/sdd1", "maj:min": "8:49", "type": "part", "size": "960", "ro": "0"}],
            },
            {"kname": "/dev/sde", "maj:min": "8:64", "type": "disk", "size": "960", "ro": "0", "serial": "LUN1"},
            {"kname": "/dev/sdf", "maj:min": "8:80", "type": "disk", "size": "960", "ro": "0", "serial": "LUN1"},
            {"kname": "/dev/sr0", "maj:min": "11:0", "type": "rom", "size": 0, "ro": True, "serial": "ROM1"},
        ]
    }
)
MOUNTINFO = """22 1 8:1 / /boot rw,relatime - ext4 /dev/sda1 rw
23 1 8:32 / /srv/with\\040space rw - ext4 /dev/sdc rw
24 1 0:5 / /dev rw - devtmpfs devtmpfs rw
25 1 8:48 / /srv/größe\\134 rw - ext4 /dev/sdd rw
"""
TREES = _disks.read_lsblk(LSBLK, {"8:1": ["/boot"]})
UUID = "0c0f8b1e-0000-5000-8000-000000000001"
DRAWN = "0c0f8b1e-0000-4000-8000-000000000003"
MADE = "0c0f8b1e-0000-5000-8000-000000000002"


def disk(**settings: Any) -> Disk:
    return Disk(**{"mount": "/srv/volumes", "serial": "NEW1", **settings})


def found(name: str, **looks: Any) -> _disks.Found:
    tree = next(tree for tree in TREES if tree.serial == name)
    return replace(tree, **looks)


def test_what_lsblk_and_the_kernel_say() -> None:
    mounts = _disks.read_mounts(MOUNTINFO)
    assert mounts["8:32"] == ["/srv/with space"] and mounts["8:48"] == ["/srv/größe\\"]
    new = found("NEW1")
    assert (new.path, new.size, new.read_only, new.inside) == ("/dev/sdc", 960, False, ())
    assert found("SYS1").inside[0].mounts == ("/boot",) and found("SYS1").inside[1].swap
    assert [part.serial for part in found("OLD1").everything()] == ["OLD1", "OLD1"]
    assert _disks.read_wipefs("") == ()
    assert _disks.read_wipefs('{"signatures": [{"type": "xfs", "uuid": "u"}, {"type": "dos", "uuid": null}]}') == (
        ("dos", ""), ("xfs", "u"),
    )  # fmt: skip


def test_the_one_that_is_meant() -> None:
    chosen, _verdict = _disks.choose(disk(), TREES)
    assert chosen == found("NEW1")
    _none, verdict = _disks.choose(disk(serial="NONE"), TREES)
    assert verdict.code == "storage_disk_missing" and "/dev/sdc (0.0 GB, serial NEW1)" in verdict.remedy
    _none, verdict = _disks.choose(disk(serial="LUN1"), TREES)
    assert verdict.code == "storage_device_ambiguous" and "/dev/sde, /dev/sdf" in verdict.message
    _none, verdict = _disks.choose(disk(device="/dev/disk/by-id/none"), TREES)
    assert verdict.code == "storage_disk_missing"


@pytest.mark.parametrize(
    ("wanted", "there", "code"),
    [
        (disk(serial="SYS1"), found("SYS1"), "storage_disk_busy"),
        (disk(serial="SYS1", allow_data_loss_serial="SYS1"), found("SYS1"), "storage_disk_busy"),
        (disk(serial="LVM1", allow_data_loss_serial="LVM1"), found("LVM1"), "storage_disk_busy"),
        (disk(), found("NEW1", busy=True), "storage_disk_busy"),
        (disk(), found("NEW1", swap=True), "storage_disk_busy"),
        (disk(), found("NEW1", mounts=("/mnt/other",)), "storage_disk_busy"),
        (disk(serial="ROM1"), found("ROM1"), "storage_disk_unusable"),
        (disk(), found("NEW1", signatures=(("ext4", "other"),)), "storage_disk_not_empty"),
        (disk(), found("NEW1", signatures=(("ext4", UUID), ("xfs", "x"))), "storage_disk_not_empty"),
        (disk(), found("NEW1", unknown_data=True), "storage_disk_not_empty"),
        (disk(serial="OLD1"), found("OLD1"), "storage_disk_not_empty"),
        (disk(allow_data_loss_serial="OLD1"), found("NEW1", signatures=(("ext4", "o"),)), "storage_serial_differs"),
        (disk(use_existing=True, filesystem="xfs"), found("NEW1", signatures=(("ext4", "o"),)),
         "storage_filesystem_differs"),
        (disk(use_existing=True), found("NEW1"), "storage_filesystem_differs"),
        # Made for another mount point, or for a host before it was installed anew: a permission of then is none of now.
        (disk(allow_data_loss_serial="NEW1", mount="/srv/other"), found("NEW1", signatures=(("ext4", MADE),)),
         "storage_disk_not_empty"),
        (disk(serial="OLD1", allow_data_loss_serial="OLD1"),
         replace(found("OLD1"), inside=(replace(found("OLD1").inside[0], signatures=(("xfs", MADE),)),)),
         "storage_disk_not_empty"),
        # A disk without a serial can't be told to lose its data.
        (disk(allow_data_loss_serial="X"), found("NEW1", serial="", unknown_data=True), "storage_serial_differs"),
    ],
)  # fmt: skip
def test_what_is_never_touched(wanted: Disk, there: _disks.Found, code: str) -> None:
    verdict = _disks.judge(wanted, there, UUID, interrupted=False)
    assert (verdict.action, verdict.code) == ("", code) and verdict.message and verdict.remedy


@pytest.mark.parametrize(
    ("wanted", "there", "action", "erase"),
    [
        (disk(), found("NEW1"), "format", []),
        (disk(), found("NEW1", signatures=(("ext4", UUID),)), "mount", []),
        (disk(), found("NEW1", mounts=("/srv/volumes",), busy=True), "keep", []),
        (disk(use_existing=True), found("NEW1", signatures=(("ext4", "theirs"),)), "mount", []),
        (disk(allow_data_loss_serial="NEW1"), found("NEW1", signatures=(("ext4", DRAWN),)), "format", ["/dev/sdc"]),
        (disk(serial="OLD1", allow_data_loss_serial="OLD1"), found("OLD1"), "format", ["/dev/sdd1", "/dev/sdd"]),
        # What was made once is not made again, whatever the inventory still says.
        (disk(allow_data_loss_serial="NEW1"), found("NEW1", signatures=(("ext4", UUID),)), "mount", []),
    ],
)  # fmt: skip
def test_what_may_happen(wanted: Disk, there: _disks.Found, action: str, erase: list[str]) -> None:
    verdict = _disks.judge(wanted, there, UUID, interrupted=False)
    assert (verdict.action, verdict.erase) == (action, erase)


def test_half_a_file_system_is_no_data() -> None:
    for looks in ({"unknown_data": True}, {"signatures": (("ext4", UUID),)}):
        verdict = _disks.judge(disk(), found("NEW1", **looks), UUID, interrupted=True)
        assert verdict.action == "format"
    assert _disks.judge(disk(), found("NEW1", busy=True), UUID, interrupted=True).code == "storage_disk_busy"


@pytest.mark.parametrize(
    ("wanted", "there", "action", "code"),
    [
        (disk(), found("NEW1", signatures=(("ext4", "theirs"),)), "", "storage_disk_not_empty"),
        (disk(), found("NEW1", signatures=(("xfs", UUID),)), "", "storage_disk_not_empty"),
        (disk(), found("NEW1", signatures=(("ext4", UUID), ("LVM2_member", "x"))), "", "storage_disk_not_empty"),
        (disk(serial="OLD1"), found("OLD1"), "", "storage_disk_not_empty"),
        (disk(serial="OLD1"), found("OLD1", signatures=(("ext4", UUID),)), "", "storage_disk_not_empty"),
        (disk(use_existing=True), found("NEW1", signatures=(("ext4", "theirs"),)), "mount", ""),
        (disk(use_existing=True), found("NEW1", signatures=(("ext4", UUID),)), "mount", ""),
        (disk(use_existing=True), found("NEW1", unknown_data=True), "", "storage_filesystem_differs"),
        (disk(), found("NEW1", read_only=True), "", "storage_disk_unusable"),
    ],
)  # fmt: skip
def test_what_was_put_there_after_an_interrupted_run_is_data(
    wanted: Disk, there: _disks.Found, action: str, code: str
) -> None:
    verdict = _disks.judge(wanted, there, UUID, interrupted=True)
    assert (verdict.action, verdict.code) == (action, code)


def test_an_interrupted_run_is_known_by_its_disk(place: Path) -> None:
    there = found("NEW1", serial="", wwn="0x1")
    _formatting.note(UUID, there)
    assert _formatting.interrupted(UUID, there)
    # Another disk at the same path.
    for other in ({"size": 480}, {"wwn": "0x2"}, {"serial": "S"}):
        assert not _formatting.interrupted(UUID, replace(there, **other))
    assert not _formatting.interrupted("another", there)
    (place / "formatting" / UUID).write_text("not a note")
    assert not _formatting.interrupted(UUID, there)
    _formatting.forget(UUID)
    _formatting.forget(UUID)
    assert list((place / "formatting").iterdir()) == []


def test_the_uuid_is_the_disks() -> None:
    first = _hostdisks.filesystem_uuid(disk(), found("NEW1"))
    assert first == _hostdisks.filesystem_uuid(disk(device="/dev/disk/by-id/x"), found("NEW1", path="/dev/sdz"))
    assert first != _hostdisks.filesystem_uuid(disk(mount="/srv/other"), found("NEW1"))
    assert first != _hostdisks.filesystem_uuid(disk(), found("OLD1"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for mounts, /etc/fstab and the notes of unfinished work."""
    monkeypatch.setattr(_hostdisks, "FSTAB", str(tmp_path / "fstab"))
    monkeypatch.setattr(_formatting, "DIRECTORY", str(tmp_path / "formatting"))
    monkeypatch.setattr(_hoststorage, "_FOREIGN", ("/etc",))
    monkeypatch.setattr(_hoststorage, "_STABLE", re.compile(f"{tmp_path}/link[0-9]"))
    (tmp_path / "fstab").write_text("# mine\n")
    return tmp_path


def test_directories(run_module: Run, place: Path) -> None:
    me, mine = str(os.getuid()), str(os.getgid())
    wanted = [{"path": str(place / "a/b"), "mode": "0750", "owner": me, "group": mine},
              {"path": str(place / "a/c"), "owner": me, "group": mine}]  # fmt: skip
    predicted = run_module(host_storage, check=True, diff=True, directories=wanted)
    assert predicted["changed"] and not (place / "a").exists()
    result = run_module(host_storage, diff=True, directories=wanted)
    assert result["diff"] == predicted["diff"] and (place / "a/b").stat().st_mode & 0o777 == 0o750
    assert not run_module(host_storage, directories=wanted)["changed"]
    (place / "a/b").chmod(0o777)
    result = run_module(host_storage, diff=True, directories=wanted)
    assert (
        list(result["diff"]["before"]) == [f"{place}/a/b/"]
        and result["diff"]["before"][f"{place}/a/b/"]["mode"] == "0777"
    )
    (place / "file").touch()
    wrong = [*wanted, {"path": str(place / "file")}, {"path": str(place / "d"), "owner": "nobody-of-this-name"}]
    result = run_module(host_storage, directories=wrong, host="n1")
    assert result["failed"] and {problem["host"] for problem in result["problems"]} == {"n1"}
    assert sorted(problem["code"] for problem in result["problems"]) == [
        "storage_directory_unusable",
        "storage_owner_unknown",
    ]


def test_a_pool_is_not_made_below_a_disk_that_is_not_there(run_module: Run, place: Path) -> None:
    mine = {"owner": str(os.getuid()), "group": str(os.getgid())}
    (place / "fstab").write_text(f"UUID=1 {place}/disk ext4 nofail 0 2\n")
    wanted = [{"path": f"{place}/disk/pool", **mine}, {"path": f"{place}/other", **mine}]
    result = run_module(host_storage, directories=wanted, host="n1")
    (problem,) = result["problems"]
    assert problem["code"] == "storage_disk_not_mounted" and "UUID=1" in problem["message"]
    assert not (place / "disk").exists() and not (place / "other").exists()
    # Nor is one used that somebody made there.
    (place / "disk/pool").mkdir(parents=True)
    assert [item["code"] for item in run_module(host_storage, directories=wanted)["problems"]] == [problem["code"]]
    # A disk that is listed and missing is named once.
    disks = [{"device": f"{place}/link1", "mount": f"{place}/disk"}]
    if shutil.which("lsblk"):
        found = run_module(host_storage, directories=wanted, disks=disks)["problems"]
        assert [item["code"] for item in found] == ["storage_disk_missing"]


def loops_can_be_had() -> bool:
    return os.getuid() == 0 and os.path.exists("/dev/loop-control")


@pytest.fixture
def loop(place: Path) -> Iterator[Callable[[int], Path]]:
    """Real loop devices, each by a link that stays."""
    if not loops_can_be_had():
        pytest.skip("needs root and loop devices")
    devices: list[str] = []

    def make(number: int) -> Path:
        image = place / f"image{number}"
        with image.open("wb") as handle:
            handle.truncate(320 << 20)
        made = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no loop device: {made.stderr}")
        devices.append(made.stdout.strip())
        (place / f"link{number}").symlink_to(devices[-1])
        return place / f"link{number}"

    yield make
    for mount in ("pool1", "pool2"):
        subprocess.run(["umount", str(place / mount)], capture_output=True, check=False)
    for device in devices:
        subprocess.run(["losetup", "--detach", device], check=True)


def types(path: Path) -> list[str]:
    text = subprocess.run(["wipefs", "--no-act", "--json", path], capture_output=True, text=True, check=True).stdout
    return [kind for kind, _uuid in _disks.read_wipefs(text)]


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_a_real_disk_from_empty_to_mounted(
    run_module: Run, place: Path, loop: Callable[[int], Path], filesystem: str
) -> None:
    link, mount = loop(1), place / "pool1"
    wanted = {"device": str(link), "mount": str(mount), "filesystem": filesystem, "reflink": filesystem == "xfs"}
    pool = {"path": str(mount / "volumes"), "mode": "0700"}
    predicted = run_module(host_storage, check=True, diff=True, disks=[wanted], directories=[pool])
    assert predicted["changed"] and types(link) == [] and not mount.exists()
    result = run_module(host_storage, diff=True, disks=[wanted], directories=[pool])
    assert (result["diff"], result["disks"]) == (predicted["diff"], predicted["disks"])
    assert mount.is_mount() and types(link) == [filesystem] and (mount / "volumes").stat().st_mode & 0o777 == 0o700
    assert f"UUID={result['disks'][0]['uuid']} {mount} {filesystem}" in (place / "fstab").read_text()
    (mount / "data").write_text("kept")
    again = run_module(host_storage, diff=True, disks=[wanted], directories=[pool])
    assert not again["changed"] and again["disks"][0]["action"] == "keep"
    # As after a start without fstab, and as after a new system: the data is found again, and only mounted.
    subprocess.run(["umount", mount], check=True)
    (place / "fstab").write_text("")
    again = run_module(host_storage, disks=[wanted], directories=[pool])
    assert again["disks"][0]["action"] == "mount" and (mount / "data").read_text() == "kept"
    changed = run_module(host_storage, disks=[{**wanted, "options": ["noatime"]}])
    assert (
        changed["changed"] and "noatime" in Path("/proc/self/mounts").read_text().split(str(mount))[1].splitlines()[0]
    )


def test_real_data_is_never_touched(run_module: Run, place: Path, loop: Callable[[int], Path]) -> None:
    first, second = loop(1), loop(2)
    subprocess.run(["mkfs.ext4", "-q", "-F", first], check=True)
    with second.open("r+b") as handle:
        handle.seek(5000)
        handle.write(b"the only copy")
    wanted = [
        {"device": str(first), "mount": str(place / "pool1")},
        {"device": str(second), "mount": str(place / "pool2")},
    ]
    before = [(place / f"image{number}").read_bytes() for number in (1, 2)]
    result = run_module(host_storage, disks=wanted)
    assert [problem["code"] for problem in result["problems"]] == ["storage_disk_not_empty"] * 2
    assert "data that nothing here knows" in result["msg"] and "ext4" in result["msg"]
    # Neither has a serial, so no serial can give them up.
    given = [{**entry, "allow_data_loss_serial": "X1"} for entry in wanted]
    result = run_module(host_storage, disks=given)
    assert [problem["code"] for problem in result["problems"]] == ["storage_serial_differs"] * 2
    assert before == [(place / f"image{number}").read_bytes() for number in (1, 2)]
    assert (place / "fstab").read_text() == "# mine\n" and not (place / "pool1").exists()
    kept = run_module(host_storage, disks=[{**wanted[0], "use_existing": True}])
    assert kept["disks"][0]["action"] == "mount" and (place / "pool1/lost+found").is_dir()
    # Busy now, and wanted elsewhere.
    result = run_module(host_storage, disks=[{**wanted[0], "mount": str(place / "pool2")}])
    assert [problem["code"] for problem in result["problems"]] == ["storage_disk_busy"]
    # Where files would be hidden, nothing is mounted.
    (place / "pool2").mkdir()
    (place / "pool2/file").touch()
    with (place / "image2").open("r+b") as handle:
        handle.seek(5000)
        handle.write(bytes(13))
    result = run_module(host_storage, disks=[wanted[1]])
    assert [problem["code"] for problem in result["problems"]] == ["storage_mount_hides"]


def test_real_data_goes_by_its_serial_only(
    run_module: Run, place: Path, loop: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop device has no serial, so it is given one; everything else is real."""
    link = loop(1)
    listed = _disks.list_disks
    real = os.path.realpath(link)
    monkeypatch.setattr(
        _disks,
        "list_disks",
        lambda: [replace(tree, serial="S1", kind="disk") if tree.path == real else tree for tree in listed()],
    )
    subprocess.run(["mkfs.ext4", "-q", "-F", link], check=True)
    wanted = {"serial": "S1", "mount": str(place / "pool1"), "filesystem": "xfs"}
    assert "set allow_data_loss_serial: S1" in run_module(host_storage, disks=[wanted])["msg"]
    assert (
        run_module(host_storage, disks=[{**wanted, "allow_data_loss_serial": "S1"}])["disks"][0]["action"] == "format"
    )
    assert types(link) == ["xfs"] and (place / "pool1").is_mount()


class Killed(BaseException):
    pass


@pytest.fixture
def kill_mkfs(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """A run that ends while it formats, with half a file system on the disk."""

    def interrupt(wanted: dict[str, Any]) -> None:
        def dies(*command: str, accept: tuple[int, ...] = (0,)) -> str:
            if command[0].startswith("mkfs."):
                with open(wanted["device"], "r+b") as handle:
                    handle.seek(4096)
                    handle.write(b"half")
                raise Killed
            return _disks.run(*command, accept=accept)

        with monkeypatch.context() as patch:
            patch.setattr(_hostdisks, "run", dies)
            with pytest.raises(Killed):
                run_module(host_storage, disks=[wanted])

    return interrupt


def test_a_killed_run_goes_on(
    run_module: Run, place: Path, loop: Callable[[int], Path], kill_mkfs: Callable[[dict[str, Any]], None]
) -> None:
    wanted = {"device": str(loop(1)), "mount": str(place / "pool1"), "filesystem": "xfs"}
    kill_mkfs(wanted)
    result = run_module(host_storage, disks=[wanted])
    assert result["disks"][0]["action"] == "format" and (place / "pool1").is_mount()
    assert list((place / "formatting").iterdir()) == []


def test_data_that_was_stored_after_a_killed_run_is_never_touched(
    run_module: Run, place: Path, loop: Callable[[int], Path], kill_mkfs: Callable[[dict[str, Any]], None]
) -> None:
    link, mount = loop(1), place / "pool1"
    wanted = {"device": str(link), "mount": str(mount)}
    kill_mkfs(wanted)
    # Somebody helps himself.
    subprocess.run(["mkfs.ext4", "-q", "-F", link], check=True)
    mount.mkdir()
    subprocess.run(["mount", link, mount], check=True)
    (mount / "data").write_text("kept")
    subprocess.run(["umount", mount], check=True)
    before = (place / "image1").read_bytes()
    assert [problem["code"] for problem in run_module(host_storage, disks=[wanted])["problems"]] == [
        "storage_disk_not_empty"
    ]
    assert (place / "image1").read_bytes() == before
    result = run_module(host_storage, disks=[{**wanted, "use_existing": True}])
    assert result["disks"][0]["action"] == "mount" and (mount / "data").read_text() == "kept"
    assert list((place / "formatting").iterdir()) == []


def test_what_is_mounted_was_formatted_for_good(
    run_module: Run, place: Path, loop: Callable[[int], Path], kill_mkfs: Callable[[dict[str, Any]], None]
) -> None:
    """With the very UUID that the killed run would have given it."""
    link, mount = loop(1), place / "pool1"
    wanted = {"device": str(link), "mount": str(mount)}
    kill_mkfs(wanted)
    (uuid,) = (path.name for path in (place / "formatting").iterdir())
    subprocess.run(["mkfs.ext4", "-q", "-F", "-U", uuid, link], check=True)
    mount.mkdir()
    subprocess.run(["mount", link, mount], check=True)
    (mount / "data").write_text("kept")
    assert run_module(host_storage, disks=[wanted])["disks"][0]["action"] == "keep"
    subprocess.run(["umount", mount], check=True)
    assert run_module(host_storage, disks=[wanted])["disks"][0]["action"] == "mount"
    assert (mount / "data").read_text() == "kept"


def codes(result: dict[str, Any]) -> list[str]:
    return [problem["code"] for problem in result["problems"]]


def test_what_stands_in_the_way_of_a_disk(run_module: Run, place: Path, loop: Callable[[int], Path]) -> None:
    first, second = loop(1), loop(2)
    wanted = {"device": str(first), "mount": str(place / "pool1")}
    before = (place / "image1").read_bytes()
    (place / "fstab").write_text(f"UUID=another {place}/pool1 ext4 defaults 0 2\n")
    result = run_module(host_storage, disks=[wanted])
    assert codes(result) == ["storage_fstab_differs"] and "UUID=another" in result["msg"]
    (place / "fstab").write_text("")
    twice = run_module(host_storage, disks=[wanted, {**wanted, "mount": str(place / "pool2")}])
    assert codes(twice) == ["storage_disk_twice"]
    (place / "pool1").touch()
    assert codes(run_module(host_storage, disks=[wanted])) == ["storage_mount_taken"]
    (place / "pool1").unlink()
    subprocess.run(["mkfs.ext4", "-q", "-F", second], check=True)
    (place / "pool1").mkdir()
    subprocess.run(["mount", second, place / "pool1"], check=True)
    result = run_module(host_storage, disks=[wanted])
    assert codes(result) == ["storage_mount_taken"] and os.path.realpath(second) in result["msg"]
    assert (place / "image1").read_bytes() == before and (place / "fstab").read_text() == ""


def test_an_xfs_without_reflink(run_module: Run, place: Path, loop: Callable[[int], Path]) -> None:
    link = loop(1)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=0", link], check=True)
    wanted = {"device": str(link), "mount": str(place / "pool1"), "filesystem": "xfs", "use_existing": True}
    assert codes(run_module(host_storage, disks=[{**wanted, "reflink": True}])) == ["storage_reflink_missing"]
    assert not (place / "pool1").exists()
    assert run_module(host_storage, disks=[wanted])["disks"][0]["action"] == "mount"


@pytest.mark.parametrize(("filesystem", "package"), [("ext4", "e2fsprogs"), ("xfs", "xfsprogs")])
def test_a_host_without_the_tool(
    run_module: Run,
    place: Path,
    loop: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    filesystem: str,
    package: str,
) -> None:
    wanted = {"device": str(loop(1)), "mount": str(place / "pool1"), "filesystem": filesystem}
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = run_module(host_storage, disks=[wanted])
    assert codes(result) == ["storage_tool_missing"] and f"Install {package}" in result["msg"]
