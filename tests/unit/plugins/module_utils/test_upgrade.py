# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check as a whole, on a played API: which lists it reads, and that all findings come at once."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _upgrade, _upgrade_mirror
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import Finding

STATIC = {"kubernetes.io/config.mirror": "x"}


def static(component: str, version: str, node: str = "cp1", *flags: str) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "kube-system", "name": f"{component}-{node}", "uid": f"{component}-{node}",
            "annotations": STATIC, "labels": {"component": component},
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": component, "image": f"r/{component}:{version}", "command": [component, *flags]}],
        },
    }  # fmt: skip


def node(name: str, version: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name},
        "spec": {},
        "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": f"v{version}"}},
    }


class Api:
    """A cluster of one control plane and one worker in which nothing is wrong."""

    def __init__(self, kubeconfig: str = "/admin.conf") -> None:
        self.asked: list[str] = []
        self.lists: dict[str, list[dict[str, Any]]] = {
            "/api/v1/nodes": [node("cp1", "1.35.4"), node("w1", "1.35.4")],
            "/api/v1/pods": [static("kube-apiserver", "v1.35.4"), static("etcd", "3.6.8-0")],
        }
        self.documents: dict[str, str] = {"kubeadm-config": "kubernetesVersion: v1.35.4\n"}

    def call(self, method: str, path: str) -> Any:
        assert method == "GET"
        self.asked.append(path)
        if path == "/version":
            return {"gitVersion": "v1.35.4"}
        if path == "/apis":
            return {"groups": [{"versions": [{"groupVersion": "networking.k8s.io/v1"}]}]}
        name = path.rpartition("/")[2]
        if name not in self.documents:
            raise _kubeapi.ApiException(status=404)
        keys = {"kubeadm-config": "ClusterConfiguration", "kubelet-config": "kubelet", "kube-proxy": "config.conf"}
        return {"data": {keys[name]: self.documents[name]}}

    def pages(self, path: str, query: Any = None) -> list[dict[str, Any]]:
        self.asked.append(path)
        if path.endswith("/servicecidrs") and path not in self.lists:
            raise _kubeapi.ApiException(status=404)
        return self.lists.get(path, [])


def facts(host: str, **more: Any) -> dict[str, Any]:
    plane = host.startswith("cp")
    member = {
        "name": host, "id": "1", "healthy": True, "learner": False, "alarms": [], "error": "", "db_size": 10,
        "db_in_use": 10, "version": "3.6.8",
    }  # fmt: skip
    found: dict[str, Any] = {
        "host": host,
        "control_plane": plane,
        "programs": {"kubelet": "1.35.4", "kubectl": "1.35.4", "containerd": "2.3.4"},
        "cgroup": 2,
    }
    return {**found, **({"etcd": {"members": [member], "error": ""}} if plane else {}), **more}


HOSTS = {
    "cp1": {"name": "cp1", "role": "control_plane", "arch": "amd64"},
    "w1": {"name": "w1", "role": "worker", "arch": "amd64"},
}


def wanted(version: str = "1.36.3", **more: Any) -> _upgrade.Wanted:
    return _upgrade.Wanted(version=version, hosts=HOSTS, etcd="registry.k8s.io/etcd:3.6.8-0", **more)


def check(api: Api, wish: _upgrade.Wanted, *found: dict[str, Any]) -> list[Finding]:
    cluster = _upgrade.read(api)
    known = list(found) or [facts("cp1"), facts("w1")]
    return [
        *_upgrade.check_cluster(api, cluster, wish, known),
        *_upgrade.check_hosts(wish, known, _upgrade.etcd_quota(cluster)),
    ]


@pytest.mark.parametrize("version", ["1.36.3", "1.35.4", "1.35.9"])
def test_nothing_speaks_against_the_upgrade_of_a_good_cluster(version: str) -> None:
    assert check(Api(), wanted(version)) == []


def test_each_list_is_read_once() -> None:
    api = Api()
    check(api, wanted())
    assert len(api.asked) == len(set(api.asked)) < 20


def test_versions_come_from_nodes_and_pods() -> None:
    api = Api()
    api.lists["/api/v1/nodes"].append(node("old", "1.32.0"))
    api.lists["/api/v1/pods"].append(static("kube-scheduler", "v1.34.0"))
    assert {"skew_kubelet", "skew_control_plane", "node_unknown"} == {item.code for item in check(api, wanted())}


@pytest.mark.parametrize(("pools", "count"), [(None, 1), (["web"], 1), ([], 0), (["db"], 0)])
def test_only_pods_on_nodes_whose_turn_it_is_have_to_move(pools: list[str] | None, count: int) -> None:
    api = Api()
    lonely = {"metadata": {"namespace": "shop", "name": "p", "uid": "p"}, "spec": {"nodeName": "w1"}, "status": {}}
    api.lists["/api/v1/pods"].append(lonely)
    wish = wanted(pools=pools)
    wish.hosts = {**HOSTS, "w1": {**HOSTS["w1"], "pool": "web"}}
    assert [item.code for item in check(api, wish)] == ["pod_unmanaged"] * count


def test_a_server_that_is_no_static_pod_has_the_version_that_it_says() -> None:
    api = Api()
    api.lists["/api/v1/pods"] = []
    assert [item.code for item in check(api, wanted("1.37.0")) if item.severity == "error"] == ["version_skipped"]


