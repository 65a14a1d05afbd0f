# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""What a Linux host says about itself: read from /proc, /sys and /etc, without starting programs."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import re
import shutil
import subprocess
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils._hostcomponents import installed
from ansible_collections.hostplane.cluster.plugins.module_utils._hostlinks import address_facts, link_facts
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import MARKER, PROGRAM_DIR, System

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
FAMILIES = {
    "debian": "debian", "ubuntu": "debian",
    "rhel": "rhel", "fedora": "rhel", "centos": "rhel", "rocky": "rhel", "almalinux": "rhel",
    "anolis": "rhel", "openeuler": "rhel", "alinux": "rhel",
}  # fmt: skip
DATA_DIRS = ("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd")
# Files that only exist once a cluster has been started or joined on the host.
CLUSTER_FILES = (
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/manifests/*.y*ml",
    "/var/lib/etcd/member",
    "/var/lib/kubelet/pods/*",
    "/etc/rancher/k3s",
    "/var/lib/rancher/k3s",
    "/etc/rancher/rke2",
    "/var/lib/k0s",
    "/var/snap/microk8s",
)
# Written before kubeadm runs, so alone they are no sign of a cluster.
BALANCER_FILES = ("/etc/kubernetes/manifests/haproxy.yaml", "/etc/kubernetes/manifests/keepalived.yaml")
RUNTIMES = ("containerd", "dockerd", "crio", "k3s-server", "k3s-agent", "k0s", "rke2")
# feature -> (kernel config symbol, file below /proc/sys that proves it, arguments of `ip link add type`)
FEATURES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "overlay": ("OVERLAY_FS", "", ()),
    "bridge": ("BRIDGE", "", ("bridge",)),
    "br_netfilter": ("BRIDGE_NETFILTER", "net/bridge/bridge-nf-call-iptables", ()),
    "veth": ("VETH", "", ("veth",)),
    "vxlan": ("VXLAN", "", ("vxlan", "id", "1", "dstport", "4789")),
    "nf_conntrack": ("NF_CONNTRACK", "net/netfilter/nf_conntrack_max", ()),
    "nf_tables": ("NF_TABLES", "", ()),
    "loop": ("BLK_DEV_LOOP", "", ()),
    "ext4": ("EXT4_FS", "", ()),
    "nfs": ("NFS_FS", "", ()),
    "nfsv4": ("NFS_V4", "", ()),
    "macvlan": ("MACVLAN", "", ()),
}


def link_probe(kind: tuple[str, ...]) -> bool:
    """Whether the kernel makes such a link, tried in a network namespace that ends with the program."""
    argv = ["unshare", "--net", "ip", "link", "add", "hp0", "type", *kind]
    try:
        return subprocess.run(argv, capture_output=True, timeout=5, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def feature(system: System, name: str, probe: t.Callable[[tuple[str, ...]], bool] = link_probe) -> dict[str, str]:
    """state: present, loadable, disabled or missing; detail: what proves it. The cheapest proof comes first."""
    symbol, sysctl, kind = FEATURES[name]
    if sysctl and system.exists(f"/proc/sys/{sysctl}"):
        return {"state": "present", "detail": f"/proc/sys/{sysctl}"}
    if system.exists(f"/sys/module/{name}"):
        return {"state": "present", "detail": f"/sys/module/{name}"}
    if re.search(rf"\s{name}$", system.read("/proc/filesystems"), re.M):
        return {"state": "present", "detail": "/proc/filesystems"}
    known = system.modules().get(name)
    if known == "loadable":
        blocked = system.disabled_in(name)
        return {"state": "disabled" if blocked else "loadable", "detail": blocked or "modules.dep"}
    config = system.kernel_config().get(symbol)
    if known == "builtin" or config == "y":
        return {"state": "present", "detail": "built in"}
    # A kernel that names its modules or its configuration has answered; a silent one is asked.
    if kind and not system.modules() and not system.kernel_config() and probe(kind):
        return {"state": "present", "detail": "a test link"}
    return {"state": "missing", "detail": f"CONFIG_{symbol}" + ("=m, module file not installed" if config else "")}


def os_facts(system: System) -> dict[str, str]:
    text = system.read("/etc/os-release") or system.read("/usr/lib/os-release")
    values = {key: value.strip("\"'") for key, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.M)}
    names = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    family = next((FAMILIES[name.lower()] for name in names if name.lower() in FAMILIES), "")
    return {
        "id": values.get("ID", "").lower(),
        "version": values.get("VERSION_ID", ""),
        "name": values.get("PRETTY_NAME", ""),
        "family": family,
    }


def cgroup_facts(system: System) -> dict[str, t.Any]:
    """kubelet's rule: version 2 only where /sys/fs/cgroup itself is the unified hierarchy."""
    unified = re.search(r"^\S+ /sys/fs/cgroup cgroup2 ", system.read("/proc/self/mounts"), re.M)
    if unified:
        # These two have no controller file in version 2: they are eBPF programs and a core feature.
        controllers = [*system.read("/sys/fs/cgroup/cgroup.controllers").split(), "devices", "freezer"]
    else:
        controllers = re.findall(r"^(\w+)\s+\d+\s+\d+\s+1$", system.read("/proc/cgroups"), re.M)
    return {"version": 2 if unified else 1, "controllers": sorted(controllers)}


def disk_facts(system: System) -> list[dict[str, t.Any]]:
    """Free space for the data directories, one entry per file system."""
    found: dict[int, dict[str, t.Any]] = {}
    for data in DATA_DIRS:
        path = data
        while not system.exists(path) and path != "/":
            path = os.path.dirname(path)
        status, space = os.stat(system.path(path)), os.statvfs(system.path(path))
        entry = found.setdefault(status.st_dev, {"paths": [], "free_mb": space.f_bavail * space.f_frsize // 1024**2})
        entry["paths"].append(data)
    return sorted(found.values(), key=lambda entry: entry["paths"])


def listeners(system: System, ports: t.Iterable[int]) -> list[dict[str, t.Any]]:
    """Who listens on any of the ports, on whatever address."""
    wanted, inodes = set(ports), {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in system.read(table).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) in wanted:
                inodes[fields[9]] = int(fields[1].rsplit(":", 1)[1], 16)
    if not inodes:
        return []
    owners: dict[int, dict[str, t.Any]] = {port: {"port": port, "pid": 0, "process": ""} for port in inodes.values()}
    for pid, name, exe in system.processes():
        for descriptor in glob.glob(system.path(f"/proc/{pid}/fd/*")):
            try:
                link = os.readlink(descriptor)
            except OSError:
                continue
            port = inodes.get(link[8:-1]) if link.startswith("socket:[") else None
            if port:
                owners[port] = {"port": port, "pid": pid, "process": os.path.basename(exe) or name}
    return [owners[port] for port in sorted(owners)]


def marker_facts(system: System) -> dict[str, t.Any]:
    """What the host remembers of its cluster; empty when it can't be understood."""
    try:
        marker = json.loads(system.read(MARKER) or "{}")
    except ValueError:
        return {}
    return marker if isinstance(marker, dict) else {}


def cluster_facts(system: System, cluster_name: str) -> dict[str, t.Any]:
    """Whose cluster the host carries. state: empty, installed, begun, member (ours) or foreign."""
    marker = marker_facts(system)
    leftovers = [path for pattern in CLUSTER_FILES for path in system.glob(pattern) if path not in BALANCER_FILES]
    if marker and marker.get("cluster") == cluster_name:
        state = "member" if str(marker.get("phase", "")).endswith("-done") else "begun"
    elif marker or leftovers:
        state = "foreign"
    else:
        state = "installed" if system.exists(f"{PROGRAM_DIR}/kubelet") else "empty"
    return {
        "state": state,
        "marker": marker,
        "leftovers": leftovers,
        "cni_files": [
            os.path.basename(p) for p in system.glob("/etc/cni/net.d/*") if re.search(r"\.(conf|conflist|json)$", p)
        ],
    }


def clock_synchronized() -> bool:
    """Whether the kernel believes that some time service steers its clock (adjtimex, read only)."""
    try:
        return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256)) not in (-1, 5)
    except (OSError, AttributeError):
        return False


def collect(
    system: System,
    cluster_name: str,
    ports: t.Iterable[int],
    programs: t.Iterable[str],
    node_name: str = "",
    address: str = "",
    interface: str = "",
) -> dict[str, t.Any]:
    """Everything at once; plain data, so that the rules can be tested without a host."""
    memory = re.search(r"^MemTotal:\s+(\d+) kB", system.read("/proc/meminfo"), re.M)
    running = list(system.processes())
    search = os.pathsep.join(["/usr/local/sbin", PROGRAM_DIR, "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    hosts = [line.split("#")[0].split() for line in system.read("/etc/hosts").splitlines()]
    return {
        "os": os_facts(system),
        "kernel": system.release,
        "features": {name: feature(system, name) for name in FEATURES},
        "arch": MACHINES.get(os.uname().machine, os.uname().machine),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mb": int(memory.group(1)) // 1024 if memory else 0,
        "hostname": os.uname().nodename,
        "machine_id": system.read("/etc/machine-id").strip(),
        "addresses": address_facts(system),
        "link": link_facts(system, address, interface),
        "known_as": sorted(line[0] for line in hosts if node_name and node_name in line[1:]),
        "cgroup": cgroup_facts(system),
        "swap": [line.split()[0] for line in system.read("/proc/swaps").splitlines()[1:]],
        "root": os.geteuid() == 0,
        "systemd": system.exists("/run/systemd/system"),
        "selinux": {"1": "enforcing", "0": "permissive"}.get(system.read("/sys/fs/selinux/enforce"), "disabled"),
        "ip_forward": {
            "value": system.read("/proc/sys/net/ipv4/ip_forward").strip(),
            "writable": os.access(system.path("/proc/sys/net/ipv4/ip_forward"), os.W_OK),
        },
        "disks": disk_facts(system),
        "missing_programs": sorted(name for name in programs if not shutil.which(name, path=search)),
        "listeners": listeners(system, ports),
        "runtimes": [
            {"pid": pid, "name": name, "exe": exe}
            for pid, name, exe in running
            if name in RUNTIMES and system.same_namespace(pid)
        ],
        "firewalls": sorted(
            {name for _pid, name, _exe in running if name == "firewalld"}
            | ({"ufw"} if re.search(r"^ENABLED=yes", system.read("/etc/ufw/ufw.conf"), re.M) else set())
        ),
        "clock_synchronized": clock_synchronized(),
        "cluster": cluster_facts(system, cluster_name),
        "components": installed(system),
    }
