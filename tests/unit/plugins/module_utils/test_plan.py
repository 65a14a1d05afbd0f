# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _names
from ansible_collections.hostplane.cluster.plugins.module_utils._plan import ClusterPlan, ClusterRequest, plan_cluster
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_bundle import (
    CNI_REPOSITORIES,
    PROGRAMS,
    REPOSITORIES,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import parse_taint
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import to_dicts
from hypothesis import given
from hypothesis import strategies as st


def host(name: str, address: str, role: str = "worker", **variables: Any) -> dict[str, Any]:
    return {"inventory_hostname": name, "role": role, "pools": [], "ansible_host": address, **variables}


CP = host("cp-1", "10.9.0.11", "control_plane")
WORKERS = [host("node-10", "10.9.0.30"), host("node-2", "10.9.0.22")]
IMAGES = [f"{repository}:v1" for repository in [*REPOSITORIES.values(), *CNI_REPOSITORIES["flannel"].values()]]


def lock(arch: str = "amd64", **changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "release": "1.36.3",
        "arch": arch,
        "files": {
            name: {"version": "1", "sha256": f"{arch}-{name}", "size": 7, "mode": "0755"}
            for names in PROGRAMS.values()
            for name in names
        },
        "images": {image: {"digest": f"sha256:{arch}-{image}", "size": 9} for image in IMAGES},
        "files_manifest": f"sha256:{arch}",
        **changes,
    }


def without(section: str, name: str) -> dict[str, Any]:
    found = lock()
    return {**found, section: {key: value for key, value in found[section].items() if key != name}}


def plan(**options: Any) -> ClusterPlan:
    return plan_cluster(
        ClusterRequest(
            **{
                "name": "lab",
                "kubernetes_version": "1.36.3",
                "mirror_address": "10.9.0.5:5000",
                "hosts": [CP, *WORKERS],
                "releases": ["1.35.4", "1.36.3"],
                "lock": {"amd64": lock()},
                **options,
            }
        )
    )


def codes(**options: Any) -> list[str]:
    return sorted(problem.code for problem in plan(**options).problems)


def test_a_small_cluster() -> None:
    found = plan(api_sans=["api.example.com"])
    assert not found.problems
    assert found.plan["cluster"]["endpoint"] == "10.9.0.11:6443"
    assert found.plan["cluster"]["endpoint_host"] == "10.9.0.11"
    assert found.plan["cluster"]["api_sans"] == ["10.9.0.11", "api.example.com"]
    assert found.plan["mirror"] == {"address": "10.9.0.5:5000", "prefix": ""}
    assert found.plan["order"] == {"control_plane": ["cp-1"], "worker": ["node-2", "node-10"]}
    assert found.plan["networks"]["dns_address"] == "10.96.0.10"
    assert found.plan["hosts"]["cp-1"] == {
        "name": "cp-1",
        "address": "10.9.0.11",
        "address_ipv6": "",
        "zone": "",
        "role": "control_plane",
        "pool": "control_plane",
        "state": "schedulable",
        "arch": "amd64",
        "labels": {},
        "kubelet_labels": {},
        "kubelet_config": {"maxPods": 110},
        "taints": [{"key": "node-role.kubernetes.io/control-plane", "value": "", "effect": "NoSchedule"}],
        "max_pods": 110,
    }
    assert found.plan["hosts"]["node-2"]["taints"] == []
    assert found.plan["hosts"]["node-2"]["labels"] == {"hostplane.io/pool": "default"}
    assert found.plan["pools"] == {"control_plane": ["cp-1"], "default": ["node-2", "node-10"]}
    assert [problem.code for problem in found.advice] == ["endpoint_single_host"]


def test_images_and_files_by_purpose() -> None:
    found = plan().plan
    assert found["images"]["worker"] == sorted(
        f"{name}:v1"
        for name in (
            "registry.k8s.io/pause",
            "registry.k8s.io/kube-proxy",
            "registry.k8s.io/coredns/coredns",
            "ghcr.io/flannel-io/flannel",
            "ghcr.io/flannel-io/flannel-cni-plugin",
        )
    )
    assert set(found["images"]["worker"]) < set(found["images"]["control_plane"])
    assert set(found["images"]["control_plane"]) | {found["images"]["probe"]} == set(IMAGES)
    assert found["images"]["digests"]["amd64"][found["images"]["etcd"]] == "sha256:amd64-registry.k8s.io/etcd:v1"
    assert {file["name"]: file["path"] for file in found["files"]["amd64"]["cni"]}["cni-host-local"] == (
        "/opt/cni/bin/host-local"
    )
    assert found["files"]["amd64"]["containerd"][0] == {
        "name": "containerd",
        "path": "/usr/local/bin/containerd",
        "sha256": "amd64-containerd",
        "size": 7,
        "mode": "0755",
    }
    assert found["release"] == {"version": "1.36.3", "locked": True, "manifests": {"amd64": "sha256:amd64"}}


def test_images_of_addons_only_where_they_are_asked_for() -> None:
    names = ["quay.io/metallb/controller:v1", "quay.io/metallb/speaker:v1"]
    asked = {
        "node_cidrs": ["10.9.0.0/24"],
        "load_balancer": {"pools": [{"name": "default", "addresses": ["10.9.0.240/29"]}]},
    }
    missing = plan(**asked).problems
    assert [problem.code for problem in missing] == ["addon_missing", "addon_missing"]
    assert "mirror_addons" in missing[0].remedy
    held = lock()
    held["images"].update({name: {"digest": f"sha256:{name}", "addon": "metallb"} for name in names})
    made = plan(**asked, lock={"amd64": held})
    assert made.problems == []
    assert made.plan["images"]["metallb_speaker"] == names[1]
    assert made.plan["images"]["digests"]["amd64"][names[1]] == f"sha256:{names[1]}"
    assert not {*made.plan["images"]["worker"], *made.plan["images"]["control_plane"]} & set(names)
    assert made.plan["addons"] == ["load_balancer"]
    without_it = plan(lock={"amd64": held}).plan
    assert "metallb_speaker" not in without_it["images"] and without_it["addons"] == []


def test_without_a_bundle_the_plan_names_what_the_catalogue_names() -> None:
    found = plan(lock={}, release={"images": {image: {} for image in IMAGES}})
    assert not found.problems
    assert "bundle_unknown" in [advice.code for advice in found.advice]
    assert found.plan["images"]["pause"] == "registry.k8s.io/pause:v1"
    assert found.plan["images"]["digests"] == {}
    assert not found.plan["release"]["locked"]
    assert found.plan["files"]["amd64"]["kubelet"][0]["sha256"] == ""


THREE = [host(f"cp-{number}", f"10.9.0.1{number}", "control_plane") for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kubernetes_version": "1.30.0", "lock": {}}, ["version_unknown"]),
        ({"hosts": WORKERS}, ["control_plane_missing"]),
        ({"hosts": [*THREE[:2], *WORKERS], "endpoint": "api.example.com:6443"}, ["control_plane_even"]),
        ({"hosts": [CP, host("cp-1", "10.9.0.11")]}, ["host_in_both_groups"]),
        ({"hosts": [CP, host("x", "10.9.0.11")]}, ["node_address_duplicate"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_name="cp-1")]}, ["node_name_duplicate"]),
        ({"hosts": [CP, host("Node_1", "10.9.0.12")]}, ["node_name_invalid"]),
        ({"hosts": [CP, host("n" * 64, "10.9.0.12")]}, ["node_name_invalid"]),
        ({"hosts": [CP, host("x", "x.example.com")]}, ["node_address_missing"]),
        ({"hosts": [CP, host("x", "", errors={"node_address": "undefined"})]}, ["variable_undefined"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_arch="x86_64")]}, ["arch_unknown"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_arch="arm64")]}, ["lock_arch_missing"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_max_pods=129)]}, ["max_pods_range"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_max_pods="many")]}, ["max_pods_range"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_labels={"a": True})]}, ["label_invalid"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_labels={"a b": "c"})]}, ["label_invalid"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_labels=["a"])]}, ["label_invalid"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_labels={"kubernetes.io/hostname": "x"})]}, ["label_reserved"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_taints=["a=b:Never"])]}, ["taint_invalid"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_taints="a=b:NoSchedule")]}, ["taint_invalid"]),
        ({"hosts": [CP, host("x", "10.9.0.12", node_taints=["a=b:NoExecute", "a=c:NoExecute"])]}, ["taint_invalid"]),
        ({"hosts": [CP, host("x", "10.9.0.12", role="etcd")]}, ["role_unknown"]),
        ({"max_pods": 2000}, ["max_pods_range"]),
        ({"max_pods": 10**12}, ["max_pods_range"]),
        ({"cni": "terway", "lock": {}}, ["cni_unsupported"]),
        ({"name": "my lab"}, ["name_invalid"]),
        ({"dns_domain": "Cluster"}, ["dns_domain_invalid"]),
        ({"api_sans": ["https://x"]}, ["api_san_invalid"]),
        ({"kubelet_config": {"maxPods": 5}}, ["setting_owned"]),
        ({"kube_proxy_config": {"clusterCIDR": "10.0.0.0/8"}}, ["setting_owned"]),
        (
            {
                "jwt_authenticators": [
                    {
                        "issuer": {"url": "http://login.example.com", "audiences": ["k"]},
                        "claimMappings": {"username": {"claim": "sub", "prefix": "x:"}},
                    }
                ]
            },
            ["jwt_authenticator"],
        ),
        ({"endpoint": "api.example.com"}, ["endpoint_invalid"]),
        ({"endpoint": "10.9.0.300:6443"}, ["endpoint_invalid"]),
        ({"endpoint": "api.example.com:99999"}, ["endpoint_invalid"]),
        ({"endpoint": "10.96.0.9:6443"}, ["address_in_range"]),
        ({"mirror_address": ""}, ["mirror_missing"]),
        ({"mirror_address": "https://m:5000"}, ["mirror_invalid"]),
        ({"mirror_prefix": "Project"}, ["mirror_invalid"]),
        ({"pod_cidr": "10.9.0.0/16", "node_cidrs": ["10.9.0.0/24"]}, ["cidr_overlap"]),
        ({"lock": {"amd64": lock(release="1.35.4")}}, ["lock_other_release"]),
        ({"lock": {"amd64": without("images", "registry.k8s.io/etcd:v1")}}, ["lock_image_missing"]),
        ({"lock": {"amd64": without("files", "runc")}}, ["lock_file_missing"]),
        ({"existing": {"pod_cidr": "10.0.0.0/16"}}, ["immutable_setting"]),
        ({"existing": {"service_cidr": "10.0.0.0/16"}}, ["immutable_setting"]),
        ({"existing": {"cni": "calico"}}, ["immutable_setting"]),
        ({"existing": {"dns_domain": "k8s.local"}}, ["immutable_setting"]),
        ({"existing": {"node_mask": 25}}, ["immutable_setting"]),
        ({"existing": {"endpoint": "a.example.com:6443"}, "endpoint": "b.example.com:6443"}, ["immutable_setting"]),
        ({"existing": {"version": "v1.35.4"}}, ["version_differs"]),
        ({"existing": {"version": "v1.36.3", "cni": "flannel", "pod_cidr": "10.244.0.0/16", "node_mask": 24}}, []),
        ({"kubernetes_version": "v1.36.3"}, []),
        ({"endpoint": "api.example.com:6443"}, []),
        ({"mirror_address": "harbor.example.com", "mirror_prefix": "team/k8s/"}, []),
        ({"hosts": [*THREE, *WORKERS], "endpoint": "10.9.0.100:6443"}, []),
    ],
)
def test_each_problem_is_found_alone(options: dict[str, Any], expected: list[str]) -> None:
    assert codes(**options) == expected


