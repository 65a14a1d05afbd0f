# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac as rbac
from hypothesis import given
from hypothesis import strategies as st


def entry(name: str = "alice", role: str = "developer", *namespaces: str, **subject: str) -> dict[str, Any]:
    return {"subject": {"kind": "User", "name": name, **subject}, "role": role, "namespaces": list(namespaces)}


def codes(*entries: dict[str, Any], cluster: str = "here") -> list[str]:
    return sorted(problem.code for problem in rbac.parse(entries, cluster)[1])


SUBJECTS = st.builds(
    rbac.Subject,
    st.sampled_from(["User", "Group", "ServiceAccount"]),
    st.text("aä/%:@# .-", min_size=1, max_size=120),
    st.sampled_from(["", "a", "a-b"]),
)
ROLES = st.sampled_from(["admin", "developer", "ClusterRole/admin", "ClusterRole/a:b", "Role/a", "a"]).map(
    rbac.Role.parse
)
GRANTS = st.builds(rbac.Grant, SUBJECTS, ROLES, st.sampled_from(["*", "shop"]))


@given(GRANTS)
def test_names_are_path_segments(grant: rbac.Grant) -> None:
    assert not set(grant.name) & set("/% ") and grant.name not in (".", "..") and len(grant.name) <= 110
    assert grant.name.startswith("hostplane:")


@given(GRANTS, GRANTS)
def test_one_name_for_one_subject_and_role(one: rbac.Grant, other: rbac.Grant) -> None:
    same = (one.subject, one.role) == (other.subject, other.role)
    assert (one.name == other.name) is same


def test_a_name_stays_what_it_is() -> None:
    # Another name would leave the binding of an earlier release behind.
    grant = rbac.Grant(rbac.Subject("User", "https://idp/#alice"), rbac.Role.parse("ops"), "*")
    assert grant.name == "hostplane:ops:https:-idp-alice-ddca66f91f"


@given(GRANTS)
def test_a_binding_is_read_as_it_was_written(grant: rbac.Grant) -> None:
    known = rbac.Subject.of(grant.subject.to_object())
    expected = rbac.Grant(known, grant.role, grant.namespace)
    assert rbac.grants_of(grant.to_object()) == [expected] and rbac.key_of(grant.to_object()) == grant.key


def test_roles_by_name() -> None:
    assert rbac.Role.parse("admin") == rbac.Role("ClusterRole", "hostplane:admin")
    assert rbac.Role.parse("hostplane:admin").preset == "admin"
    assert rbac.Role.parse("ClusterRole/admin") == rbac.Role("ClusterRole", "admin")
    assert rbac.Role.parse("edit") == rbac.Role("ClusterRole", "edit")
    assert rbac.Role.parse("Role/edit") == rbac.Role("Role", "edit")
    assert [str(rbac.Role.parse(text)) for text in ("ops", "edit", "Role/x")] == ["ops", "ClusterRole/edit", "Role/x"]
    assert rbac.Role("Role", "hostplane:admin").preset == ""


def test_what_an_account_is_to_the_api_server() -> None:
    account = rbac.Subject("ServiceAccount", "ci", "shop")
    assert account.user == "system:serviceaccount:shop:ci"
    assert account.groups == ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:shop"]
    team = rbac.Subject("Group", "team")
    assert (team.user, team.groups) == ("", ["system:authenticated", "team"])


def test_entries_become_single_grants() -> None:
    entries = [
        entry("a", "admin"),
        entry("b", "developer", "x", "y"),
        entry("b", "developer", "y"),
        entry("c", "ops", "*"),
    ]
    grants, problems = rbac.parse(entries, "")
    assert problems == []
    assert {str(grant): path for grant, path in grants.items()} == {
        "User a: admin in every namespace": "bindings[0]",
        "User b: developer in x": "bindings[1]",
        "User b: developer in y": "bindings[1]",
        "User c: ops in every namespace": "bindings[3]",
    }


def test_entries_of_other_clusters() -> None:
    # What is wrong with it is the other cluster's business.
    there = {**entry("", "developer"), "clusters": ["there"]}
    both = {**entry("b", "developer", "x"), "clusters": ["here", "there"]}
    grants, problems = rbac.parse([there, both], "here")
    assert ([grant.subject.name for grant in grants], problems) == (["b"], [])
    assert codes(there, both, cluster="") == ["cluster_unknown", "cluster_unknown"]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (entry("a", "developer"), "scope_empty"),
        (entry("a", "edit"), "scope_empty"),
        (entry("a", "developer", "*", "shop"), "scope_mixed"),
        (entry("a", "admin", "shop"), "scope_preset"),
        (entry("a", "ops", "shop"), "scope_preset"),
        (entry("a", "Role/x", "*"), "scope_role"),
        (entry("a", "Role/x/y", "shop"), "role_name"),
        (entry("a", "ClusterRole/", "shop"), "role_name"),
        (entry("", "developer", "shop"), "subject_empty"),
        (entry("a", "developer", "shop", kind="ServiceAccount"), "subject_namespace"),
        (entry("a", "developer", "shop", namespace="shop"), "subject_namespace"),
        (entry("a", "developer", "shop", kind="Group", namespace="shop"), "subject_namespace"),
        (entry("system:anonymous", "restricted", "shop"), "subject_anonymous"),
        (entry("system:unauthenticated", "restricted", "shop", kind="Group"), "subject_anonymous"),
        (entry("system:masters", "admin", kind="Group"), "subject_masters"),
        (entry("system:serviceaccount:a:b", "restricted", "shop"), "subject_account"),
        (entry("system:authenticated", "developer", "shop", kind="Group"), "subject_everyone"),
        (entry("system:serviceaccounts:shop", "ops", kind="Group"), "subject_everyone"),
    ],
)
def test_refusals(item: dict[str, Any], code: str) -> None:
    assert codes(item) == [code]


def test_everyone_may_be_restricted() -> None:
    assert codes(entry("system:authenticated", "restricted", "shop", kind="Group")) == []


def test_two_presets_in_one_place() -> None:
    assert codes(entry("a", "developer", "x", "y"), entry("a", "restricted", "y")) == ["two_presets"]
    assert codes(entry("a", "developer", "x"), entry("a", "restricted", "*"), entry("a", "edit", "x")) == []
    assert codes(entry("a", "developer", "x"), entry("a", "restricted", "x", kind="Group")) == []


def test_all_refusals_at_once() -> None:
    assert codes(entry("a", "ops", "x"), entry("", "developer")) == ["scope_empty", "scope_preset", "subject_empty"]
