# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel settings: what counts as right is what the kernel has."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostkernel
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System
from hypothesis import given
from hypothesis import strategies as st

SYSCTLS = {"net.ipv4.ip_forward": "1"}
MINIMUMS = {"fs.inotify.max_user_instances": "1024"}


@pytest.fixture
def host(tmp_path: Path) -> System:
    put(tmp_path, "/proc/sys/net/ipv4/ip_forward", "0\n")
    put(tmp_path, "/proc/sys/fs/inotify/max_user_instances", "128\n")
    put(tmp_path, "/sys/module/overlay/x", "")
    put(tmp_path, "/proc/swaps", "Filename Type\n/dev/sda3 partition\n")
    return System(str(tmp_path))


def put(root: Path, path: str, text: str) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def kinds(changes: list[_hostkernel.Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.name) for change in changes]


def test_second_run_finds_nothing(host: System) -> None:
    first = _hostkernel.plan(host, ["overlay"], SYSCTLS, MINIMUMS)
    assert kinds(first) == [
        *(("file", path) for path in _hostkernel.FILES),
        ("sysctl", "net.ipv4.ip_forward"),
        ("sysctl", "fs.inotify.max_user_instances"),
    ]
    _hostkernel.apply(host, first)
    assert host.read("/proc/sys/net/ipv4/ip_forward") == "1"
    assert _hostkernel.plan(host, ["overlay"], SYSCTLS, MINIMUMS) == []


def test_a_value_that_was_written_but_not_applied_is_put_right(host: System) -> None:
    _hostkernel.apply(host, _hostkernel.plan(host, [], SYSCTLS, MINIMUMS))
    put(Path(host.root), "/proc/sys/net/ipv4/ip_forward", "0\n")
    assert kinds(_hostkernel.plan(host, [], SYSCTLS, MINIMUMS)) == [("sysctl", "net.ipv4.ip_forward")]


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_minimums_are_only_raised(tmp_path_factory: pytest.TempPathFactory, have: int, least: int) -> None:
    root = tmp_path_factory.mktemp("host")
    put(root, "/proc/sys/vm/x", f"{have}\n")
    assert bool(_hostkernel.sysctl_changes(System(str(root)), {}, {"vm.x": str(least)})) == (have < least)


def test_keys_that_may_fail(host: System) -> None:
    assert _hostkernel.sysctl_changes(host, {"-net.bridge.bridge-nf-call-iptables": "1"}, {}) == []
    (change,) = _hostkernel.sysctl_changes(host, {"net.bridge.bridge-nf-call-iptables": "1"}, {})
    with pytest.raises(_hostkernel.HostKernelError, match="bridge-nf-call-iptables: No such file"):
        _hostkernel.apply(host, [change])


def test_values_of_several_numbers_are_compared_by_number(host: System) -> None:
    put(Path(host.root), "/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
    assert _hostkernel.sysctl_changes(host, {"net.ipv4.tcp_rmem": "4096 131072 6291456"}, {}) == []


def test_all_refusals_are_named(host: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hostkernel, "_run", lambda *argv: f"{argv[0]} failed")
    changes = _hostkernel.plan(host, ["br_netfilter"], {"no.such.key": "1"}, {}, disable_swap=True)
    with pytest.raises(_hostkernel.HostKernelError) as caught:
        _hostkernel.apply(host, changes)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == [
        "module br_netfilter",
        "sysctl no.such.key",
        f"swap {_hostkernel.SWAP_TARGET}",
        "swap /dev/sda3",
    ]


def test_swap_is_left_alone_unless_asked(host: System) -> None:
    assert "swap" not in dict(kinds(_hostkernel.plan(host, [], {}, {})))


def test_files_are_stable_and_the_required_ones_are_read_last() -> None:
    first = _hostkernel.files(["b", "a"], {"y": "2", "x": "1"}, {"n": "3"})
    assert first == _hostkernel.files(["a", "b"], {"x": "1", "y": "2"}, {"n": "3"})
    names = sorted(["10-hostplane.conf", "99-sysctl.conf", "50-default.conf", "99-zz-hostplane.conf"])
    assert (names[0], names[-1]) == ("10-hostplane.conf", "99-zz-hostplane.conf")
    assert _hostkernel.MINIMUMS_FILE.endswith(names[0])
    assert _hostkernel.SYSCTLS_FILE.endswith(names[-1])


def test_a_part_has_files_of_its_own_and_leaves_the_hosts_alone(host: System) -> None:
    _hostkernel.apply(host, _hostkernel.plan(host, ["overlay"], {}, MINIMUMS))
    changes = _hostkernel.plan(host, [], {"net/ipv4/ip_forward": "1"}, {}, part="underlay")
    assert kinds(changes) == [
        ("file", "/etc/sysctl.d/99-zz-hostplane-underlay.conf"),
        ("sysctl", "net/ipv4/ip_forward"),
    ]
    assert {path for kind, path in kinds(changes) if kind == "file"} <= set(_hostkernel.FILES_OF_PARTS)
    _hostkernel.apply(host, changes)
    assert _hostkernel.plan(host, ["overlay"], {}, MINIMUMS) == []


def test_an_interface_that_a_part_no_longer_sets_is_like_a_new_one(host: System) -> None:
    root, conf = Path(host.root), "/proc/sys/net/ipv4/conf"
    for path, value in {"default": "0", "eth0": "0", "eth1": "0", "all": "0"}.items():
        put(root, f"{conf}/{path}/proxy_arp", f"{value}\n")
    for name in ("eth0", "eth1"):
        sysctls = {f"net/ipv4/conf/{name}/proxy_arp": "1", "net/ipv4/conf/all/proxy_arp": "1"}
        _hostkernel.apply(host, _hostkernel.plan(host, [], sysctls, {}, part="underlay"))
    assert [host.read(f"{conf}/{name}/proxy_arp").strip() for name in ("eth0", "eth1", "all")] == ["0", "1", "1"]
    assert _hostkernel.plan(host, [], sysctls, {}, part="underlay") == []
