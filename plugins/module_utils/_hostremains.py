# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""What a cluster leaves on a host, seen as a list of names: before a reset its plan, after it the residue."""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils import _hostloops
from ansible_collections.hostplane.cluster.plugins.module_utils._hostfacts import listeners
from ansible_collections.hostplane.cluster.plugins.module_utils._hostkernel import FILES as KERNEL_FILES
from ansible_collections.hostplane.cluster.plugins.module_utils._hostkernel import FILES_OF_PARTS
from ansible_collections.hostplane.cluster.plugins.module_utils._hostneeds import PORTS
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import MARKER, PROGRAM_DIR, System
from ansible_collections.hostplane.cluster.plugins.module_utils._mountinfo import Mount, read_mountinfo

UNITS = ("kubelet.service", "containerd.service")
UNIT_DIR = "/etc/systemd/system"
PROGRAMS = (
    "kubeadm", "kubectl", "crictl", "etcdctl", "etcdutl", "ctr", "runc",
    "containerd-shim-runc-v2", "kubelet", "containerd",
)  # fmt: skip
# Nothing but a cluster of this collection has these, whoever else uses the host.
OWN_UNITS = (
    "hostplane-backup.timer", "hostplane-backup.service", "hostplane-dns-address.service", "hostplane-lan.service",
)  # fmt: skip
# The backups themselves stay: a reset may be followed by a restore.
OWN_FILES = (
    *KERNEL_FILES, *FILES_OF_PARTS, "/run/hostplane-kubeadm.lock", *[f"{UNIT_DIR}/{name}" for name in OWN_UNITS],
    *[f"{UNIT_DIR}/multi-user.target.wants/{name}" for name in OWN_UNITS[2:]],
    f"{UNIT_DIR}/timers.target.wants/{OWN_UNITS[0]}", "/var/lib/systemd/timers/stamp-hostplane-backup.timer",
    "/usr/local/sbin/hostplane-backup", "/usr/local/lib/hostplane", "/etc/hostplane", "/var/lib/hostplane",
)  # fmt: skip
# Data first and the programs last: a reset that was killed still knows then that the data is ours.
DATA = (
    "/var/lib/kubelet", "/var/lib/etcd", "/var/lib/containerd", "/run/containerd", "/var/lib/cni", "/run/flannel",
    "/var/log/pods", "/var/log/containers", "/opt/cni/bin", "/opt/containerd", "/usr/libexec/kubernetes", "/run/nri",
    "/etc/containerd", "/etc/crictl.yaml", "/etc/cni/net.d/.kubernetes-cni-keep", "/var/lib/nri",
)  # fmt: skip
# Directories that others may share: removed only once they are empty.
SHARED_DIRS = ("/opt/cni", "/etc/cni/net.d", "/etc/cni", "/run/netns")
MOUNT_DIRS = ("/var/lib/kubelet", "/var/lib/containerd", "/run/containerd")
BALANCER_CONF = "/etc/kubernetes/balancer/keepalived.conf"
LINKS = ("cni0", "kube-ipvs0", "hostplane-lan")
# Flannel names them after the VNI, which the cluster chooses.
FLANNEL_LINK = re.compile(r"flannel(?:-v6)?\.[0-9]+")
TABLES = ("kube-proxy", "flannel-ipv4", "flannel-ipv6", "cni_hostport")
NODE_PROGRAMS = {name for names in PORTS["control_plane"].values() for name in names}
CHAINS = re.compile(r"(?:KUBE|FLANNEL|CNI-HOSTPORT|CNI-DN)-")


class Item(t.NamedTuple):
    """kind is unit, process, mount, loop, netns, link, address, table, chain, path or port; name is for operators."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Scope(t.NamedTuple):
    """What belongs to the cluster. With owned false only what carries our name does."""

    owned: bool = True
    cni_files: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()


def run(*argv: str, stdin: str = "", timeout: float = 30) -> str:
    """Output of a program; empty when it is missing or fails, as then there is nothing of that kind to remove."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def units(names: t.Iterable[str]) -> list[Item]:
    """Units of ours that run or are enabled; one of the same name from a package is not ours."""
    found = []
    shown = run("systemctl", "show", "--property=Id,ActiveState,UnitFileState,FragmentPath", *names, "kubepods.slice")
    for block in shown.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        ours = unit.get("FragmentPath", "").startswith((f"{UNIT_DIR}/", "/run/systemd/transient/"))
        active = unit.get("ActiveState") not in (None, "inactive", "failed")
        if ours and (active or unit.get("UnitFileState") == "enabled"):
            found.append(Item("unit", unit["Id"]))
    return found


def processes(system: System) -> dict[int, str]:
    """pid -> name of what runs in pods, of the pods' shims and of programs that we installed."""
    found = {}
    own = {f"{PROGRAM_DIR}/{name}" for name in ("kubeadm", "kubelet", "containerd")}
    for pid, name, exe in system.processes():
        if not exe:
            continue
        in_pod = "kubepods" in system.read(f"/proc/{pid}/cgroup")
        shim = "containerd-shim" in exe and "\0-namespace\0k8s.io\0" in system.read(f"/proc/{pid}/cmdline")
        if in_pod or shim or exe in own:
            found[pid] = name
    return found


def mount_table(system: System) -> list[Mount]:
    return read_mountinfo(system.read("/proc/self/mountinfo"))


