# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three control planes behind one endpoint, also when the holder of the virtual IP dies."""

from __future__ import annotations

import ipaddress
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from poller import Poller

CONTROL_PLANES = ["cp1", "cp2", "cp3"]
LONGEST_GAP = 4.0


def holder(hosts: dict[str, Any], vip: str) -> str:
    """The control plane that carries the virtual IP."""
    found = [name for name in CONTROL_PLANES if f"inet {vip}/" in hosts[name].check_output("ip -4 address show")]
    assert len(found) == 1, found
    return found[0]


def test_every_host_is_a_ready_node(api: client.CoreV1Api, hosts: dict[str, Any]) -> None:
    nodes = {node.metadata.name: node for node in api.list_node().items}
    assert sorted(nodes) == sorted(hosts)
    for name, node in nodes.items():
        assert [entry.status for entry in node.status.conditions if entry.type == "Ready"] == ["True"], name
        assert ("node-role.kubernetes.io/control-plane" in node.metadata.labels) == (name in CONTROL_PLANES)


def test_the_endpoint_is_the_virtual_ip(inventory: dict[str, Any], lab_dir: Path) -> None:
    server = yaml.safe_load((lab_dir / "admin.conf").read_text())["clusters"][0]["cluster"]["server"]
    assert server == f"https://{inventory['vars']['cluster_vip']}:8443"


def test_manifests_differ_only_in_names_and_addresses(hosts: dict[str, Any]) -> None:
    seen = []
    for name in CONTROL_PLANES:
        texts = hosts[name].check_output(
            'cd /etc/kubernetes/manifests && for file in *; do echo "# $file"; cat $file; done'
        )
        # The list of members at the time of joining is history: etcd reads it only when it starts for the first time.
        texts = re.sub(r".*--initial-cluster(-state)?=.*\n", "", texts)
        address = str(ipaddress.ip_address(hosts[name].backend.host.name))
        seen.append(texts.replace(address, "ADDRESS").replace(name, "NAME"))
    assert seen[0] == seen[1] == seen[2]


def test_no_uploaded_certificates_outlive_two_hours(api: client.CoreV1Api) -> None:
    owners = [
        secret.metadata.owner_references
        for secret in api.list_namespaced_secret("kube-system").items
        if secret.metadata.name == "kubeadm-certs"
    ]
    # They belong to a bootstrap token and go with it.
    assert all(owner and owner[0].name.startswith("bootstrap-token-") for owner in owners)


def test_the_api_survives_its_balancer(hosts: dict[str, Any], inventory: dict[str, Any], lab_dir: Path) -> None:
    vip, lab = inventory["vars"]["cluster_vip"], inventory["vars"]["lab_name"]
    victim = holder(hosts, vip)
    poller = Poller.of_api(lab_dir / "admin.conf")
    poller.start()
    subprocess.run(["podman", "kill", f"{lab}-{victim}"], check=True, capture_output=True)
    time.sleep(12)
    gap = poller.stop()
    survivors = {name: host for name, host in hosts.items() if name != victim}
    found = [name for name in CONTROL_PLANES if name != victim and f"inet {vip}/" in
             survivors[name].check_output("ip -4 address show")]  # fmt: skip
    assert len(found) == 1
    assert gap <= LONGEST_GAP
