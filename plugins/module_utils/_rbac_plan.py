# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What has to change in a cluster so that a list of grants holds, and what must not be changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac as rbac
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_roles as roles
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

MASTERS = "system:masters"
# Ways in that come with kubeadm's files and not with a person.
BREAK_GLASS = "kubeadm:cluster-admins"
# Bindings of a kubeconfig that was issued: its end comes by itself.
CREDENTIAL = "hostplane.io/credential"

Object = dict[str, Any]
Key = tuple[str, str]


@dataclass
class Live:
    """What the API server holds, as far as it matters here."""

    # Namespaces with their phase, ClusterRoles by name, Roles by namespace and name; None before there is a cluster.
    namespaces: dict[str, str] | None = None
    cluster_roles: dict[str, Object] = field(default_factory=dict)
    local_roles: dict[Key, Object] = field(default_factory=dict)
    bindings: dict[Key, Object] = field(default_factory=dict)
    user: str = ""
    groups: list[str] = field(default_factory=list)

    def rules(self, role: rbac.Role, namespace: str) -> list[roles.Rule]:
        """The rules of a role that is bound somewhere."""
        return list((self.role(role, namespace) or {}).get("rules") or [])

    def role(self, role: rbac.Role, namespace: str) -> Object | None:
        """The role that is bound somewhere, when it exists."""
        local = role.kind == "Role"
        return self.local_roles.get((namespace, role.name)) if local else self.cluster_roles.get(role.name)

    def grants(self) -> dict[rbac.Grant, str]:
        """Every grant of this module's bindings, with the name of its binding."""
        ours = [binding for binding in self.bindings.values() if is_ours(binding)]
        return {grant: binding["metadata"]["name"] for binding in ours for grant in rbac.grants_of(binding)}


@dataclass
class Changes:
    """What is written, in this order, so that nobody is without the right that replaces another one."""

    roles: list[Object] = field(default_factory=list)
    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    recreate: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    unlisted: list[Object] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.roles or self.create or self.update or self.recreate or self.delete)


def is_ours(item: Mapping[str, Any]) -> bool:
    return roles.LABEL in (item["metadata"].get("labels") or {})


def _same(live: Object, wanted: Object, *fields: str) -> bool:
    labels = live["metadata"].get("labels") or {}
    return all((live.get(name) or []) == wanted[name] for name in fields) and all(
        labels.get(name) == value for name, value in wanted["metadata"]["labels"].items()
    )


def plan(grants: Iterable[rbac.Grant], live: Live, exact: bool) -> Changes:
    """The difference between what is listed and what there is."""
    grants = sorted(grants)
    changes, wanted = Changes(), {grant.key: grant for grant in grants}
    for preset in sorted({grant.role.preset for grant in grants} - {""}):
        role, there = roles.preset_object(preset), live.cluster_roles.get(roles.PREFIX + preset)
        if not there or there.get("aggregationRule") or not _same(there, role, "rules"):
            changes.roles.append(role)
    for key, grant in wanted.items():
        binding, found = grant.to_object(), live.bindings.get(key)
        if not found:
            changes.create.append(binding)
        elif found["roleRef"] != binding["roleRef"]:
            changes.recreate.append(binding)
        elif not _same(found, binding, "subjects"):
            changes.update.append(binding)
    presets = {(grant.subject, grant.namespace) for grant in grants if grant.role.preset}
    for key, binding in sorted(live.bindings.items()):
        if key in wanted or not is_ours(binding):
            continue
        has = rbac.grants_of(binding)
        replaced = bool(has) and all(item.role.preset and (item.subject, item.namespace) in presets for item in has)
        (changes.delete if exact or replaced else changes.unlisted).append(binding)
    return changes


def apply(live: Live, changes: Changes) -> Live:
    """What the cluster holds after the changes."""
    written = [*changes.create, *changes.update, *changes.recreate]
    gone = {rbac.key_of(binding) for binding in changes.delete}
    bindings = {key: binding for key, binding in live.bindings.items() if key not in gone}
    bindings.update({rbac.key_of(binding): binding for binding in written})
    cluster_roles = {**live.cluster_roles, **{role["metadata"]["name"]: role for role in changes.roles}}
    return Live(live.namespaces, cluster_roles, live.local_roles, bindings, live.user, live.groups)


