# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad input and hosts in bad condition: one report of all problems before anything is changed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi
from conftest import Cluster
from lab import MEMBERS, Lab

# 5 seconds late for every program that runs with the interpreter, as the clock itself belongs to the whole machine.
LATE = "import time\nreal = time.time\ntime.time = lambda: real() - 5\n"
LATE_PYTHON = '#!/bin/sh\nPYTHONPATH=/run/late exec /usr/bin/python3 "$@"\n'
LISTENER = "import socket, time; s = socket.create_server(('', 10250)); time.sleep(600)"


@dataclass(frozen=True)
class Condition:
    """Something wrong with a host, and what takes it away again."""

    node: str
    code: str
    spoil: str
    repair: str


def write(path: str, content: str) -> str:
    return f"mkdir -p $(dirname {path}); printf %s {shlex.quote(content)} >{path}"


def cover(path: str, command: str) -> tuple[str, str]:
    """Shell to let a path show the output of a command, and to let it show itself again."""
    fake = "/run/fake" + path.replace("/", "-")
    return f"{{ {command}; }} >{fake}; mount --bind {fake} $(realpath {path})", f"umount $(realpath {path})"


def without_vxlan() -> tuple[str, str]:
    """A kernel that neither has the feature nor a module for it, in every place where a kernel speaks of it."""
    config = cover("/proc/config.gz", "zcat /proc/config.gz | grep -v CONFIG_VXLAN= | gzip")
    modules = [
        cover(f"/lib/modules/$(uname -r)/{name}", f"grep -v /vxlan.ko /lib/modules/$(uname -r)/{name} || true")
        for name in ("modules.builtin", "modules.dep")
    ]
    hide = "mount -t tmpfs none /sys/module"
    spoil = [f"if [ -e {path} ]; then {on}; fi" for path, (on, _off) in zip(KERNEL_FILES, [config, *modules])]
    repair = [f"if [ -e {path} ]; then {off}; fi" for path, (_on, off) in zip(KERNEL_FILES, [config, *modules])]
    return "; ".join([*spoil, hide]), "; ".join(["umount /sys/module", *repair])


KERNEL_FILES = ("/proc/config.gz", "/lib/modules/$(uname -r)/modules.builtin", "/lib/modules/$(uname -r)/modules.dep")
CONDITIONS = [
    Condition("cp1", "Swap", *cover("/proc/swaps", r"printf 'Filename Type Size\n/swapfile file 1\n'")),
    Condition("cp1", "KernelFeature-vxlan", *without_vxlan()),
    Condition("worker1", "UnsupportedOS", *cover("/etc/os-release", r"printf 'ID=debian\nVERSION_ID=\"9\"\n'")),
    Condition(
        "worker1",
        "Port-10250",
        f"systemd-run --quiet --unit=occupant python3 -c {shlex.quote(LISTENER)}; "
        "until ss -ltn | grep -q :10250; do sleep 0.1; done",
        "systemctl stop occupant",
    ),
    Condition(
        "worker1",
        "DiskSpace",
        "mount -t tmpfs -o size=64m none /var/lib/kubelet",
        "umount /var/lib/kubelet",
    ),
    Condition("worker2", "HostnameClash", "hostname worker1", "hostname worker2"),
    Condition(
        "worker2",
        "ClockSkew",
        f"{write('/run/late/sitecustomize.py', LATE)}; {write('/run/late/python3', LATE_PYTHON)}; "
        "mount -o remount,exec /run; chmod 0755 /run/late/python3",
        "rm -r /run/late",
    ),
    Condition(
        "worker2",
        "ForeignCluster",
        write("/etc/kubernetes/kubelet.conf", "apiVersion: v1\n"),
        "rm -r /etc/kubernetes",
    ),
    Condition(
        "worker2",
        "MirrorUnreachable",
        "ip route add unreachable 10.94.0.10/32",
        "ip route delete unreachable 10.94.0.10/32",
    ),
]


@contextmanager
def spoiled(lab: Lab) -> Iterator[None]:
    with ExitStack() as undo:
        for condition in CONDITIONS:
            lab.sh(condition.node, condition.spoil)
            undo.callback(lab.sh, condition.node, condition.repair)
        yield


def files(lab: Lab) -> dict[str, str]:
    """Every file of the hosts that a run could change, with its size and time of change."""
    script = "find /etc /usr /opt /root /home /var/lib/[ceko]* /var/log/pods -printf '%p %s %T@\\n' 2>/dev/null | sort"
    return {node: lab.sh(node, script + "; sysctl net.ipv4.ip_forward; nft list tables") for node in MEMBERS}


def reported(log: str) -> set[str]:
    """Place and code of every problem: (host or nothing, code)."""
    found, place = set(), ""
    for line in log.splitlines():
        heading = re.fullmatch(r"\s*(cluster settings|cp1|worker1|worker2):", line)
        if heading:
            place = heading[1]
        problem = re.search(r"^\s+\d+\. .* \[([\w.-]+)\]$", line)
        if problem:
            found.add(f"{place}: {problem[1]}")
    return found


def test_everything_wrong_is_reported_at_once_and_nothing_changed(empty_hosts: Lab, tmp_path: Path) -> None:
    other_ca = tmp_path / "other-ca.crt"
    # Some CA of the internet, which did not sign the mirror's certificate.
    other_ca.write_text(Path(certifi.where()).read_text().partition("\n\n")[0])
    inventory = empty_hosts.inventory(
        "faults",
        worker1={"mirror_ca_file": str(other_ca)},
        worker2={"node_address": "10.94.0.21", "ansible_python_interpreter": "/run/late/python3"},
    )
    with spoiled(empty_hosts):
        before = files(empty_hosts)
        run = empty_hosts.play(
            inventory,
            "create",
            cluster_kubernetes_version="1.99.0",
            # Two blocks of /24 are too few for three nodes, and the service range is inside.
            cluster_pod_cidr="10.244.0.0/23",
            cluster_service_cidr="10.244.1.0/24",
        )
        after = files(empty_hosts)
    print(run.log)
    assert run.code == 2
    assert reported(run.log) >= {
        "cluster settings: version_unknown",
        *(f"{condition.node}: {condition.code}" for condition in CONDITIONS),
        "worker1: MirrorCertificate",
        "worker1: HostnameClash",
        "worker2: node_address_duplicate",
        "worker2: NodeAddress",
    }
    assert run.log.count("fatal: ") == 1
    assert run.changed == {}
    assert after == before
    assert not (empty_hosts.directory / "admin.conf").exists()


def test_settings_of_an_existing_cluster_cannot_be_changed(cluster: Cluster) -> None:
    run = cluster.lab.play(
        cluster.inventory,
        "create",
        cluster_pod_cidr="10.200.0.0/16",
        cluster_service_cidr="10.112.0.0/20",
        cluster_cni="calico",
        cluster_dns_domain="other.local",
    )
    print(run.log)
    assert run.code == 2
    for setting in ("pod range", "service range", "network plugin", "DNS domain"):
        assert f"The {setting} of the existing cluster is " in run.log
    assert run.changed == {}
