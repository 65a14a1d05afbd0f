# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ready
from hypothesis import given
from hypothesis import strategies as st

NAMES = [f"node-{number}" for number in range(6)]


def node(name: str, ready: str = "True", **condition: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Other"}, {"type": "Ready", "status": ready, **condition}]},
    }


def probe_pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": f"probe-{name}"}, "spec": {"nodeName": name}, "status": {"podIP": f"ip-of-{name}"}}


def test_condition() -> None:
    assert _ready.condition(node("a"), "Ready")["status"] == "True"
    assert _ready.condition({}, "Ready") == _ready.condition({"status": {"conditions": None}}, "Ready") == {}


def test_nodes_not_ready() -> None:
    nodes = [
        node("b", "Unknown", lastTransitionTime="noon", message="Kubelet stopped posting node status."),
        node("a", "False"),
        node("ready"),
        node("not wanted", "False"),
    ]
    assert _ready.nodes_not_ready(nodes, ["ready", "missing", "b", "a"]) == [
        "node a: not Ready since the beginning: no status yet",
        "node b: not Ready since noon: Kubelet stopped posting node status.",
        "node missing: not in the cluster",
    ]
    assert _ready.nodes_not_ready([{"metadata": {"name": "new"}}], ["new"]) != []
    assert _ready.nodes_not_ready(nodes, ["ready"]) == []


def test_nodes_of_another_version() -> None:
    nodes = [{"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}}
             for name, version in (("old", "v1.35.4"), ("new", "v1.36.3"))]  # fmt: skip
    assert _ready.other_version(nodes, ["old", "new", "missing"], "1.36.3") == [
        "node old: its kubelet is v1.35.4, not v1.36.3"
    ]
    assert _ready.other_version(nodes, ["old"], "") == _ready.other_version(nodes, ["new"], "1.36.3") == []


def workload(kind: str, replicas: int | None = 2, generation: int = 1, **status: int) -> dict[str, Any]:
    spec = {} if replicas is None else {"replicas": replicas}
    meta = {"namespace": "kube-system", "name": "x", "generation": generation}
    return {"kind": kind, "metadata": meta, "spec": spec, "status": {"observedGeneration": 1, **status}}


@pytest.mark.parametrize(
    ("obj", "lacks"),
    [
        (workload("Deployment", availableReplicas=2, updatedReplicas=2), ""),
        (workload("Deployment", availableReplicas=1, updatedReplicas=2), "1 of 2 pods available"),
        (workload("Deployment", availableReplicas=2, updatedReplicas=1), "1 of 2 pods available"),
        (workload("Deployment", replicas=None), "0 of 1 pods available"),
        (
            workload("Deployment", generation=2, availableReplicas=2, updatedReplicas=2),
            "hasn't seen the newest version",
        ),
        (workload("DaemonSet", desiredNumberScheduled=3, numberAvailable=3, updatedNumberScheduled=3), ""),
        (workload("DaemonSet", desiredNumberScheduled=3, numberAvailable=3, updatedNumberScheduled=1), "1 of 3 pods"),
        # Before its controller has counted the nodes.
        (workload("DaemonSet"), "0 of 0 pods available"),
    ],
)
def test_workload_not_ready(obj: dict[str, Any], lacks: str) -> None:
    line = _ready.workload_not_ready(obj)
    assert lacks in line if lacks else line == ""
    assert not line or line.startswith(f"{obj['kind'].lower()} kube-system/x: ")


def pod(status: dict[str, Any], **spec: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "p"}, "spec": spec, "status": status}


def test_pods_say_what_they_wait_for() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
    running = {"state": {"running": {}}}
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert _ready.pods_waiting([pod({"containerStatuses": [running]}, nodeName="n"), pod({})]) == []
    assert _ready.pods_waiting([pod({"containerStatuses": [running, waiting]}, nodeName="n")]) == [
        "pod ns/p on n: ImagePullBackOff: not found"
    ]
    crashing = {**waiting, "lastState": {"terminated": {"message": "starts\nno disk\n"}}}
    assert _ready.pods_waiting([pod({"containerStatuses": [crashing]}, nodeName="n")])[0].endswith("not found: no disk")
    assert _ready.pods_waiting([pod({"initContainerStatuses": [waiting]}, nodeName="n")]) != []
    assert _ready.pods_waiting([pod({"conditions": [unscheduled]})]) == [
        "pod ns/p on no node: Unschedulable: 0/1 nodes"
    ]


def test_nodes_that_were_never_probed() -> None:
    old, new = node("old"), node("new")
    old["metadata"]["annotations"] = {_ready.PROBED: "true"}
    new["metadata"]["annotations"] = {"another": "x"}
    assert _ready.unprobed([old, new, node("z")], ["z", "old", "new", "gone"]) == ["new", "z"]


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES), min_size=1))
def test_a_single_node_gets_a_partner(others: set[str], fresh: set[str]) -> None:
    nodes = [node(name) for name in sorted(others | fresh)] + [node("broken", "False")]
    chosen = _ready.probe_nodes(nodes, sorted(fresh))
    assert fresh <= set(chosen) and "broken" not in chosen
    assert len(chosen) == len(fresh) + (1 if len(fresh) == 1 and others - fresh else 0)


def test_probe_runs_on_the_named_nodes_only_and_without_rights() -> None:
    objects = _ready.probe_objects("agnhost:1", ["a", "b"])
    assert [obj["kind"] for _path, obj in objects] == ["Namespace", "DaemonSet", "Service"]
    assert all(path.startswith(("/api/v1/", "/apis/apps/v1/")) for path, _obj in objects)
    spec = objects[1][1]["spec"]["template"]["spec"]
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchFields"][0]["values"] for term in terms] == [["a"], ["b"]]
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    assert container["image"] == "agnhost:1"
    assert container["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # The API takes them as they are.
    assert json.loads(json.dumps(objects))


@given(st.sets(st.sampled_from(NAMES), min_size=1))
def test_every_pod_is_reached_by_exactly_one_other(names: set[str]) -> None:
    pods = [probe_pod(name) for name in sorted(names, reverse=True)]
    reached = []
    for entry in pods:
        targets = _ready.probe_targets(entry, pods, "cluster.local")
        assert [host for _what, host, _port in targets[:2]] == [
            f"{_ready.PROBE}.{_ready.PROBE}.svc.cluster.local",
            "kubernetes.default.svc.cluster.local",
        ]
        assert f"ip-of-{entry['spec']['nodeName']}" not in [host for _what, host, _port in targets]
        reached += [host for _what, host, _port in targets[2:]]
    assert sorted(reached) == (sorted(f"ip-of-{name}" for name in names) if len(names) > 1 else [])


def test_dial_failure() -> None:
    assert _ready.dial_failure({"responses": ["probe-a"]}, "DNS", "a") == ""
    # One of several tries is enough.
    assert _ready.dial_failure({"responses": ["probe-a"], "errors": ["timeout"]}, "DNS", "a") == ""
    assert _ready.dial_failure({"errors": ["timeout", 7]}, "DNS", "a") == (
        "node a: a pod there can't reach DNS: timeout; 7"
    )
    assert _ready.dial_failure({}, "DNS", "a").endswith("no answer")
