# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The hosts of a plan: every variable of every host read, checked and given its default."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _names, _plan_pools
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_bundle import ARCHITECTURES
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

CONTROL_PLANE = "control_plane"
WORKER = "worker"
ROLES = (CONTROL_PLANE, WORKER)
CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "value": "", "effect": "NoSchedule"}
# The kubelet writes these labels itself and would win.
KUBELET_LABELS = frozenset({"kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os"})
_OTHER_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass
class Host:
    """One host of the plan, complete even when some of its variables are wrong."""

    inventory_name: str
    role: str
    name: str
    address: str
    arch: str
    max_pods: int
    pool: str
    state: str
    zone: str = ""
    address_ipv6: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)
    kubelet_config: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        own = {key: value for key, value in vars(self).items() if key != "inventory_name"}
        # A worker registers with these; the rest is given to it by somebody who may.
        return {**own, "kubelet_labels": {k: v for k, v in self.labels.items() if _plan_pools.kubelet_may_set(k)}}


class HostReader:
    """Reads the variables of one host after another and collects what is wrong with them."""

    def __init__(
        self,
        max_pods: int,
        node_block: int,
        facts: Mapping[str, Mapping[str, Any]],
        kubelet_config: Mapping[str, Any],
    ) -> None:
        self._max_pods = max_pods
        self._node_block = node_block
        self._facts = facts
        self._kubelet_config = kubelet_config
        self.problems: list[Problem] = []
        self._host = ""

    def _add(self, code: str, path: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, message, remedy, host=self._host, path=path))

    def read(self, data: Mapping[str, Any]) -> Host:
        self._host = str(data.get("inventory_hostname", ""))
        for variable, reason in sorted((data.get("errors") or {}).items()):
            self._add("variable_undefined", variable, f"The variable {variable} cannot be evaluated: {reason}",
                      f"Define what {variable} refers to, or remove {variable}.")  # fmt: skip
        role = str(data.get("role", ""))
        address = self._address(data)
        pool = self._pool(data, role)
        max_pods = self._pods(data)
        labels = self._labels(data.get("node_labels"))
        kubelet = _plan_pools.KubeletReader(data, self._facts.get(self._host) or {}, self._kubelet_config, self._add)
        return Host(
            inventory_name=self._host,
            role=role,
            name=self._name(data, address),
            address=address,
            arch=self._arch(data),
            max_pods=max_pods,
            pool=pool,
            state=_plan_pools.read_choice(data, "node_state", _plan_pools.STATES, self._add),
            zone=str(data.get("node_zone") or ""),
            address_ipv6=str(data.get("node_address_ipv6") or "").strip(),
            labels=labels if role == CONTROL_PLANE else {**labels, _plan_pools.POOL_LABEL: pool},
            taints=self._taints(data.get("node_taints"), role),
            kubelet_config=kubelet.read(max_pods),
        )

    def _pool(self, data: Mapping[str, Any], role: str) -> str:
        if role == CONTROL_PLANE:
            return CONTROL_PLANE
        pools = sorted({str(pool) for pool in data.get("pools") or ()}, key=natural_key)
        if len(pools) > 1:
            self._add("pool_ambiguous", "groups", f"The host is in the node pools {' and '.join(pools)}.",
                      "Keep it in one child group of worker; groups for other purposes go elsewhere.")  # fmt: skip
        pool = pools[0] if pools else _plan_pools.DEFAULT_POOL
        if not _names.is_label_value(pool):
            self._add("pool_name_invalid", "groups", f"'{pool}' cannot be the name of a node pool.",
                      "Name the group with at most 63 letters, digits, '-', '_' and '.', with a letter or a digit at"
                      " both ends.")  # fmt: skip
        return pool

    def _name(self, data: Mapping[str, Any], address: str) -> str:
        rule = data.get("node_name_rule")
        if rule and not data.get("node_name"):
            return _plan_pools.ruled_name(rule, address, self._add) or self._host
        name = str(data.get("node_name") or self._host)
        if not _names.is_node_name(name):
            self._add("node_name_invalid", "node_name", f"'{name}' cannot be the name of a node.",
                      "Set node_name to at most 63 lower-case letters, digits, '-' and '.', with a letter or a digit"
                      " at both ends.")  # fmt: skip
        return name

    def _address(self, data: Mapping[str, Any]) -> str:
        if data.get("node_address"):
            return str(data["node_address"]).strip()
        for candidate in (str(data.get("ansible_host") or ""), self._host):
            if _names.is_ip(candidate):
                return candidate
        if "node_address" not in (data.get("errors") or {}):
            where = data.get("ansible_host") or self._host
            self._add("node_address_missing", "node_address",
                      f"The address of the host is not known: it is reached by the name '{where}'.",
                      "Set node_address to the IPv4 address by which the other nodes reach it.")  # fmt: skip
        return ""

    def _arch(self, data: Mapping[str, Any]) -> str:
        arch = str(data.get("node_arch") or "amd64")
        if arch not in ARCHITECTURES:
            meant = _OTHER_NAMES.get(arch)
            self._add("arch_unknown", "node_arch", f"The architecture '{arch}' is not supported.",
                      f"Set node_arch to {meant or ' or '.join(ARCHITECTURES)}.")  # fmt: skip
            return meant or "amd64"
        return arch

    def _pods(self, data: Mapping[str, Any]) -> int:
        value = data.get("node_max_pods")
        if value in (None, ""):
            return self._max_pods
        try:
            pods = int(str(value))
        except ValueError:
            pods = 0
        most = self._node_block // 2
        if not 10 <= pods <= most:
            self._add("max_pods_range", "node_max_pods",
                      f"{value} pods cannot be placed on the node: the node's block of {self._node_block} addresses,"
                      f" which follows from cluster_max_pods, is good for 10 to {most}.",
                      f"Set node_max_pods to a number from 10 to {most}, or raise cluster_max_pods before the cluster"
                      " is created.")  # fmt: skip
        return pods

    def _labels(self, value: Any) -> dict[str, str]:
        if not value:
            return {}
        if not isinstance(value, Mapping):
            self._add("label_invalid", "node_labels", "node_labels is not a mapping of names to values.",
                      "Write one 'name: value' per label.")  # fmt: skip
            return {}
        labels = {}
        for key, text in sorted(value.items(), key=lambda item: str(item[0])):
            if not isinstance(text, str):
                self._add("label_invalid", "node_labels", f"The value {text!r} of the label {key} is not text.",
                          'Put the value between quotes, such as "true" or "1".')  # fmt: skip
            elif not _names.is_label_key(str(key)) or not _names.is_label_value(text):
                self._add("label_invalid", "node_labels", f"The label '{key}={text}' is not valid.",
                          "Name and value have at most 63 letters, digits, '-', '_' and '.', with a letter or a digit"
                          " at both ends; the name may have a DNS name and '/' before it.")  # fmt: skip
            elif key in KUBELET_LABELS or key == _plan_pools.POOL_LABEL:
                owner = "this collection" if key == _plan_pools.POOL_LABEL else "the kubelet itself"
                self._add("label_reserved", "node_labels", f"The label {key} is set by {owner}.",
                          f"Remove {key} from node_labels.")  # fmt: skip
            labels[str(key)] = str(text)
        return labels

    def _taints(self, value: Any, role: str) -> list[dict[str, str]]:
        if value is None:
            return [dict(CONTROL_PLANE_TAINT)] if role == CONTROL_PLANE else []
        if not isinstance(value, Sequence) or isinstance(value, str):
            self._add("taint_invalid", "node_taints", "node_taints is not a list.",
                      "Write a list of {key, value, effect}, or of texts such as key=value:NoSchedule.")  # fmt: skip
            return []
        taints: dict[tuple[str, str], dict[str, str]] = {}
        for item in value:
            taint = parse_taint(item)
            if taint is None:
                self._add("taint_invalid", "node_taints", f"The taint {item!r} is not valid.",
                          "Write {key, value, effect} or key=value:effect with one of the effects"
                          f" {', '.join(_names.TAINT_EFFECTS)}.")  # fmt: skip
                continue
            identity = (taint["key"], taint["effect"])
            if taints.get(identity, taint) != taint:
                self._add("taint_invalid", "node_taints",
                          f"The taint {taint['key']}:{taint['effect']} is listed with two values.",
                          "Keep one of them.")  # fmt: skip
                taint = min(taint, taints[identity], key=lambda found: found["value"])
            taints[identity] = taint
        return [taints[identity] for identity in sorted(taints)]


