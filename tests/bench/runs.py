# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Timed runs of commands and playbooks, for all benchmarks."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.M)


class BenchError(Exception):
    """A step failed; the message has the end of what it said."""


class Bench:
    """Runs the steps of a benchmark and keeps their output."""

    def __init__(self, logs: Path, inventory: list[Path]) -> None:
        self.logs = logs
        self.inventory = inventory
        self.number = 0
        logs.mkdir(parents=True, exist_ok=True)

    def timed(self, step: str, command: list[str]) -> tuple[float, str]:
        """Run a command; its wall time in seconds and its output."""
        self.number += 1
        print(f"  {step} ...", end="", flush=True, file=sys.stderr)
        start = time.monotonic()
        # To a file and not to the terminal, so that printing costs the command nothing.
        log = self.logs / f"{self.number:02d}-{step}.log"
        with log.open("w") as stream:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, check=False
            )
        seconds = round(time.monotonic() - start, 1)
        print(f" {seconds} s", file=sys.stderr)
        said = log.read_text(errors="replace")
        if done.returncode:
            raise BenchError(f"{step} failed with exit code {done.returncode}; {log} ends with:\n{said[-4000:]}")
        return seconds, said

    def playbook(self, step: str, name: str, *extra: str) -> dict[str, Any]:
        """Run one of our playbooks; seconds, CPU seconds of the controller, and the recap's counts by host."""
        spent = cpu_seconds()
        inventory = [f"--inventory={path}" for path in self.inventory]
        seconds, said = self.timed(step, ["ansible-playbook", *inventory, str(TOP / f"playbooks/{name}.yml"), *extra])
        hosts = {
            host: {key: int(value) for key, value in (pair.split("=") for pair in counts.split())}
            for host, counts in RECAP.findall(said)
        }
        return {
            "seconds": seconds,
            "cpu_seconds": round(cpu_seconds() - spent, 1),
            "hosts": {host: {"tasks": counts["ok"], "changed": counts["changed"]} for host, counts in hosts.items()},
        }

    def fresh_nodes(self) -> None:
        """New, empty node containers."""
        self.remove_nodes()
        self.playbook("lab", "lab")

    def remove_nodes(self) -> None:
        """No node containers."""
        self.playbook("lab-absent", "lab", "--extra-vars=lab_state=absent")


def cpu_seconds() -> float:
    """CPU time of all commands so far; unlike wall time it hardly depends on who else is at work."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpus": os.cpu_count(), "memory_gib": round(memory / 2**30, 1), "kernel": platform.release()}
