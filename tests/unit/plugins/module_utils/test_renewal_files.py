# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
from pathlib import Path

from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_files import Backup, link


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    key, pem, current = tmp_path / "a.key", tmp_path / "one.pem", tmp_path / "current.pem"
    key.write_text("old")
    key.chmod(0o600)
    pem.write_text("one")
    current.symlink_to(pem)
    base = tmp_path / "backups"
    backup = Backup([str(key), str(current), str(tmp_path / "missing"), str(key)], keep=3, base=str(base))
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (base, backup.path)] == [0o700, 0o700]
    key.write_text("new")
    key.chmod(0o644)
    link(str(tmp_path / "two.pem"), str(current))
    assert os.readlink(current) == str(tmp_path / "two.pem")
    backup.restore()
    assert key.read_text() == "old" and stat.S_IMODE(key.stat().st_mode) == 0o600
    assert os.readlink(current) == str(pem)
    assert not (tmp_path / "missing").exists()


def test_the_oldest_copies_go(tmp_path: Path) -> None:
    made = [Backup([], keep=2, base=str(tmp_path / "backups")).path for dummy in range(4)]
    assert [Path(path).exists() for path in made] == [False, False, True, True]


def test_a_file_that_was_removed_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.key"
    path.write_text("old")
    backup = Backup([str(path)], keep=1, base=str(tmp_path / "backups"))
    path.unlink()
    backup.restore()
    assert path.read_text() == "old"
