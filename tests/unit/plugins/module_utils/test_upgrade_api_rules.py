# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API's objects mean, each finding with the smallest objects that provoke it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_api_rules as rules

HOSTS = {"cp1": {"name": "node-a", "state": "schedulable"}}


def node(name: str = "node-a", ready: str = "True", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def codes(found: Any) -> list[tuple[str, str, str]]:
    return [(item.code, item.severity, item.host) for item in found]


@pytest.mark.parametrize(
    ("nodes", "hosts", "begun", "wanted"),
    [
        ([node()], HOSTS, [], []),
        ([node(ready="Unknown")], HOSTS, [], [("node_not_ready", "error", "cp1")]),
        # Killed while its kubelet was replaced: the run that goes on repairs it.
        ([node(ready="Unknown")], HOSTS, ["cp1"], [("node_not_ready", "warning", "cp1")]),
        ([node(unschedulable=True)], HOSTS, [], [("node_cordoned", "warning", "cp1")]),
        ([node(unschedulable=True)], {"cp1": {"name": "node-a", "state": "cordoned"}}, [], []),
        ([], HOSTS, [], [("node_missing", "error", "cp1")]),
        ([node(), node("other")], HOSTS, [], [("node_unknown", "warning", "other")]),
    ],
)
def test_nodes(nodes: Any, hosts: Any, begun: list[str], wanted: list[tuple[str, str, str]]) -> None:
    assert codes(rules.check_nodes(nodes, hosts, begun)) == wanted


@pytest.mark.parametrize(
    ("status", "count"), [({}, 1), ({"conditions": [{"type": "Denied"}]}, 0), ({"certificate": "x"}, 0)]
)
def test_requests_that_nobody_has_decided_on(status: dict[str, Any], count: int) -> None:
    csr = {"metadata": {"name": "csr-1"}, "spec": {"username": "system:node:x"}, "status": status}
    assert [item.code for item in rules.check_csrs([csr])] == ["csr_pending"] * count


def hook(policy: str | None = None, service: bool = True, **more: Any) -> dict[str, Any]:
    client: dict[str, Any] = {"service": {"namespace": "guard", "name": "guard"}} if service else {"url": "https://x"}
    found = {
        "name": "guard.example.com",
        "clientConfig": client,
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "operations": ["*"]}],
        **({"failurePolicy": policy} if policy else {}),
        **more,
    }
    return {"metadata": {"name": "guard"}, "webhooks": [found]}


NARROW = [{"apiGroups": ["apps"], "resources": ["deployments"]}]
NOT_SYSTEM = {
    "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}]
}


@pytest.mark.parametrize(
    ("configuration", "endpoints", "wanted"),
    [
        (hook(), [], [("webhook_dead", "error")]),
        (hook("Fail", rules=NARROW), [], [("webhook_dead", "warning")]),
        (hook(namespaceSelector=NOT_SYSTEM), [], [("webhook_dead", "warning")]),
        (hook(objectSelector={"matchLabels": {"a": "b"}}), [], [("webhook_dead", "warning")]),
        (hook("Ignore"), [], []),
        (hook(service=False), [], []),
        (hook(), ["n1", "n1"], [("webhook_single", "warning")]),
        (hook(), ["n1", "n2"], []),
        (hook(rules=NARROW), ["n1"], []),
    ],
)
def test_webhooks(configuration: Any, endpoints: list[str], wanted: list[tuple[str, str]]) -> None:
    found = rules.check_webhooks(rules.fail_hooks([configuration]), {("guard", "guard"): endpoints})
    assert [(item.code, item.severity) for item in found] == wanted


def test_only_ready_endpoints_serve() -> None:
    slices = [
        {"endpoints": [{"nodeName": "n1", "conditions": {"ready": False}}, {"nodeName": "n2", "conditions": {}}]},
        {"endpoints": None},
    ]
    assert rules.ready_nodes(slices) == ["n2"]


OLD, NEW = "networking.k8s.io/v1beta1", "networking.k8s.io/v1"


def item(version: str = "", manager: str = "gitops", applied: str = "") -> dict[str, Any]:
    managed = [{"apiVersion": version, "manager": manager}] if version else []
    annotations = {rules.LAST_APPLIED: json.dumps({"apiVersion": applied, "kind": "X"})} if applied else {}
    return {"metadata": {"name": "x", "managedFields": managed, "annotations": annotations}}


