# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs each Molecule scenario as one test, so that a run closes with pytest's own summary."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import pytest

TREE = Path(__file__).parents[2]
SCENARIOS = sorted(path.parent.name for path in TREE.glob("extensions/molecule/*/molecule.yml"))
LONG = {"dual-stack", "macvlan", "recovery", "recovery-ha", "rotation", "scale", "storage", "upgrade-ha"}
# Half of a scenario is waiting. These bear a neighbour; the others measure gaps, or have no room for one.
SIDE_BY_SIDE = {"access", "addons", "certificates", "default", "ha", "underlay"}
# What a run leaves out that had to build everything first, so that it ends within CI's time; the next one has it.
SPARED = {"access", "addons", "certificates"}
LATE_SECONDS = 1500


class Started(NamedTuple):
    """A scenario that runs, or is next; its exit code, and where it writes what it says."""

    code: Future[int]
    log: Path


def run(scenario: str, log: Path) -> int:
    """Run a scenario to its end, whose lab is gone then; returns its exit code."""

    def molecule(*argv: str) -> int:
        with log.open("ab") as output:
            done = subprocess.run(
                ["molecule", *argv, "--scenario-name", scenario], cwd=TREE, stdout=output, stderr=output, check=False
            )
        return done.returncode

    code = molecule("test", "--no-command-borders")
    if code:
        molecule("destroy")
    return code


def show(started: Started) -> int:
    """Show what a scenario says until its end; returns its exit code."""
    with started.log.open(encoding="utf-8", errors="replace") as handle:
        while True:
            ended = started.code.done()
            shutil.copyfileobj(handle, sys.stdout)
            sys.stdout.flush()
            if ended:
                return started.code.result()
            time.sleep(0.5)


@pytest.fixture(scope="session")
def spared(request: pytest.FixtureRequest) -> set[str]:
    """The scenarios for which it is too late, since the cache was empty."""
    began = request.config.getoption("--began")
    return SPARED if began and time.time() - began > LATE_SECONDS else set()


@pytest.fixture(scope="session")
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, spared: set[str]
) -> Iterator[dict[str, Started]]:
    """The scenarios of this run, those that bear it two at a time, and then the others."""
    chosen = {item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")}
    chosen -= spared
    names = [name for name in SCENARIOS if name in chosen and (name in LONG) == request.config.getoption("--long")]
    logs = {name: tmp_path_factory.mktemp("molecule") / f"{name}.log" for name in names}
    for log in logs.values():
        log.touch()
    with ThreadPoolExecutor(2) as pairs, ThreadPoolExecutor(1) as alone:
        made = {name: pairs.submit(run, name, log) for name, log in logs.items() if name in SIDE_BY_SIDE}
        before = tuple(made.values())

        def after(name: str, log: Path) -> int:
            wait(before)
            return run(name, log)

        made |= {name: alone.submit(after, name, log) for name, log in logs.items() if name not in made}
        try:
            yield {name: Started(code, logs[name]) for name, code in made.items()}
        finally:
            for code in made.values():
                code.cancel()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(
    scenario: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str], spared: set[str]
) -> None:
    if (scenario in LONG) != request.config.getoption("--long"):
        pytest.skip("make test-all runs the long scenarios, make test the others")
    if scenario in spared:
        pytest.skip("everything had to be built first; the next run has the time for it")
    started: dict[str, Started] = request.getfixturevalue("started")
    with capfd.disabled():
        code = show(started[scenario])
    assert code == 0
