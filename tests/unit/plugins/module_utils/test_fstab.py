# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of /etc/fstab: ours added or changed, others' left alone, and what a directory is below."""

from __future__ import annotations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _fstab
from ansible_collections.hostplane.cluster.plugins.module_utils._hoststorage import Disk

TABLE = """# UUID=0 /srv/volumes ext4 defaults 0 2
UUID=1 / ext4 defaults 0 1
UUID=2 none swap sw 0 0
UUID=3 /srv xfs defaults 0 0
UUID=4 /srv/volumes/ ext4 nofail 0 2
broken
"""


def disk(**settings: object) -> Disk:
    return Disk(**{"mount": "/srv/volumes", "serial": "NEW1", **settings})  # type: ignore[arg-type]


def test_our_line_is_added_once_and_changed_in_place() -> None:
    text = "# /srv/volumes\nUUID=1 / ext4 defaults 0 1\n"
    line = _fstab.fstab_line(disk(options=("noatime",)), "2")
    assert line.startswith("UUID=2 /srv/volumes ext4 defaults,nofail,") and line.endswith(",noatime 0 2")
    added, foreign = _fstab.fstab_with(text, disk(), line, ["UUID=2"])
    assert (added, foreign) == (text + line + "\n", "")
    assert _fstab.fstab_with(added, disk(), line, ["UUID=2"]) == (added, "")
    assert _fstab.fstab_with(added, disk(), "new", ["UUID=2"]) == (text + "new\n", "")
    assert _fstab.fstab_with(added, disk(), line, ["UUID=3"]) == (added, line)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/volumes", ("UUID=4", "/srv/volumes")),
        ("/srv/volumes/pool", ("UUID=4", "/srv/volumes")),
        ("/srv/volumes2/pool", ("UUID=3", "/srv")),
        ("/var/lib/pool", ("", "")),
        ("/none/pool", ("", "")),
    ],
)
def test_what_a_directory_is_below(path: str, expected: tuple[str, str]) -> None:
    assert _fstab.fstab_above(TABLE, path) == expected