def check(grants: Mapping[rbac.Grant, str], live: Live) -> list[Problem]:
    """What is listed and can't be had in this cluster."""
    found: list[Problem] = []
    if live.namespaces is not None:
        for grant, path in grants.items():
            found += _place_problems(grant, path, live.namespaces)
            found += _role_problems(grant, path, live)
    for grant, path in grants.items():
        there = live.bindings.get(grant.key)
        if there and not is_ours(there):
            text = f"{there['kind']} {' '.join(reversed(grant.key))} is there without the label {roles.LABEL}"
            found.append(Problem("binding_foreign", text, f"label it {roles.LABEL}=binding or delete it", path=path))
        role = live.cluster_roles.get(grant.role.name) if grant.role.preset else None
        if role and not is_ours(role):
            text = f"ClusterRole {grant.role.name} is there without the label {roles.LABEL}"
            found.append(Problem("role_foreign", text, f"label it {roles.LABEL}=role or delete it", path=path))
    return found


def _place_problems(grant: rbac.Grant, path: str, namespaces: Mapping[str, str]) -> list[Problem]:
    found = []
    places = [(f"{path}.namespaces", grant.namespace), (f"{path}.subject.namespace", grant.subject.namespace)]
    for where, name in places:
        if not name or name == rbac.ALL:
            continue
        if name not in namespaces:
            text, remedy = f"there is no namespace {name}", "create it first, or correct the name"
            found.append(Problem("namespace_unknown", text, remedy, path=where))
        elif namespaces[name] == "Terminating":
            text, remedy = f"namespace {name} is being deleted", "take it out of the list, or create it again"
            found.append(Problem("namespace_terminating", text, remedy, path=where))
    return found


def _role_problems(grant: rbac.Grant, path: str, live: Live) -> list[Problem]:
    role, where = grant.role, f"{path}.role"
    if role.preset:
        return []
    if not live.role(role, grant.namespace):
        if role.kind == "Role" and grant.namespace not in (live.namespaces or {}):
            return []
        place = f" in namespace {grant.namespace}" if role.kind == "Role" else ""
        text, remedy = f"there is no {role.kind} {role.name}{place}", "create it first, or correct the name"
        return [Problem("role_unknown", text, remedy, path=where)]
    if grant.subject.is_everyone and roles.power(live.rules(role, grant.namespace)):
        text = f"{grant.subject} is every account, and {role} can give itself any right"
        return [Problem("subject_everyone", text, "bind the accounts or groups that are meant", path=where)]
    return []


def _cluster_grants(live: Live) -> list[tuple[rbac.Grant, Object]]:
    """What bindings of anybody give in the whole cluster, each with its binding."""
    return [
        (grant, binding)
        for (namespace, dummy), binding in live.bindings.items()
        if namespace == rbac.ALL
        for grant in rbac.grants_of(binding)
    ]


def administrators(live: Live) -> set[rbac.Subject]:
    """Lasting subjects, of a person or a team, that hold every right in the cluster."""
    return {
        grant.subject
        for grant, binding in _cluster_grants(live)
        if roles.is_admin(live.rules(grant.role, grant.namespace))
        and not grant.subject.name.startswith("system:")
        and grant.subject.name != BREAK_GLASS
        and (is_ours(binding) or grant.subject.kind != "ServiceAccount")
        and CREDENTIAL not in (binding["metadata"].get("labels") or {})
    }


def caller_power(live: Live) -> int:
    """What the identity that makes the call can do to bindings; see roles.power."""
    if MASTERS in live.groups:
        return 3
    held = [
        roles.power(live.rules(grant.role, grant.namespace))
        for grant, dummy in _cluster_grants(live)
        if (grant.subject.name in live.groups if grant.subject.kind == "Group" else grant.subject.user == live.user)
    ]
    return max(held, default=0)


def guard(before: Live, after: Live) -> list[Problem]:
    """Why the changes would lock somebody out who must not be."""
    found = []
    lost = administrators(before) - administrators(after)
    if lost and not administrators(after):
        names = ", ".join(str(subject) for subject in sorted(lost))
        text = f"{names} would no longer be administrator, and nobody else is one"
        remedy = "list another administrator; to do without any, delete the ClusterRoleBinding by hand"
        found.append(Problem("last_admin", text, remedy, path="bindings"))
    if caller_power(after) < caller_power(before):
        text = f"{before.user}, which makes this call, would lose its own right to bind roles"
        found.append(Problem("own_access", text, "list it, or make the call as another administrator", path="bindings"))
    return found


def draw(state: Live, before: Live, changes: Changes) -> str:
    """The effect of this module's bindings and the rules of the preset roles that change, for people."""
    lines = sorted(str(grant) for grant in state.grants())
    for role in changes.roles:
        name = role["metadata"]["name"]
        if name in before.cluster_roles:
            rules = state.cluster_roles[name].get("rules") or []
            lines += [f"ClusterRole {name}: {text}" for text in roles.describe(rules)]
        elif name in state.cluster_roles:
            lines.append(f"ClusterRole {name}")
    return "".join(f"{line}\n" for line in lines)
