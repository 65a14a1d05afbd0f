# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook's own order of workers when one of a batch fails; the modules only note that they were called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

TREE = Path(__file__).parents[2]
WORKERS = [f"worker{number}" for number in range(1, 6)]
# Batches of them are 1, 2 and what is left.
BATCHES = [["worker1"], ["worker2", "worker3"], ["worker4", "worker5"]]
NEW = "1.36.3"
ROLES = ("containerd", "kubelet", "api_balancer", "flannel")
STUB = """#!/usr/bin/python3
# WANT_JSON
import json, pathlib, sys
place = pathlib.Path({place!r})
args = json.loads(pathlib.Path(sys.argv[1]).read_text())
name = {name!r}
with open(place / "calls", "a") as handle:
    handle.write(json.dumps({{"module": name, "nodes": args.get("nodes"), "state": args.get("state")}}) + "\\n")
ill = set((place / "ill").read_text().split()) & set(args.get("nodes") or [])
if name == "cluster_ready" and ill:
    print(json.dumps({{"failed": True, "msg": "not Ready: " + ", ".join(sorted(ill))}}))
else:
    print(json.dumps({{"changed": False}}))
"""
NOTE = "{hosts: localhost, gather_facts: false, tasks: [{hostplane.cluster.configured: {}}]}"


class Site:
    """The playbooks beside a collection of stubs, and an inventory whose hosts are this machine."""

    def __init__(self, place: Path) -> None:
        self.place = place
        collection = place / "ansible_collections/hostplane/cluster"
        (collection / "plugins/modules").mkdir(parents=True)
        for kind in ("filter", "module_utils"):
            (collection / "plugins" / kind).symlink_to(TREE / "plugins" / kind)
        for name in ("cluster_ready", "configured", "kubeadm_upgrade", "node_drain", "node_settings"):
            path = collection / f"plugins/modules/{name}.py"
            path.write_text(STUB.format(place=str(place), name=name))
        for role in ROLES:
            (collection / f"roles/{role}/tasks").mkdir(parents=True)
            (collection / f"roles/{role}/tasks/main.yml").write_text("[]\n")
        shutil.copytree(TREE / "playbooks", place / "playbooks")
        (place / "playbooks/configure.yml").write_text(f"- {NOTE}\n")
        for task in ("kubeconfig", "ready"):
            (place / f"playbooks/tasks/{task}.yml").write_text("[]\n")

    def inventory(self, lost: str) -> dict[str, t.Any]:
        hosts = {
            name: {"name": name, "arch": "amd64", "state": "schedulable", "pool": "default"}
            for name in ["cp1", *WORKERS]
        }
        names = ("etcd", "kube_apiserver", "kube_controller_manager", "kube_scheduler")
        plan = {
            "cluster": {"name": "shop", "version": NEW, "ignore_preflight": [], "cni": "none"},
            "hosts": hosts,
            "pools": {"control_plane": ["cp1"], "default": WORKERS},
            "images": dict.fromkeys(names, "x"),
            "files": {"amd64": {"kubelet": [{"name": "kubeadm", "sha256": "x"}]}},
            "balancer": {"mode": "none"},
            "pod_network": {"workloads": []},
        }
        workers: dict[str, dict[str, t.Any]] = {name: {} for name in WORKERS}
        if lost:
            workers[lost] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
        variables = {
            "ansible_connection": "local",
            "cluster_plan": {"plan": plan},
            "cluster_kubeconfig": "x",
            # Another patch of the same minor version: no node is emptied.
            "upgrade_look": {"due": True, "before": "1.36.2"},
            "upgrade_limit": 4,
        }
        groups = {"control_plane": {"hosts": {"cp1": {}}}, "worker": {"hosts": workers}}
        begins = {"upgrade_workers": {"hosts": dict.fromkeys(WORKERS, {})}}
        return {"all": {"vars": variables, "children": {**groups, **begins}}}

    def run(self, ill: str = "", lost: str = "") -> tuple[int, str]:
        """Run the part of upgrade that is for workers; returns its exit code and what it said."""
        (self.place / "ill").write_text(ill)
        inventory = self.place / "inventory.yml"
        inventory.write_text(yaml.safe_dump(self.inventory(lost)))
        settings = {
            "COLLECTIONS_PATH": str(self.place),
            "CONFIG": str(TREE / "ansible.cfg"),
            "NOCOLOR": "1",
            "TIMEOUT": "5",
        }
        done = subprocess.run(
            ["ansible-playbook", "-i", inventory, "-e", '{"membership": {"actor": "cp1"}}',
             self.place / "playbooks/upgrade_workers.yml"],
            env={**os.environ, **{f"ANSIBLE_{name}": value for name, value in settings.items()}},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def calls(self, module: str) -> list[dict[str, t.Any]]:
        lines = (self.place / "calls").read_text().splitlines()
        return [call for call in map(json.loads, lines) if call["module"] == module]

    def cordons(self) -> tuple[set[str], set[str]]:
        """Workers that were closed to new pods, and those of them that stay so."""
        closed, left = set(), set()
        for call in self.calls("node_settings"):
            ((name, settings),) = call["nodes"].items()
            closed.add(name)
            (left.add if settings["state"] == "cordoned" else left.discard)(name)
        return closed, left


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_all_workers_are_upgraded_and_opened_again(site: Site) -> None:
    code, said = site.run()
    assert code == 0, said
    assert site.cordons() == (set(WORKERS), set())
    assert len(site.calls("kubeadm_upgrade")) == 2 * len(WORKERS)
    assert len(site.calls("configured")) == 1 and site.calls("node_drain") == []


def test_no_worker_is_begun_while_the_network_is_not_complete(site: Site) -> None:
    code, said = site.run(ill="cp1")
    assert code, said
    assert [call["nodes"] for call in site.calls("cluster_ready")] == [["cp1"]]
    assert site.calls("node_settings") == []


@pytest.mark.parametrize(
    ("way", "worker", "begun"), [("ill", "worker1", 1), ("ill", "worker3", 2), ("lost", "worker5", 3)]
)
def test_one_that_fails_stays_closed_and_ends_the_run(site: Site, way: str, worker: str, begun: int) -> None:
    code, said = site.run(**{way: worker})
    assert code, said
    # The others of its batch come to their end, no other batch is begun.
    assert site.cordons() == ({name for batch in BATCHES[:begun] for name in batch}, {worker})
    assert site.calls("configured") == []
    if begun > 1:
        assert f"closed to new pods: {worker}." in said
    after = [name for batch in BATCHES[begun:] for name in batch]
    assert ("Not begun: " + ", ".join(after) in said) == (begun == 2)
