# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the upgrade of a node takes, compared with kubeadm by hand on an equal cluster."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

from runs import HERE, Bench

BEFORE = "1.35.4"


def upgrading(bench: Bench, facts: dict[str, Any]) -> dict[str, Any]:
    """The same cluster of the older release twice: upgraded by hand, then by the playbook."""
    nodes = [*facts["control_plane"], *facts["workers"]]
    bundles = [str(Path(facts["bundle"]).with_name(f"{BEFORE}-amd64")), facts["bundle"]]
    key = Path(facts["lab"]) / "backup.key"
    variables = {
        "mirror_bundles": bundles,
        "backup_key_file": str(key),
        "backup_copy_dir": str(key.with_name("backups")),
    }
    old = "--extra-vars=" + json.dumps({"cluster_kubernetes_version": BEFORE, **variables})
    bench.playbook("bundle-before", "bundle", old)

    def cluster() -> None:
        bench.fresh_nodes()
        key.write_text(secrets.token_urlsafe(32) + "\n")
        key.chmod(0o600)
        bench.playbook("mirror", "mirror", old)
        bench.playbook("create-before", "create", old)

    cluster()
    command = [str(HERE / "upgrade-by-hand.sh"), facts["bundle"], facts["lab"], *nodes]
    by_hand, said = bench.timed("upgrade-by-hand", command)
    cluster()
    done = bench.playbook("upgrade", "upgrade", f"--extra-vars={json.dumps(variables)}")
    return {
        "nodes": len(nodes),
        "by_hand": {
            "seconds": by_hand,
            "phases": {name: float(value) for name, value in re.findall(r"^phase (\S+) ([\d.]+)$", said, re.M)},
        },
        "upgrade": done,
        "ratio": round(done["seconds"] / by_hand, 2),
    }


def upgrading_table(result: dict[str, Any]) -> str:
    """The two runs as a table for people."""
    nodes, hand, ours = result["nodes"], result["by_hand"], result["upgrade"]
    return "\n".join(
        [
            f"{'upgrade':<16}{'seconds':>9}{'per node':>10}{'ratio':>8}",
            f"  {'by hand':<14}{hand['seconds']:>9.1f}{hand['seconds'] / nodes:>10.1f}{1:>8.2f}  "
            + ", ".join(f"{name} {value}" for name, value in hand["phases"].items()),
            f"  {'playbook':<14}{ours['seconds']:>9.1f}{ours['seconds'] / nodes:>10.1f}{result['ratio']:>8.2f}  "
            + ", ".join(f"{host} {counts['tasks']}" for host, counts in sorted(ours["hosts"].items())),
        ]
    )
