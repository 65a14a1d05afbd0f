# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._unit import newer_than, started_at


def test_the_start_of_a_running_process() -> None:
    show = "MainPID=812\nExecMainStartTimestampMonotonic=40500000\n"
    assert started_at(show, wall=1000.0, monotonic=50.0) == pytest.approx(990.5)


def test_a_unit_that_has_done_its_work_or_is_a_timer_started_when_it_became_active() -> None:
    show = "MainPID=0\nExecMainStartTimestampMonotonic=1\nActiveState=active\nActiveEnterTimestampMonotonic=40500000\n"
    assert started_at(show, wall=1000.0, monotonic=50.0) == pytest.approx(990.5)
    timer = "ActiveState=active\nActiveEnterTimestampMonotonic=40500000\n"
    assert started_at(timer, wall=1000.0, monotonic=50.0) == pytest.approx(990.5)
    for state in ("inactive", "failed", "activating"):
        assert started_at(show.replace("=active", f"={state}"), 1000.0, 50.0) is None


@pytest.mark.parametrize("show", ["", "MainPID=0\nExecMainStartTimestampMonotonic=40500000\n", "MainPID=7\n"])
def test_what_does_not_run_has_no_start(show: str) -> None:
    assert started_at(show, 1000.0, 50.0) is None


def test_files_written_after_the_start_are_named(tmp_path: Path) -> None:
    times = {str(tmp_path / name): stamp for name, stamp in (("b", 991.0), ("a", 992.0), ("old", 990.0))}
    for path in times:
        Path(path).touch()
    missing = str(tmp_path / "missing")
    found = newer_than([*times, missing], 990.5, mtime=times.__getitem__)
    assert found == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert newer_than(times, None) == []
