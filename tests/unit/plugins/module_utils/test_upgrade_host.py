# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells, laid out in a directory."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_host
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System

REQUESTED = "apiserver_requested_deprecated_apis"
GONE = 'group="networking.k8s.io",removed_release="1.37",resource="ipaddresses"'
METRICS = f"""# HELP {REQUESTED} [STABLE] Gauge of deprecated APIs
{REQUESTED}{{{GONE},subresource="",version="v1beta1"}} 1
{REQUESTED}{{{GONE},subresource="status",version="v1beta1"}} 1
{REQUESTED}{{group="",removed_release="",resource="endpoints",subresource="",version="v1"}} 1
apiserver_request_total{{group="",resource="pods"}} 12
"""


@pytest.fixture
def host(tmp_path: Path) -> System:
    def put(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    put("var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --hostname-override n1"\n')
    put(
        "etc/default/kubelet",
        "KUBELET_EXTRA_ARGS='--v=4'\nKUBELET_EXTRA_ARGS=\"--pod-infra-container-image=p:1 --cloud-config '' --v\"\n",
    )
    put(
        "var/lib/kubelet/config.yaml",
        "failCgroupV1: false\nfeatureGates:\n  A: true\n  B: false\nkind: KubeletConfiguration\n",
    )
    put(
        "etc/kubernetes/manifests/kube-apiserver.yaml",
        'containers:\n- command:\n  - x\n  image: "r/kube-apiserver:v1.35.4"\n',
    )
    put("etc/kubernetes/manifests/haproxy.yaml", "spec:\n  containers:\n    - image: haproxy:3.0\n")
    put("etc/kubernetes/pki/next/ca.crt", "")
    put("etc/kubernetes/hostplane.json", '{"cluster": "shop", "settings": {"version": "1.35.4"}}')
    put("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    return System(str(tmp_path))


def test_flags_come_from_the_files_of_the_unit_and_the_last_line_counts(host: System) -> None:
    assert [(entry["name"], entry["value"]) for entry in _upgrade_host.kubelet_flags(host)] == [
        ("cloud-config", ""),
        ("hostname-override", "n1"),
        ("node-ip", "10.0.0.1"),
        ("pod-infra-container-image", "p:1"),
        ("v", "true"),
    ]


def test_flags_that_can_not_be_unquoted_are_still_seen() -> None:
    assert _upgrade_host.words('KUBELET_EXTRA_ARGS=--a=1 "--b', "KUBELET_EXTRA_ARGS") == ["--a=1", '"--b']


def test_everything_is_collected_at_once(host: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upgrade_host, "program_versions", lambda: {"kubelet": "1.35.4"})
    monkeypatch.setattr(_upgrade_host, "places", list)
    facts = _upgrade_host.collect("cp1", 30, host)
    assert (facts["host"], facts["control_plane"], facts["cgroup"], facts["ca_next"]) == ("cp1", True, 2, True)
    assert facts["kubelet_config"] == {"feature_gates": {"A": True, "B": False}, "fail_cgroup_v1": False}
    assert facts["manifests"] == {"haproxy": "haproxy:3.0", "kube-apiserver": "r/kube-apiserver:v1.35.4"}
    assert (facts["version"], facts["upgrading_to"]) == ("1.35.4", "")
    assert facts["certificates"] == {"found": [], "error": ""}
    # Nothing answers on this machine, which is a fact and no failure.
    assert facts["etcd"]["error"] and facts["deprecated_requests"]["error"]


def test_a_worker_is_not_asked_for_etcd(host: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upgrade_host, "program_versions", dict)
    monkeypatch.setattr(_upgrade_host, "is_control_plane", lambda _root: False)
    monkeypatch.setattr(_upgrade_host, "places", list)
    assert not {"etcd", "deprecated_requests"} & set(_upgrade_host.collect("w1", 30, host))


def test_directories_of_one_file_system_share_its_space(host: System) -> None:
    (found,) = _upgrade_host.disks(host)
    assert found["paths"] == list(_upgrade_host.DIRECTORIES)
    (found,) = _upgrade_host.disks(host, "/var/backups/hostplane")
    assert "/var/backups/hostplane" in found["paths"]
    assert 0 < found["free"] <= found["size"]


def test_only_requests_with_a_date_of_removal_count_and_each_once() -> None:
    assert _upgrade_host.parse_metrics(METRICS) == [
        {"removed_release": "1.37", "group": "networking.k8s.io", "version": "v1beta1", "resource": "ipaddresses"}
    ]


@pytest.mark.parametrize(
    ("status", "count", "error"), [(200, 1, ""), (403, 0, "the API server answers /metrics with 403")]
)
def test_metrics_are_asked_of_the_hosts_own_server(
    monkeypatch: pytest.MonkeyPatch, status: int, count: int, error: str
) -> None:
    class Context:
        def load_cert_chain(self, *_paths: str) -> None:
            pass

    monkeypatch.setattr(ssl, "create_default_context", lambda **_options: Context())
    monkeypatch.setattr(_upgrade_host, "fetch", lambda *_arguments: (status, METRICS))
    found = _upgrade_host.deprecated_requests()
    assert (len(found["found"]), found["error"]) == (count, error)


def test_versions_are_what_the_programs_say() -> None:
    said = {
        "containerd": "containerd github.com/containerd/containerd/v2 v2.3.4 abc\n",
        "kubeadm": "v1.35.4\n",
        "kubectl": "Client Version: v1.35.4\nKustomize Version: v5.7.1\n",
        "kubelet": "Kubernetes v1.35.4\n",
        "runc": "",
    }

    def runner(command: list[str]) -> str:
        return said[command[0].rpartition("/")[2]]

    assert _upgrade_host.program_versions(runner) == {
        "containerd": "2.3.4", "kubeadm": "1.35.4", "kubectl": "1.35.4", "kubelet": "1.35.4", "runc": "",
    }  # fmt: skip


def test_a_program_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert _upgrade_host.run([str(tmp_path / "none")]) == ""
    assert _upgrade_host.run(["false"]) == ""


def test_facts_are_plain_data(host: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upgrade_host, "places", list)
    facts: dict[str, Any] = _upgrade_host.collect("cp1", 30, host)
    assert json.loads(json.dumps(facts)) == facts
