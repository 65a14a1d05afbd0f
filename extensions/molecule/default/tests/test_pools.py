# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What create does to nodes that run when the settings of their pools change, in this order."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from plays import INVENTORY, play

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
ROLL = "PLAY [Roll new settings"


class Pools:
    """The scenario's hosts in pools that change."""

    def __init__(self, home: Path, inventory: dict[str, Any]) -> None:
        self.home, self.groups = home, inventory["groups"]
        (home / "group_vars").mkdir()
        (home / "group_vars/all").symlink_to(INVENTORY / "group_vars/all")

    def create(self, *, code: int = 0, **pools: tuple[list[str], dict[str, Any]]) -> str:
        """Run create with these pools, name to hosts and settings; returns its log."""
        workers = self.groups["worker"]
        children = {
            name: {"hosts": {host: workers[host] for host in hosts}, "vars": settings}
            for name, (hosts, settings) in pools.items()
        }
        groups = {name: {"hosts": hosts} for name, hosts in self.groups.items() if name != "worker"}
        (self.home / "hosts.yml").write_text(yaml.safe_dump({**groups, "worker": {"children": children}}))
        return play("create", code=code, inventory=self.home)


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory, inventory: dict[str, Any]) -> Pools:
    return Pools(tmp_path_factory.mktemp("inventory"), inventory)


def running(api: client.CoreV1Api, node: str) -> dict[str, Any]:
    """The configuration that the kubelet of a node works with, as it says itself."""
    # Parsed here, since the client would make Python's text of it.
    answer = api.connect_get_node_proxy_with_path(node, "configz", _preload_content=False)
    found: dict[str, Any] = json.loads(answer.data)["kubeletconfig"]
    return found


def started(hosts: dict[str, Any]) -> dict[str, int]:
    """When each kubelet was started."""
    show = "systemctl show --value -p ActiveEnterTimestampMonotonic kubelet"
    return {name: int(host.check_output(show)) for name, host in hosts.items()}


def checkpoint(hosts: dict[str, Any]) -> dict[str, Any]:
    """What the CPU manager of worker1 has written down."""
    found: dict[str, Any] = json.loads(hosts["worker1"].file("/var/lib/kubelet/cpu_manager_state").content_string)
    return found


def changed(log: str) -> list[str]:
    return re.findall(r"^(\S+) .*changed=[1-9]", log, re.M)


WEB = {
    "node_labels": {"example.com/tier": "web"},
    "node_taints": ["example.com/tier=web:NoSchedule"],
    "node_max_pods": 60,
    "node_kubelet_config": {"imageGCHighThresholdPercent": 90},
}
# The kubelet refuses thresholds in this order, and says so only when it starts.
WRONG = {**WEB, "node_kubelet_config": {"imageGCHighThresholdPercent": 50, "imageGCLowThresholdPercent": 60}}
PINNED = {"node_cpu_policy": "static", "node_max_pods": 50}


def test_a_pool_changes_node_by_node(pools: Pools, api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    api.patch_node("worker1", {"metadata": {"labels": {"example.com/mine": "kept"}}})
    before = started(hosts)
    log = pools.create(web=(["worker1", "worker2"], WEB))
    after = started(hosts)
    assert [name for name in hosts if after[name] != before[name]] == ["worker1", "worker2"]
    turns = [part.partition("\nPLAY")[0] for part in log.split(ROLL)[1:]]
    assert [re.findall(r"^changed: \[(\w+)\]", turn, re.M) for turn in turns] == [["worker1"], ["worker2"]]
    for name, pods, threshold in (("cp1", 110, 85), ("worker1", 60, 90), ("worker2", 60, 90)):
        config = running(api, name)
        assert (config["maxPods"], config["imageGCHighThresholdPercent"]) == (pods, threshold), name
    for name in ("worker1", "worker2"):
        node = api.read_node(name)
        assert node.metadata.labels["example.com/tier"] == "web"
        assert ("example.com/tier", "web", "NoSchedule") in {(t.key, t.value, t.effect) for t in node.spec.taints}
    assert changed(pools.create(web=(["worker1", "worker2"], WEB))) == []
    assert started(hosts) == after


def test_settings_that_no_kubelet_lives_with_stop_at_the_first_node(
    pools: Pools, api: client.CoreV1Api, hosts: dict[str, Any]
) -> None:
    before = started(hosts)
    log = pools.create(code=2, web=(["worker1", "worker2"], WRONG))
    assert re.search(
        r"\[worker1\]: FAILED.*imageGCLowThresholdPercent as wanted.*The settings from before are back", log
    )
    assert [name for name, moment in started(hosts).items() if moment != before[name]] == ["worker1"]
    assert running(api, "worker1")["imageGCHighThresholdPercent"] == 90


def test_another_cpu_policy_empties_the_node_first(pools: Pools, api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    before = started(hosts)
    pools.create(pinned=(["worker1"], PINNED), web=(["worker2"], WEB))
    assert [name for name, moment in started(hosts).items() if moment != before[name]] == ["worker1"]
    node = api.read_node("worker1")
    assert not node.spec.unschedulable and not node.spec.taints
    assert node.metadata.labels["hostplane.io/pool"] == "pinned"
    assert node.metadata.labels["example.com/mine"] == "kept" and "example.com/tier" not in node.metadata.labels
    assert (
        json.loads(hosts["worker1"].file("/var/lib/kubelet/cpu_manager_state").content_string)["policyName"] == "static"
    )
    # Only the new policy gives a container CPUs of its own.
    whole = {"cpu": "1", "memory": "32Mi"}
    container = {"name": "busy", "image": IMAGE, "args": ["pause"], "resources": {"requests": whole, "limits": whole}}
    selector = {"hostplane.io/pool": "pinned"}
    api.create_namespaced_pod(
        "default", {"metadata": {"name": "busy"}, "spec": {"nodeSelector": selector, "containers": [container]}}
    )
    deadline = time.monotonic() + 120
    while api.read_namespaced_pod("busy", "default").status.phase != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert [list(containers) for containers in checkpoint(hosts)["entries"].values()] == [["busy"]]
