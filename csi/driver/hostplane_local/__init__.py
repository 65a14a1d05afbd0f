# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CSI driver local.hostplane.io: volumes with a hard size, each a file of its own in a directory of the node."""

from __future__ import annotations

DRIVER = "local.hostplane.io"
VERSION = "0.1.0"
TOPOLOGY_KEY = "topology.local.hostplane.io/node"
