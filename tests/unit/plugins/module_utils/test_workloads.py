# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _workloads
from kubernetes.client.exceptions import ApiException

DAEMONSET, DEPLOYMENT = "daemonset/kube-system/kube-proxy", "deployment/kube-system/coredns"


def pod(name: str, node: str, ready: bool, **meta: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "message": "node is down"}]
    labels = {"app": name.partition("-")[0], "hash": "1"}
    return {
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels, **meta},
        "spec": {"nodeName": node},
        "status": {"conditions": conditions},
    }


class Api:
    """Two nodes that are Ready and one that has been dead for long, with the pods that it had."""

    def __init__(self) -> None:
        self.nodes = {"cp1": "True", "worker1": "True", "dead": "Unknown"}
        self.daemonset = {"desiredNumberScheduled": 3, "numberAvailable": 2, "updatedNumberScheduled": 3}
        self.deployment = {"availableReplicas": 1, "updatedReplicas": 2}
        self.pods = [
            pod("proxy-1", "cp1", True),
            pod("proxy-2", "worker1", True),
            pod("proxy-3", "dead", False),
            pod("dns-1", "cp1", True),
            pod("dns-2", "dead", False),
        ]
        self.asked: list[str] = []

    def call(self, _method: str, path: str) -> dict[str, Any]:
        self.asked.append(path)
        kind, name = path.split("/")[-2:]
        known = {
            "daemonsets": ("DaemonSet", "kube-proxy", self.daemonset, "proxy"),
            "deployments": ("Deployment", "coredns", self.deployment, "dns"),
        }[kind]
        if name != known[1]:
            raise ApiException(status=404)
        return {
            "kind": known[0],
            "metadata": {"namespace": "kube-system", "name": name, "generation": 1},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": known[3]}}},
            "status": {"observedGeneration": 1, **known[2]},
        }

    def items(self, path: str) -> list[dict[str, Any]]:
        self.asked.append(path)
        if path.endswith("/pods"):
            return self.pods
        return [
            {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": status}]}}
            for name, status in self.nodes.items()
        ]


def incomplete(api: Api, *nodes: str) -> list[str]:
    return _workloads.incomplete(api, [DAEMONSET, DEPLOYMENT], list(nodes))  # type: ignore[arg-type]


def test_what_is_complete_costs_one_question_each() -> None:
    api = Api()
    api.daemonset["numberAvailable"], api.deployment["availableReplicas"] = 3, 2
    assert incomplete(api, "cp1") == []
    assert len(api.asked) == 2


def test_a_dead_node_that_nobody_asks_for_holds_nobody_up() -> None:
    assert incomplete(Api(), "cp1", "worker1") == []


def test_a_dead_node_that_is_asked_for_is_waited_for() -> None:
    lines = incomplete(Api(), "cp1", "dead")
    assert lines[:2] == [
        "daemonset kube-system/kube-proxy: 2 of 3 pods available",
        "deployment kube-system/coredns: 1 of 2 pods available",
    ]
    assert [line.partition(":")[0] for line in lines[2:]] == [
        "pod kube-system/dns-2 on dead",
        "pod kube-system/proxy-3 on dead",
    ]


@pytest.mark.parametrize("live", ["proxy-2", "dns-1"])
def test_what_is_not_well_on_a_node_that_is_well_counts(live: str) -> None:
    api = Api()
    api.daemonset["numberAvailable"] -= live == "proxy-2"
    api.deployment["availableReplicas"] -= live == "dns-1"
    next(entry for entry in api.pods if entry["metadata"]["name"] == live)["status"] = {}
    assert len(incomplete(api, "cp1")) >= 1


def test_of_a_daemonset_no_other_pod_starts_on_a_dead_node() -> None:
    api = Api()
    api.deployment["availableReplicas"] = 2
    api.pods[2]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    api.daemonset["updatedNumberScheduled"] = 2
    assert incomplete(api, "cp1") == []
    api.daemonset["updatedNumberScheduled"] = 1
    assert incomplete(api, "cp1")[0] == "daemonset kube-system/kube-proxy: 2 of 3 pods available"


def test_of_a_deployment_another_pod_starts_elsewhere() -> None:
    api = Api()
    api.daemonset["numberAvailable"] = 3
    api.pods[4]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert incomplete(api, "cp1")[0] == "deployment kube-system/coredns: 1 of 2 pods available"


def test_a_workload_that_is_not_there_is_named() -> None:
    assert _workloads.incomplete(Api(), ["deployment/kube-system/other"], []) == [  # type: ignore[arg-type]
        "deployment kube-system/other: is not there"
    ]
