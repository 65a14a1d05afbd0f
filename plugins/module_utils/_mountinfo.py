# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What is mounted where, as the kernel lists it."""

from __future__ import annotations

import re
import typing as t

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(t.NamedTuple):
    """A line of mountinfo: where, and what of which file system."""

    point: str
    device: str
    source: str


def read_mountinfo(text: str) -> list[Mount]:
    """Lines of /proc/self/mountinfo. The kernel escapes white space and backslashes; everything else is as it is."""
    found = []
    for line in text.split("\n"):
        fields = [_ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), field) for field in line.split(" ")[:5]]
        if len(fields) == 5:
            _number, _parent, device, source, point = fields
            found.append(Mount(point, device, source))
    return found
