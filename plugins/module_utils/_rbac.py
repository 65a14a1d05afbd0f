# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Who gets which role where: the entries of a list of bindings, checked and made into single grants."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_roles as roles
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

ALL = "*"
NOBODY = {"system:anonymous", "system:unauthenticated"}
EVERYONE = {"system:authenticated", "system:serviceaccounts"}


@dataclass(frozen=True, order=True)
class Subject:
    """A subject as RBAC has it."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"

    @property
    def user(self) -> str:
        """The name of the user that is authorized, empty for a group."""
        if self.kind == "ServiceAccount":
            return f"system:serviceaccount:{self.namespace}:{self.name}"
        return self.name if self.kind == "User" else ""

    @property
    def groups(self) -> list[str]:
        """The groups that the subject is known to be in."""
        if self.kind == "Group":
            return sorted({self.name, "system:authenticated"})
        own = ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}"]
        return ["system:authenticated", *(own if self.kind == "ServiceAccount" else [])]

    @property
    def is_everyone(self) -> bool:
        """Whether it is a group that accounts are in without anybody having put them there."""
        return self.kind == "Group" and (self.name in EVERYONE or self.name.startswith("system:serviceaccounts:"))

    def to_object(self) -> dict[str, str]:
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"apiGroup": roles.RBAC_GROUP, "kind": self.kind, "name": self.name}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Subject:
        namespace = str(data.get("namespace") or "") if data["kind"] == "ServiceAccount" else ""
        return cls(data["kind"], data["name"], namespace)


@dataclass(frozen=True, order=True)
class Role:
    """A ClusterRole or Role by name."""

    kind: str
    name: str

    @property
    def preset(self) -> str:
        """Which preset role it is, or nothing."""
        name = self.name[len(roles.PREFIX) :]
        is_preset = self.kind == "ClusterRole" and self.name.startswith(roles.PREFIX) and name in roles.PRESETS
        return name if is_preset else ""

    def __str__(self) -> str:
        return self.preset or f"{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Role:
        if text in roles.PRESETS:
            return cls("ClusterRole", roles.PREFIX + text)
        kind, slash, name = text.partition("/")
        return cls(kind, name) if slash and kind in ("Role", "ClusterRole") else cls("ClusterRole", text)


@dataclass(frozen=True, order=True)
class Grant:
    """A subject has a role in a namespace, or everywhere."""

    subject: Subject
    role: Role
    namespace: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.role} in {'every namespace' if self.namespace == ALL else self.namespace}"

    @property
    def name(self) -> str:
        """The binding's name: readable, and by its digest a different one for a different subject or role."""
        parts = (self.subject.kind, self.subject.namespace, self.subject.name, self.role.kind, self.role.name)
        key = "\0".join(parts)
        readable = re.sub(r"[^A-Za-z0-9.:@_-]+", "-", f"{self.role.preset or self.role.name}:{self.subject.name}")
        return f"{roles.PREFIX}{readable[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)

    def to_object(self) -> dict[str, Any]:
        """The ClusterRoleBinding or RoleBinding."""
        meta = {
            "name": self.name,
            "labels": {"app.kubernetes.io/managed-by": "hostplane.cluster", roles.LABEL: "binding"},
        }
        return {
            "apiVersion": f"{roles.RBAC_GROUP}/v1",
            "kind": "ClusterRoleBinding" if self.namespace == ALL else "RoleBinding",
            "metadata": meta if self.namespace == ALL else {**meta, "namespace": self.namespace},
            "roleRef": {"apiGroup": roles.RBAC_GROUP, "kind": self.role.kind, "name": self.role.name},
            "subjects": [self.subject.to_object()],
        }


def key_of(binding: Mapping[str, Any]) -> tuple[str, str]:
    """Where a binding is and its name."""
    return (binding["metadata"].get("namespace") or ALL, binding["metadata"]["name"])


def grants_of(binding: Mapping[str, Any]) -> list[Grant]:
    """What a binding of anybody gives."""
    role = Role(binding["roleRef"]["kind"], binding["roleRef"]["name"])
    namespace = key_of(binding)[0]
    return [Grant(Subject.of(subject), role, namespace) for subject in binding.get("subjects") or []]


