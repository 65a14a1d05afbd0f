# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a cluster off a host that is laid out in a directory; no program is run and nothing outside is touched."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostloops, _hostremains, _hostreset
from ansible_collections.hostplane.cluster.plugins.module_utils._hostfacts import cluster_facts
from ansible_collections.hostplane.cluster.plugins.module_utils._hostremains import Item, Mount, Scope
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System

MARKER = "/etc/kubernetes/hostplane.json"
SCOPE = Scope(owned=True, cni_files=("10-flannel.conflist",))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Programs that would have been run, in order."""
    calls: list[tuple[str, ...]] = []

    def run(*argv: str, stdin: str = "", timeout: float = 0) -> str:
        calls.append(argv)
        return ""

    monkeypatch.setattr(_hostremains, "run", run)
    monkeypatch.setattr(_hostreset, "_umount", lambda point: calls.append(("umount", point)))
    monkeypatch.setattr(_hostreset.os, "kill", lambda pid, number: calls.append(("kill", str(pid))))
    monkeypatch.setattr(_hostreset, "SETTLE_SECONDS", 0.0)
    return calls


@pytest.fixture
def node(tmp_path: Path, ran: list[tuple[str, ...]]) -> System:
    """A host with a complete node."""
    put(tmp_path, MARKER, '{"cluster": "shop", "phase": "join-done"}')
    for path in (
        "/etc/kubernetes/pki/ca.crt",
        "/var/lib/kubelet/config.yaml",
        "/var/lib/containerd/io.containerd.content.v1.content/blobs/x",
        "/etc/containerd/config.toml",
        "/etc/cni/net.d/10-flannel.conflist",
        "/opt/cni/bin/bridge",
        "/usr/local/bin/kubelet",
        "/usr/local/bin/containerd",
        "/usr/local/bin/other-program",
        "/etc/systemd/system/kubelet.service",
        "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
        "/etc/systemd/system/hostplane-lan.service",
        "/etc/systemd/system/multi-user.target.wants/hostplane-lan.service",
        "/etc/sysctl.d/99-zz-hostplane.conf",
        "/etc/sysctl.d/99-mine.conf",
        "/proc/self/mountinfo",
    ):
        put(tmp_path, path)
    return System(str(tmp_path))


def put(root: Path, path: str, text: str = "") -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def files(system: System) -> list[str]:
    root = Path(system.root)
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "proc" not in path.parts
    )


def test_a_host_answers_for_nobody_any_more(node: System) -> None:
    root = Path(node.root)
    put(root, "/etc/sysctl.d/99-zz-hostplane-underlay.conf", "# ours\nnet/ipv4/conf/eth0.7/proxy_arp = 1\n")
    for name, value in {"default": "0", "eth0.7": "1", "eth1": "1"}.items():
        put(root, f"/proc/sys/net/ipv4/conf/{name}/proxy_arp", f"{value}\n")
    _hostreset.reset(node, SCOPE, 1)
    assert node.read("/proc/sys/net/ipv4/conf/eth0.7/proxy_arp") == "0"
    # The operator's.
    assert node.read("/proc/sys/net/ipv4/conf/eth1/proxy_arp") == "1\n"


def test_everything_of_the_cluster_goes_and_nothing_else(node: System) -> None:
    put(Path(node.root), "/etc/cni/net.d/87-podman.conflist")
    assert _hostreset.reset(node, SCOPE, 1) == []
    assert files(node) == [
        "etc/cni/net.d/87-podman.conflist",
        "etc/sysctl.d/99-mine.conf",
        "usr/local/bin/other-program",
    ]
    assert not node.exists("/opt/cni")
    assert _hostremains.survey(node, SCOPE) == []


def test_links_of_flannel_have_the_number_that_the_cluster_chose(tmp_path: Path) -> None:
    for name in ("flannel.4096", "flannel-v6.1", "flannel.conf", "flannel-wg", "cni0", "eth0"):
        put(tmp_path, f"/sys/class/net/{name}/mtu")
    assert _hostremains.links(System(str(tmp_path))) == ["cni0", "flannel-v6.1", "flannel.4096"]


def test_a_second_reset_does_nothing(node: System, ran: list[tuple[str, ...]]) -> None:
    _hostreset.reset(node, SCOPE, 1)
    ran.clear()
    assert _hostreset.reset(node, SCOPE, 1) == []
    assert {call[0] for call in ran} <= {"systemctl", "nft", "iptables-save", "ip6tables-save"}
    assert all(call[:2] == ("systemctl", "show") for call in ran if call[0] == "systemctl")


def test_the_marker_and_the_programs_go_last(node: System) -> None:
    order = _hostremains.paths(node, SCOPE)
    assert order[-1] == "/etc/kubernetes"
    assert order.index("/var/lib/kubelet") < order.index("/usr/local/bin/kubelet")
    assert order.index("/var/lib/containerd") < order.index("/usr/local/bin/containerd")


def test_a_reset_that_was_killed_is_finished(node: System, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = _hostreset._remove
    gone: list[str] = []

    def killed(system: System, path: str) -> None:
        if len(gone) == 3:
            raise KeyboardInterrupt
        gone.append(path)
        remove(system, path)

    monkeypatch.setattr(_hostreset, "_remove", killed)
    with pytest.raises(KeyboardInterrupt):
        _hostreset.reset(node, SCOPE, 1)
    monkeypatch.setattr(_hostreset, "_remove", remove)
    assert _hostreset.owns(node, cluster_facts(node, "shop"), False)
    assert _hostreset.reset(node, SCOPE, 1) == []


def test_directories_that_the_operator_placed_elsewhere_are_emptied(node: System, monkeypatch: t.Any) -> None:
    root = Path(node.root)
    disk = root / "mnt" / "disk"
    disk.mkdir(parents=True)
    (disk / "member").write_text("")
    (root / "var/lib/etcd").symlink_to(disk)
    mounted = node.path("/var/lib/containerd")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == mounted)
    assert _hostreset.reset(node, SCOPE, 1) == []
    assert (list(disk.iterdir()), os.listdir(mounted)) == ([], [])
    assert (root / "var/lib/etcd").is_symlink()


def test_nothing_below_a_mount_is_deleted_but_it_is_reported(node: System) -> None:
    precious = node.path("/var/lib/kubelet/pods/1/volumes/nfs")
    put(Path(node.root), "/var/lib/kubelet/pods/1/volumes/nfs/data", "precious")
    put(Path(node.root), "/proc/self/mountinfo", f"1 2 0:50 / {precious} rw - nfs x rw\n")
    assert [str(item) for item in _hostreset.reset(node, SCOPE, 1)] == ["path /var/lib/kubelet"]
    assert node.read("/var/lib/kubelet/pods/1/volumes/nfs/data") == "precious"


def test_volumes_are_let_go_and_keep_their_data(node: System, monkeypatch: pytest.MonkeyPatch) -> None:
    root, pool = Path(node.root), "/srv/volumes/pool"
    put(root, f"{pool}/pvc-1.img", "precious")
    put(root, f"{pool}/pvc-1.json", "{}")
    attached = {"/dev/loop1": f"{pool}/pvc-1.img"}
    monkeypatch.setattr(_hostloops, "of_pools", lambda system, pools: dict(attached) if pool in pools else {})
    monkeypatch.setattr(_hostloops, "detach", lambda system, path: attached.pop(path))
    scope = SCOPE._replace(pools=(pool, "/srv/none"))
    assert f"loop /dev/loop1 of {pool}/pvc-1.img" in [str(item) for item in _hostremains.survey(node, scope)]
    assert _hostreset.reset(node, scope, 1) == [] and not attached
    assert node.read(f"{pool}/pvc-1.img") == "precious" and node.exists(f"{pool}/pvc-1.json")
    # A device that somebody still uses is named; data goes only when its path is named too.
    attached["/dev/loop1"] = f"{pool}/pvc-1.img"
    monkeypatch.setattr(_hostloops, "detach", lambda system, path: None)
    assert [item.kind for item in _hostreset.reset(node, scope, 1)] == ["loop"]
    attached.clear()
    assert _hostreset.reset(node, scope._replace(paths=(pool,)), 1) == [] and not node.exists(pool)


def test_what_is_not_owned_is_not_even_looked_at(node: System) -> None:
    before = files(node)
    names = [str(item) for item in _hostremains.survey(node, Scope(owned=False, paths=("/etc/cni",)))]
    assert [name for name in names if "hostplane-lan" not in name] == [
        "path /etc/cni",
        "path /etc/sysctl.d/99-zz-hostplane.conf",
    ]
    assert files(node) == before


@pytest.mark.parametrize(
    ("marker", "leftovers", "confirm", "force", "word"),
    [
        ({"cluster": "shop"}, [], "", False, "empty"),
        ({"cluster": "shop"}, [], "other", True, "'other'"),
        ({"cluster": "other"}, [], "shop", True, "belongs to cluster 'other'"),
        ({}, ["/etc/kubernetes/admin.conf"], "shop", False, "reset_force"),
        ({}, ["/etc/kubernetes/admin.conf"], "shop", True, ""),
        ({}, [], "shop", False, ""),
        ({"cluster": "shop"}, ["/etc/kubernetes/admin.conf"], "shop", False, ""),
    ],
)
def test_refusals(marker: dict[str, str], leftovers: list[str], confirm: str, force: bool, word: str) -> None:
    ours = marker.get("cluster") == "shop"
    state = "member" if ours else "foreign" if marker or leftovers else "empty"
    reason = _hostreset.refusal({"state": state, "marker": marker, "leftovers": leftovers}, "shop", confirm, force)
    assert (word in reason) if word else reason == ""


def test_a_host_with_a_packaged_containerd_is_not_ours(tmp_path: Path) -> None:
    put(tmp_path, "/etc/containerd/config.toml")
    put(tmp_path, "/usr/bin/containerd")
    system = System(str(tmp_path))
    assert not _hostreset.owns(system, cluster_facts(system, "shop"), False)
    assert _hostreset.owns(system, cluster_facts(system, "shop"), True)


def test_units_of_packages_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = (
        "Id=kubelet.service\nActiveState=activating\nFragmentPath=/etc/systemd/system/kubelet.service\nUnitFileState=enabled\n\n"
        "Id=containerd.service\nActiveState=active\nFragmentPath=/usr/lib/systemd/system/containerd.service\n"
        "UnitFileState=enabled\n\n"
        "Id=kubepods.slice\nActiveState=active\nFragmentPath=/run/systemd/transient/kubepods.slice\nUnitFileState=transient\n"
    )
    monkeypatch.setattr(_hostremains, "run", lambda *argv, **more: shown)
    assert _hostremains.units(_hostremains.UNITS) == [Item("unit", "kubelet.service"), Item("unit", "kubepods.slice")]


def test_only_our_chains_are_taken_out_of_iptables(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = """# Generated
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:DOCKER - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A KUBE-SERVICES -j CNI-HOSTPORT-DNAT
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
COMMIT
"""
    monkeypatch.setattr(_hostremains, "run", lambda *argv, **more: saved)
    assert _hostremains.rules("iptables") == {
        "nat": [
            '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
            "-F KUBE-SERVICES",
            "-F CNI-HOSTPORT-DNAT",
            "-X KUBE-SERVICES",
            "-X CNI-HOSTPORT-DNAT",
        ]
    }


def test_only_our_nftables_tables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [("ip", "kube-proxy"), ("ip6", "flannel-ipv6"), ("inet", "firewalld"), ("ip", "nat")]
    listed = {"nftables": [{"metainfo": {}}, *({"table": {"family": a, "name": b}} for a, b in tables)]}
    monkeypatch.setattr(_hostremains, "run", lambda *argv, **more: json.dumps(listed))
    assert _hostremains.tables() == ["ip kube-proxy", "ip6 flannel-ipv6"]
    monkeypatch.setattr(_hostremains, "run", lambda *argv, **more: "")
    assert _hostremains.tables() == []


def test_only_the_virtual_address_that_is_there_is_named(node: System, monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        Path(node.root),
        "/etc/kubernetes/balancer/keepalived.conf",
        "    virtual_ipaddress {\n        10.9.0.100/32 dev eth0\n    }\n",
    )
    shown = "2: eth0 inet 10.9.0.11/24 brd 10.9.0.255\n2: eth0 inet 10.9.0.100/32 scope global eth0"
    monkeypatch.setattr(_hostremains, "run", lambda *argv, **more: shown)
    assert _hostremains.addresses(node) == ["10.9.0.100/32 dev eth0"]
    monkeypatch.setattr(_hostremains, "run", lambda *argv, **more: shown.splitlines()[0])
    assert _hostremains.addresses(node) == []


def test_processes_of_pods_and_of_our_programs(node: System) -> None:
    def process(pid: int, name: str, exe: str, cgroup: str = "", command: str = "") -> None:
        put(Path(node.root), f"/proc/{pid}/comm", f"{name}\n")
        put(Path(node.root), f"/proc/{pid}/cgroup", cgroup)
        put(Path(node.root), f"/proc/{pid}/cmdline", command)
        if exe:
            (Path(node.root) / f"proc/{pid}/exe").symlink_to(exe)

    process(1, "systemd", "/usr/lib/systemd/systemd")
    process(2, "kubelet", "/usr/local/bin/kubelet")
    process(3, "nginx", "/usr/sbin/nginx", "0::/kubepods.slice/pod1/cri-containerd-1.scope\n")
    process(4, "zombie", "", "0::/kubepods.slice/pod1\n")
    process(
        5, "containerd-shim", "/usr/local/bin/containerd-shim-runc-v2", command="shim\0-namespace\0k8s.io\0-id\0x\0"
    )
    process(6, "containerd-shim", "/usr/bin/containerd-shim-runc-v2", command="shim\0-namespace\0moby\0")
    process(7, "containerd", "/usr/bin/containerd")
    assert sorted(_hostremains.processes(node)) == [2, 3, 5]


def test_only_mounts_of_a_directory_on_itself_are_the_kubelets() -> None:
    root = Mount("/", "8:1", "/")
    disk = Mount("/var/lib/kubelet", "8:17", "/")
    own = Mount("/var/lib/kubelet", "8:1", "/var/lib/kubelet")
    assert _hostremains.self_binds([root, own], ["/var/lib/kubelet"]) == ["/var/lib/kubelet"]
    assert _hostremains.self_binds([root, disk], ["/var/lib/kubelet"]) == []
    assert _hostremains.self_binds([root, disk, disk], ["/var/lib/kubelet"]) == ["/var/lib/kubelet"]
    assert (
        _hostremains.self_binds([root, Mount("/var/lib/kubelet", "8:1", "/data/kubelet")], ["/var/lib/kubelet"]) == []
    )