@pytest.mark.parametrize(
    ("found", "minor", "wanted"),
    [
        (item(), 37, []),
        (item(OLD), 37, [("api_removed", "error")]),
        (item(OLD), 36, [("api_deprecated", "warning")]),
        (item(applied=OLD), 37, [("api_removed", "error")]),
        (item(NEW, applied=NEW), 37, []),
        # The control plane's own objects follow it.
        (item(OLD, "kube-apiserver"), 37, []),
    ],
)
def test_objects_of_old_versions(found: dict[str, Any], minor: int, wanted: list[tuple[str, str]]) -> None:
    def objects(path: str) -> list[dict[str, Any]]:
        return [found] if path == "/apis/networking.k8s.io/v1/servicecidrs" else []

    told = rules.check_objects(35, minor, [NEW], objects)
    assert [(one.code, one.severity) for one in told] == wanted


def test_objects_that_lose_their_only_version() -> None:
    found = list(rules.check_objects(35, 36, ["scheduling.k8s.io/v1alpha1"], lambda _path: [item()]))
    assert [(one.code, one.severity) for one in found] == [("api_removed", "error")]
    assert "Workload" in found[0].message
    # What is gone already can't go once more.
    assert not list(rules.check_objects(36, 37, ["scheduling.k8s.io/v1alpha1"], lambda _path: [item()]))


def test_an_api_that_is_not_served_is_not_asked_for() -> None:
    def objects(path: str) -> list[dict[str, Any]]:
        raise AssertionError(path)

    assert not list(rules.check_objects(31, 39, ["apps/v1"], objects))


@pytest.mark.parametrize(
    ("removed", "wanted"),
    [("1.36", ("api_removed_requested", "error")), ("1.37", ("api_deprecated_requested", "warning"))],
)
def test_requests_of_clients(removed: str, wanted: tuple[str, str]) -> None:
    asked = {"removed_release": removed, "group": "g", "version": "v1", "resource": "things"}
    facts = [{"host": name, "deprecated_requests": {"found": [asked], "error": ""}} for name in ("cp1", "cp2")]
    (found,) = rules.check_requests([*facts, {"host": "w1"}], 36)
    assert (found.code, found.severity) == wanted
    assert "cp1, cp2" in found.message and found.path == "g/v1 things"


def test_metrics_that_can_not_be_read_are_told() -> None:
    found = rules.check_requests([{"host": "cp1", "deprecated_requests": {"found": [], "error": "refused"}}], 36)
    assert codes(found) == [("metrics_unread", "warning", "cp1")]


@pytest.mark.parametrize(
    "arguments", [{"cloud-provider": "aws"}, [{"name": "cloud-provider", "value": "aws"}]], ids=["v1beta3", "v1beta4"]
)
def test_flags_that_kubeadm_would_write_again(arguments: Any) -> None:
    running = {"kube-apiserver": {"cp1": {"cloud-provider": "aws", "v": "2"}}}
    found = list(rules.check_kubeadm({"apiServer": {"extraArgs": arguments}}, running, 36))
    assert [(item.code, item.path) for item in found] == [("flag_removed", "kubeadm-config, apiServer.extraArgs")]


def test_flags_that_only_patches_bring() -> None:
    running = {"kube-scheduler": {"cp1": {"feature-gates": "MemoryManager=true"}}}
    (found,) = rules.check_kubeadm({}, running, 36)
    assert (found.code, found.host) == ("gate_removed", "cp1") and "patches" in found.path


def test_kubeadms_own_gates() -> None:
    found = rules.check_kubeadm(
        {"featureGates": {"ControlPlaneKubeletLocalMode": True, "PublicKeysECDSA": True}}, {}, 36
    )
    assert [item.code for item in found] == ["gate_removed"]
    assert not list(rules.check_kubeadm({"featureGates": {"ControlPlaneKubeletLocalMode": True}}, {}, 35))


def test_what_the_cluster_gives_its_nodes() -> None:
    found = rules.check_configs(
        {"featureGates": {"TopologyAwareHints": True}}, {"mode": "ipvs", "featureGates": {}}, 36
    )
    assert [(item.code, item.severity) for item in found] == [("gate_removed", "error"), ("proxy_ipvs", "warning")]
    assert not list(rules.check_configs({}, {"mode": "nftables", "featureGates": None}, 36))
