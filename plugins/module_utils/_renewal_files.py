# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Copies of the files that a renewal replaces, and the way back."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from datetime import datetime, timezone

from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_plan import BACKUPS


class Backup:
    """Copies of the files that a run replaces, in a directory of its own that only root can enter."""

    def __init__(self, paths: Iterable[str], keep: int, base: str = "") -> None:
        base = base or BACKUPS
        os.makedirs(base, mode=0o700, exist_ok=True)
        os.chmod(base, 0o700)
        kept = sorted(entry for entry in os.listdir(base) if os.path.isdir(os.path.join(base, entry)))
        for entry in kept[: max(0, len(kept) - keep + 1)]:
            shutil.rmtree(os.path.join(base, entry))
        # Runs may follow each other within a second.
        self.path = os.path.join(base, f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}")
        self.paths = sorted(path for path in set(paths) if os.path.lexists(path))
        os.mkdir(self.path, 0o700)
        for path in self.paths:
            copy = self._copy(path)
            os.makedirs(os.path.dirname(copy), mode=0o700, exist_ok=True)
            shutil.copy2(path, copy, follow_symlinks=False)

    def _copy(self, path: str) -> str:
        return os.path.join(self.path, path.lstrip("/"))

    def restore(self) -> None:
        """Put everything back as it was."""
        for path in self.paths:
            copy = self._copy(path)
            if os.path.islink(copy):
                link(os.readlink(copy), path)
            else:
                with open(copy, "rb") as handle:
                    atomic_write(path, handle.read(), os.stat(copy).st_mode & 0o777)


def link(target: str, path: str) -> None:
    """Point a symbolic link somewhere else in one step."""
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    os.symlink(target, new)
    os.replace(new, path)
