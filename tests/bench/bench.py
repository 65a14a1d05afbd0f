# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long create takes, compared with the same work by hand on equal fresh hosts and with the same bundle.

    bench.py [--runs N] [--keep] [--json FILE] [--logs DIRECTORY]

Each run makes new node containers twice: once for by-hand.sh, once for the playbooks mirror, create and create again.
docs/benchmark.md says what is measured and what came out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
INVENTORY = [f"--inventory={TOP / 'inventories/quickstart'}", f"--inventory={HERE / 'inventory'}"]
STEPS = {"by_hand": "by hand", "mirror": "mirror", "create": "create", "again": "create again"}
RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.M)


class BenchError(Exception):
    """A step failed; the message has the end of what it said."""


class Bench:
    """Runs the steps of one comparison and keeps their output."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
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
        """Run one of our playbooks; seconds, and what each host did according to the recap."""
        seconds, said = self.timed(step, ["ansible-playbook", *INVENTORY, str(TOP / f"playbooks/{name}.yml"), *extra])
        hosts = {
            host: {key: int(value) for key, value in (pair.split("=") for pair in counts.split())}
            for host, counts in RECAP.findall(said)
        }
        return {
            "seconds": seconds,
            "hosts": {host: {"tasks": counts["ok"], "changed": counts["changed"]} for host, counts in hosts.items()},
        }

    def fresh_nodes(self) -> None:
        """New, empty node containers."""
        self.remove_nodes()
        self.playbook("lab", "lab")

    def remove_nodes(self) -> None:
        """No node containers."""
        self.playbook("lab-absent", "lab", "--extra-vars=lab_state=absent")


def inventory_facts() -> dict[str, Any]:
    """Where by-hand.sh finds bundle, keys and hosts: what Ansible makes of the same inventory."""
    wanted = {
        "bundle": "{{ bundle_dir | default(cache ~ '/bundle/' ~ cluster_kubernetes_version ~ '-amd64') }}",
        "lab": "{{ lab_dir }}",
        "release": "{{ cluster_kubernetes_version }}",
        "control_plane": "{{ groups['control_plane'] | map('extract', hostvars, 'ansible_host') }}",
        "workers": "{{ groups['worker'] | map('extract', hostvars, 'ansible_host') }}",
    }
    variables = json.dumps({"cache": str(Path.home() / ".cache/hostplane")})
    command = ["ansible", "cp1", *INVENTORY, "--connection=local", f"--extra-vars={variables}"]
    command += ["--module-name=ansible.builtin.debug", f"--args={json.dumps({'msg': wanted})}"]
    environment = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout[done.stdout.index("{") :])["msg"])


def one_run(bench: Bench, facts: dict[str, Any]) -> dict[str, Any]:
    """By hand on fresh nodes, then mirror, create and create again on fresh nodes."""
    bench.fresh_nodes()
    nodes = [*facts["control_plane"], *facts["workers"]]
    seconds, said = bench.timed("by-hand", [str(HERE / "by-hand.sh"), facts["bundle"], facts["lab"], *nodes])
    phases = {name: float(value) for name, value in re.findall(r"^phase (\S+) ([\d.]+)$", said, re.M)}
    bench.fresh_nodes()
    result = {
        "by_hand": {"seconds": seconds, "phases": phases},
        "mirror": bench.playbook("mirror", "mirror"),
        "create": bench.playbook("create", "create"),
        "again": bench.playbook("create-again", "create"),
    }
    result["ratio"] = {name: round(result[name]["seconds"] / seconds, 2) for name in ("create", "again")}
    return result


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpus": os.cpu_count(), "memory_gib": round(memory / 2**30, 1), "kernel": platform.release()}


def table(runs: list[dict[str, Any]]) -> str:
    """The runs as a table for people."""
    lines = [f"{'':<16}{'seconds':>9}{'ratio':>8}{'changed':>9}  tasks per host"]
    for number, run in enumerate(runs, 1):
        lines.append(f"run {number}")
        for name, title in STEPS.items():
            hosts = run[name].get("hosts", {})
            ratio = {"by_hand": 1.0, **run["ratio"]}.get(name)
            lines.append(
                f"  {title:<14}{run[name]['seconds']:>9.1f}"
                f"{'' if ratio is None else format(ratio, '.2f'):>8}"
                f"{sum(host['changed'] for host in hosts.values()) if hosts else '':>9}  "
                + ", ".join(f"{host} {counts['tasks']}" for host, counts in sorted(hosts.items()))
            )
        lines.append("  by hand: " + ", ".join(f"{name} {value}" for name, value in run["by_hand"]["phases"].items()))
    for name in ("create", "again"):
        lines.append(f"median ratio of {name}: {statistics.median(run['ratio'][name] for run in runs):.2f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1, help="how often to compare (default: 1)")
    parser.add_argument("--keep", action="store_true", help="leave the last cluster running")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--logs", type=Path, default=TOP / ".build/bench", help="directory for the output of each step")
    arguments = parser.parse_args()
    os.environ.setdefault("ANSIBLE_CONFIG", str(TOP / "ansible.cfg"))
    bench = Bench(arguments.logs)
    runs: list[dict[str, Any]] = []
    try:
        facts = inventory_facts()
        bench.playbook("bundle", "bundle")
        for number in range(1, arguments.runs + 1):
            print(f"run {number} of {arguments.runs}", file=sys.stderr)
            runs.append(one_run(bench, facts))
        if not arguments.keep:
            bench.remove_nodes()
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    result = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "release": facts["release"],
        "nodes": len(facts["control_plane"]) + len(facts["workers"]),
        "runs": runs,
        "median_ratio": {
            name: round(statistics.median(run["ratio"][name] for run in runs), 2) for name in ("create", "again")
        },
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(table(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