def parse_taint(item: Any) -> dict[str, str] | None:
    """Read a taint as kubectl writes it (key=value:effect) or as the API does; None when it is neither."""
    if isinstance(item, Mapping):
        if set(item) - {"key", "value", "effect"}:
            return None
        value = item.get("value")
        key, text, effect = item.get("key"), "" if value is None else value, item.get("effect")
    elif isinstance(item, str):
        pair, _colon, effect = item.rpartition(":")
        key, _equals, text = pair.partition("=")
    else:
        return None
    if not all(isinstance(part, str) for part in (key, text, effect)):
        return None
    if not _names.is_label_key(str(key)) or not _names.is_label_value(str(text)) or effect not in _names.TAINT_EFFECTS:
        return None
    return {"key": str(key), "value": str(text), "effect": str(effect)}


def _membership_problems(members: Mapping[str, Sequence[str]]) -> list[Problem]:
    problems = []
    for host, roles in members.items():
        if len(set(roles)) > 1:
            problems.append(
                Problem(
                    "host_in_both_groups",
                    "The host is in the group control_plane and in the group worker.",
                    "Keep it in one group. For a control plane that also runs workloads, keep it in control_plane and"
                    " set node_taints: [] for it.",
                    host=host,
                    path="groups",
                )
            )
        problems += [
            Problem("role_unknown", f"'{role}' is not a role.", f"Use one of {', '.join(ROLES)}.", host, "role")
            for role in set(roles) - set(ROLES)
        ]
    return problems


