# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of the kernel, and what is said about it: mounts, loop devices, orphans, conditions, metrics."""

from __future__ import annotations

import os
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hostplane_local import condition, loops, metrics, mounts, report
from hostplane_local.errors import VolumeError
from hostplane_local.record import Record

MOUNTINFO = r"""
36 35 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
98 36 7:3 / /var/lib/kubelet/with\040space rw,relatime shared:9 master:1 - ext4 /dev/loop3 ro,errors=remount-ro
99 36 7:3 / /target ro,relatime - ext4 /dev/loop3 rw
100 36 0:5 /loop3 /block rw,nosuid - devtmpfs udev rw,size=1k
broken line
"""


def test_mountinfo() -> None:
    root, staged, target, block = mounts.parse(MOUNTINFO)
    assert root.path == "/" and root.kind == "ext4"
    assert staged.path == "/var/lib/kubelet/with space" and staged.device == "7:3"
    assert "ro" in staged.super_options and "ro" not in staged.options
    assert "ro" in target.options and "ro" not in target.super_options
    assert (block.root, block.kind) == ("/loop3", "devtmpfs")


def test_commands_say_what_failed() -> None:
    with pytest.raises(VolumeError, match=r"`ls /nonexistent` failed \(2\): .*No such file"):
        mounts.run("ls", "/nonexistent")
    assert mounts.run("false", accept=(0, 1)) == ""


@pytest.mark.parametrize(("major", "minor"), [(8, 1), (259, 5), (0, 300), (4095, 1048575)])
def test_device_numbers_as_the_kernel_writes_them(major: int, minor: int) -> None:
    code = loops.encode_device(os.makedev(major, minor))
    assert ((code & 0xFFF00) >> 8, (code & 0xFF) | ((code >> 12) & 0xFFF00)) == (major, minor)


def test_structures_have_the_kernel_s_size() -> None:
    assert loops._INFO.size == 232 and loops._CONFIG.size + loops._INFO.size + 64 == 304


def test_a_missing_node_is_made_and_a_wrong_one_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = []
    monkeypatch.setattr(loops, "DEV", tmp_path)
    monkeypatch.setattr(os, "mknod", lambda path, mode, device: made.append((path, mode, device)))
    assert loops.node(300) == tmp_path / "loop300"
    assert made == [(tmp_path / "loop300", stat.S_IFBLK | 0o660, os.makedev(7, 300))]
    (tmp_path / "loop300").touch()
    with pytest.raises(VolumeError, match="is not loop device 300"):
        loops.node(300)


def test_backing_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loops, "SYS", tmp_path)
    (tmp_path / "loop0/loop").mkdir(parents=True)
    (tmp_path / "loop1").mkdir()
    (tmp_path / "loop0/loop/backing_file").write_text("/pool/a.img (deleted)\n")
    (tmp_path / "loop0/size").write_text("2048\n")
    assert loops.backing_files() == {0: "/pool/a.img (deleted)"}
    assert loops.size("/dev/loop0") == 1 << 20 and loops.number_of("/dev/loop0") == 0
    image = tmp_path / "b.img"
    image.touch()
    assert loops.find(image) == "" and loops.find(tmp_path / "gone.img") == ""


def test_orphans() -> None:
    names = ["a.img", "a.json", "b.img", "c.json", "d.json", "d.img.part", "e.img.part", "notes.txt", "f.json", "f.img"]
    found = report.orphans(names, {"a": "ready", "c": "ready", "d": "creating", "f": "ready"}, set())
    assert [(row["kind"], row["file"]) for row in found] == [
        ("image_without_record", "b.img"),
        ("image_missing", "c.img"),
        ("image_without_record", "e.img.part"),
        ("stranger", "notes.txt"),
    ]
    # What belongs to a record that cannot be read may be somebody's data.
    assert report.orphans(["a.img", "a.json"], {}, {"a"}) == [{"kind": "record_unreadable", "file": "a.json"}]
    assert report.orphans(["a.json", "a.img", "a.img.part"], {"a": "ready"}, set()) == [
        {"kind": "part_left", "file": "a.img.part"}
    ]
    assert {row["kind"] for row in found} <= set(metrics.ORPHAN_KINDS)


def test_lost_devices() -> None:
    pool, other = 5, 6
    backing = {
        0: ("/pool/a.img", pool, 10),
        1: ("/pool/b.img (deleted)", pool, 11),
        # The pool of another node on the same machine, at the same path.
        2: ("/pool/c.img", other, 12),
    }
    assert [row["device"] for row in report.lost_devices(backing, pool, {10})] == ["/dev/loop1"]
    seen = ["/pool/a.img", "/a.img", "/pool/a.img (deleted)", "/home/a.img", "/pool/sub/a.img", "/pool/a.iso"]
    assert [report.may_be_ours(path, Path("/pool")) for path in seen] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("image", "device_size", "read_only", "thin", "available", "said"),
    [
        (8, 8, False, False, 0, ""),
        (8, 0, False, False, 0, ""),
        (-1, 0, False, False, 1, "image is gone"),
        (4, 0, False, False, 1, "4 bytes instead of 8"),
        (8, 4, False, False, 1, "loop device shows 4"),
        (8, 8, True, False, 1, "read-only"),
        (8, 8, False, True, 0, "no room left"),
        (8, 8, False, True, 1, ""),
    ],
)
def test_conditions(image: int, device_size: int, read_only: bool, thin: bool, available: int, said: str) -> None:
    record = Record(id="a", name="a", kind="volume", size=8, thin=thin)
    found = condition.problem(record, image, 4, device_size, read_only, available)
    assert said in found and bool(found) == bool(said)


REPORT = {
    "pool": {"total": 9, "free": 8, "reserved": 1, "committed": 2, "promised": 0, "available": 7},
    "volumes": [{"kind": "volume", "state": "ready"}, {"kind": "volume", "state": "ready"}],
    "orphans": [{"kind": "stranger", "file": "x"}],
}


def test_metrics_and_health() -> None:
    text = metrics.text(REPORT)
    assert "hostplane_local_pool_available_bytes 7\n" in text
    assert 'hostplane_local_volumes{kind="volume",state="ready"} 2.0\n' in text
    assert 'hostplane_local_orphans{kind="stranger"} 1\n' in text and '{kind="part_left"} 0\n' in text

    healthy = [True]
    server = metrics.serve(0, lambda: REPORT, lambda: healthy[0])
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        assert urllib.request.urlopen(f"{address}/metrics").read().decode() == text
        assert urllib.request.urlopen(f"{address}/healthz").read() == b"ok\n"
        healthy[0] = False
        for path, status in (("/healthz", 503), ("/", 404)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(address + path)
            assert caught.value.code == status
    finally:
        server.shutdown()
        server.server_close()
