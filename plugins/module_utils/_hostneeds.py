# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""What a host needs to carry Kubernetes: systems, sizes, ports and programs, as tables."""

from __future__ import annotations

# kubeadm's ports; each with the programs of a cluster of ours that may hold it.
PORTS: dict[str, dict[int, tuple[str, ...]]] = {
    "control_plane": {
        6443: ("kube-apiserver",),
        2379: ("etcd",),
        2380: ("etcd",),
        10250: ("kubelet",),
        10257: ("kube-controller-manager",),
        10259: ("kube-scheduler",),
    },
    "worker": {10250: ("kubelet",)},
    "mirror": {},
}
# Who may hold the ports of the API's balancer on a control plane; which ports these are says the operator.
BALANCER_PROGRAMS = ("haproxy",)
# The control plane's two values are kubeadm's own minimum.
MINIMUM: dict[str, dict[str, int]] = {
    "control_plane": {"cpus": 2, "memory_mb": 1700, "disk_gb": 10},
    "worker": {"cpus": 1, "memory_mb": 900, "disk_gb": 10},
    "mirror": {"cpus": 1, "memory_mb": 400, "disk_gb": 5},
}
# A host on which the installation has begun uses part of min_disk itself: then only this must still be free.
DISK_FLOOR_MB = 1024
SUPPORTED_OS: dict[str, tuple[str, ...]] = {
    "debian": ("12", "13"),
    "ubuntu": ("22.04", "24.04"),
    "rhel": ("9", "10"),
    "rocky": ("9", "10"),
    "almalinux": ("9", "10"),
    "anolis": ("8", "23"),
    "openeuler": ("22.03", "24.03"),
    "alinux": ("3",),
}
SUPPORTED_OS_TEXT = (
    "Debian 12/13, Ubuntu 22.04/24.04, RHEL/Rocky Linux/AlmaLinux 9/10, Anolis OS 8/23, "
    "openEuler 22.03/24.03, Alibaba Cloud Linux 3"
)
CONTROLLERS = {
    1: ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"),
    2: ("cpu", "cpuset", "memory", "pids"),
}
# program -> package by OS family; kubeadm and kubelet call the first three, the roles the others.
PROGRAMS: dict[str, dict[str, str]] = {
    "mount": {"debian": "mount", "rhel": "util-linux"},
    "losetup": {"debian": "mount", "rhel": "util-linux"},
    "cp": {"debian": "coreutils", "rhel": "coreutils"},
    "umount": {"debian": "mount", "rhel": "util-linux"},
    "nsenter": {"debian": "util-linux", "rhel": "util-linux"},
    "ip": {"debian": "iproute2", "rhel": "iproute"},
    "modprobe": {"debian": "kmod", "rhel": "kmod"},
    "iptables": {"debian": "iptables", "rhel": "iptables-nft"},
    "nft": {"debian": "nftables", "rhel": "nftables"},
    "conntrack": {"debian": "conntrack", "rhel": "conntrack-tools"},
    # Reads certificates; Python's standard library can't.
    "openssl": {"debian": "openssl", "rhel": "openssl"},
}
# One of the two serves the CNI plugins; conntrack only helps people (kube-proxy needs it no more since 1.32).
ALTERNATIVES = {"iptables": "nft", "nft": "iptables"}
OPTIONAL_PROGRAMS = ("conntrack",)
# What every node needs of its kernel, and what volumes need besides. Drivers bring mount.nfs, mkfs and the like in
# their images; the kernel and its modules are the host's.
FEATURES = ("overlay", "bridge", "br_netfilter", "veth", "vxlan", "nf_conntrack", "nf_tables")
USED_FEATURES = {"local_volume": ("loop", "ext4"), "nfs": ("nfs", "nfsv4"), "macvlan": ("macvlan",)}
INSTALL = {"debian": "apt install {0}", "rhel": "dnf install {0}"}
MODULE_PACKAGES = {
    "debian": "linux-modules-extra-{0} (Ubuntu) or the full kernel image",
    "rhel": "kernel-modules-extra-{0}",
}
