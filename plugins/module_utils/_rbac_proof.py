# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What subjects may do, asked of the API server with SubjectAccessReviews."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac as rbac
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_plan as planning
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_roles as roles
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeapi import KubeApi

REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
THREADS = 8
# An API server knows a change when its watch of etcd has brought it; behind a balancer there are several servers.
SETTLE_SECONDS = 10.0
DEFAULT_CHECKS: list[dict[str, Any]] = [
    {
        "verbs": ["list", "create", "delete"],
        "resources": [
            "configmaps",
            "deployments.apps",
            "ingresses.networking.k8s.io",
            "jobs.batch",
            "persistentvolumeclaims",
            "pods",
            "pods/exec",
            "secrets",
            "services",
            "resourcequotas",
            "namespaces",
            "nodes",
            "persistentvolumes",
            "clusterrolebindings.rbac.authorization.k8s.io",
        ],
    }
]
# A request for these has no namespace, whatever the subject was bound in, and the API does not say so in its answer.
CLUSTER_SCOPED = {
    "apiservices",
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "csidrivers",
    "csinodes",
    "customresourcedefinitions",
    "deviceclasses",
    "flowschemas",
    "ingressclasses",
    "ipaddresses",
    "mutatingwebhookconfigurations",
    "namespaces",
    "nodes",
    "persistentvolumes",
    "priorityclasses",
    "prioritylevelconfigurations",
    "resourceslices",
    "runtimeclasses",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "servicecidrs",
    "storageclasses",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
    "volumeattachments",
    "volumeattributesclasses",
    "volumesnapshotclasses",
    "volumesnapshotcontents",
}


@dataclass(frozen=True, order=True)
class Question:
    """May the subject do this there?"""

    subject: rbac.Subject
    namespace: str
    resource: str
    verb: str

    def split(self) -> tuple[str, str, str]:
        """Group, resource and subresource of what is written as C(deployments.apps/scale) or C(pods/log)."""
        full, dummy, subresource = self.resource.partition("/")
        resource, dummy, group = full.partition(".")
        return group, resource, subresource

    def place(self) -> str:
        """The namespace that a request has, empty for the whole cluster."""
        return "" if self.namespace == rbac.ALL or self.split()[1] in CLUSTER_SCOPED else self.namespace

    def review(self) -> dict[str, Any]:
        """The SubjectAccessReview."""
        group, resource, subresource = self.split()
        asked = {"verb": self.verb, "group": group, "resource": resource, "namespace": self.place()}
        if subresource:
            asked["subresource"] = subresource
        spec: dict[str, Any] = {"resourceAttributes": asked, "groups": self.subject.groups}
        if self.subject.user:
            spec["user"] = self.subject.user
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


@dataclass(frozen=True)
class Answer:
    """What the API server says, and why."""

    allowed: bool
    reason: str


def questions(grants: Iterable[rbac.Grant], checks: Sequence[Mapping[str, Any]] = ()) -> list[Question]:
    """Everything to ask about the subjects of these grants."""
    places: dict[rbac.Subject, set[str]] = {}
    for grant in grants:
        places.setdefault(grant.subject, set()).add(grant.namespace)
    return sorted(
        {
            Question(subject, namespace, resource, verb)
            for subject, own in places.items()
            for check in checks or DEFAULT_CHECKS
            for namespace in check.get("namespaces") or own
            for resource in check["resources"]
            for verb in check["verbs"]
        }
    )


def ask(api: KubeApi, asked: Sequence[Question]) -> dict[Question, Answer]:
    """The answers, several at a time."""

    def one(question: Question) -> Answer:
        status = api.call("POST", REVIEW, body=question.review())["status"]
        return Answer(bool(status.get("allowed")), str(status.get("reason") or ""))

    # What has no namespace is asked once for a subject, however many namespaces it is bound in.
    same = {question: replace(question, namespace=question.place() or rbac.ALL) for question in asked}
    different = sorted(set(same.values()))
    with ThreadPoolExecutor(THREADS) as pool:
        answers = dict(zip(different, pool.map(one, different)))
    return {question: answers[same[question]] for question in asked}


def contradicts(question: Question, answer: Answer, live: planning.Live, gone: Iterable[planning.Key] = ()) -> bool:
    """Whether the answer is not what this module's bindings promise, as right after a change."""
    if answer.allowed:
        # As Kubernetes words it: a RoleBinding with its namespace behind a slash, both in quotes.
        return any(
            f'"{name}"' in answer.reason if namespace == rbac.ALL else f'"{name}/{namespace}"' in answer.reason
            for namespace, name in gone
        )
    group, resource, subresource = question.split()
    full = f"{resource}/{subresource}" if subresource else resource
    return any(
        grant.subject == question.subject
        and grant.namespace in (rbac.ALL, question.place())
        and roles.covers(live.rules(grant.role, grant.namespace), question.verb, group, full)
        for grant in live.grants()
    )


def prove(
    api: KubeApi, asked: Sequence[Question], live: planning.Live, gone: Iterable[planning.Key], wait: bool
) -> tuple[dict[Question, Answer], list[Question]]:
    """All answers, and the questions whose answers contradict the bindings even after a while."""
    answers, gone = ask(api, asked), list(gone)
    deadline = time.monotonic() + (SETTLE_SECONDS if wait else 0)
    while True:
        wrong = [question for question, answer in answers.items() if contradicts(question, answer, live, gone)]
        if not wrong or time.monotonic() >= deadline:
            return answers, wrong
        time.sleep(0.1)
        answers.update(ask(api, wrong))


def matrix(answers: Mapping[Question, Answer]) -> list[dict[str, Any]]:
    """The answers by subject and place."""
    rows: dict[tuple[rbac.Subject, str], dict[str, Any]] = {}
    for question, answer in sorted(answers.items(), key=lambda item: item[0]):
        row = rows.setdefault(
            (question.subject, question.namespace),
            {"subject": str(question.subject), "namespace": question.namespace, "allowed": {}, "reasons": set()},
        )
        verbs = row["allowed"].setdefault(question.resource, [])
        if answer.allowed:
            verbs.append(question.verb)
            row["reasons"].add(answer.reason)
    return [{**row, "reasons": sorted(row["reasons"] - {""})} for row in rows.values()]


def describe(question: Question, answer: Answer) -> str:
    """An answer that contradicts the bindings, for people."""
    return (
        f"the API server {'allows' if answer.allowed else 'denies'} {question.subject} to {question.verb}"
        f" {question.resource} in {question.namespace}, against the bindings;"
        f" does it ask another authorizer than RBAC first?"
    )
