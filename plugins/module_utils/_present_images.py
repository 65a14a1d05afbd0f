# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Which images a container runtime has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def present_images(listing: Mapping[str, Any]) -> set[str]:
    """Every name with each digest that it stands for, as name@digest, of what C(crictl images -o json) prints."""
    return {
        f"{tag}@{entry.rpartition('@')[2]}"
        for image in listing.get("images") or []
        for tag in image.get("repoTags") or []
        for entry in image.get("repoDigests") or []
    }