def self_binds(table: list[Mount], directories: t.Iterable[str]) -> list[str]:
    """Directories mounted on themselves, as the kubelet does where the directory is not shared: not the operator's."""
    found = []
    for index, mount in enumerate(table):
        below = [other for other in table[:index] if f"{mount.point}/".startswith(f"{other.point.rstrip('/')}/")]
        if mount.point in directories and below:
            under = max(reversed(below), key=lambda other: len(other.point))
            source = os.path.normpath(os.path.join(under.source, os.path.relpath(mount.point, under.point)))
            if (mount.device, os.path.normpath(mount.source)) == (under.device, source):
                found.append(mount.point)
    return found


def mounts(system: System) -> list[str]:
    """Mount points below our directories, the last mounted first."""
    table, own = mount_table(system), [os.path.realpath(path) for path in MOUNT_DIRS]
    below = (*(f"{path}/" for path in own), "/run/netns/cni-")
    return [mount.point for mount in table[::-1] if mount.point.startswith(below)] + self_binds(table, own)


def links(system: System) -> list[str]:
    names = [name for name in LINKS if system.exists(f"/sys/class/net/{name}")]
    flannel = (os.path.basename(path) for path in system.glob("/sys/class/net/flannel*"))
    names += sorted(name for name in flannel if FLANNEL_LINK.fullmatch(name))
    # Ends of pods' veth pairs; others' are not on our bridge.
    return [os.path.basename(path)[len("lower_") :] for path in system.glob("/sys/class/net/cni0/lower_veth*")] + names


def addresses(system: System) -> list[str]:
    """Virtual addresses of the API that a killed keepalived has left on an interface, as C(ip address) takes them."""
    wanted = re.findall(r"^\s*([0-9.]+/32 dev \S+)$", system.read(BALANCER_CONF), re.MULTILINE)
    return [entry for entry in wanted if f" {entry.split()[0]} " in run("ip", "-oneline", "-4", "address", "show")]


def tables() -> list[str]:
    """nftables tables as family and name."""
    try:
        listed = json.loads(run("nft", "--json", "list", "tables") or "{}").get("nftables", [])
    except ValueError:
        listed = []
    found = [entry["table"] for entry in listed if "table" in entry]
    return sorted(f"{table['family']} {table['name']}" for table in found if table["name"] in TABLES)


def rules(tool: str) -> dict[str, list[str]]:
    """What `iptables-restore --noflush` needs to take our chains away: table -> chains, and the orders to do it."""
    orders: dict[str, list[str]] = {}
    table = ""
    chains: list[str] = []
    jumps: list[str] = []
    for line in run(f"{tool}-save").splitlines():
        if line.startswith("*"):
            table, chains, jumps = line[1:], [], []
        elif line.startswith(":") and CHAINS.match(line[1:]):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A ") and not CHAINS.match(line[3:]) and re.search(rf" -[jg] {CHAINS.pattern}", line):
            jumps.append(line)
        elif line == "COMMIT" and chains:
            orders[table] = [f"-D{rule[2:]}" for rule in jumps]
            orders[table] += [f"{flag} {chain}" for flag in ("-F", "-X") for chain in chains]
    return orders


def is_kept(here: str) -> bool:
    """Whether the operator put the directory elsewhere, by mount or link: then it is emptied, not removed."""
    return os.path.isdir(here) and (os.path.ismount(here) or os.path.islink(here))


def paths(system: System, scope: Scope) -> list[str]:
    """Files and directories in the order of removal, the marker's last."""
    unit_files = [f"{UNIT_DIR}/{name}{suffix}" for name in (*UNITS, *scope.units) for suffix in ("", ".d")]
    unit_files += [f"{UNIT_DIR}/multi-user.target.wants/{name}" for name in (*UNITS, *scope.units)]
    programs = [f"{PROGRAM_DIR}/{name}" for name in PROGRAMS]
    cni = [f"/etc/cni/net.d/{name}" for name in scope.cni_files]
    everything = [*DATA, *cni, *unit_files, *programs] if scope.owned else []
    everything += [*scope.paths, *OWN_FILES, *([os.path.dirname(MARKER)] if scope.owned else [])]
    found = []
    for path in everything:
        here = system.path(path)
        if os.path.lexists(here) and not (is_kept(here) and not os.listdir(here)):
            found.append(path)
    return found


def survey(system: System, scope: Scope) -> list[Item]:
    """Everything that is there, in the order in which it is removed."""
    found = units((*(UNITS if scope.owned else ()), *OWN_UNITS, *scope.units))
    if scope.owned:
        found += [Item("process", f"{name} ({pid})") for pid, name in sorted(processes(system).items())]
        found += [Item("mount", point) for point in mounts(system)]
        found += [Item("loop", f"{name} of {path}") for name, path in _hostloops.of_pools(system, scope.pools).items()]
        found += [Item("netns", os.path.basename(path)) for path in system.glob("/run/netns/cni-*")]
        found += [Item("link", name) for name in links(system)]
        found += [Item("address", name) for name in addresses(system)]
        found += [Item("table", name) for name in tables()]
        for tool in ("iptables", "ip6tables"):
            for table, orders in rules(tool).items():
                found += [Item("chain", f"{tool} {table} {order[3:]}") for order in orders if order.startswith("-X")]
    return found + [Item("path", path) for path in paths(system, scope)]


def ports(system: System) -> list[Item]:
    """Parts of Kubernetes that are left listening on a node's ports."""
    found = [entry for entry in listeners(system, PORTS["control_plane"]) if entry["process"] in NODE_PROGRAMS]
    return [Item("port", f"{entry['port']} ({entry['process']} {entry['pid']})") for entry in found]
