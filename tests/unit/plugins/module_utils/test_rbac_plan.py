# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac as rbac
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_plan as planning
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_roles as roles
from hypothesis import given
from hypothesis import strategies as st

ADMIN = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


def grant(name: str = "alice", role: str = "admin", namespace: str = "*", kind: str = "User") -> rbac.Grant:
    subject = rbac.Subject(kind, name, "shop" if kind == "ServiceAccount" else "")
    return rbac.Grant(subject, rbac.Role.parse(role), namespace)


def foreign(item: rbac.Grant) -> dict[str, Any]:
    """The binding of somebody else that gives the same."""
    binding = item.to_object()
    binding["metadata"].pop("labels")
    binding["metadata"]["name"] = f"{item.subject.name}-by-hand"
    return binding


def make_live(*bindings: Any, user: str = "root", groups: tuple[str, ...] = ()) -> planning.Live:
    objects = [item.to_object() if isinstance(item, rbac.Grant) else item for item in bindings]
    cluster_roles: dict[str, Any] = {name: {"metadata": {"name": name}, "rules": []} for name in ("edit", "view")}
    cluster_roles["cluster-admin"] = {"metadata": {"name": "cluster-admin"}, "rules": ADMIN}
    cluster_roles.update({roles.PREFIX + name: roles.preset_object(name) for name in roles.PRESETS})
    return planning.Live(
        {"shop": "Active", "bank": "Active", "gone": "Terminating"},
        cluster_roles,
        {("shop", "reader"): {"metadata": {"name": "reader", "namespace": "shop"}, "rules": []}},
        {rbac.key_of(item): item for item in objects},
        user,
        list(groups),
    )


