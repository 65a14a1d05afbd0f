# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool whose disk is not mounted is known from an empty one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostplane_local import mounts, whereabouts
from hostplane_local.errors import VolumeError

NODE = "36 35 8:1 / / rw - ext4 /dev/sda1 rw\n"
DISK = "40 36 8:16 / /srv/volumes rw - xfs /dev/sdb rw\n"
# As the driver sees it: a bind of the directory alone.
BOUND = "50 49 0:70 / / ro - overlay overlay rw\n51 50 8:16 /pool /srv/volumes/pool rw - xfs /dev/sdb rw\n"
BOUND_ON_NODE = BOUND.replace("8:16 /pool", "8:1 /srv/volumes/pool")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (NODE, "/srv/volumes/pool"),
        (NODE + DISK, "/pool"),
        (NODE + DISK + "41 36 8:32 /sub /srv/volumes rw - xfs /dev/sdc rw\n", "/sub/pool"),
        (NODE + "42 36 8:48 / /srv/vol rw - xfs /dev/sdd rw\n", "/srv/volumes/pool"),
        (BOUND, "/pool"),
        (BOUND_ON_NODE, "/srv/volumes/pool"),
    ],
)
def test_where_the_pool_is_in_its_file_system(table: str, expected: str) -> None:
    assert whereabouts.inside(Path("/srv/volumes/pool"), mounts.parse(table)) == expected


@pytest.mark.parametrize(
    ("pool", "mount", "expected"),
    [
        # As the driver sees it: device, the directory's path in its file system.
        ("/srv/volumes/pool", "8:1 /srv/volumes/pool", True),
        ("/srv/volumes/pool", "8:16 /pool", False),
        ("/srv/volumes", "8:16 /", False),
        ("/var/lib/pool", "8:3 /lib/pool", True),
        ("/var/lib/pool", "8:3 /pool", True),
        ("/var/lib/disk/pool", "8:16 /pool", False),
        # A subvolume of btrfs is the root.
        ("/var/lib/pool", "0:40 /@/var/lib/pool", True),
    ],
)
def test_files_of_the_node_are_in_the_same_file_system(pool: str, mount: str, expected: bool) -> None:
    table = f"50 49 0:70 / / ro - overlay overlay rw\n51 50 {mount} {pool} rw - xfs /dev/sdb rw\n"
    assert whereabouts.of_system(Path(pool), mounts.parse(table)) is expected


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        ("/pool", "/srv/volumes/pool", True),
        ("/srv/volumes/pool", "/srv/volumes/pool", False),
        ("/srv/volumes/pool", "/pool", False),
        ("/node-1/_data/pool", "/node-2/_data/pool", False),
    ],
)
def test_a_missing_disk_is_told_from_a_pool_that_moved(before: str, now: str, lost: bool) -> None:
    assert whereabouts.lost_its_disk(before, now) is lost


def test_what_was_once_on_a_disk_is_not_made_on_the_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, memory = tmp_path / "pool", tmp_path / "plugin" / "pool.json"
    with pytest.raises(VolumeError, match="there is no directory"):
        whereabouts.check(pool, memory)
    pool.mkdir()
    disk = f"40 36 8:16 / {tmp_path} rw - xfs /dev/sdb rw\n"
    monkeypatch.setattr(whereabouts, "listed", lambda: mounts.parse(NODE))
    whereabouts.check(pool, memory)
    monkeypatch.setattr(whereabouts, "listed", lambda: mounts.parse(NODE + disk))
    whereabouts.check(pool, memory)
    whereabouts.check(pool, memory)
    monkeypatch.setattr(whereabouts, "listed", lambda: mounts.parse(NODE))
    with pytest.raises(VolumeError, match="on a disk of its own"):
        whereabouts.check(pool, memory)
    # Told to stay, and with a file that a power cut has torn.
    memory.write_text("{")
    whereabouts.check(pool, memory)
    assert str(tmp_path) in memory.read_text()
