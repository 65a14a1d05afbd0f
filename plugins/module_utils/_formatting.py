# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Notes about disks that are just being formatted: what a killed run leaves on them must not count as data."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._disks import Found
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write

# One file for each disk, named by the UUID that its file system gets.
DIRECTORY = "/var/lib/hostplane/formatting"


def _identity(found: Found) -> dict[str, Any]:
    # The UUID of a disk without a serial follows from its path alone, where another disk may be by now.
    return {"serial": found.serial, "size": found.size, "wwn": found.wwn}


def note(uuid: str, found: Found) -> None:
    os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
    atomic_write(os.path.join(DIRECTORY, uuid), json.dumps(_identity(found), sort_keys=True).encode(), 0o600)


def interrupted(uuid: str, found: Found) -> bool:
    """Whether a run ended while it formatted this very disk."""
    try:
        with open(os.path.join(DIRECTORY, uuid), encoding="utf-8") as handle:
            return bool(json.load(handle) == _identity(found))
    except (FileNotFoundError, ValueError):
        return False


def forget(uuid: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(DIRECTORY, uuid))
