# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the facts of hosts mean, each finding with the smallest fact that provokes it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_host_rules as rules

TARGET = (1, 36, 3)
GIB = 1024**3
MEMBER = {
    "name": "cp1", "id": "1", "healthy": True, "learner": False, "alarms": [], "error": "",
    "db_size": 10, "db_in_use": 10, "version": "3.6.8",
}  # fmt: skip


def facts(**more: Any) -> dict[str, Any]:
    return {"host": "cp1", **more}


def certificate(**more: Any) -> dict[str, Any]:
    return {
        "name": "apiserver",
        "path": "/a.crt",
        "managed_by": "kubeadm",
        "days_left": 90,
        "broken": "",
        "due": "",
        **more,
    }


def codes(found: Any) -> list[tuple[str, str]]:
    return [(item.code, item.severity) for item in found]


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ({"v": "4", "node-ip": "1.2.3.4"}, []),
        ({"pod-infra-container-image": "p"}, ["flag_removed"]),
        ({"feature-gates": "A=true,MemoryManager=true"}, ["gate_removed"]),
        ({"feature-gates": "ImageVolume=false"}, ["gate_locked"]),
        ({"feature-gates": "ImageVolume=true,GitRepoVolumeDriver=false"}, []),
    ],
)
def test_flags_that_went_away(flags: dict[str, str], wanted: list[str]) -> None:
    entries = [{"name": name, "value": value, "file": "/etc/default/kubelet"} for name, value in flags.items()]
    found = list(rules.check_kubelet(facts(kubelet_flags=entries, cgroup=2), TARGET))
    assert [item.code for item in found] == wanted
    assert all((item.severity, item.path, item.host) == ("error", "/etc/default/kubelet", "cp1") for item in found)


def test_flags_of_a_later_minor_are_no_matter() -> None:
    entries = [{"name": "pod-infra-container-image", "value": "p", "file": "f"}]
    assert not list(rules.check_kubelet(facts(kubelet_flags=entries), (1, 34, 0)))


def test_gates_of_the_configuration_are_seen() -> None:
    found = list(rules.check_kubelet(facts(kubelet_config={"feature_gates": {"TopologyAwareHints": True}}), TARGET))
    assert codes(found) == [("gate_removed", "error")]


@pytest.mark.parametrize(("version", "fails", "wanted"), [(1, True, ["cgroup_v1"]), (1, False, []), (2, True, [])])
def test_cgroup_version_1_is_refused_unless_it_is_wanted(version: int, fails: bool, wanted: list[str]) -> None:
    found = rules.check_kubelet(facts(cgroup=version, kubelet_config={"fail_cgroup_v1": fails}), TARGET)
    assert [item.code for item in found] == wanted


@pytest.mark.parametrize(
    ("version", "target", "wanted"),
    [
        ("1.7.28", (1, 37, 0), ["containerd_old"]),
        ("1.7.28", TARGET, []),
        ("2.0.0", (1, 37, 0), []),
        ("", (1, 37, 0), []),
    ],
)
def test_a_runtime_that_is_too_old(version: str, target: Any, wanted: list[str]) -> None:
    found = rules.check_containerd(facts(programs={"containerd": version}), target)
    assert [item.code for item in found] == wanted


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        (certificate(), []),
        (certificate(days_left=20, due="expires in 20 days"), [("certificate_expires", "warning")]),
        # The kubelet renews its own ones in time.
        (certificate(name="kubelet-client", days_left=20, due=""), []),
        (certificate(days_left=-1, broken="expired on 2026-01-01", due="expired"), [("certificate_broken", "error")]),
        (certificate(days_left=None, broken="is missing", due="is missing"), [("certificate_broken", "error")]),
    ],
)
def test_certificates(item: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    found = rules.check_certificates(facts(certificates={"found": [item], "error": ""}), 30)
    assert codes(found) == wanted


def test_certificates_that_can_not_be_read_are_told() -> None:
    found = rules.check_certificates(facts(certificates={"found": [], "error": "no openssl"}), 30)
    assert codes(found) == [("certificate_unread", "warning")]


def test_a_rotation_has_to_end_first() -> None:
    assert codes(rules.check_rotation(facts(ca_next=True))) == [("ca_rotation_unfinished", "error")]
    assert not list(rules.check_rotation(facts(ca_next=False)))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, []),
        ({"healthy": False, "error": "x"}, [("etcd_unhealthy", "error")]),
        ({"learner": True}, [("etcd_unhealthy", "error")]),
        ({"alarms": ["NOSPACE"]}, [("etcd_alarm", "error")]),
        ({"db_size": 2 * GIB, "db_in_use": 2 * GIB}, [("etcd_size", "error")]),
        ({"db_size": 2 * GIB}, [("etcd_fragmented", "warning")]),
        ({"version": "3.5.21"}, [("etcd_version", "error")]),
        ({"version": "3.5.26"}, []),
        ({"version": "3.4.30"}, [("etcd_version", "error")]),
        ({"version": "3.7.0"}, [("etcd_version", "error")]),
    ],
)
def test_etcd(change: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    found = facts(etcd={"members": [{**MEMBER, **change}], "error": ""})
    assert codes(rules.check_etcd(found, "registry.k8s.io/etcd:3.6.8-0", 2 * GIB, resumed=False)) == wanted


@pytest.mark.parametrize(("resumed", "severity"), [(False, "error"), (True, "warning")])
def test_etcd_that_an_interrupted_upgrade_has_stopped_does_not_block_it(resumed: bool, severity: str) -> None:
    silent = facts(etcd={"members": [], "error": "refused"})
    assert codes(rules.check_etcd(silent, "3.6.8", GIB, resumed)) == [("etcd_silent", severity)]
    sick = facts(etcd={"members": [{**MEMBER, "healthy": False, "error": "refused"}], "error": ""})
    assert codes(rules.check_etcd(sick, "3.6.8", GIB, resumed)) == [("etcd_unhealthy", severity)]


OLD, NEW = "1.35.4", "1.36.3"


@pytest.mark.parametrize(
    ("hosts", "begun"),
    [
        ({"cp1": (OLD, ""), "w1": (OLD, "")}, set()),
        ({"cp1": (OLD, NEW), "w1": (OLD, "")}, {"cp1"}),
        ({"cp1": (NEW, ""), "w1": (OLD, "")}, {"cp1"}),
        ({"cp1": (NEW, ""), "w1": (OLD, NEW)}, {"cp1", "w1"}),
        # Only a component is another one: that all have the version says nothing.
        ({"cp1": (NEW, ""), "w1": (NEW, "")}, set()),
        ({"cp1": (NEW, ""), "w1": (NEW, NEW)}, {"cp1", "w1"}),
        # A host that is not a member yet is not one that is behind.
        ({"cp1": (NEW, ""), "w1": ("", "")}, set()),
        ({"cp1": (OLD, "1.36.2"), "w1": (OLD, "")}, set()),
    ],
)
def test_hosts_show_whether_the_upgrade_has_begun(hosts: dict[str, tuple[str, str]], begun: set[str]) -> None:
    found = [{"host": host, "version": had, "upgrading_to": aim} for host, (had, aim) in hosts.items()]
    assert rules.begun(found, TARGET) == begun


def test_what_tells_no_version_has_not_begun() -> None:
    assert rules.begun([facts(programs={"kubelet": NEW, "kubeadm": NEW})], TARGET) == set()


def test_a_host_of_which_nothing_is_known_blocks() -> None:
    assert [(item.code, item.host) for item in rules.check_missing(["a", "b"], {"a": {}})] == [
        ("host_unreachable", "b")
    ]
