# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of host_check: one healthy host, and for every finding the fact that causes it."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostcheck, _hostcompare
from ansible_collections.hostplane.cluster.plugins.module_utils._hostneeds import PROGRAMS, SUPPORTED_OS
from hypothesis import given
from hypothesis import strategies as st

FEATURES = ["overlay", "bridge", "br_netfilter", "veth", "vxlan", "nf_conntrack", "nf_tables"]
OF_USES = ["loop", "ext4", "nfs", "nfsv4", "macvlan"]
HEALTHY: dict[str, t.Any] = {
    "os": {"id": "debian", "version": "13", "name": "Debian GNU/Linux 13 (trixie)", "family": "debian"},
    "kernel": "6.12.41+deb13-amd64",
    "features": {name: {"state": "present", "detail": "built in"} for name in FEATURES + OF_USES},
    "arch": "amd64",
    "cpus": 4,
    "memory_mb": 8000,
    "hostname": "w1",
    "machine_id": "a" * 32,
    "addresses": ["10.0.0.21"],
    "known_as": ["127.0.1.1"],
    "cgroup": {"version": 2, "controllers": ["cpu", "cpuset", "devices", "freezer", "memory", "pids"]},
    "swap": [],
    "root": True,
    "systemd": True,
    "selinux": "disabled",
    "ip_forward": {"value": "0", "writable": True},
    "disks": [{"paths": ["/var/lib/containerd"], "free_mb": 50000}],
    "missing_programs": ["conntrack"],
    "listeners": [],
    "runtimes": [],
    "firewalls": [],
    "clock_synchronized": True,
    "cluster": {"state": "empty", "marker": {}, "leftovers": [], "cni_files": []},
}
OPTIONS: dict[str, t.Any] = {
    "cluster_name": "shop",
    "role": "control_plane",
    "node_name": "w1",
    "address": "10.0.0.21",
    "arch": "amd64",
    "peers": [{"name": "w2", "address": "10.0.0.22"}],
    "mirror": None,
    "min_cpus": 0,
    "min_memory_mb": 0,
    "min_disk_gb": 0,
    "min_kernel": "5.10",
    "features": FEATURES,
    "uses": [],
    "extra_ports": [],
    "cni_files": ["10-flannel.conflist"],
}


def codes(change: dict[str, t.Any] | None = None, **options: t.Any) -> list[str]:
    """Codes found on the healthy host after some facts are replaced; a.b reaches into a."""
    facts = copy.deepcopy(HEALTHY)
    for path, value in (change or {}).items():
        *parents, last = path.split(".")
        place = facts
        for name in parents:
            place = place[name]
        place[last] = value
    found = _hostcheck.check({**OPTIONS, **options}, facts)
    assert all(entry["message"] and entry["remedy"] for entry in found)
    return [entry["code"] for entry in found]


def test_healthy_host_has_no_findings() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"os": {"id": "arch", "version": "", "name": "Arch Linux", "family": ""}}, "UnsupportedOS"),
        ({"os.version": "11"}, "UnsupportedOS"),
        ({"os.version": "130"}, "UnsupportedOS"),
        ({"arch": "arm64"}, "Architecture"),
        ({"kernel": "4.19.91-28.an8"}, "KernelVersion"),
        ({"root": False}, "Root"),
        ({"systemd": False}, "Systemd"),
        ({"features.overlay": {"state": "missing", "detail": "CONFIG_OVERLAY_FS"}}, "KernelFeature-overlay"),
        ({"features.vxlan": {"state": "disabled", "detail": "/etc/modprobe.d/cis.conf"}}, "KernelFeature-vxlan"),
        ({"ip_forward": {"value": "0", "writable": False}}, "IPForward"),
        ({"cgroup.controllers": ["cpu", "cpuset", "pids"]}, "Cgroup"),
        ({"cpus": 1}, "NumCPU"),
        ({"memory_mb": 1699}, "Memory"),
        ({"disks": [{"paths": ["/var/lib/etcd"], "free_mb": 9000}]}, "DiskSpace"),
        ({"swap": ["/dev/sda3"]}, "Swap"),
        ({"missing_programs": ["mount"]}, "MissingProgram-mount"),
        ({"missing_programs": ["iptables", "nft"]}, "MissingProgram-iptables"),
        ({"addresses": ["10.0.0.9"]}, "NodeAddress"),
        ({"known_as": ["10.0.0.22"]}, "HostnameClash"),
        ({"addresses": ["10.0.0.21", "10.0.0.22"]}, "AddressClash"),
        ({"listeners": [{"port": 6443, "pid": 7, "process": "nginx"}]}, "Port-6443"),
        ({"listeners": [{"port": 10250, "pid": 7, "process": "kubelet"}]}, "Port-10250"),
        ({"cluster.cni_files": ["87-podman-bridge.conflist"]}, "ForeignCNI-87-podman-bridge.conflist"),
        ({"runtimes": [{"name": "dockerd", "exe": "/usr/bin/dockerd", "pid": 9}]}, "ContainerRuntime-dockerd"),
        ({"runtimes": [{"name": "containerd", "exe": "/usr/bin/containerd", "pid": 9}]}, "ContainerRuntime-containerd"),
        ({"firewalls": ["firewalld"]}, "Firewall-firewalld"),
        ({"cluster.state": "foreign", "cluster.leftovers": ["/etc/kubernetes/admin.conf"]}, "ForeignCluster"),
        ({"cluster.state": "foreign", "cluster.marker": {"cluster": "other"}}, "ForeignCluster"),
    ],
)
def test_each_fault_is_found_and_nothing_else(change: dict[str, t.Any], expected: str) -> None:
    assert codes(change) == [expected]


