# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of the scenario over SSH, with the lab's key and known hosts, and the cluster through its kubeconfig."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from kubernetes import client, config

# The tests of several scenarios share what lies here.
sys.path.insert(0, str(Path(__file__).parent))
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
# Control planes go away in these tests; a line for each try would hide what failed.
logging.getLogger("urllib3").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def inventory() -> dict[str, Any]:
    """Groups of the scenario's own inventory and its variables."""
    groups = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())
    variables = yaml.safe_load((SCENARIO / "inventory/group_vars/all/scenario.yml").read_text())
    return {"groups": {name: group["hosts"] for name, group in groups.items()}, "vars": variables}


@pytest.fixture(scope="session")
def lab_dir(inventory: dict[str, Any]) -> Path:
    """Where the lab keeps its key, known hosts and the administrator's kubeconfig."""
    return Path.home() / ".cache/hostplane/lab" / inventory["vars"]["lab_name"]


@pytest.fixture(scope="session")
def hosts(inventory: dict[str, Any], lab_dir: Path) -> dict[str, Any]:
    """Every cluster host by name, reached over SSH with host key checking on."""
    options = f"-o UserKnownHostsFile={lab_dir}/known_hosts -o StrictHostKeyChecking=yes"
    groups = inventory["groups"]
    cluster = {**groups["control_plane"], **groups["worker"], **groups.get("spare", {})}
    return {
        name: testinfra.get_host(
            f"ssh://root@{values['ansible_host']}",
            ssh_identity_file=str(lab_dir / "id_ed25519"),
            ssh_extra_args=options,
        )
        for name, values in cluster.items()
    }


@pytest.fixture(scope="session")
def api(lab_dir: Path) -> client.CoreV1Api:
    """The cluster's API as its administrator."""
    return client.CoreV1Api(config.new_client_from_config(str(lab_dir / "admin.conf")))
