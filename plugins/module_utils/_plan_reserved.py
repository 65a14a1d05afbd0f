# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a node keeps back for the kubelet and the container runtime, and for the moment when memory runs out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The kubelet takes a list of thresholds as the whole of it, so its own defaults are repeated; only memory differs.
EVICTION_HARD = {
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
    "memory.available": "300Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
}
EVICTION_MB = 300
CPU_PER_CORE = 25
# Up to so many MiB in all, so many percent of the part between this tier and the one before.
_MEMORY_TIERS = ((4 * 1024, 25), (8 * 1024, 20), (16 * 1024, 10), (128 * 1024, 6))
_MEMORY_REST = 2
_CPU = re.compile(r"([0-9]+(?:\.[0-9]{1,3})?)(m?)")
_MEMORY = re.compile(r"([0-9]+)(|k|Ki|M|Mi|G|Gi)")
_BYTES = {"": 1, "k": 10**3, "Ki": 2**10, "M": 10**6, "Mi": 2**20, "G": 10**9, "Gi": 2**30}


def cpu_reserved(cpus: int) -> int:
    """Thousandths of a core: 2.5 % of every core, which is 100 for four cores and 800 for 32."""
    return cpus * CPU_PER_CORE


def memory_reserved(memory_mb: int) -> int:
    """MiB: 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the next 8, 6 % of the next 112, 2 % of the rest."""
    percents, below = 0, 0
    for tier, percent in _MEMORY_TIERS:
        percents += max(0, min(memory_mb, tier) - below) * percent
        below = tier
    return (percents + max(0, memory_mb - below) * _MEMORY_REST) // 100


def read_cpu(value: Any) -> int | None:
    """Thousandths of a core from 1, 0.5, "0.5" or "500m"; None when it is no quantity of CPU."""
    found = None if isinstance(value, bool) else _CPU.fullmatch(str(value))
    if not found or (found[2] and "." in found[1]):
        return None
    return int(found[1]) if found[2] else round(float(found[1]) * 1000)


def read_memory(value: Any) -> int | None:
    """MiB, rounded up, from a quantity such as "1Gi", "512Mi" or a number of bytes; None when it is none."""
    found = None if isinstance(value, bool) else _MEMORY.fullmatch(str(value))
    return -(-int(found[1]) * _BYTES[found[2]] // 2**20) if found else None


def reserved(facts: Mapping[str, Any]) -> dict[str, str]:
    """The formula applied to a host, as quantities; empty when the host's size is not known."""
    cpus, memory = facts.get("cpus"), facts.get("memory_mb")
    if not cpus or not memory:
        return {}
    return {"cpu": f"{cpu_reserved(int(cpus))}m", "memory": f"{memory_reserved(int(memory))}Mi"}
