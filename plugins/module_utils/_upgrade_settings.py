# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What the operator has set for the run itself, of which the playbook makes use only when half of it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._rollout import largest_batch
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import (
    Finding,
    error,
    listed,
    severe,
)

CODE = "setting_invalid"


def _valid_limit(limit: Any) -> bool:
    try:
        return largest_batch(limit, 1) > 0
    except ValueError:
        return False


def check_rollout(rollout: Mapping[str, Any], known: Iterable[str]) -> Iterator[Finding]:
    """The settings max_unavailable, pools and pause, as they were written; known are the pools of the plan."""
    limit, pools, pause = rollout.get("max_unavailable", "10%"), rollout.get("pools", []), rollout.get("pause", 0)
    if not _valid_limit(limit):
        yield error(
            CODE,
            f"upgrade_max_unavailable is {limit!r}, which is neither a number of hosts nor a part of a pool.",
            "Write a number such as 2, or a part such as 10%.",
            path="upgrade_max_unavailable",
        )
    if not isinstance(pools, (list, tuple)):
        yield error(
            CODE,
            f"upgrade_pools is {pools!r}, which is no list.",
            f"Write a list such as [{listed(known)}], or leave it out.",
            path="upgrade_pools",
        )
    elif unknown := {str(pool) for pool in pools} - set(known):
        yield error(
            CODE,
            f"upgrade_pools names {listed(unknown)}; no host is in such a pool.",
            f"The pools are {listed(known)}.",
            path="upgrade_pools",
        )
    if isinstance(pause, bool) or not str(pause).isdecimal():
        yield error(
            CODE,
            f"upgrade_pause is {pause!r}, which is no number of seconds.",
            "Write a whole number such as 300.",
            path="upgrade_pause",
        )


def check_backup(key: bool, due: bool) -> Iterator[Finding]:
    """Whether the backup before the first change has its key; due is whether a host has another version."""
    if not key:
        yield Finding(
            "backup_key_missing",
            "backup_key_file is no file on the controller, so the cluster can't be backed up before its first change.",
            "Name the file whose first line is the passphrase, or go without a backup: upgrade_backup=false.",
            path="backup_key_file",
            severity=severe(due),
        )
