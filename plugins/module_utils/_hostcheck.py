# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""The rules of a host that is to carry Kubernetes: facts in, findings out, nothing read from the system."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils import _problem
from ansible_collections.hostplane.cluster.plugins.module_utils._hostneeds import (
    ALTERNATIVES,
    BALANCER_PROGRAMS,
    CONTROLLERS,
    DISK_FLOOR_MB,
    INSTALL,
    MINIMUM,
    MODULE_PACKAGES,
    OPTIONAL_PROGRAMS,
    PORTS,
    PROGRAMS,
    SUPPORTED_OS,
    SUPPORTED_OS_TEXT,
    USED_FEATURES,
)

Finding = dict[str, str]
Facts = dict[str, t.Any]
Options = dict[str, t.Any]


def finding(code: str, message: str, remedy: str, **more: str) -> Finding:
    return {"code": code, "message": message, "remedy": remedy, **more}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("-")[0])[:3])


def minimum(options: Options, name: str) -> int:
    """The operator's value or, at 0, the default of the host's role."""
    return options.get(f"min_{name}") or MINIMUM[options["role"]][name]


def wanted_ports(options: Options) -> dict[int, tuple[str, ...]]:
    ports = dict(PORTS[options["role"]])
    if options["role"] == "mirror":
        mirror = options.get("mirror") or {}
        port = (mirror.get("address") or "").rpartition(":")[2]
        ports[int(port) if port.isdigit() else 443] = ("registry", "hostplane-registry")
    if options["role"] == "control_plane":
        for port in options.get("balancer_ports") or []:
            ports.setdefault(int(port), BALANCER_PROGRAMS)
    for port in options.get("extra_ports") or []:
        ports.setdefault(int(port), ())
    return ports


def check_system(options: Options, facts: Facts) -> t.Iterator[Finding]:
    system, arch = facts["os"], options.get("arch")
    known = SUPPORTED_OS.get(system["id"], ())
    if not any(system["version"] == version or system["version"].startswith(f"{version}.") for version in known):
        name = system["name"] or f"{system['id']} {system['version']}".strip() or "unknown"
        yield finding(
            "UnsupportedOS",
            f"the operating system is {name}",
            f"install one of {SUPPORTED_OS_TEXT}, or accept this finding",
        )
    if arch and facts["arch"] != arch:
        yield finding(
            "Architecture", f"the host is {facts['arch']}, node_arch says {arch}", "correct node_arch or the host"
        )
    if numbers(facts["kernel"]) < numbers(options["min_kernel"]):
        yield finding(
            "KernelVersion",
            f"kernel {facts['kernel']} is older than {options['min_kernel']}",
            "install a newer kernel of the distribution and reboot",
        )
    if not facts["root"]:
        yield finding("Root", "the tasks do not run as root", "set ansible_become: true and a user who may become root")
    if not facts["systemd"]:
        yield finding(
            "Systemd",
            "systemd does not manage this host (/run/systemd/system is missing)",
            "use a host booted by systemd",
        )


