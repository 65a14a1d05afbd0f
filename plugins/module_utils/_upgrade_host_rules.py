# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What the facts of the hosts mean for an upgrade, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _skew
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import (
    Finding,
    error,
    listed,
    severe,
    warning,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_removed import (
    CGROUP_V1_REFUSED,
    CONTAINERD,
    FLAGS,
    GATES,
    LOCKED,
)

Facts = Mapping[str, Any]
MIB = 1024**2
# etcd's own default, and how much of it may be in use before an upgrade adds to it.
ETCD_QUOTA = 2 * 1024**3
QUOTA_SHARE = 0.8
# Before this, members that were removed long ago come back when 3.6 takes over.
ETCD_35_REPAIRED = (3, 5, 26)


def begun(facts: Sequence[Facts], target: _skew.Version) -> set[str]:
    """Hosts that an unfinished upgrade to the target has changed: on their way, or there before others are.

    Where the version stays the same all hosts have it, which is no sign that anything has begun.
    """
    versions = {entry["host"]: _skew.parse(entry.get("version", "")) for entry in facts}
    moving = {entry["host"] for entry in facts if _skew.parse(entry.get("upgrading_to", "")) == target}
    arrived = {host for host, version in versions.items() if version == target}
    others = any(version and version != target for version in versions.values())
    return moving | (arrived if moving or others else set())


def parse_gates(text: str) -> dict[str, bool]:
    """--feature-gates as Kubernetes reads it."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): value.strip().lower() == "true" for name, dummy, value in pairs}


def check_gates(gates: Mapping[str, bool], minor: int, owner: str, path: str, host: str = "") -> Iterator[Finding]:
    """Gates with which a component of the target does not start."""
    for name, value in sorted(gates.items()):
        if GATES.get(name, minor + 1) <= minor:
            yield error(
                "gate_removed",
                f"{owner} sets the feature gate {name}, which Kubernetes 1.{GATES[name]} no longer knows.",
                f"Remove {name} from {path}.",
                host,
                path,
            )
        elif name in LOCKED and LOCKED[name][0] <= minor and LOCKED[name][1] != value:
            yield error(
                "gate_locked",
                f"{owner} sets the feature gate {name} to {str(value).lower()}; since Kubernetes 1.{LOCKED[name][0]} "
                f"it is always {str(not value).lower()}.",
                f"Remove {name} from {path}.",
                host,
                path,
            )


def check_flags(component: str, flags: Mapping[str, str], minor: int, path: str, host: str = "") -> Iterator[Finding]:
    """Flags with which the component of the target does not start."""
    known = FLAGS.get(component, {})
    for name in sorted(flags):
        if known.get(name, minor + 1) <= minor:
            yield error(
                "flag_removed",
                f"{component} is given --{name}, which Kubernetes 1.{known[name]} no longer knows.",
                f"Remove --{name} from {path}.",
                host,
                path,
            )
    yield from check_gates(parse_gates(flags.get("feature-gates", "")), minor, component, path, host)


def check_kubelet(facts: Facts, target: _skew.Version) -> Iterator[Finding]:
    """The kubelet's flags and gates, and the cgroup version that it needs."""
    host, minor = facts["host"], target[1]
    for entry in facts.get("kubelet_flags", []):
        yield from check_flags("kubelet", {entry["name"]: entry["value"]}, minor, entry["file"], host)
    config = facts.get("kubelet_config", {})
    path = "/var/lib/kubelet/config.yaml"
    yield from check_gates(config.get("feature_gates", {}), minor, "the kubelet's configuration", path, host)
    if facts.get("cgroup") == 1 and minor >= CGROUP_V1_REFUSED and config.get("fail_cgroup_v1", True):
        yield error(
            "cgroup_v1",
            f"The host uses cgroup version 1, with which the kubelet {_skew.show(target)} does not start.",
            "Boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false in cluster_kubelet_config.",
            host,
        )


def check_containerd(facts: Facts, target: _skew.Version) -> Iterator[Finding]:
    """The runtime that is there until the upgrade replaces it."""
    found = _skew.parse(facts.get("programs", {}).get("containerd", ""))
    for minor, oldest in sorted(CONTAINERD.items()):
        if found and minor <= target[1] and found < oldest:
            yield error(
                "containerd_old",
                f"containerd {_skew.show(found)} is too old for the kubelet since 1.{minor}.",
                f"Upgrade within the present minor to a release with containerd {_skew.show(oldest)} or newer first.",
                facts["host"],
            )


def check_certificates(facts: Facts, days: int) -> Iterator[Finding]:
    """What is broken stops an upgrade in the middle; what ends soon is better renewed before."""
    host, found = facts["host"], facts.get("certificates", {})
    if found.get("error"):
        yield warning(
            "certificate_unread", f"Certificates can't be read: {found['error']}", "Correct that on the host.", host
        )
    soon = []
    for item in found.get("found", []):
        if item["broken"]:
            yield error(
                "certificate_broken",
                f"The certificate {item['name']} can't be used: {item['broken']}.",
                "Run the playbook certificates.",
                host,
                item["path"],
            )
        elif item["due"] and item["days_left"] is not None and item["days_left"] < days:
            soon.append(f"{item['name']} ({item['days_left']} days)")
    if soon:
        yield warning(
            "certificate_expires",
            f"Certificates that expire within {days} days: {listed(soon)}.",
            "Run the playbook certificates (CAs: rotate_ca) before the upgrade or right after it.",
            host,
        )


def check_rotation(facts: Facts) -> Iterator[Finding]:
    if facts.get("ca_next"):
        yield error(
            "ca_rotation_unfinished",
            "A rotation of the CAs is under way (/etc/kubernetes/pki/next).",
            "Finish it with the playbook rotate_ca, or take it back, before anything is upgraded.",
            facts["host"],
            "/etc/kubernetes/pki/next",
        )


def check_etcd(facts: Facts, target: str, quota: int, resumed: bool) -> Iterator[Finding]:
    """etcd as one control plane sees it; target is the version of the release, quota in bytes."""
    found, host = facts.get("etcd") or {}, facts["host"]
    if found.get("error"):
        yield Finding(
            "etcd_silent",
            f"etcd can't be asked: {found['error']}",
            "Bring etcd back on this control plane first.",
            host,
            severity=severe(not resumed),
        )
        return
    wanted = _skew.parse(target)
    for member in found.get("members", []):
        name = member["name"] or member["id"]
        if not member["healthy"] or member["learner"]:
            state = "has no vote yet" if member["healthy"] else f"is not healthy: {member['error']}"
            yield Finding(
                "etcd_unhealthy",
                f"The etcd member {name} {state}.",
                "Repair or remove it (playbook scale) before control planes go down one after the other.",
                name,
                severity=severe(not resumed),
            )
        for alarm in member["alarms"]:
            yield error(
                "etcd_alarm",
                f"etcd has raised the alarm {alarm} for {name}.",
                "NOSPACE: compact, defragment, etcdctl alarm disarm. CORRUPT: remove the member and join it again.",
                name,
            )
        if member["db_in_use"] > quota * QUOTA_SHARE:
            yield error(
                "etcd_size",
                f"etcd's data takes {member['db_in_use'] // MIB} of the {quota // MIB} MiB allowed on {name}.",
                "Remove what nobody needs (Events, old Secrets of Helm), or raise quota-backend-bytes.",
                name,
            )
        elif member["db_size"] > quota * QUOTA_SHARE:
            yield warning(
                "etcd_fragmented",
                f"etcd's file takes {member['db_size'] // MIB} of the {quota // MIB} MiB allowed on {name}; "
                f"{member['db_in_use'] // MIB} are in use.",
                "Defragment it: etcdctl defrag, one member after the other.",
                name,
            )
        version = _skew.parse(member["version"])
        if version and wanted:
            yield from _etcd_version(name, version, wanted)


def _etcd_version(name: str, version: _skew.Version, wanted: _skew.Version) -> Iterator[Finding]:
    if _skew.minors(version, wanted) > 1 or version > wanted:
        yield error(
            "etcd_version",
            f"etcd {_skew.show(version)} on {name} can't become {_skew.show(wanted)}: one minor up is possible.",
            "Upgrade to a release with an etcd in between first.",
            name,
        )
    elif version < ETCD_35_REPAIRED and wanted[:2] >= (3, 6):
        yield error(
            "etcd_version",
            f"etcd {_skew.show(version)} on {name} may bring removed members back as {_skew.show(wanted)}.",
            f"Upgrade to a release with etcd {_skew.show(ETCD_35_REPAIRED)} or a later 3.5 first.",
            name,
        )


def check_missing(hosts: Iterable[str], facts: Mapping[str, Facts]) -> Iterator[Finding]:
    for host in sorted(set(hosts) - set(facts)):
        yield error(
            "host_unreachable",
            "Nothing is known of the host: it can't be reached, or the look at it failed.",
            "Bring it back, or take it out of the inventory; a host that is left behind keeps its old version.",
            host,
        )