def test_every_problem_says_where_and_what_to_do() -> None:
    problems = plan(
        kubernetes_version="2",
        hosts=[host("A_1", "x", node_labels={"a": 1}, node_taints=[3], node_max_pods=1, node_arch="mips")],
        pod_cidr="10.96.0.0/16",
        cni="none",
        endpoint="x",
        mirror_address="",
        existing={"version": "1.36.3"},
    ).problems
    assert len({problem.code for problem in problems}) >= 12
    assert all(problem.path and problem.message and problem.remedy for problem in problems)


def test_the_unknown_version_lists_the_known_ones() -> None:
    (problem,) = plan(kubernetes_version="1.30.0", lock={}).problems
    assert problem.remedy == "Set cluster_kubernetes_version to one of: 1.35.4, 1.36.3."


def test_an_existing_cluster_keeps_its_endpoint() -> None:
    found = plan(existing={"endpoint": "10.9.0.13:6443"})
    assert not found.problems
    assert found.plan["cluster"]["endpoint"] == "10.9.0.13:6443"


def test_a_control_plane_may_be_opened_for_workloads() -> None:
    found = plan(hosts=[{**CP, "node_taints": []}])
    assert found.plan["hosts"]["cp-1"]["taints"] == []
    assert "nowhere_to_run" not in [advice.code for advice in found.advice]
    assert "nowhere_to_run" in [advice.code for advice in plan(hosts=[CP]).advice]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["endpoint_single_host"]),
        # Too late for that.
        ({"existing": {"version": "1.36.3"}}, []),
        ({"hosts": [*THREE, *WORKERS], "endpoint": "10.9.0.100:6443"}, []),
        ({"endpoint": "api.example.com:6443", "max_nodes": 2}, ["max_nodes_low"]),
        ({"endpoint": "api.example.com:6443", "pod_cidr": "10.244.0.0/22", "hosts": [*THREE, WORKERS[0]]},
         ["no_growth"]),
        ({"endpoint": "api.example.com:6443", "pod_cidr": "11.0.0.0/16"}, ["range_public"]),
    ],
)  # fmt: skip
def test_advice_does_not_fail(options: dict[str, Any], expected: list[str]) -> None:
    found = plan(**options)
    assert not found.problems
    assert [advice.code for advice in found.advice] == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("a=b:NoSchedule", {"key": "a", "value": "b", "effect": "NoSchedule"}),
        ("x.io/a:NoExecute", {"key": "x.io/a", "value": "", "effect": "NoExecute"}),
        ({"key": "a", "effect": "NoSchedule"}, {"key": "a", "value": "", "effect": "NoSchedule"}),
        ({"key": "a", "effect": "NoSchedule", "operator": "Exists"}, None),
        ({"key": "a"}, None),
        ("a", None),
        (None, None),
    ],
)
def test_taints_are_read_in_both_notations(item: Any, expected: Any) -> None:
    assert parse_taint(item) == expected


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (_names.is_dns_name, ["a", "a-b.c1", "1"], ["", "A", "-a", "a-", "a..b", "a_b", "a" * 64]),
        (_names.is_label_key, ["a", "a.b/C_d", "A-1"], ["", "/a", "a/", "a/b/c", "A.b/c", "a" * 64]),
        (_names.is_label_value, ["", "a", "A_b.c-1"], ["-a", "a b", "a" * 64]),
        (_names.is_host, ["10.0.0.1", "a.example.com"], ["10.0.0.300", "1.2.3", "", "a b"]),
        (_names.is_san, ["*.example.com", "fd00::1", "10.0.0.1"], ["*", "a.*.com", "x:1"]),
        (_names.is_repository_prefix, ["", "a/", "a/b-c/"], ["a", "/a/", "A/", "a//"]),
        (_names.is_cluster_name, ["lab", "Prod-1"], ["", "a b", "-a", "a" * 64]),
    ],
)
def test_syntax(check: Any, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not check(text)] == []
    assert [text for text in bad if check(text)] == []


