# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices of volumes: on recorded answers of the kernel, and on real devices where there are some to be had."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostloops
from ansible_collections.hostplane.cluster.plugins.module_utils._hostloops import Loop
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 0xFFF), st.integers(0, 0xFFFFF))
def test_device_numbers_of_the_kernel(major: int, minor: int) -> None:
    written = (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)
    assert _hostloops.decode(written) == os.makedev(major, minor)


def test_only_devices_on_files_of_the_pool_and_what_is_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("pool/a.img", "pool/a.json", "other/a.img"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    ours, other = (tmp_path / "pool/a.img").stat(), (tmp_path / "other/a.img").stat()
    loops = [
        Loop("/dev/loop0", os.makedev(7, 0), ours.st_dev, ours.st_ino, 0),
        Loop("/dev/loop1", os.makedev(7, 1), other.st_dev, other.st_ino, 0),
        Loop("/dev/loop2", os.makedev(7, 2), 5, 25, os.makedev(7, 0)),
        Loop("/dev/loop3", os.makedev(7, 3), 5, 22, os.makedev(7, 1)),
    ]
    monkeypatch.setattr(_hostloops, "attached", lambda system: loops)
    found = _hostloops.of_pools(System(str(tmp_path)), ["/pool", "/none"])
    assert list(found.items()) == [("/dev/loop2", "/pool/a.img"), ("/dev/loop0", "/pool/a.img")]
    assert _hostloops.of_pools(System(str(tmp_path)), ["/none"]) == {}


def test_real_devices(tmp_path: Path) -> None:
    image = tmp_path / "pool" / "volume.img"
    image.parent.mkdir()
    with image.open("wb") as handle:
        handle.truncate(1 << 20)
    losetup = ["losetup", "--find", "--show"]
    done = subprocess.run([*losetup, image], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no loop device can be had here")
    device = done.stdout.strip()
    upper = subprocess.run([*losetup, device], capture_output=True, text=True, check=True).stdout.strip()
    try:
        found = _hostloops.of_pools(System(), [str(image.parent)])
        assert list(found) == [upper, device]
    finally:
        for name in (upper, device):
            _hostloops.detach(System(), name)
    deadline = time.monotonic() + 10
    while _hostloops.of_pools(System(), [str(image.parent)]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
