# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What a restore was asked for, and how far it has come on this host."""

from __future__ import annotations

import json
import os
import time
from calendar import timegm
from dataclasses import asdict, dataclass, field

from ansible_collections.hostplane.cluster.plugins.module_utils import _backup
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import PKI
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError

WORK = "/var/lib/hostplane/restore"
STEPS = ("check", "stop", "restore", "start_etcd", "compare", "start_api", "finish")
# Per second of the clock: more than etcd can write, so that no revision was ever seen before, also after many restores.
REVISIONS_PER_SECOND = 1000


@dataclass(frozen=True)
class Request:
    """What is to be restored: a backup that lies on this host, or the data of a survivor.

    name is the host's; it is empty on the controller, where only the backup itself can be looked at.
    """

    cluster: str
    backup: str = ""
    key_file: str = ""
    survivor: str = ""
    token: str = ""
    members: tuple[tuple[str, str], ...] = ()
    name: str = ""
    version: str = ""
    accept_ca: str = ""
    programs: str = ""
    pki: str = PKI


@dataclass(frozen=True)
class Journal:
    """How far a restore has come on this host. source is the backup's sha256, or the survivor's name.

    It stays when the restore is finished: a host that has finished must know that, as long as another one has not.
    """

    source: str = ""
    token: str = ""
    done: str = ""
    revision: int = 0
    resources: dict[str, int] = field(default_factory=dict)

    def has_done(self, step: str) -> bool:
        """Whether the step, or a later one, was finished."""
        return bool(self.done) and STEPS.index(self.done) >= STEPS.index(step)

    def is_unfinished(self, source: str) -> bool:
        """Whether a restore from this source was interrupted here."""
        return bool(self.token) and self.source == source and not self.has_done("finish")


def read_journal() -> Journal:
    """The journal of this host's last restore; an empty one when there was none."""
    try:
        with open(f"{WORK}/journal.json", encoding="utf-8") as handle:
            return Journal(**json.load(handle))
    except FileNotFoundError:
        return Journal()
    except (OSError, ValueError, TypeError) as exc:
        raise SnapshotError(f"{WORK}/journal.json can't be understood ({exc}); remove it to begin anew") from exc


def write_journal(journal: Journal) -> None:
    """Remember how far this host is."""
    os.makedirs(WORK, mode=0o700, exist_ok=True)
    atomic_write(f"{WORK}/journal.json", json.dumps(asdict(journal)).encode(), 0o600)


def bump_of(token: str) -> int:
    """By how much revisions are raised; raises SnapshotError for a token that is no moment."""
    try:
        return timegm(time.strptime(token, _backup.STAMP)) * REVISIONS_PER_SECOND
    except ValueError as exc:
        raise SnapshotError(f"{token!r} is no token of a restore, which is a moment such as 20260102T030405Z") from exc
