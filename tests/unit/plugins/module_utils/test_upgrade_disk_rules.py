# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upgrade adds to disks, and what of it is there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_disk_rules as rules
from test_upgrade_host_rules import TARGET, codes, facts

GIB = 1024**3


@pytest.mark.parametrize(
    ("free", "size", "wanted"),
    [
        (100 * GIB, 200 * GIB, []),
        (GIB, 200 * GIB, [("disk_space", "error")]),
        (25 * GIB, 200 * GIB, [("disk_images", "warning")]),
    ],
)
def test_what_comes_has_to_fit(free: int, size: int, wanted: list[tuple[str, str]]) -> None:
    needs = rules.disk_needs(fetched=0, programs=GIB // 4, images=GIB // 4, database=GIB // 8)
    disks = [{"paths": ["/usr/local/bin", "/var/lib/containerd"], "free": free, "size": size}]
    assert codes(rules.check_disks(facts(disks=disks), needs)) == wanted


def test_programs_wait_where_they_are_fetched_to() -> None:
    needs = rules.disk_needs(fetched=GIB, programs=GIB, images=0, database=0)
    together = [{"paths": ["/usr/local/bin", "/var/lib/hostplane"], "free": 3 * GIB // 2, "size": 200 * GIB}]
    assert codes(rules.check_disks(facts(disks=together), needs)) == []
    apart = [
        {"paths": [path], "free": GIB // 2, "size": 200 * GIB} for path in ("/usr/local/bin", "/var/lib/hostplane")
    ]
    assert codes(rules.check_disks(facts(disks=apart), needs)) == [("disk_space", "error")] * 2


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, (30, 30, 7)),
        ({"staged": ["a"]}, (20, 30, 7)),
        ({"images": ["pause@sha256:1", "etcd@sha256:old"]}, (30, 30, 4)),
        # The same version again, on a host without room for all of it.
        ({"version": "1.36.3", "images": ["pause@sha256:1", "etcd@sha256:2"]}, (0, 0, 0)),
    ],
)
def test_what_is_there_is_not_fetched_again(known: dict[str, Any], expected: tuple[int, int, int]) -> None:
    digests = {"pause": "sha256:1", "etcd": "sha256:2"}
    found = rules.to_fetch(facts(**known), {"a": 10, "b": 20}, {"pause": 3, "etcd": 4}, digests, TARGET)
    assert found == expected


def test_a_backup_needs_space_where_it_is_made_and_where_it_is_kept() -> None:
    without = rules.disk_needs(fetched=0, programs=0, images=0, database=GIB)
    needs = rules.disk_needs(fetched=0, programs=0, images=0, database=GIB, backups="/backups")
    added = {path: need - without.get(path, 0) for path, need in needs.items() if need != without.get(path)}
    assert added == dict.fromkeys(("/var/lib/hostplane", "/backups"), 5 * GIB // 2)
    disks = [{"paths": ["/backups"], "free": 2 * GIB, "size": 100 * GIB}]
    assert codes(rules.check_disks(facts(disks=disks), needs)) == [("disk_space", "error")]


def test_needs_of_one_file_system_add_up() -> None:
    needs = {"/a": GIB, "/b": GIB}
    one = [{"paths": ["/a", "/b"], "free": 2 * GIB, "size": 100 * GIB}]
    two = [{"paths": [path], "free": 2 * GIB, "size": 100 * GIB} for path in needs]
    assert codes(rules.check_disks(facts(disks=one), needs)) == [("disk_space", "error")]
    assert not list(rules.check_disks(facts(disks=two), needs))