def test_a_kernel_without_what_volumes_need_is_found_only_when_they_are_wanted() -> None:
    change = {f"features.{name}": {"state": "missing", "detail": ""} for name in ("nfs", "nfsv4", "loop")}
    assert codes(change) == []
    assert codes(change, uses=["nfs"]) == ["KernelFeature-nfs", "KernelFeature-nfsv4"]
    assert codes(change, uses=["local_volume"]) == ["KernelFeature-loop"]
    assert codes(change, uses=["local_volume", "nfs"], ignore=[]) == [
        "KernelFeature-loop", "KernelFeature-nfs", "KernelFeature-nfsv4",
    ]  # fmt: skip
    assert codes(change, uses=["local_volume", "nfs"], role="mirror") == []
    facts = copy.deepcopy(HEALTHY)
    facts["features"]["nfs"] = {"state": "disabled", "detail": "/etc/modprobe.d/cis.conf"}
    (found,) = _hostcheck.check({**OPTIONS, "uses": ["nfs"]}, facts)
    assert "which nfs needs" in found["message"] and "/etc/modprobe.d/cis.conf" in found["remedy"]


def test_all_findings_at_once() -> None:
    found = codes({"swap": ["/swap"], "cpus": 1, "kernel": "3.10", "arch": "arm64"})
    assert set(found) == {"Swap", "NumCPU", "KernelVersion", "Architecture"}


def test_cgroup_version_1_is_named_with_the_version_that_refuses_it() -> None:
    facts = copy.deepcopy(HEALTHY)
    controllers = ["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"]
    facts["cgroup"] = {"version": 1, "controllers": controllers}
    (found,) = _hostcheck.check(OPTIONS, facts)
    assert (found["code"], found["since"]) == ("CgroupV1", "1.35")
    assert "failCgroupV1" in found["remedy"]


@pytest.mark.parametrize("state", ["begun", "member"])
def test_our_own_cluster_may_hold_its_ports_and_its_disk(state: str) -> None:
    held = [(6443, "kube-apiserver"), (2379, "etcd"), (10250, "kubelet"), (10259, "kube-scheduler")]
    change = {
        "cluster.state": state,
        "cluster.cni_files": ["10-flannel.conflist", "87-podman-bridge.conflist"],
        "listeners": [{"port": port, "pid": 1, "process": name} for port, name in held],
        "runtimes": [{"name": "containerd", "exe": "/usr/local/bin/containerd", "pid": 5}],
        "disks": [{"paths": ["/var/lib/containerd"], "free_mb": 2000}],
    }
    assert codes(change) == []
    assert codes({**change, "listeners": [{"port": 6443, "pid": 1, "process": "nginx"}]}) == ["Port-6443"]
    assert codes({**change, "disks": [{"paths": ["/var/lib/etcd"], "free_mb": 500}]}) == ["DiskSpace"]


def test_the_balancers_ports_are_haproxys() -> None:
    ports: dict[str, t.Any] = {"balancer_ports": [8443, 8404]}
    assert {8443, 8404, 6443} <= set(_hostcheck.wanted_ports({**OPTIONS, **ports}))
    assert set(_hostcheck.wanted_ports({**OPTIONS, **ports, "role": "worker"})) == {10250}
    haproxy = [{"port": port, "pid": 9, "process": "haproxy"} for port in (8404, 8443)]
    assert codes({"listeners": haproxy, "cluster.state": "member"}, **ports) == []
    # Before there is a cluster it is somebody else's, and it never holds the API server's port.
    assert codes({"listeners": haproxy}, **ports) == ["Port-8404", "Port-8443"]
    other = [{"port": 8443, "pid": 9, "process": "nginx"}, {"port": 6443, "pid": 9, "process": "haproxy"}]
    assert codes({"listeners": other, "cluster.state": "member"}, **ports) == ["Port-8443", "Port-6443"]


def test_a_firewall_is_told_what_to_let_pass() -> None:
    def remedy(**options: t.Any) -> str:
        (found,) = _hostcheck.check({**OPTIONS, **options}, {**HEALTHY, "firewalls": ["ufw"]})
        return found["remedy"]

    assert "TCP 10250, UDP 8472 (or cluster_flannel.port) and the pod" in remedy(role="worker", balancer_ports=[8443])
    assert "VRRP" not in remedy()
    assert "6443, 8443, 10250" in remedy(balancer_ports=[8443]) and "VRRP" in remedy(balancer_ports=[8443])


