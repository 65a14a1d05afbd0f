# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Which versions may run beside each other, as upstream's version skew policy says, and where an upgrade may go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import (
    Finding,
    error,
    listed,
    severe,
    warning,
)

Version = tuple[int, int, int]
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
# How many minors a component may be behind the API server.
BEHIND = {"kubelet": 3, "kube-proxy": 3, "kube-controller-manager": 1, "kube-scheduler": 1}
_CODES = {"kubelet": "skew_kubelet", "kube-proxy": "skew_kube_proxy"}
API = "kube-apiserver"


@dataclass(frozen=True)
class Component:
    """A program of Kubernetes that runs somewhere."""

    name: str
    where: str
    version: Version


def parse(text: str) -> Version | None:
    """The version at the start of a text, or after the last colon as in an image's name; None when there is none."""
    found = _VERSION.match(text) or _VERSION.match(text.partition("@")[0].rpartition(":")[2])
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def show(version: Version) -> str:
    return ".".join(map(str, version))


def minors(older: Version, newer: Version) -> int:
    """How many minors the first is behind the second; negative when it is ahead."""
    return (newer[0] - older[0]) * 1000 + newer[1] - older[1]


def check_target(components: Iterable[Component], target: Version) -> list[Finding]:
    """Only up, and only to the next minor. Servers of both versions are an upgrade that was interrupted."""
    servers = sorted((item for item in components if item.name == API), key=lambda item: item.version)
    if not servers:
        return []
    findings = []
    oldest, newest = servers[0], servers[-1]
    if newest.version > target:
        findings.append(
            error(
                "version_downgrade",
                f"The API server on {newest.where} runs {show(newest.version)}; {show(target)} is older.",
                f"Set cluster_kubernetes_version to {show(newest.version)} or newer; only a restore onto hosts that"
                " were reset leads back (guide to backups).",
                path="cluster_kubernetes_version",
            )
        )
    if minors(oldest.version, target) > 1:
        following = f"{oldest.version[0]}.{oldest.version[1] + 1}"
        findings.append(
            error(
                "version_skipped",
                f"From {show(oldest.version)} (on {oldest.where}) to {show(target)} minors would be skipped.",
                f"Upgrade to a release of {following} first.",
                path="cluster_kubernetes_version",
            )
        )
    return findings


def _grouped(components: Iterable[Component]) -> dict[tuple[str, Version], list[str]]:
    found: dict[tuple[str, Version], list[str]] = {}
    for item in components:
        found.setdefault((item.name, item.version), []).append(item.where)
    return dict(sorted(found.items()))


def check_skew(components: Iterable[Component], target: Version) -> list[Finding]:
    """What would no longer be supported beside an API server of the target, or is not even beside the present ones."""
    known = list(components)
    servers = [item.version for item in known if item.name == API]
    if not servers:
        return []
    oldest, findings = min(servers), []
    for (name, version), places in _grouped(known).items():
        where, code = listed(places), _CODES.get(name, "skew_control_plane")
        if name not in BEHIND:
            continue
        if minors(oldest, version) > 0:
            # Up to the target it is what an upgrade leaves that ended between two control planes.
            findings.append(
                Finding(
                    code,
                    f"{name} {show(version)} on {where} is newer than the oldest API server, {show(oldest)}.",
                    f"Bring {name} there back to {show(oldest)}, or upgrade to a release that is as new."
                    if version > target
                    else f"Nothing, the upgrade brings the API servers to {show(target)} before anything else.",
                    severity=severe(version > target),
                )
            )
        elif minors(version, target) > BEHIND[name]:
            findings.append(
                error(
                    code,
                    f"{name} {show(version)} on {where} is too old beside an API server {show(target)}; "
                    f"{BEHIND[name]} minor(s) are the most.",
                    f"Bring {name} there to the cluster's version {show(oldest)} first.",
                )
            )
    return findings


def check_kubectl(hosts: Iterable[Component], target: Version) -> list[Finding]:
    """kubectl may be one minor away from the API server, in either direction."""
    findings = []
    for (_name, version), places in _grouped(hosts).items():
        if abs(minors(version, target)) > 1:
            findings.append(
                warning(
                    "skew_kubectl",
                    f"kubectl {show(version)} on {listed(places)} is more than one minor from {show(target)}.",
                    "The upgrade installs the release's kubectl on the hosts; replace copies elsewhere too.",
                )
            )
    return findings