def _subject_problem(subject: Subject) -> tuple[str, str, str] | None:
    """What is wrong with a subject whatever it gets: code, message, remedy."""
    if not subject.name:
        return "subject_empty", "the subject has no name", "give it one"
    if subject.kind == "ServiceAccount" and not subject.namespace:
        return "subject_namespace", f"{subject} has no namespace", "say in subject.namespace where it is"
    if subject.name in NOBODY:
        return (
            "subject_anonymous",
            f"{subject} stands for everybody without a login",
            "bind the people or groups that are meant",
        )
    if (subject.kind, subject.name) == ("Group", "system:masters"):
        return "subject_masters", f"{subject} passes every check, bound or not", "leave the binding out"
    if subject.kind == "User" and subject.name.startswith("system:serviceaccount:"):
        return "subject_account", f"{subject} is a service account", "use the kind ServiceAccount with its namespace"
    return None


def _scope_problem(role: Role, namespaces: Sequence[str]) -> tuple[str, str, str] | None:
    """What is wrong with where a role is given: code, message, remedy."""
    if ALL in namespaces and len(set(namespaces)) > 1:
        return "scope_mixed", "'*' stands for every namespace and can't be one of several", "list '*' alone"
    if role.preset in roles.CLUSTER_WIDE:
        if set(namespaces) - {ALL}:
            remedy = "leave namespaces out, or take developer or ClusterRole/admin"
            return "scope_preset", f"{role} is given in the whole cluster only", remedy
    elif not namespaces:
        return "scope_empty", f"no namespace is listed for {role}", "list the namespaces, or '*' for the whole cluster"
    elif role.kind == "Role" and ALL in namespaces:
        return "scope_role", f"{role} is in one namespace and can't be given in all", "take a ClusterRole"
    return None


def _entry_problems(
    subject: Subject, namespace: str, role: Role, namespaces: Sequence[str], path: str
) -> list[Problem]:
    """What can be told about an entry without a cluster."""
    found = [(f"{path}.subject", _subject_problem(subject)), (f"{path}.namespaces", _scope_problem(role, namespaces))]
    if namespace and subject.kind != "ServiceAccount":
        text = f"{subject} is in no namespace"
        remedy = "leave subject.namespace out; where the role is given is said in namespaces"
        found.append((f"{path}.subject.namespace", ("subject_namespace", text, remedy)))
    if not role.name or re.search(r"[/%]", role.name):
        found.append((f"{path}.role", ("role_name", f"'{role.name}' is no name of a role", "see the module's roles")))
    if subject.is_everyone and role.preset not in ("", "restricted"):
        text = f"{subject} is not a team but every account, and would become {role}"
        found.append((f"{path}.subject", ("subject_everyone", text, "bind the accounts or groups that are meant")))
    return [Problem(item[0], item[1], item[2], path=where) for where, item in found if item]


def parse(entries: Sequence[Mapping[str, Any]], cluster: str) -> tuple[dict[Grant, str], list[Problem]]:
    """The grants that are for this cluster, each with the path of its entry, and what is wrong with the list."""
    grants: dict[Grant, str] = {}
    problems: list[Problem] = []
    for number, entry in enumerate(entries):
        path, clusters = f"bindings[{number}]", entry.get("clusters") or []
        if clusters and not cluster:
            text = f"the binding is for {', '.join(clusters)}, and the name of this cluster is not known"
            problems.append(Problem("cluster_unknown", text, "say it with cluster", path=f"{path}.clusters"))
        if clusters and cluster not in clusters:
            continue
        subject, role = Subject.of(entry["subject"]), Role.parse(entry["role"])
        namespaces = entry.get("namespaces") or []
        problems += _entry_problems(subject, entry["subject"].get("namespace") or "", role, namespaces, path)
        for namespace in namespaces or [ALL]:
            grants.setdefault(Grant(subject, role, namespace), path)
    return grants, problems + _rivals(grants)


def _rivals(grants: Mapping[Grant, str]) -> list[Problem]:
    """Subjects that would have two preset roles in one place."""
    places: dict[tuple[Subject, str], list[Grant]] = {}
    for grant in grants:
        if grant.role.preset:
            places.setdefault((grant.subject, grant.namespace), []).append(grant)
    return [
        Problem(
            "two_presets",
            f"{subject} gets {' and '.join(sorted(str(item.role) for item in rivals))} in {namespace}",
            "keep one of them; custom roles can be added to it",
            path=grants[rivals[-1]],
        )
        for (subject, namespace), rivals in places.items()
        if len(rivals) > 1
    ]