def test_flags_are_read_from_manifests_and_from_kubeadm() -> None:
    api = Api()
    api.lists["/api/v1/pods"].append(static("kube-scheduler", "v1.35.4", "cp1", "--feature-gates=MemoryManager=true"))
    api.documents["kubeadm-config"] = "apiServer: {extraArgs: [{name: cloud-config, value: x}]}"
    api.documents["kubelet-config"] = "featureGates: {ServiceTrafficDistribution: true}"
    api.documents["kube-proxy"] = "mode: ipvs"
    found = sorted(item.code for item in check(api, wanted()))
    assert found == ["flag_removed", "gate_removed", "gate_removed", "proxy_ipvs"]


@pytest.mark.parametrize("text", ["[", "- list\n", "text"])
def test_a_configuration_that_is_none_is_left_out(text: str) -> None:
    api = Api()
    api.documents["kube-proxy"] = text
    assert check(api, wanted()) == []


def test_gates_of_the_inventory_are_seen_before_they_reach_a_host() -> None:
    wish = wanted(kubelet_config={"featureGates": {"MemoryManager": True}})
    assert [(item.code, item.path) for item in check(Api(), wish)] == [("gate_removed", "cluster_kubelet_config")]


def test_the_quota_is_the_smallest_that_a_member_has() -> None:
    api = Api()
    api.lists["/api/v1/pods"] = [
        static("etcd", "3.6.8-0", name, f"--quota-backend-bytes={quota}") for name, quota in (("cp1", 90), ("cp2", 80))
    ]
    assert _upgrade.etcd_quota(_upgrade.read(api)) == 80
    assert _upgrade.etcd_quota(None) == 2 * 1024**3


def test_etcd_is_judged_once_though_each_control_plane_tells_of_it() -> None:
    sick = facts("cp1")
    sick["etcd"]["members"][0]["alarms"] = ["NOSPACE"]
    silent = facts("cp2", etcd={"members": [], "error": "refused"})
    hosts = {**HOSTS, "cp2": {"name": "cp2", "role": "control_plane"}}
    wish = _upgrade.Wanted("1.36.3", hosts)
    found = _upgrade.check_hosts(wish, [silent, sick, {**sick, "host": "cp3"}, facts("w1")], 2**31)
    assert sorted(item.code for item in found) == ["etcd_alarm", "etcd_silent"]


@pytest.mark.parametrize(("aim", "wanted_codes"), [("", ["disk_space"]), ("1.36.3", [])])
def test_an_interrupted_upgrade_is_not_asked_for_the_same_space_again(aim: str, wanted_codes: list[str]) -> None:
    disk = {"paths": ["/var/lib/containerd"], "free": 2**30, "size": 2**31}
    host = facts("w1", disks=[disk], upgrading_to=aim)
    held = _upgrade_mirror.Held(sizes={"amd64": {"pause": 2**29, "other": 2**29}})
    hosts = {"w1": {"name": "w1", "role": "worker", "arch": "amd64", "images": ["pause"]}}
    found = _upgrade.check_hosts(_upgrade.Wanted("1.36.3", hosts, held=held), [host], 2**31)
    assert [item.code for item in found] == wanted_codes


def test_a_host_that_was_not_looked_at_is_named() -> None:
    found = check(Api(), wanted(), facts("cp1"))
    assert [(item.code, item.host) for item in found] == [("host_unreachable", "w1")]


@pytest.mark.parametrize(("aim", "severity"), [("", "error"), ("1.36.3", "warning")])
def test_an_api_that_an_interrupted_upgrade_has_stopped_does_not_block_it(aim: str, severity: str) -> None:
    found = _upgrade.api_silent("refused", wanted(), [facts("cp1", upgrading_to=aim)])
    assert (found.code, found.severity) == ("api_silent", severity)


@pytest.mark.parametrize(("aim", "severity"), [("", "error"), ("1.35.4", "warning")])
def test_what_is_ill_blocks_an_upgrade_that_changes_components_only(aim: str, severity: str) -> None:
    api = Api()
    ill = node("w1", "1.35.4")
    ill["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    api.lists["/api/v1/nodes"][1] = ill
    # It has no room either, which only a run that has fetched everything already can do without.
    disk = {"paths": ["/var/lib/containerd"], "free": 2**30, "size": 2**31}
    found = [facts("cp1", version="1.35.4"), facts("w1", version="1.35.4", upgrading_to=aim, disks=[disk])]
    hosts = {**HOSTS, "w1": {**HOSTS["w1"], "images": ["pause"]}}
    wish = _upgrade.Wanted("1.35.4", hosts, held=_upgrade_mirror.Held(sizes={"amd64": {"pause": 2**29}}))
    wanted_codes = [("node_not_ready", severity)] + ([] if aim else [("disk_space", "error")])
    assert [(item.code, item.severity) for item in check(api, wish, *found)] == wanted_codes


@pytest.mark.parametrize(("aim", "severity"), [("", "error"), ("1.36.3", "warning")])
def test_a_member_that_an_interrupted_upgrade_has_stopped_is_seen_from_another_host(aim: str, severity: str) -> None:
    sick = facts("cp2", version="1.35.4")
    sick["etcd"]["members"].append({**sick["etcd"]["members"][0], "name": "cp1", "healthy": False, "error": "refused"})
    hosts = {name: {"name": name, "role": "control_plane"} for name in ("cp1", "cp2")}
    silent = facts("cp1", version="1.35.4", upgrading_to=aim, etcd={"members": [], "error": "refused"})
    found = _upgrade.check_hosts(_upgrade.Wanted("1.36.3", hosts), [silent, sick], 2**31)
    assert [(item.code, item.severity) for item in found] == [("etcd_silent", severity), ("etcd_unhealthy", severity)]


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="1.36"):
        check(Api(), wanted("newest"))