def check_kernel(options: Options, facts: Facts) -> t.Iterator[Finding]:
    if options["role"] == "mirror":
        return
    wanted = {name: "" for name in options["features"]}
    for kind in options.get("uses") or []:
        for name in USED_FEATURES[kind]:
            wanted.setdefault(name, f", which {kind} needs")
    for name, why in wanted.items():
        found = facts["features"][name]
        if found["state"] == "disabled":
            yield finding(
                f"KernelFeature-{name}",
                f"kernel module {name} is disabled in {found['detail']}{why}",
                f"remove the line for {name} from {found['detail']}",
            )
        elif found["state"] == "missing":
            package = MODULE_PACKAGES.get(facts["os"]["family"], "the modules of kernel {0}").format(facts["kernel"])
            yield finding(
                f"KernelFeature-{name}",
                f"the running kernel {facts['kernel']} has no {name} ({found['detail']}){why}",
                f"install {package}, or boot a kernel that has it (after a kernel update: reboot)",
            )
    forward = facts["ip_forward"]
    if forward["value"] != "1" and not forward["writable"]:
        yield finding(
            "IPForward", "net.ipv4.ip_forward is 0 and read-only here", "set net.ipv4.ip_forward=1 from outside"
        )
    version = facts["cgroup"]["version"]
    if version == 1:
        yield finding(
            "CgroupV1",
            "the host uses cgroup version 1, which kubelet refuses by default since Kubernetes 1.35",
            "boot with systemd.unified_cgroup_hierarchy=1 (kernel command line), or accept this finding "
            "and set failCgroupV1: false in cluster_kubelet_config",
            since="1.35",
        )
    missing = [name for name in CONTROLLERS[version] if name not in facts["cgroup"]["controllers"]]
    if missing:
        yield finding(
            "Cgroup",
            f"cgroup controllers are missing: {' '.join(missing)}",
            "enable them on the kernel command line (cgroup_enable=memory …) or delegate them to this machine",
        )


def check_resources(options: Options, facts: Facts) -> t.Iterator[Finding]:
    role = options["role"]
    for code, name, unit in (("NumCPU", "cpus", "CPUs"), ("Memory", "memory_mb", "MB of memory")):
        least = minimum(options, name)
        if facts[name] < least:
            yield finding(
                code, f"{facts[name]} {unit}, a {role} needs {least}", f"give the host at least {least} {unit}"
            )
    # A mirror that runs uses that space itself.
    mirrors = role == "mirror" and any(
        entry["process"] in wanted_ports(options).get(entry["port"], ()) for entry in facts["listeners"]
    )
    fresh = facts["cluster"]["state"] in ("empty", "foreign") and not mirrors
    least = minimum(options, "disk_gb") * 1024 if fresh else DISK_FLOOR_MB
    for disk in facts["disks"]:
        if disk["free_mb"] < least:
            yield finding(
                "DiskSpace",
                f"{disk['free_mb'] / 1024:.1f} GiB free for {', '.join(disk['paths'])}, {least / 1024:g} GiB needed",
                "free space, enlarge the file system or mount a larger one there",
            )
    if facts["swap"] and role != "mirror":
        yield finding(
            "Swap",
            f"swap is on: {', '.join(facts['swap'])}",
            "swapoff -a and remove it from /etc/fstab, set host_disable_swap: true, or accept this finding "
            "and set failSwapOn: false in cluster_kubelet_config",
        )


def check_programs(options: Options, facts: Facts) -> t.Iterator[Finding]:
    if options["role"] == "mirror":
        return
    missing, family = facts["missing_programs"], facts["os"]["family"]
    for name in missing:
        other = ALTERNATIVES.get(name)
        if name in OPTIONAL_PROGRAMS or (other and (other not in missing or other < name)):
            continue
        package = PROGRAMS.get(name, {}).get(family, name)
        yield finding(
            f"MissingProgram-{name}",
            f"program {name}{f' (or {other})' if other else ''} is not installed",
            INSTALL.get(family, "install {0}").format(package),
        )


def check_identity(options: Options, facts: Facts) -> t.Iterator[Finding]:
    address, name = options.get("address"), options.get("node_name")
    own = facts["addresses"]
    if address and address not in own:
        yield finding(
            "NodeAddress",
            f"address {address} is not configured on this host, which has {', '.join(own) or 'none'}",
            "correct node_address, or configure the address",
        )
    strangers = [found for found in facts["known_as"] if not found.startswith(("127.", "::1")) and found not in own]
    if strangers:
        yield finding(
            "HostnameClash",
            f"/etc/hosts says that {name} is {', '.join(strangers)}, which is another host",
            "correct /etc/hosts or node_name",
        )
    for peer in options.get("peers") or []:
        if name and peer.get("name") == name and peer.get("address") != address:
            yield finding(
                "HostnameClash", f"{peer['address']} is also called {name}", "give one of the two another node_name"
            )
        if peer.get("address") in own and peer.get("address") != address:
            yield finding(
                "AddressClash",
                f"this host carries {peer['address']}, the address of {peer.get('name') or 'another host'}",
                "remove the address here or correct node_address there",
            )


