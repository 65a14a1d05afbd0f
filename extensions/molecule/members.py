# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A scenario's hosts in inventories that change, and playbooks run as a user would."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import plays
import yaml
from kubernetes import client, config


class Lab:
    """The scenario's hosts in changing inventories."""

    def __init__(self, home: Path, inventory: dict[str, Any], lab_dir: Path) -> None:
        self.home, self.kubeconfig, self.name = home, lab_dir / "admin.conf", inventory["vars"]["lab_name"]
        groups = inventory["groups"]
        self.mirror = groups["mirror"]
        self.hosts = {**groups["control_plane"], **groups["worker"], **groups["spare"]}
        (home / "group_vars").mkdir()
        (home / "group_vars/all").symlink_to(plays.INVENTORY / "group_vars/all")

    def inventory(self, *members: str) -> None:
        """The inventory of a cluster of these members; all other hosts are spare."""
        groups = {
            "mirror": self.mirror,
            "control_plane": {name: self.hosts[name] for name in members if name.startswith("cp")},
            "worker": {name: self.hosts[name] for name in members if name.startswith("worker")},
            "spare": {name: values for name, values in self.hosts.items() if name not in members},
        }
        (self.home / "hosts.yml").write_text(yaml.safe_dump({name: {"hosts": hosts} for name, hosts in groups.items()}))

    def start(self, playbook: str, *args: str, **variables: Any) -> plays.Run:
        """Start a playbook as a user would."""
        return plays.Run(playbook, *args, inventory=self.home, **variables)

    def play(self, playbook: str, *args: str, code: int = 0, **variables: Any) -> str:
        """Run a playbook to its end; returns its log."""
        return plays.play(playbook, *args, code=code, inventory=self.home, **variables)

    def podman(self, *words: str) -> None:
        subprocess.run(["podman", *words], check=True, capture_output=True)

    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(config.new_client_from_config(str(self.kubeconfig)))

    def ready(self) -> list[str]:
        """Names of the nodes that are Ready."""
        nodes = self.core().list_node().items
        return sorted(
            node.metadata.name
            for node in nodes
            if any(entry.type == "Ready" and entry.status == "True" for entry in node.status.conditions)
        )