def _entry_key(entry: Mapping[str, Any]) -> tuple[Any, str]:
    # Only the content may decide between two entries of one host, not the order in which they arrived.
    return natural_key(str(entry.get("inventory_hostname", ""))), json.dumps(entry, sort_keys=True, default=str)


def read_hosts(
    data: Iterable[Mapping[str, Any]],
    max_pods: int,
    node_block: int,
    facts: Mapping[str, Mapping[str, Any]],
    kubelet_config: Mapping[str, Any],
) -> tuple[list[Host], list[Problem]]:
    """Read all hosts in the natural order of their names. One that is listed for both roles counts as control plane.

    facts: cpus and memory_mb of each host that was looked at; kubelet_config: what the kubelets have in common.
    """
    members: dict[str, list[str]] = defaultdict(list)
    chosen: dict[str, Mapping[str, Any]] = {}
    for item in sorted(data, key=_entry_key):
        name = str(item.get("inventory_hostname", ""))
        members[name].append(str(item.get("role", "")))
        if name not in chosen or item.get("role") == CONTROL_PLANE != chosen[name].get("role"):
            chosen[name] = item
    reader = HostReader(max_pods, node_block, facts, kubelet_config)
    hosts = [reader.read(item) for item in chosen.values()]
    problems = _membership_problems(members) + reader.problems
    owners: dict[str, str] = {}
    for host in hosts:
        first = owners.setdefault(host.name, host.inventory_name)
        if first != host.inventory_name:
            problems.append(
                Problem(
                    "node_name_duplicate",
                    f"The node name {host.name} is also that of {first}.",
                    "Give every host its own node_name, or more digits in node_name_rule.",
                    host=host.inventory_name,
                    path="node_name",
                    witness=(first, host.inventory_name),
                )
            )
    return hosts, problems
