# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a host that is laid out in a directory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostfacts
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System

RELEASE = "6.1.0-1-amd64"


@pytest.fixture
def host(tmp_path: Path) -> System:
    put(tmp_path, "/proc/sys/kernel/osrelease", RELEASE + "\n")
    return System(str(tmp_path))


def put(system: System | Path, path: str, text: str = "") -> None:
    root = Path(system.root) if isinstance(system, System) else system
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def never(kind: tuple[str, ...]) -> bool:
    raise AssertionError("a cheaper proof was there")


def test_proofs_of_a_kernel_feature(host: System) -> None:
    put(host, "/proc/filesystems", "nodev\tproc\nnodev\toverlay\n\text4\n")
    put(host, f"/lib/modules/{RELEASE}/modules.builtin", "kernel/net/netfilter/nf_tables.ko\n")
    put(
        host,
        f"/lib/modules/{RELEASE}/modules.dep",
        "kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\nkernel/drivers/net/vxlan/vxlan.ko:\n"
        "kernel/fs/nfs/nfs.ko.zst: kernel/net/sunrpc/sunrpc.ko.zst\n",
    )
    put(host, "/sys/module/veth/initstate")
    put(host, "/sys/module/loop/parameters/max_loop")
    put(host, "/etc/modprobe.d/cis.conf", "# hardening\ninstall vxlan /bin/false\n")
    put(host, "/boot/config-" + RELEASE, "CONFIG_NF_CONNTRACK=m\nCONFIG_MACVLAN=y\n# CONFIG_BRIDGE is not set\n")
    states = {name: _hostfacts.feature(host, name, never) for name in _hostfacts.FEATURES}
    assert {name: found["state"] for name, found in states.items()} == {
        "overlay": "present",
        "macvlan": "present",
        "nf_tables": "present",
        "veth": "present",
        "br_netfilter": "loadable",
        "vxlan": "disabled",
        "nf_conntrack": "missing",
        "bridge": "missing",
        "loop": "present",
        "ext4": "present",
        "nfs": "loadable",
        "nfsv4": "missing",
    }
    assert states["vxlan"]["detail"] == "/etc/modprobe.d/cis.conf"
    assert "not installed" in states["nf_conntrack"]["detail"]


def test_configuration_of_a_kernel_without_modules(host: System) -> None:
    with gzip.open(Path(host.root) / "proc/config.gz", "wt") as handle:
        handle.write("CONFIG_VXLAN=y\n")
    assert _hostfacts.feature(host, "vxlan", never)["state"] == "present"
    assert _hostfacts.feature(host, "veth", never)["state"] == "missing"


@pytest.mark.parametrize("answer", [True, False])
def test_a_silent_kernel_is_asked_by_a_test_link(host: System, answer: bool) -> None:
    asked = []
    state = _hostfacts.feature(host, "vxlan", lambda kind: asked.append(kind[0]) or answer)["state"]  # type: ignore[func-returns-value]
    assert (state, asked) == ("present" if answer else "missing", ["vxlan"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="13"\n', ("debian", "13", "debian")),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', ("rocky", "9.4", "rhel")),
        ('ID="openEuler"\nVERSION_ID="24.03"\n', ("openeuler", "24.03", "rhel")),
        ("ID=linuxmint\nID_LIKE=ubuntu\n", ("linuxmint", "", "debian")),
        ("ID=arch\n", ("arch", "", "")),
        ("", ("", "", "")),
    ],
)
def test_operating_system(host: System, text: str, expected: tuple[str, str, str]) -> None:
    put(host, "/etc/os-release", text)
    found = _hostfacts.os_facts(host)
    assert (found["id"], found["version"], found["family"]) == expected


def test_cgroup_versions(host: System) -> None:
    mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    put(host, "/proc/self/mounts", mounts)
    put(host, "/proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\n")
    assert _hostfacts.cgroup_facts(host) == {"version": 1, "controllers": ["cpu"]}
    put(host, "/proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n")
    put(host, "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    found = _hostfacts.cgroup_facts(host)
    assert found["version"] == 2
    assert {"cpu", "cpuset", "memory", "pids"} <= set(found["controllers"])


def test_listeners_on_any_address_are_seen(host: System) -> None:
    put(
        host,
        "/proc/net/tcp",
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
        "   1: 0100007F:192B 0200007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n"
        "   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1\n",
    )
    put(host, "/proc/7/comm", "nginx\n")
    (Path(host.root) / "proc/7/fd").mkdir()
    (Path(host.root) / "proc/7/fd/3").symlink_to("socket:[4711]")
    (Path(host.root) / "proc/7/exe").symlink_to("/usr/sbin/nginx (deleted)")
    assert _hostfacts.listeners(host, [6443, 10250]) == [{"port": 6443, "pid": 7, "process": "nginx"}]


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({}, "empty"),
        ({"/usr/local/bin/kubelet": ""}, "installed"),
        ({"/etc/kubernetes/patches/x.json": "", "/etc/kubernetes/pki/ca.crt": ""}, "empty"),
        ({"/etc/kubernetes/hostplane.json": '{"cluster": "shop", "phase": "init-started"}'}, "begun"),
        ({"/etc/kubernetes/hostplane.json": '{"cluster": "shop", "phase": "join-done"}'}, "member"),
        ({"/etc/kubernetes/hostplane.json": '{"cluster": "other", "phase": "join-done"}'}, "foreign"),
        ({"/etc/kubernetes/kubelet.conf": ""}, "foreign"),
        ({"/var/lib/etcd/member/wal/0": ""}, "foreign"),
        ({"/etc/kubernetes/manifests/etcd.yaml": ""}, "foreign"),
        ({"/var/lib/rancher/k3s/x": ""}, "foreign"),
        ({"/etc/kubernetes/hostplane.json": "not json", "/etc/kubernetes/admin.conf": ""}, "foreign"),
    ],
)
def test_whose_cluster_a_host_carries(host: System, files: dict[str, str], state: str) -> None:
    for path, text in files.items():
        put(host, path, text)
    assert _hostfacts.cluster_facts(host, "shop")["state"] == state


def test_cni_files_are_those_that_containerd_reads(host: System) -> None:
    for name in ("10-flannel.conflist", "87-podman-bridge.conflist", ".kubernetes-cni-keep", "readme"):
        put(host, f"/etc/cni/net.d/{name}")
    assert _hostfacts.cluster_facts(host, "x")["cni_files"] == ["10-flannel.conflist", "87-podman-bridge.conflist"]


def test_everything_of_this_machine_is_plain_data() -> None:
    facts = _hostfacts.collect(System(), "shop", [6443], ["mount", "no-such-program"], "node")
    assert json.loads(json.dumps(facts)) == facts
    assert facts["missing_programs"] == ["no-such-program"]
