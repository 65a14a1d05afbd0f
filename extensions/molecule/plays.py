# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks run as a user would run them, and killed as no user should."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

TREE = Path(__file__).parents[2]
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = SCENARIO / "inventory"
# Molecule asks for colours, which could not be read here; a line that waits in a buffer can't be waited for.
PLAIN = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
SECONDS = 900


class Run:
    """A playbook that runs with extra variables. It writes to a file: a pipe that nobody reads would stop it."""

    def __init__(self, playbook: str, *args: str, inventory: Path = INVENTORY, **variables: Any) -> None:
        command = ["ansible-playbook", "-i", str(inventory), str(TREE / f"playbooks/{playbook}.yml"), *args]
        self.output = NamedTemporaryFile()  # noqa: SIM115 - as long as the run is looked at
        self.process = subprocess.Popen(
            [*command, "-e", json.dumps(variables)],
            cwd=TREE,
            env=PLAIN,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        """All that it has said until now."""
        return Path(self.output.name).read_text()

    def end(self) -> int:
        """Wait for its end; returns its exit code."""
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """SIGKILL to it and to all that it has started here."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_when(self, condition: Callable[[str], Any], after: float = 0) -> None:
        """Kill it as soon as its log, or whatever is asked here, says so, or these seconds later."""
        deadline = time.monotonic() + SECONDS
        while not condition(self.log):
            assert self.process.poll() is None, f"it ended before it was killed:\n{self.log[-6000:]}"
            assert time.monotonic() < deadline, f"not within {SECONDS} s:\n{self.log[-6000:]}"
            time.sleep(0.1)
        time.sleep(after)
        self.kill()


def play(playbook: str, *args: str, code: int = 0, inventory: Path = INVENTORY, **variables: Any) -> str:
    """Run a playbook to its end, which has to be this exit code; returns its log."""
    run = Run(playbook, *args, inventory=inventory, **variables)
    assert run.end() == code, run.log[-6000:]
    return run.log


def executed(log: str, host: str) -> int:
    """How many tasks ran on a host."""
    found = re.search(rf"^{host}\s+: ok=(\d+)", log, re.M)
    return int(found[1]) if found else 0


def changes(log: str) -> int:
    """How many tasks changed something."""
    return sum(map(int, re.findall(r"changed=(\d+)", log)))
