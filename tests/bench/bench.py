# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long create takes, compared with the same work by hand on equal fresh hosts and with the same bundle.

    bench.py [--part create|scale|upgrade|network|storage] [--runs N] [--keep] [--json FILE] [--logs DIRECTORY]

Each run makes new node containers twice: once for by-hand.sh, once for the playbooks mirror, create and create again.
Then scaling.py adds workers to a cluster, upgrading.py upgrades one, network.py measures what pods get of
the network, volumes.py makes and removes volumes. docs/benchmark.md says what is measured and
what came out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from network import network, network_table
from runs import HERE, TOP, Bench, BenchError, machine
from scaling import scaling, scaling_table
from upgrading import upgrading, upgrading_table
from volumes import volumes, volumes_table

INVENTORY = [TOP / "inventories/quickstart", HERE / "inventory"]
PARTS = ("create", "scale", "upgrade", "network", "storage")
STEPS = {"by_hand": "by hand", "mirror": "mirror", "create": "create", "again": "create again"}


def inventory_facts() -> dict[str, Any]:
    """Where by-hand.sh finds bundle, keys and hosts: what Ansible makes of the same inventory."""
    wanted = {
        "bundle": "{{ bundle_dir | default(cache ~ '/bundle/' ~ cluster_kubernetes_version ~ '-amd64') }}",
        "lab": "{{ lab_dir }}",
        "lab_name": "{{ lab_name }}",
        "release": "{{ cluster_kubernetes_version }}",
        "control_plane": "{{ groups['control_plane'] | map('extract', hostvars, 'ansible_host') }}",
        "workers": "{{ groups['worker'] | map('extract', hostvars, 'ansible_host') }}",
    }
    variables = json.dumps({"cache": str(Path.home() / ".cache/hostplane")})
    inventory = [f"--inventory={path}" for path in INVENTORY]
    command = ["ansible", "cp1", *inventory, "--connection=local", f"--extra-vars={variables}"]
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


def compare(bench: Bench, facts: dict[str, Any], count: int) -> dict[str, Any]:
    """All runs of the comparison."""
    runs: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        print(f"run {number} of {count}", file=sys.stderr)
        runs.append(one_run(bench, facts))
    return {
        "nodes": len(facts["control_plane"]) + len(facts["workers"]),
        "runs": runs,
        "median_ratio": {
            name: round(statistics.median(run["ratio"][name] for run in runs), 2) for name in ("create", "again")
        },
    }


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
    parser.add_argument("--part", choices=PARTS, help="one part only (default: all of them)")
    parser.add_argument("--runs", type=int, default=1, help="how often to compare create (default: 1)")
    parser.add_argument("--keep", action="store_true", help="leave the last cluster running")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--logs", type=Path, default=TOP / ".build/bench", help="directory for the output of each step")
    arguments = parser.parse_args()
    os.environ.setdefault("ANSIBLE_CONFIG", str(TOP / "ansible.cfg"))
    parts = [arguments.part] if arguments.part else list(PARTS)
    result: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
    }
    try:
        facts = inventory_facts()
        result["release"] = facts["release"]
        bench = Bench(arguments.logs, INVENTORY)
        bench.playbook("bundle", "bundle")
        if "create" in parts:
            result.update(compare(bench, facts, arguments.runs))
            print(table(result["runs"]))
            if parts[-1] != "create" or not arguments.keep:
                bench.remove_nodes()
        if "scale" in parts:
            result["scaling"] = scaling(arguments.logs / "scale", arguments.keep)
            print(scaling_table(result["scaling"]))
        if "upgrade" in parts:
            result["upgrading"] = upgrading(bench, facts)
            print(upgrading_table(result["upgrading"]))
            if not arguments.keep:
                bench.remove_nodes()
        if "network" in parts:
            result["network"] = network(arguments.logs / "network", facts["lab_name"])
            print(network_table(result["network"]))
        if "storage" in parts:
            result["volumes"] = volumes(bench, facts, arguments.keep)
            print(volumes_table(result["volumes"]))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
