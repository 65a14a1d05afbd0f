# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks make of the inventory's variables, and what every manifest of the nodes' network has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

TOP = Path(__file__).resolve().parents[2]


def variable(file: str, name: str, **inventory: Any) -> Any:
    """The value of a variable of playbooks/vars, with these variables in the inventory."""
    loader = DataLoader()
    own = loader.load_from_file(str(TOP / "playbooks/vars" / f"{file}.yml"), trusted_as_template=True)
    return Templar(loader, variables={**own, **inventory}).template(own[name])


@pytest.mark.parametrize(
    ("inventory", "username"),
    [
        ({}, ""),
        ({"mirror_password": "secret"}, "hostplane"),
        ({"mirror_password": "secret", "mirror_username": "robot"}, "robot"),
        ({"mirror_username": "robot"}, "robot"),
    ],
    ids=str,
)
def test_the_mirror_is_asked_as_the_user_it_was_made_with(inventory: dict[str, str], username: str) -> None:
    mirror = variable("plan", "mirror", mirror_address="mirror.example.com:5000", **inventory)
    assert (mirror["username"], mirror["password"]) == (username, inventory.get("mirror_password", ""))
    role = yaml.safe_load((TOP / "roles/mirror/defaults/main.yml").read_text())
    assert role["mirror_username"] == "hostplane"


def test_the_kubeconfig_may_be_below_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert variable("plan", "kubeconfig", cluster_kubeconfig="~/.kube/a.conf") == "/home/me/.kube/a.conf"
    assert variable("plan", "kubeconfig", cluster_kubeconfig="/srv/a.conf") == "/srv/a.conf"


def test_root_is_for_the_hosts_and_not_for_the_controller(tmp_path: Path) -> None:
    """The way that the guide shows; what is set for all would be set for the controller too."""
    guide = (TOP / "docs/create.md").read_text()
    (text,) = re.findall(r"```yaml\n(# inventory/become.yml\n.*?)```", guide, re.S)
    (tmp_path / "become.yml").write_text(text)
    (tmp_path / "hosts.yml").write_text(
        "{mirror: {hosts: {m1: }}, control_plane: {hosts: {c1: }}, worker: {hosts: {w1: }}}"
    )
    loader = DataLoader()
    inventory = InventoryManager(loader, [str(tmp_path)])
    variables = VariableManager(loader, inventory)
    seen = {name: variables.get_vars(host=inventory.get_host(name)) for name in ("m1", "c1", "w1", "localhost")}
    become = {name: found.get("ansible_become", False) for name, found in seen.items()}
    assert become == {"m1": True, "c1": True, "w1": True, "localhost": False}


@pytest.mark.parametrize(
    "template", ["flannel/templates/flannel", "network_policy/templates/kube-router", "dns/templates/cache"]
)
def test_the_network_is_on_nodes_of_every_taint(template: str) -> None:
    text = (TOP / "roles" / f"{template}.yaml.j2").read_text()
    assert text.count("tolerations:") == 1 and "tolerations:\n        - {operator: Exists}\n" in text
