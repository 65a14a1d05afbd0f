# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API behind the virtual address, and a workload, answer all the time while three control planes are upgraded."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from kubernetes import client
from poller import Poller
from workload import NODE_PORT, deploy

TREE = Path(__file__).parents[4]
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
NEW = "1.36.3"
LONGEST_GAP = 4.0


def upgrade() -> str:
    """Run the playbook to its end; returns its log."""
    command = ["ansible-playbook", "-i", str(SCENARIO / "inventory"), str(TREE / "playbooks/upgrade.yml")]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    settings = json.dumps({"cluster_kubernetes_version": NEW})
    done = subprocess.run(
        [*command, "-e", settings], cwd=TREE, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_nobody_notices(inventory: dict[str, Any], lab_dir: Path, api: client.CoreV1Api) -> None:
    deploy(lab_dir / "admin.conf")
    address = inventory["groups"]["control_plane"]["cp1"]["ansible_host"]
    pollers = Poller.of_api(lab_dir / "admin.conf"), Poller(f"http://{address}:{NODE_PORT}/hostname")
    for poller in pollers:
        poller.start()
    upgrade()
    gap, _longest = [poller.stop() for poller in pollers]
    assert {node.status.node_info.kubelet_version for node in api.list_node().items} == {f"v{NEW}"}
    assert gap <= LONGEST_GAP
    assert pollers[1].lost == 0


def test_etcd_is_whole_and_again_changes_nothing(hosts: dict[str, Any]) -> None:
    pki = "/etc/kubernetes/pki/etcd"
    for name in ("cp1", "cp2", "cp3"):
        health = hosts[name].check_output(
            f"curl -s --cacert {pki}/ca.crt --cert {pki}/healthcheck-client.crt --key {pki}/healthcheck-client.key"
            " https://127.0.0.1:2379/health"
        )
        assert json.loads(health)["health"] == "true"
    assert re.findall(r"changed=[1-9]", upgrade()) == []
