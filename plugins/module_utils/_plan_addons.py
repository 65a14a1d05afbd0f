# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a cluster gets besides Kubernetes and its pod network, and only when its settings ask for it."""

from __future__ import annotations

from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import ClusterRequest


def selected_addons(request: ClusterRequest) -> set[str]:
    """The addons of the catalogue that the settings need; their images have to be in the mirror."""
    return set()
