# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts come and go, in this order; the API and a workload with two replicas and a budget answer all the time."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from members import Lab
from plays import executed
from poller import Poller
from workload import NODE_PORT, deploy

LONGEST_GAP = 4.0


def etcd_members(hosts: dict[str, Any], host: str) -> list[str]:
    """Names of the voting members as etcd itself tells them."""
    pki = "/etc/kubernetes/pki/etcd"
    listed = hosts[host].check_output(
        f"curl -s --cacert {pki}/ca.crt --cert {pki}/healthcheck-client.crt --key {pki}/healthcheck-client.key"
        " -X POST -d '{}' https://127.0.0.1:2379/v3/cluster/member/list"
    )
    return sorted(entry["name"] for entry in json.loads(listed)["members"] if not entry.get("isLearner"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, inventory: dict[str, Any], lab_dir: Path) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("inventory"), inventory, lab_dir)
    lab.inventory("cp1", "worker1")
    return lab


def test_one_and_one_become_three_and_two(lab: Lab, hosts: dict[str, Any]) -> None:
    lab.inventory("cp1", "cp2", "cp3", "worker1", "worker2")
    poller = Poller.of_api(lab.kubeconfig)
    poller.start()
    log = lab.play("scale")
    gap = poller.stop()
    assert lab.ready() == ["cp1", "cp2", "cp3", "worker1", "worker2"]
    assert etcd_members(hosts, "cp1") == ["cp1", "cp2", "cp3"]
    assert executed(log, "worker1") == 0
    assert gap <= LONGEST_GAP
    again = lab.play("scale")
    assert re.findall(r"changed=[1-9]", again) == []


def test_the_first_control_plane_leaves(lab: Lab, hosts: dict[str, Any]) -> None:
    deploy(lab.kubeconfig)
    site = f"http://{lab.hosts['cp2']['ansible_host']}:{NODE_PORT}/hostname"
    api, web = Poller.of_api(lab.kubeconfig), Poller(site)
    api.start()
    web.start()
    log = lab.play("scale", scale_remove=["cp1"])
    lab.inventory("cp2", "cp3", "worker1", "worker2")
    gap = api.stop()
    web.stop()
    assert lab.ready() == ["cp2", "cp3", "worker1", "worker2"]
    assert etcd_members(hosts, "cp2") == ["cp2", "cp3"]
    assert (executed(log, "worker1"), executed(log, "worker2")) == (0, 0)
    assert gap <= LONGEST_GAP
    assert web.lost == []
    assert not hosts["cp1"].file("/etc/kubernetes").exists


def test_a_killed_removal_is_finished_by_the_next_run(lab: Lab) -> None:
    web = Poller(f"http://{lab.hosts['cp2']['ansible_host']}:{NODE_PORT}/hostname")
    web.start()
    lab.start("scale", scale_remove=["worker1"]).kill_when(
        lambda log: "Delete the nodes from the cluster" in log or "Move the pods away" in log
    )
    lab.play("scale", scale_remove=["worker1"])
    lab.inventory("cp2", "cp3", "worker2")
    web.stop()
    assert lab.ready() == ["cp2", "cp3", "worker2"]
    assert web.lost == []


def test_a_dead_worker_leaves(lab: Lab) -> None:
    lab.podman("kill", f"{lab.name}-worker2")
    deadline = time.monotonic() + 180
    # Until the cluster knows; from then on its pods there are never well.
    while "worker2" in lab.ready():
        assert time.monotonic() < deadline
        time.sleep(1)
    log = lab.play("scale", scale_remove=["worker2"], scale_on_timeout="force", scale_drain_timeout=120)
    assert "cleanup_pending, switched off when it left: worker2" in log
    assert lab.ready() == ["cp2", "cp3"]
    lab.inventory("cp2", "cp3")


def test_what_would_lose_the_cluster_is_refused(lab: Lab) -> None:
    log = lab.play("scale", code=2, scale_remove=["cp2", "cp3", "nobody"])
    assert "nobody is to be removed" in log
    assert "would be the last control plane to leave" in log
    assert lab.ready() == ["cp2", "cp3"]


def test_a_lost_control_plane_is_replaced_and_the_workers_come_back(lab: Lab, hosts: dict[str, Any]) -> None:
    lab.inventory("cp1", "cp2", "cp3", "worker1", "worker2")
    lab.play("lab")
    # Switched on again, worker2 still believes that it is a member.
    lab.play("scale", scale_remove=["worker1", "worker2", "cp1"])
    assert lab.ready() == ["cp2", "cp3"]
    lab.play("scale")
    assert etcd_members(hosts, "cp2") == ["cp1", "cp2", "cp3"]
    lab.podman("rm", "--force", "--volumes", f"{lab.name}-cp3")
    lab.play("lab")
    lab.play("scale")
    assert etcd_members(hosts, "cp2") == ["cp1", "cp2", "cp3"]
    assert lab.ready() == ["cp1", "cp2", "cp3", "worker1", "worker2"]
