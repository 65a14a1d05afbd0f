# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac as rbac
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_plan as planning
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_proof as proof
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_roles as roles

ALICE = rbac.Subject("User", "alice")
DEVELOPER = rbac.Role.parse("developer")
YES, NO = proof.Answer(True, "RBAC: allowed"), proof.Answer(False, "")


def question(resource: str = "pods", verb: str = "get", namespace: str = "shop") -> proof.Question:
    return proof.Question(ALICE, namespace, resource, verb)


def make_live(*namespaces: str) -> planning.Live:
    bindings = [rbac.Grant(ALICE, DEVELOPER, name).to_object() for name in namespaces]
    return planning.Live(
        cluster_roles={"hostplane:developer": roles.preset_object("developer")},
        bindings={rbac.key_of(item): item for item in bindings},
    )


class Api:
    """Answers in turn; the last one for ever."""

    def __init__(self, *answers: tuple[bool, str]) -> None:
        self.answers, self.asked = list(answers), []

    def call(self, method: str, path: str, body: Any) -> Any:
        self.asked.append(body["spec"])
        allowed, reason = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {"status": {"allowed": allowed, "reason": reason}}


@pytest.mark.parametrize(
    ("resource", "namespace", "expected"),
    [
        ("pods", "shop", {"group": "", "resource": "pods", "namespace": "shop"}),
        ("pods/log", "shop", {"group": "", "resource": "pods", "subresource": "log", "namespace": "shop"}),
        (
            "deployments.apps/scale",
            "*",
            {"group": "apps", "resource": "deployments", "subresource": "scale", "namespace": ""},
        ),
        ("nodes", "shop", {"group": "", "resource": "nodes", "namespace": ""}),
        ("nodes.metrics.k8s.io", "shop", {"group": "metrics.k8s.io", "resource": "nodes", "namespace": ""}),
    ],
)
def test_what_is_asked(resource: str, namespace: str, expected: dict[str, str]) -> None:
    spec = question(resource, "get", namespace).review()["spec"]
    assert spec["resourceAttributes"] == {"verb": "get", **expected}
    assert (spec["user"], spec["groups"]) == ("alice", ["system:authenticated"])


def test_a_group_is_asked_about_without_a_user() -> None:
    spec = proof.Question(rbac.Subject("Group", "team"), "*", "pods", "get").review()["spec"]
    assert "user" not in spec and "team" in spec["groups"]


def test_questions() -> None:
    grants = [rbac.Grant(ALICE, DEVELOPER, name) for name in ("b", "a", "a")]
    checks = [{"verbs": ["list", "get"], "resources": ["pods"]}]
    asked = proof.questions(grants, checks)
    assert [(item.namespace, item.verb) for item in asked] == [("a", "get"), ("a", "list"), ("b", "get"), ("b", "list")]
    elsewhere = proof.questions(grants, [{**checks[0], "namespaces": ["*", "c"]}])
    assert {item.namespace for item in elsewhere} == {"*", "c"}
    assert len(proof.questions(grants)) == 2 * 3 * 14


@pytest.mark.parametrize(
    ("asked", "answer", "expected"),
    [
        (question(), YES, False),
        (question(), NO, True),
        (question("deployments.apps/scale"), NO, True),
        (question(namespace="bank"), NO, False),
        (question(namespace="*"), NO, False),
        (question("nodes"), NO, False),
        (question("pods/proxy"), NO, False),
    ],
)
def test_promises(asked: proof.Question, answer: proof.Answer, expected: bool) -> None:
    assert proof.contradicts(asked, answer, make_live("shop")) is expected


def test_a_promise_for_every_namespace() -> None:
    assert proof.contradicts(question(namespace="bank"), NO, make_live("*"))
    assert proof.contradicts(question(namespace="*"), NO, make_live("*"))


def test_a_binding_that_is_gone_must_not_be_the_reason() -> None:
    reason = 'RBAC: allowed by RoleBinding "old/shop" of ClusterRole "x" to User "alice"'
    asked, answer, live = question(), proof.Answer(True, reason), make_live()
    assert proof.contradicts(asked, answer, live, [("shop", "old")])
    assert not proof.contradicts(asked, answer, live, [("bank", "old"), ("*", "old"), ("shop", "ol")])
    everywhere = proof.Answer(True, 'RBAC: allowed by ClusterRoleBinding "old" of …')
    assert proof.contradicts(asked, everywhere, live, [("*", "old")])
    assert not proof.contradicts(asked, everywhere, live, [("shop", "old")])


def test_waits_until_the_api_server_knows() -> None:
    api = Api((False, ""), (False, ""), (True, "because"))
    answers, wrong = proof.prove(api, [question()], make_live("shop"), [], True)  # type: ignore[arg-type]
    assert (answers, wrong, len(api.asked)) == ({question(): proof.Answer(True, "because")}, [], 3)


def test_does_not_wait_when_nothing_was_changed() -> None:
    api = Api((False, ""))
    answers, wrong = proof.prove(api, [question()], make_live("shop"), [], False)  # type: ignore[arg-type]
    assert (answers, wrong, len(api.asked)) == ({question(): NO}, [question()], 1)
    assert "denies User alice to get pods in shop" in proof.describe(question(), NO)


def test_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "SETTLE_SECONDS", 0.15)
    api = Api((False, ""))
    wrong = proof.prove(api, [question()], make_live("shop"), [], True)[1]  # type: ignore[arg-type]
    assert wrong == [question()] and len(api.asked) == 3


def test_the_same_is_asked_once() -> None:
    api, asked = Api((True, "")), [question(kind, "get", name) for kind in ("nodes", "pods") for name in ("a", "b")]
    assert list(proof.ask(api, asked)) == asked  # type: ignore[arg-type]
    places = sorted(
        (item["resourceAttributes"]["resource"], item["resourceAttributes"]["namespace"]) for item in api.asked
    )
    assert places == [("nodes", ""), ("pods", "a"), ("pods", "b")]


def test_matrix() -> None:
    answers = {
        question("pods", "get"): proof.Answer(True, "b"),
        question("pods", "delete"): proof.Answer(True, "a"),
        question("nodes", "get"): NO,
        question("nodes", "get", "*"): YES,
    }
    assert proof.matrix(answers) == [
        {"subject": "User alice", "namespace": "*", "allowed": {"nodes": ["get"]}, "reasons": ["RBAC: allowed"]},
        {
            "subject": "User alice",
            "namespace": "shop",
            "allowed": {"nodes": [], "pods": ["delete", "get"]},
            "reasons": ["a", "b"],
        },
    ]
