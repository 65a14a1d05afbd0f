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
from pathlib import Path
from typing import Any

TREE = Path(__file__).parents[2]
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = SCENARIO / "inventory"
# Molecule asks for colours, which could not be read here; a line that waits in a buffer can't be waited for.
PLAIN = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
SECONDS = 1800


def start(playbook: str, *args: str, inventory: Path = INVENTORY, **variables: Any) -> subprocess.Popen[str]:
    """Start a playbook of the collection with extra variables."""
    command = ["ansible-playbook", "-i", str(inventory), str(TREE / f"playbooks/{playbook}.yml"), *args]
    return subprocess.Popen(
        [*command, "-e", json.dumps(variables)],
        cwd=TREE,
        env=PLAIN,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def play(playbook: str, *args: str, code: int = 0, inventory: Path = INVENTORY, **variables: Any) -> str:
    """Run a playbook to its end, which has to be this exit code; returns its log."""
    process = start(playbook, *args, inventory=inventory, **variables)
    log = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == code, log[-6000:]
    return log


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a run and to all that it has started here."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def executed(log: str, host: str) -> int:
    """How many tasks ran on a host."""
    found = re.search(rf"^{host}\s+: ok=(\d+)", log, re.M)
    return int(found[1]) if found else 0


def changes(log: str) -> int:
    """How many tasks changed something."""
    return sum(map(int, re.findall(r"changed=(\d+)", log)))
