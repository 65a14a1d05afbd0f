# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to add one worker, as the cluster grows: it should stay the same, and cost the old hosts nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from runs import HERE, TOP, Bench

NETWORK = "10.93.0"
WORKERS = 5
ACTOR = "cp1"


def write_inventory(path: Path, workers: int) -> Path:
    """An inventory with this many workers; the other hosts are there and belong to nobody yet."""
    variables = path / "group_vars/all"
    variables.mkdir(parents=True, exist_ok=True)
    sources = [*(TOP / "inventories/quickstart/group_vars/all").iterdir(), HERE / "inventory/group_vars/all.yml"]
    for source in sources:
        # all.yml is to win over the others.
        link = variables / (source.name if source.name != "all.yml" else "zz-bench.yml")
        link.unlink(missing_ok=True)
        link.symlink_to(source)
    hosts = {f"worker{number}": {"ansible_host": f"{NETWORK}.{20 + number}"} for number in range(1, WORKERS + 1)}
    groups = {
        "mirror": {"hosts": {"mirror1": {"ansible_host": f"{NETWORK}.10"}}},
        "control_plane": {"hosts": {ACTOR: {"ansible_host": f"{NETWORK}.11"}}},
        "worker": {"hosts": dict(list(hosts.items())[:workers])},
        "spare": {"hosts": dict(list(hosts.items())[workers:])},
    }
    (path / "hosts.yml").write_text(json.dumps(groups, indent=2) + "\n")
    own = {
        "lab_hosts": ["mirror1", ACTOR, *hosts],
        # As for any cluster that is to grow.
        "cluster_balancer": "managed",
        "cluster_vip": f"{NETWORK}.100",
    }
    (variables / "zz-scaling.yml").write_text(json.dumps(own, indent=2) + "\n")
    return path


def scaling(logs: Path, keep: bool = False) -> list[dict[str, Any]]:
    """Add workers one by one to a cluster of one node; for each the size before, seconds and tasks by host."""
    inventory = logs / "inventory"
    write_inventory(inventory, 0)
    bench = Bench(logs, [inventory])
    bench.fresh_nodes()
    bench.playbook("mirror", "mirror")
    bench.playbook("create", "create")
    steps: list[dict[str, Any]] = []
    for number in range(1, WORKERS + 1):
        write_inventory(inventory, number)
        load = round(os.getloadavg()[0], 1)
        done = bench.playbook(f"add-to-{number}", "scale")
        old = [f"worker{other}" for other in range(1, number)]
        steps.append(
            {
                "nodes": number,
                "load": load,
                **done,
                "tasks_on_old_hosts": sum(done["hosts"].get(host, {"tasks": 0})["tasks"] for host in old),
                "ratio": round(done["seconds"] / (steps[0] if steps else done)["seconds"], 2),
            }
        )
    if not keep:
        bench.remove_nodes()
    return steps


def scaling_table(steps: list[dict[str, Any]]) -> str:
    """The steps as a table for people."""
    lines = [f"{'one worker to':<16}{'seconds':>9}{'ratio':>8}{'CPU':>7}{'load':>7}{'old hosts':>11}  tasks per host"]
    for step in steps:
        lines.append(
            f"  {step['nodes']} node{'' if step['nodes'] == 1 else 's':<8}{step['seconds']:>12.1f}{step['ratio']:>8.2f}"
            f"{step['cpu_seconds']:>7.1f}{step['load']:>7.1f}{step['tasks_on_old_hosts']:>11}  "
            + ", ".join(f"{host} {counts['tasks']}" for host, counts in sorted(step["hosts"].items()))
        )
    return "\n".join(lines)
