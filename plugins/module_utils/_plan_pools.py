# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The settings that make a node pool: the kubelet's settings, reservations, CPU policy, state and node names."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.hostplane.cluster.plugins.module_utils import _names, _plan_reserved

# Adds a problem: code, variable, message, remedy.
Add = Callable[[str, str, str, str], None]

DEFAULT_POOL = "default"
POOL_LABEL = "hostplane.io/pool"
STATES = ("schedulable", "cordoned")
CPU_POLICIES = ("none", "static")
NAME_DIGITS = (5, 12)
# Settings of the kubelet that follow from the plan, and the variable to set instead.
KUBELET_OWNED = {
    "cgroupDriver": "",
    "clusterDNS": "cluster_service_cidr",
    "clusterDomain": "cluster_dns_domain",
    "containerRuntimeEndpoint": "",
    "cpuManagerPolicy": "node_cpu_policy",
    "kubeReserved": "node_reserved",
    "maxPods": "node_max_pods",
    "registerWithTaints": "node_taints",
    "staticPodPath": "",
}
# Of the names that belong to Kubernetes the kubelet may give itself only these (its option --node-labels).
_KUBELET_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBELET_MAY_SET = frozenset(
    {
        "beta.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)


def kubelet_may_set(label: str) -> bool:
    """Whether a kubelet may register itself with this label; the API server and the kubelet refuse others."""
    namespace = label.rpartition("/")[0]
    if not any(namespace == own or namespace.endswith(f".{own}") for own in ("kubernetes.io", "k8s.io")):
        return True
    return label in _KUBELET_MAY_SET or any(
        namespace == own or namespace.endswith(f".{own}") for own in _KUBELET_NAMESPACES
    )


def ruled_name(rule: Any, address: str, add: Add) -> str:
    """The node name that a rule makes of an address: prefix, the last digits of the padded address, suffix."""
    if not isinstance(rule, Mapping) or set(rule) - {"prefix", "digits", "suffix"}:
        add("node_name_rule_invalid", "node_name_rule", "node_name_rule is not a mapping of prefix, digits and suffix.",
            "Write it as {prefix: web-, digits: 5, suffix: .example.com}.")  # fmt: skip
        return ""
    low, high = NAME_DIGITS
    try:
        digits = 0 if isinstance(rule.get("digits"), bool) else int(str(rule.get("digits")))
    except ValueError:
        digits = 0
    if not low <= digits <= high:
        add("node_name_rule_invalid", "node_name_rule", f"A node name cannot have {rule.get('digits')} digits of the"
            " address.", f"Set digits in node_name_rule to a number from {low} to {high}.")  # fmt: skip
        return ""
    try:
        padded = "".join(f"{octet:03d}" for octet in ipaddress.IPv4Address(address).packed)
    except ValueError:
        # The address is reported by whoever checks addresses.
        return ""
    name = f"{rule.get('prefix') or ''}{padded[-digits:]}{rule.get('suffix') or ''}"
    if not _names.is_node_name(name):
        add("node_name_rule_invalid", "node_name_rule", f"The rule makes the node name '{name}', which is not valid.",
            "Use prefix and suffix of lower-case letters, digits, '-' and '.', with a letter or a digit at both ends of"
            " the name and of each part between dots, 63 characters in all.")  # fmt: skip
        return ""
    return name


def read_choice(data: Mapping[str, Any], variable: str, choices: tuple[str, ...], add: Add) -> str:
    """A variable with fixed values; the first of them is the default."""
    value = data.get(variable)
    if value in (None, ""):
        return choices[0]
    if str(value) not in choices:
        add(f"{variable}_invalid", variable, f"'{value}' is not a value of {variable}.",
            f"Set it to {' or '.join(choices)}.")  # fmt: skip
        return choices[0]
    return str(value)


def owned_settings(settings: Mapping[str, Any], path: str, instead: Mapping[str, str], add: Add) -> None:
    """Refuse settings that would contradict the plan."""
    for key in sorted(set(settings) & set(instead)):
        variable = instead[key]
        add("setting_owned", path, f"{key} in {path} follows from the plan.",
            f"Remove it and set {variable} instead." if variable else "Remove it.")  # fmt: skip


class KubeletReader:
    """The kubelet's settings of one host: those of its variables, and those that follow from its size."""

    def __init__(self, data: Mapping[str, Any], facts: Mapping[str, Any], shared: Mapping[str, Any], add: Add) -> None:
        self._data = data
        self._facts = facts
        self._shared = shared
        self._add = add

    def read(self, max_pods: int) -> dict[str, Any]:
        own = self._own()
        policy = read_choice(self._data, "node_cpu_policy", CPU_POLICIES, self._add)
        wanted, known = self._reserved()
        settings = {**own, "maxPods": max_pods}
        if wanted:
            settings["kubeReserved"] = wanted
            settings["evictionHard"] = {**_plan_reserved.EVICTION_HARD, **self._both("evictionHard", own)}
        if policy == "static":
            settings["cpuManagerPolicy"] = policy
            self._check_static(own, wanted, known)
        self._check_size(own, wanted)
        return dict(sorted(settings.items()))

    def _both(self, key: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """A mapping among the settings, the host's own before the cluster's."""
        parts = [part.get(key) for part in (self._shared, own)]
        return {name: value for part in parts if isinstance(part, Mapping) for name, value in part.items()}

    def _own(self) -> dict[str, Any]:
        value = self._data.get("node_kubelet_config")
        if not value:
            return {}
        if not isinstance(value, Mapping):
            self._add("kubelet_config_invalid", "node_kubelet_config", "node_kubelet_config is not a mapping.",
                      "Write fields of KubeletConfiguration, such as imageGCHighThresholdPercent: 90.")  # fmt: skip
            return {}
        owned_settings(value, "node_kubelet_config", KUBELET_OWNED, self._add)
        return {str(key): item for key, item in value.items() if key not in KUBELET_OWNED}

    def _reserved(self) -> tuple[dict[str, str], bool]:
        """What is reserved, and whether that is all: without the host's size the formula cannot be applied."""
        value = self._data.get("node_reserved")
        formula = _plan_reserved.reserved(self._facts)
        if value in (None, "", "auto"):
            return formula, bool(formula)
        if value == "none":
            return {}, True
        if not isinstance(value, Mapping) or set(value) - {"cpu", "memory"}:
            self._add("reserved_invalid", "node_reserved", f"'{value}' is not a reservation.",
                      "Set node_reserved to auto, to none, or to {cpu: 500m, memory: 1Gi}.")  # fmt: skip
            return formula, bool(formula)
        result = dict(formula)
        for key, read in (("cpu", _plan_reserved.read_cpu), ("memory", _plan_reserved.read_memory)):
            if value.get(key) is None:
                continue
            if read(value[key]) is None:
                self._add("reserved_invalid", "node_reserved", f"{value[key]!r} is not a quantity of {key}.",
                          "Write CPU as 500m or 0.5, memory as 512Mi or 1Gi.")  # fmt: skip
            else:
                result[key] = str(value[key])
        return result, {"cpu", "memory"} <= set(result)

    def _check_static(self, own: Mapping[str, Any], wanted: Mapping[str, str], known: bool) -> None:
        quantities = [wanted.get("cpu"), self._both("systemReserved", own).get("cpu")]
        listed = own.get("reservedSystemCPUs") or self._shared.get("reservedSystemCPUs")
        if listed or any(_plan_reserved.read_cpu(item) for item in quantities if item is not None):
            return
        if known or "cpu" in wanted:
            self._add("cpu_policy_unreserved", "node_cpu_policy", "The CPU policy static needs a part of the CPU that"
                      " pods cannot have, and none is reserved: the kubelet would not start.",
                      "Set node_reserved to auto or to {cpu: 100m}, or node_cpu_policy to none.")  # fmt: skip

    def _check_size(self, own: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
        """A kubelet whose reservations leave nothing does not start."""
        if not wanted:
            return
        system = self._both("systemReserved", own)
        for key, read, fact, factor, extra, unit in (
            ("cpu", _plan_reserved.read_cpu, "cpus", 1000, 0, "m"),
            ("memory", _plan_reserved.read_memory, "memory_mb", 1, _plan_reserved.EVICTION_MB, "Mi"),
        ):
            size = int(self._facts.get(fact) or 0) * factor
            taken = sum(read(item) or 0 for item in (wanted.get(key), system.get(key)) if item is not None) + extra
            if size and taken >= size:
                self._add("reserved_too_much", "node_reserved", f"Of {size}{unit} of {key} the reservations take"
                          f" {taken}{unit}: nothing is left for pods.",
                          "Reserve less with node_reserved, or nothing with none.")  # fmt: skip
