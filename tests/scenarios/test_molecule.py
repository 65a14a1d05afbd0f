# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs each Molecule scenario as one test, so that a run closes with pytest's own summary."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SCENARIOS = sorted(path.parent.name for path in TREE.glob("extensions/molecule/*/molecule.yml"))
LONG = {"dual-stack", "macvlan", "recovery", "recovery-ha", "rotation", "scale", "storage", "upgrade-ha"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> None:
    if (scenario in LONG) != request.config.getoption("--long"):
        pytest.skip("make test-all runs the long scenarios, make test the others")
    with capfd.disabled():
        done = subprocess.run(
            ["molecule", "test", "--no-command-borders", "--scenario-name", scenario], cwd=TREE, check=False
        )
        if done.returncode:
            subprocess.run(["molecule", "destroy", "--scenario-name", scenario], cwd=TREE, check=False)
    assert done.returncode == 0
