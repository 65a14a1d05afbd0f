# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a restore has come, also as an earlier run wrote it down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _restore_journal
from ansible_collections.hostplane.cluster.plugins.module_utils._restore_journal import STEPS, Journal
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError

TOKEN = "20270101T000000Z"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_restore_journal, "WORK", str(tmp_path / "restore"))
    return tmp_path / "restore"


def test_what_was_written_is_read_again(work: Path) -> None:
    assert _restore_journal.read_journal() == Journal()
    journal = Journal("aa", TOKEN, "restore", 17, {"pods": 2})
    _restore_journal.write_journal(journal)
    assert _restore_journal.read_journal() == journal
    assert work.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"source": "", "unknown": 1})])
def test_a_broken_journal_is_named(work: Path, text: str) -> None:
    work.mkdir()
    (work / "journal.json").write_text(text)
    with pytest.raises(SnapshotError, match=r"journal\.json can't be understood"):
        _restore_journal.read_journal()


@pytest.mark.parametrize("done", ["", *STEPS[1:]])
def test_only_what_is_not_finished_is_continued_and_only_from_its_source(done: str) -> None:
    journal = Journal("cp1", TOKEN, done)
    assert journal.is_unfinished("cp1") is (done != "finish")
    assert not journal.is_unfinished("cp2")
    assert not Journal().is_unfinished("")


def test_later_steps_include_the_earlier_ones() -> None:
    journal = Journal("aa", TOKEN, "compare")
    assert [step for step in STEPS if journal.has_done(step)] == list(STEPS[: STEPS.index("compare") + 1])
    assert not any(Journal("aa", TOKEN).has_done(step) for step in STEPS)


def test_a_token_is_a_moment() -> None:
    with pytest.raises(SnapshotError, match="no token"):
        _restore_journal.bump_of("yesterday")