def test_sizes_follow_the_role_unless_given() -> None:
    assert codes({"cpus": 1, "memory_mb": 1000}, role="worker") == []
    assert codes({"cpus": 1, "memory_mb": 1000}, role="worker", min_cpus=2, min_memory_mb=2000) == ["NumCPU", "Memory"]


def test_a_feature_that_a_setting_needs_is_missed_only_then() -> None:
    missing = {"features.macvlan": {"state": "missing", "detail": "CONFIG_MACVLAN"}}
    assert codes(missing) == []
    assert codes(missing, uses=["macvlan"]) == ["KernelFeature-macvlan"]


def test_a_mirror_that_runs_has_used_its_space() -> None:
    change = {"disks": [{"paths": ["/var/lib/containerd"], "free_mb": 2000}]}
    mirror = {"role": "mirror", "mirror": {"address": "10.0.0.9:5000"}}
    registry = [{"port": 5000, "pid": 9, "process": "hostplane-registry"}]
    assert codes(change, **mirror) == ["DiskSpace"]
    assert codes({**change, "listeners": registry}, **mirror) == []
    assert codes({**change, "listeners": [{**registry[0], "process": "nginx"}]}, **mirror) == ["DiskSpace", "Port-5000"]


def test_a_mirror_needs_neither_kernel_features_nor_a_host_without_swap() -> None:
    change = {
        "swap": ["/swap"],
        "features.vxlan": {"state": "missing", "detail": ""},
        "listeners": [{"port": 5000, "pid": 1, "process": "registry"}, {"port": 443, "pid": 2, "process": "nginx"}],
    }
    found = codes(change, role="mirror", mirror={"address": "10.0.0.21:5000"}, extra_ports=[443])
    assert found == ["Port-443"]


def test_remedies_name_the_package_of_the_family() -> None:
    facts = copy.deepcopy(HEALTHY)
    facts["missing_programs"] = ["ip"]
    facts["os"] = {"id": "rocky", "version": "9.4", "name": "Rocky Linux 9.4", "family": "rhel"}
    (found,) = _hostcheck.check(OPTIONS, facts)
    assert found["remedy"] == "dnf install iproute"


@given(st.sampled_from(sorted(SUPPORTED_OS)), st.integers(0, 99))
def test_minor_versions_of_supported_systems_are_supported(system: str, minor: int) -> None:
    for version in SUPPORTED_OS[system]:
        entry = {"id": system, "version": f"{version}.{minor}", "name": "", "family": "rhel"}
        assert "UnsupportedOS" not in codes({"os": entry})


@given(st.lists(st.sampled_from(sorted(PROGRAMS)), unique=True))
def test_missing_programs_are_each_reported_once(missing: list[str]) -> None:
    found = [code.split("-", 1)[1] for code in codes({"missing_programs": sorted(missing)})]
    assert len(found) == len(set(found))
    assert set(found) | {"conntrack", "nft", "iptables"} >= set(missing)
    assert ("iptables" in found) == ({"iptables", "nft"} <= set(missing))


@pytest.mark.parametrize(
    ("names", "expected"), [([], False), (["swap"], True), (["ALL"], True), (["Memory"], False), (["Swap"], True)]
)
def test_findings_are_accepted_by_name_as_kubeadm_does(names: list[str], expected: bool) -> None:
    assert _hostcheck.accepted("Swap", names) is expected


@given(st.floats(-100, 100), st.floats(0, 10), st.floats(0.1, 5))
def test_a_clock_is_only_blamed_beyond_the_doubt_of_the_measurement(skew: float, doubt: float, limit: float) -> None:
    found = _hostcheck.clock_finding(skew, doubt, limit)
    assert (found is not None) == (abs(skew) - doubt > limit)


def result(hostname: str, machine_id: str = "", skew: float = 0.0, uncertainty: float = 0.1) -> dict[str, t.Any]:
    facts = {"hostname": hostname, "machine_id": machine_id}
    return {"facts": facts, "clock": {"skew": skew, "uncertainty": uncertainty}}


def test_hosts_that_share_name_or_machine_id_are_told_about_each_other() -> None:
    found = _hostcompare.compare({"a": result("x", "1"), "b": result("x", "2"), "c": result("y", "2")})
    assert [(entry["code"], entry["host"]) for entry in found] == [
        ("HostnameClash", "a"),
        ("HostnameClash", "b"),
        ("MachineIdClash", "b"),
        ("MachineIdClash", "c"),
    ]
    assert "b" in found[0]["message"]


def test_clocks_are_also_compared_with_each_other() -> None:
    found = _hostcompare.compare({"a": result("a", skew=-0.8), "b": result("b", skew=0.8), "c": result("c")})
    assert [(entry["code"], entry["host"]) for entry in found] == [("ClockSkew", "b")]
    assert _hostcompare.compare({"a": result("a", skew=-0.8), "b": result("b", skew=0.8, uncertainty=0.7)}) == []


def test_hosts_without_result_are_no_twins() -> None:
    assert _hostcompare.compare({"a": {}, "b": {}}) == []
