# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""What only shows when the results of host_check of several hosts lie side by side: twins and clocks that disagree."""

from __future__ import annotations

import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import natural_key

Problem = dict[str, str]


def twins(values: dict[str, str]) -> list[list[str]]:
    """Groups of hosts that share a value which should be a host's own; hosts without one are left out."""
    groups: dict[str, list[str]] = {}
    for host, value in values.items():
        if value:
            groups.setdefault(value, []).append(host)
    return [sorted(hosts) for value, hosts in sorted(groups.items()) if len(hosts) > 1]


def clock_pairs(clocks: dict[str, dict[str, t.Any]], max_skew: float) -> list[tuple[str, str, float]]:
    """Pairs of hosts whose clocks surely differ by more, however the measurements erred: (behind, ahead, seconds)."""
    bounds = sorted(
        (clock["skew"] + clock["uncertainty"], clock["skew"] - clock["uncertainty"], host)
        for host, clock in clocks.items()
        if clock
    )
    found = []
    if bounds:
        # Against the one that is surely furthest behind every other disagreement shows too.
        latest, _low, behind = bounds[0]
        for _high, earliest, host in bounds[1:]:
            if earliest - latest > max_skew:
                found.append((behind, host, earliest - latest))
    return found


def compare(results: dict[str, dict[str, t.Any]], max_skew: float = 1.0) -> list[Problem]:
    """Problems {code, host, message, remedy} from results of host_check by host."""
    facts = {host: result.get("facts") or {} for host, result in results.items()}
    problems = []
    for hosts in twins({host: values.get("hostname", "") for host, values in facts.items()}):
        name = facts[hosts[0]]["hostname"]
        for host in hosts:
            others = ", ".join(other for other in hosts if other != host)
            problems.append(
                {
                    "code": "HostnameClash",
                    "host": host,
                    "message": f"its hostname {name} is also that of {others}",
                    "remedy": "give every host a hostname of its own (hostnamectl set-hostname)",
                }
            )
    for hosts in twins({host: values.get("machine_id", "") for host, values in facts.items()}):
        for host in hosts:
            others = ", ".join(other for other in hosts if other != host)
            problems.append(
                {
                    "code": "MachineIdClash",
                    "host": host,
                    "message": f"its /etc/machine-id is also that of {others}, as after cloning a disk",
                    "remedy": "empty /etc/machine-id on all but one of them, run systemd-machine-id-setup and reboot",
                }
            )
    for behind, ahead, seconds in clock_pairs({host: r.get("clock") or {} for host, r in results.items()}, max_skew):
        problems.append(
            {
                "code": "ClockSkew",
                "host": ahead,
                "message": f"its clock is at least {seconds:.1f} s ahead of {behind}'s",
                "remedy": "let both follow the same time service (chrony, systemd-timesyncd)",
            }
        )
    return problems


def unfinished_upgrade(settings: dict[str, dict[str, t.Any]]) -> list[Problem]:
    """Problems of an upgrade that has not come to its end; settings are what each member keeps about its cluster."""
    versions = {host: str(found.get("version") or "") for host, found in settings.items()}
    aims = {str(found["upgrading_to"]) for found in settings.values() if found.get("upgrading_to")}
    newest = max({*aims, *versions.values()}, key=natural_key, default="")
    return [
        {
            "code": "UpgradeUnfinished",
            "host": host,
            "message": f"it is at {versions[host]}, and an upgrade to {newest} has begun",
            "remedy": f"finish it: run the playbook upgrade with cluster_kubernetes_version {newest}",
        }
        for host in sorted(settings)
        if settings[host].get("upgrading_to") or versions[host] != newest
    ]
