# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _hoststorage as storage
from hypothesis import given
from hypothesis import strategies as st


def read(value: Any) -> tuple[Any, Any, list[str]]:
    codes: list[str] = []
    directories, disks = storage.read_storage(value, "node_storage", lambda code, *_rest: codes.append(code))
    return directories, disks, codes


def disk_codes(**disk: Any) -> list[str]:
    return read({"disks": [{"serial": "A1", "mount": "/srv/volumes", **disk}]})[2]


def test_everything_has_a_default() -> None:
    value = {
        "directories": ["/srv/pool"],
        "disks": [{"serial": "A1", "mount": "/srv/volumes", "options": "noatime,ro"}],
    }
    (directory,), (disk,), codes = read(value)
    assert codes == []
    assert directory.to_dict() == {"path": "/srv/pool", "mode": "0755", "owner": "root", "group": "root"}
    assert (disk.filesystem, disk.options, disk.use_existing, disk.device) == ("ext4", ("noatime", "ro"), False, "")
    # What the plan passes on is read the same way by the host.
    assert read({"directories": [directory.to_dict()], "disks": [disk.to_dict()]}) == ([directory], [disk], [])


@pytest.mark.parametrize(
    "name", ["sdb", "/dev/sdb", "/dev/nvme0n1", "/dev/disk/by-uuid/1-2", "/dev/disk/by-id/../sdb", "/dev/loop0"]
)
def test_names_that_may_be_of_another_disk_tomorrow(name: str) -> None:
    assert disk_codes(device=name) == ["storage_device_ambiguous"]


@pytest.mark.parametrize("name", ["/dev/disk/by-id/ata-X_1", "/dev/disk/by-path/pci-0:1.2", "/dev/mapper/data-volumes"])
def test_names_that_stay(name: str) -> None:
    assert disk_codes(device=name) == []


@pytest.mark.parametrize(
    "path",
    ["srv", "/", "/srv", "/var/lib", "/etc/x", "/var/lib/kubelet", "/var/lib/etcd/x", "/srv/a/",
     "/srv//a", "/srv/../x", "/srv/a b", "/srv/a#"],
)  # fmt: skip
def test_directories_that_are_of_others(path: str) -> None:
    assert storage.path_problem(path) != ""
    assert disk_codes(mount=path) == ["storage_path_invalid"]
    assert read({"directories": [path]})[2] == ["storage_path_invalid"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"serial": ""}, "storage_disk_unnamed"),
        ({"filesystem": "btrfs"}, "storage_filesystem_unknown"),
        ({"reflink": True}, "storage_reflink_impossible"),
        ({"reflink": "yes"}, "storage_disk_invalid"),
        ({"options": ["a b"]}, "storage_disk_invalid"),
        ({"options": {"a": 1}}, "storage_disk_invalid"),
        ({"allow_data_loss_serial": "B2"}, "storage_serial_differs"),
        ({"allow_data_loss_serial": "A1", "use_existing": True}, "storage_disk_invalid"),
        ({"colour": "red"}, "storage_disk_invalid"),
    ],
)
def test_disks_that_cannot_be_meant(settings: dict[str, Any], code: str) -> None:
    assert disk_codes(**settings) == [code]


@pytest.mark.parametrize("value", ["text", {"disk": []}, {"disks": "text"}, {"directories": {"path": "/srv/a"}}])
def test_another_shape(value: Any) -> None:
    assert read(value) == ([], [], ["storage_invalid"])


@pytest.mark.parametrize(
    "entry", [{"path": "/srv/a", "mode": 755}, {"path": "/srv/a", "mode": "rwx"}, {"path": "/srv/a", "owner": "a b"}, 5]
)
def test_directories_that_cannot_be_made(entry: Any) -> None:
    assert read({"directories": [entry]})[2] == ["storage_directory_invalid"]


def test_nothing_twice() -> None:
    disks = [{"serial": "A1", "mount": "/srv/a"}, {"serial": "A1", "mount": "/srv/a"}]
    codes = read({"disks": disks, "directories": ["/srv/b", "/srv/b"]})[2]
    assert codes == ["storage_directory_twice", "storage_mount_twice", "storage_disk_twice"]


KEYS = st.sampled_from(["path", "mode", "owner", "device", "serial", "mount", "options", "directories", "disks"])
JUNK = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))  # fmt: skip


@given(JUNK)
def test_whatever_is_written_it_is_read(value: Any) -> None:
    directories, disks, _codes = read(value)
    assert all(item.path.startswith("/") for item in directories) and all(isinstance(item.mount, str) for item in disks)