def check_tenants(options: Options, facts: Facts) -> t.Iterator[Finding]:
    cluster, ports = facts["cluster"], wanted_ports(options)
    ours = cluster["state"] in ("begun", "member")
    if cluster["state"] == "foreign" and options["role"] != "mirror":
        owner = cluster["marker"].get("cluster")
        what = f"carries cluster {owner}" if owner else f"has leftovers: {', '.join(cluster['leftovers'][:5])}"
        yield finding(
            "ForeignCluster",
            f"the host {what}, not {options['cluster_name']}",
            "remove that cluster (playbook hostplane.cluster.reset with its name, or kubeadm reset), or take another",
        )
    for listener in facts["listeners"]:
        port, process = listener["port"], listener["process"]
        allowed = ports.get(port, ())
        if process in allowed and (ours or options["role"] == "mirror"):
            continue
        holder = f"{process} (pid {listener['pid']})" if process else "another program"
        yield finding(
            f"Port-{port}", f"TCP port {port} is used by {holder}", "stop that program or give it another port"
        )
    if options["role"] == "mirror":
        return
    # containerd takes the first file by name; before ours is there it would take any.
    own = [name for name in cluster["cni_files"] if name in options["cni_files"]]
    for name in cluster["cni_files"]:
        if name not in own and (not own or name < min(own)):
            yield finding(
                f"ForeignCNI-{name}",
                f"containerd would give pods the network of /etc/cni/net.d/{name}",
                f"remove /etc/cni/net.d/{name}",
            )
    for runtime in facts["runtimes"]:
        if not runtime["exe"].startswith("/usr/local/bin/containerd"):
            yield finding(
                f"ContainerRuntime-{runtime['name']}",
                f"another container runtime is running: {runtime['exe'] or runtime['name']} (pid {runtime['pid']})",
                "remove it: the cluster brings its own containerd and would take over its configuration",
            )
    for name in facts["firewalls"]:
        wanted = [f"TCP {', '.join(str(port) for port in sorted(ports))}"] if ports else []
        wanted += ["UDP 8472 (or cluster_flannel.port)"]
        # keepalived stands on the hosts that haproxy does.
        wanted += ["VRRP (IP protocol 112)"] if set(options.get("balancer_ports") or ()) & set(ports) else []
        yield finding(
            f"Firewall-{name}",
            f"{name} is on and may block traffic between nodes and pods",
            f"turn it off, or open {', '.join(wanted)} and the pod network, then accept this finding",
        )


RULES = (check_system, check_kernel, check_resources, check_programs, check_identity, check_tenants)


def check(options: Options, facts: Facts) -> list[Finding]:
    """All findings, in the order of the rules."""
    return [found for rule in RULES for found in rule(options, facts)]


def accepted(code: str, ignore: t.Iterable[str]) -> bool:
    """kubeadm's rule for --ignore-preflight-errors: by name, in any case, or `all`."""
    names = {name.lower() for name in ignore}
    return "all" in names or code.lower() in names


def summary(findings: list[Finding], host: str = "") -> str:
    return _problem.format_report(_problem.Problem.from_dict(entry, host) for entry in findings)


def clock_finding(skew: float, uncertainty: float, max_skew: float) -> Finding | None:
    if abs(skew) - uncertainty <= max_skew:
        return None
    return finding(
        "ClockSkew",
        f"the clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the controller's (± {uncertainty:.1f})",
        "start a time service (chrony, systemd-timesyncd) on the host and on the controller",
    )