VARIABLES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["control_plane", "worker", "worker", "worker"]),
        "ansible_host": st.sampled_from([f"10.9.0.{number}" for number in range(1, 9)] + ["x", ""]),
    },
    optional={
        "node_name": st.sampled_from(["a", "b", "B"]),
        "node_labels": st.dictionaries(st.sampled_from(["a", "b", "c d"]), st.sampled_from(["1", "", "x y", 1])),
        "node_taints": st.lists(st.sampled_from(["a:NoSchedule", "a=1:NoSchedule", "b=c:NoExecute", "x"]), max_size=3),
        "pools": st.lists(st.sampled_from(["gpu", "cpu"]), max_size=2),
        "node_arch": st.sampled_from(["amd64", "arm64", "mips"]),
    },
)
HOSTS = st.lists(
    st.builds(lambda name, rest: {"inventory_hostname": name, **rest}, st.sampled_from("abcdef"), VARIABLES), max_size=8
)


@given(HOSTS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(hosts: list[dict[str, Any]], chance: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in chance.sample(list(value), len(value))}
        return value

    one = plan(hosts=hosts, api_sans=["a", "b"], releases=["1.36.3", "1.35.4"])
    other = plan(
        hosts=[shuffled(item) for item in chance.sample(hosts, len(hosts))],
        api_sans=["b", "a"],
        releases=["1.35.4", "1.36.3"],
        lock=shuffled({"amd64": lock()}),
    )
    assert one.plan == other.plan
    assert repr(one.plan["order"]) == repr(other.plan["order"])
    assert to_dicts(one.problems) == to_dicts(other.problems)
    assert to_dicts(one.advice) == to_dicts(other.advice)


@given(HOSTS)
def test_an_accepted_plan_can_be_applied(hosts: list[dict[str, Any]]) -> None:
    found = plan(hosts=hosts)
    if found.problems:
        return
    planned = found.plan["hosts"].values()
    assert len({item["name"] for item in planned}) == len({item["address"] for item in planned}) == len(planned)
    assert len(found.plan["order"]["control_plane"]) % 2 == 1
    assert sorted(sum(found.plan["order"].values(), [])) == sorted(found.plan["hosts"])


def test_a_thousand_hosts_are_planned_quickly() -> None:
    hosts = [
        host(f"node-{number}", f"10.9.{number // 250}.{number % 250 + 1}", node_labels={"example.com/rack": "r1"},
             node_taints=["a=b:NoSchedule"])
        for number in range(1000)
    ]  # fmt: skip
    start = time.monotonic()
    found = plan(hosts=[host("cp-1", "10.9.100.1", "control_plane"), *hosts], pod_cidr="10.244.0.0/14")
    assert time.monotonic() - start < 1
    assert [problem.code for problem in found.problems] == []


def test_dns_servers_are_not_taken_away_by_a_run_that_looks_at_few_hosts() -> None:
    hosts = [CP, *(host(f"w-{number}", f"10.9.0.{40 + number}", node_name=f"n-{number}") for number in range(19))]
    names = [str(item["inventory_hostname"]) for item in hosts]
    every = plan(hosts=hosts, dns={"cache": True}, facts={name: {"cpus": 32} for name in names}).plan
    few = plan(
        hosts=hosts,
        dns={"cache": True},
        facts={name: {"cpus": 32} for name in ("cp-1", "w-18")},
        node_cpus={"cp-1": 32, **{f"n-{number}": 32 for number in range(18)}},
    ).plan
    assert few["dns"]["replicas"] == every["dns"]["replicas"] == 10
