# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cluster DNS: its servers, stub domains, and a cache on every node that is updated without a lost answer."""

from __future__ import annotations

import json
import re
import socketserver
import struct
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeapi import KubeApi
from kubernetes import client
from plays import INVENTORY, PLAIN, TREE

CACHE, CLUSTER = "169.254.20.10", "10.96.0.10"
KUBERNETES = "kubernetes.default.svc.cluster.local"


def ask(names: list[str], **options: Any) -> dict[str, Any]:
    """What dns_check says on every node, by host."""
    arguments = {"servers": {"cache": CACHE, "cluster": CLUSTER}, "names": names, "wait": 5, **options}
    command = ["ansible", "-i", str(INVENTORY), "control_plane:worker"]
    command += ["-m", "hostplane.cluster.dns_check", "-a", json.dumps(arguments)]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False, env=PLAIN)
    found = re.findall(r"^(\S+) \| (?:\S+) => (\{.*?^\})", done.stdout, re.MULTILINE | re.DOTALL)
    assert found, done.stdout + done.stderr
    return {host: json.loads(text) for host, text in found}


@pytest.fixture
def corporate() -> Iterator[None]:
    """A DNS server on this machine that knows every name of corp.example."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked, stream = self.request
            end = asked.index(b"\0", 12) + 5
            record = b"\xc0\x0c" + struct.pack("!HHIH4B", 1, 1, 30, 4, 192, 0, 2, 53)
            stream.sendto(
                asked[:2] + struct.pack("!5H", 0x8580, 1, 1, 0, 0) + asked[12:end] + record, self.client_address
            )

    with socketserver.ThreadingUDPServer(("10.82.0.1", 5353), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_servers_are_two_spread_and_protected(api: client.CoreV1Api) -> None:
    pods = api.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items
    assert sorted(pod.spec.node_name for pod in pods) == ["cp1", "worker1"]
    budget = client.PolicyV1Api(api.api_client).read_namespaced_pod_disruption_budget("coredns", "kube-system")
    assert (budget.spec.max_unavailable, budget.status.disruptions_allowed) == (1, 1)


def test_every_node_answers_for_the_cluster() -> None:
    answers = ask([KUBERNETES])
    assert sorted(answers) == ["cp1", "worker1"]
    for result in answers.values():
        assert [answer["addresses"] for answer in result["answers"]] == [["10.96.0.1"]] * 4


@pytest.mark.usefixtures("corporate")
def test_a_stub_domain_is_answered_by_its_own_server() -> None:
    for result in ask(["www.corp.example"]).values():
        assert [answer["addresses"] for answer in result["answers"]] == [["192.0.2.53"]] * 4


def test_what_is_not_answered_is_explained() -> None:
    for result in ask(["missing.default.svc.cluster.local"], wait=0).values():
        assert "NXDOMAIN; the server says that there is no such name" in result["msg"]


def test_kubeadm_would_keep_size_and_spread_at_an_upgrade(hosts: dict[str, Any]) -> None:
    patch = json.loads(hosts["cp1"].file("/etc/kubernetes/patches/corednsdeployment0+strategic.json").content_string)
    assert patch["spec"]["replicas"] == 2
    assert not hosts["worker1"].file("/etc/kubernetes/patches/corednsdeployment0+strategic.json").exists


def served(address: str) -> float:
    """How many questions the cache of a node has been asked."""
    with urllib.request.urlopen(f"http://{address}:9253/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(r"^coredns_dns_requests_total\{.*\} (\S+)", text, re.MULTILINE))


def caches(api: client.CoreV1Api) -> set[str]:
    """The pods of the cache."""
    pods = api.list_namespaced_pod("kube-system", label_selector="app.kubernetes.io/name=dns-cache").items
    return {pod.metadata.uid for pod in pods}


def dial(api: KubeApi, pod: str, host: str) -> str:
    """What a pod gets from a host by name; it resolves the name anew each time."""
    path = f"/api/v1/namespaces/default/pods/{pod}:8080/proxy/dial"
    query = [("host", host), ("port", "80"), ("request", "hostname"), ("protocol", "http"), ("tries", "1")]
    answer = api.call("GET", path, query=query)
    return str((answer.get("responses") or [answer])[0])


@pytest.mark.usefixtures("web")
def test_no_lookup_fails_while_the_cache_is_updated(api: client.CoreV1Api, lab_dir: Path) -> None:
    proxy = KubeApi(str(lab_dir / "admin.conf"))
    apps = client.AppsV1Api(api.api_client)
    name = "stable.default.svc.cluster.local"
    node = {item.metadata.name: item for item in api.list_namespaced_pod("default").items}["stable"].status.host_ip
    # The Service is as young as its pod.
    deadline = time.monotonic() + 30
    while dial(proxy, "stable", name) != "stable":
        assert time.monotonic() < deadline, "the Service leads nowhere"
        time.sleep(0.2)
    before = served(node)
    assert [dial(proxy, "stable", name) for _index in range(20)] == ["stable"] * 20
    assert served(node) - before >= 20, "the pod does not ask the cache of its node"
    annotation = {"spec": {"template": {"metadata": {"annotations": {"test/restarted": str(time.time())}}}}}
    old = caches(api)
    apps.patch_namespaced_daemon_set("dns-cache", "kube-system", annotation)
    results: list[str] = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        results += [dial(proxy, "stable", name) for _index in range(10)]
        status = apps.read_namespaced_daemon_set("dns-cache", "kube-system")
        if (
            status.status.observed_generation == status.metadata.generation
            and status.status.updated_number_scheduled == status.status.number_available == 2
            and not old & caches(api)
        ):
            break
    else:
        raise AssertionError("the cache was not updated")
    assert len(results) >= 20
    assert [result for result in results if result != "stable"] == []
