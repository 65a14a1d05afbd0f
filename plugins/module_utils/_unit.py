# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whether a service still runs with files that were replaced after it had started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

PROPERTIES = ("MainPID", "ExecMainStartTimestampMonotonic", "ActiveState", "ActiveEnterTimestampMonotonic")


def started_at(show: str, wall: float, monotonic: float) -> float | None:
    """When a unit's main process started, or a unit without one became active, in seconds since the epoch; None when it
    doesn't run.

    show is what C(systemctl show) prints of PROPERTIES; wall and monotonic are the two clocks at that moment. systemd's
    wall clock times have no fixed format in older versions, its monotonic ones do.
    """
    fields = dict(line.split("=", 1) for line in show.splitlines() if "=" in line)
    running = fields.get("MainPID", "0") != "0"
    # Timers, and services that have done their work and remain.
    active = fields.get("ActiveState") == "active"
    since = fields.get("ExecMainStartTimestampMonotonic" if running else "ActiveEnterTimestampMonotonic", "")
    return wall - monotonic + int(since) / 1e6 if (running or active) and since.isdigit() else None


def newer_than(
    paths: Iterable[str], start: float | None, mtime: Callable[[str], float] = os.path.getmtime
) -> list[str]:
    """The files that were written after that moment, sorted; none when there is no such moment."""
    if start is None:
        return []
    return sorted(path for path in paths if os.path.lexists(path) and mtime(path) > start)