def names(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [rbac.key_of(item) for item in items]


GRANTS = st.lists(
    st.builds(
        grant,
        st.sampled_from(["a", "b"]),
        st.sampled_from(["developer", "restricted", "edit", "Role/reader"]),
        st.sampled_from(["*", "shop", "bank"]),
        st.sampled_from(["User", "Group", "ServiceAccount"]),
    ),
    max_size=6,
)


@given(GRANTS, GRANTS, GRANTS, st.booleans())
def test_the_plan_makes_it_so(there: list[Any], others: list[Any], wanted: list[Any], exact: bool) -> None:
    live = make_live(*there, *map(foreign, others))
    changes = planning.plan(wanted, live, exact)
    after = planning.apply(live, changes)
    assert set(wanted) <= set(after.grants())
    assert not planning.plan(wanted, after, exact)
    by_others = {key: item for key, item in live.bindings.items() if not planning.is_ours(item)}
    assert by_others == {key: item for key, item in after.bindings.items() if not planning.is_ours(item)}
    left = set(after.grants()) - set(wanted)
    assert left == {item for binding in changes.unlisted for item in rbac.grants_of(binding)}
    assert not (exact and left)
    if not exact:
        places = {(item.subject, item.namespace) for item in wanted if item.role.preset}
        lost = set(live.grants()) - set(after.grants())
        assert all(item.role.preset and (item.subject, item.namespace) in places for item in lost)


@given(GRANTS, st.randoms())
def test_the_order_of_the_list_is_nothing(wanted: list[Any], random: Any) -> None:
    shuffled = random.sample(wanted, len(wanted))
    live = make_live(grant("z", "edit", "shop"))
    assert planning.plan(wanted, live, True) == planning.plan(shuffled, live, True)


def test_drift() -> None:
    binding = grant("a", "edit", "shop").to_object()
    for change in (
        {"subjects": []},
        {"subjects": None},
        {"metadata": {**binding["metadata"], "labels": {roles.LABEL: ""}}},
    ):
        changes = planning.plan([grant("a", "edit", "shop")], make_live({**binding, **change}), False)
        assert names(changes.update) == [rbac.key_of(binding)]
    other = {**binding, "roleRef": {**binding["roleRef"], "name": "view"}}
    changes = planning.plan([grant("a", "edit", "shop")], make_live(other), False)
    assert (names(changes.recreate), changes.update) == ([rbac.key_of(binding)], [])


@pytest.mark.parametrize("change", [{"rules": []}, {"aggregationRule": {"clusterRoleSelectors": []}}, None])
def test_preset_roles_are_put_right(change: dict[str, Any] | None) -> None:
    live = make_live(grant("a", "ops"))
    if change is None:
        del live.cluster_roles["hostplane:ops"]
    else:
        live.cluster_roles["hostplane:ops"].update(change)
    del live.cluster_roles["hostplane:admin"]
    assert planning.plan([grant("a", "ops")], live, False).roles == [roles.preset_object("ops")]


def problems(*wanted: rbac.Grant, live: planning.Live | None = None) -> list[tuple[str, str]]:
    found = planning.check({item: f"bindings[{number}]" for number, item in enumerate(wanted)}, live or make_live())
    return [(item.code, item.path) for item in found]


def test_what_is_not_there() -> None:
    assert problems(
        grant("a", "developer", "nowhere"),
        grant("a", "developer", "gone"),
        grant("a", "nonesuch", "shop"),
        grant("a", "Role/reader", "bank"),
        grant("a", "Role/reader", "shop"),
        grant("a", "admin"),
    ) == [
        ("namespace_unknown", "bindings[0].namespaces"),
        ("namespace_terminating", "bindings[1].namespaces"),
        ("role_unknown", "bindings[2].role"),
        ("role_unknown", "bindings[3].role"),
    ]
    assert problems(grant("a", "Role/reader", "nowhere")) == [("namespace_unknown", "bindings[0].namespaces")]


def test_the_namespace_of_an_account() -> None:
    item = rbac.Grant(rbac.Subject("ServiceAccount", "ci", "nowhere"), rbac.Role.parse("edit"), "shop")
    assert problems(item) == [("namespace_unknown", "bindings[0].subject.namespace")]


def test_everyone_gets_no_power() -> None:
    for name in ("system:authenticated", "system:serviceaccounts:shop"):
        everyone = grant(name, "cluster-admin", "*", "Group")
        assert problems(everyone) == [("subject_everyone", "bindings[0].role")]
    assert problems(grant("system:authenticated", "view", "*", "Group")) == []


def test_what_others_made_is_not_taken_over() -> None:
    binding = grant("a", "ops").to_object()
    del binding["metadata"]["labels"]
    live = make_live(binding)
    del live.cluster_roles["hostplane:ops"]["metadata"]["labels"]
    assert problems(grant("a", "ops"), live=live) == [
        ("binding_foreign", "bindings[0]"),
        ("role_foreign", "bindings[0]"),
    ]


def test_before_there_is_a_cluster() -> None:
    wanted = {grant("a", "developer", "anywhere"): "", grant("b", "nonesuch", "*"): ""}
    assert planning.check(wanted, planning.Live()) == []
    changes = planning.plan(wanted, planning.Live(), True)
    assert (len(changes.create), [role["metadata"]["name"] for role in changes.roles]) == (2, ["hostplane:developer"])


def guard(live: planning.Live, *wanted: rbac.Grant) -> list[str]:
    after = planning.apply(live, planning.plan(wanted, live, True))
    return [problem.code for problem in planning.guard(live, after)]


def test_the_last_administrator() -> None:
    alice, bob = grant("alice"), grant("bob", "cluster-admin")
    assert guard(make_live(alice)) == ["last_admin"]
    assert guard(make_live(alice), grant("alice", "ops")) == ["last_admin"]
    assert guard(make_live(alice, bob)) == ["last_admin"]
    assert guard(make_live(alice, bob), bob) == []
    assert guard(make_live(alice), bob) == []
    # A team and an automation count as well.
    assert guard(make_live(alice), grant("team", kind="Group")) == []
    assert guard(make_live(alice), grant("ci", kind="ServiceAccount")) == []
    # Nobody was one, so nobody is locked out.
    assert guard(make_live(grant("carol", "ops"))) == []


def test_who_does_not_count_as_administrator() -> None:
    alice = grant("alice")
    system = [grant("kubeadm:cluster-admins", kind="Group"), grant("system:masters", kind="Group")]
    addon = grant("operator", "cluster-admin", kind="ServiceAccount")
    assert guard(make_live(alice, *map(foreign, system), foreign(addon))) == ["last_admin"]
    issued = foreign(grant("bob"))
    issued["metadata"]["labels"] = {planning.CREDENTIAL: "bob-1"}
    assert guard(make_live(alice, issued)) == ["last_admin"]
    assert guard(make_live(alice, foreign(grant("bob", "cluster-admin")))) == []
    assert guard(make_live(alice, foreign(grant("bob", "cluster-admin", "shop")))) == ["last_admin"]


@pytest.mark.parametrize(
    ("mine", "user", "groups"),
    [
        (grant("me"), "me", ()),
        (grant("mine", kind="Group"), "me", ("mine",)),
        (grant("ci", kind="ServiceAccount"), "system:serviceaccount:shop:ci", ()),
    ],
)
def test_the_own_access(mine: rbac.Grant, user: str, groups: tuple[str, ...]) -> None:
    alice = grant("alice")
    assert guard(make_live(alice, mine, user=user, groups=groups), alice) == ["own_access"]
    assert guard(make_live(alice, mine, user=user, groups=groups), alice, mine) == []
    assert guard(make_live(alice, mine, user="other", groups=("other",)), alice) == []
    # Another way in is left.
    assert guard(make_live(alice, mine, foreign(mine), user=user, groups=groups), alice) == []
    assert guard(make_live(alice, mine, user=user, groups=(*groups, "system:masters")), alice) == []
    # A name is not a group's name.
    assert guard(make_live(alice, mine, user="x", groups=("me",)), alice) == []


def test_a_widened_preset_is_not_taken_from_the_caller() -> None:
    live = make_live(grant("alice"), grant("me", "ops"), user="me")
    live.cluster_roles["hostplane:ops"]["rules"] = ADMIN
    assert guard(live, grant("alice"), grant("me", "ops")) == ["own_access"]


def test_the_drawing() -> None:
    live = make_live(grant("a", "developer", "shop"), foreign(grant("b")))
    live.cluster_roles["hostplane:restricted"]["rules"] = []
    del live.cluster_roles["hostplane:ops"]
    changes = planning.plan([grant("a", "restricted", "shop"), grant("c", "ops")], live, False)
    after = planning.apply(live, changes)
    assert planning.draw(live, live, changes) == "User a: developer in shop\n"
    drawn = planning.draw(after, live, changes).splitlines()
    assert drawn[:3] == ["User a: restricted in shop", "User c: ops in every namespace", "ClusterRole hostplane:ops"]
    assert drawn[3].startswith("ClusterRole hostplane:restricted: get,list,watch ")
