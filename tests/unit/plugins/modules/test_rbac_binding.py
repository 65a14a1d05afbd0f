# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rbac_binding as Ansible runs it, against a played API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _rbac_proof, _rbac_run
from ansible_collections.hostplane.cluster.plugins.modules import rbac_binding

exceptions = pytest.importorskip("kubernetes.client.exceptions")
Run = Callable[..., dict[str, Any]]
RBAC = "/apis/rbac.authorization.k8s.io/v1/"


def failure(status: int, message: str) -> Exception:
    exc: Exception = exceptions.ApiException(status=status, reason=message)
    exc.body = json.dumps({"message": message})  # type: ignore[attr-defined]
    return exc


class Api:
    """Namespaces, roles and bindings by path; everything is denied."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        for name in ("shop", "bank"):
            self.objects[f"/api/v1/namespaces/{name}"] = {"metadata": {"name": name}, "status": {"phase": "Active"}}
        self.objects[f"{RBAC}clusterroles/edit"] = {"metadata": {"name": "edit"}, "rules": []}
        self.user = {"username": "root", "groups": ["system:masters"]}
        self.asked: list[tuple[str, str]] = []
        self.deleted: list[dict[str, Any]] = []
        self.broken: dict[str, Exception] = {}

    def changes(self) -> list[str]:
        """What was written, in order."""
        return [f"{method} {path}" for method, path in self.asked if method != "GET" and "review" not in path]

    def items(self, path: str) -> list[dict[str, Any]]:
        self.asked.append(("GET", path))
        if path in self.broken:
            raise self.broken[path]
        kind = path.rpartition("/")[2]
        # As the real one: the items of a list have no kind.
        return [
            {key: value for key, value in item.items() if key != "kind"}
            for there, item in self.objects.items()
            if there.split("/")[-2] == kind
        ]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        self.asked.append((method, path))
        if path.endswith("selfsubjectreviews"):
            return {"status": {"userInfo": self.user}}
        if path == _rbac_proof.REVIEW:
            return {"status": {"allowed": False}}
        if method in self.broken:
            raise self.broken[method]
        if method == "DELETE":
            meta = self.objects.pop(path)["metadata"]
            assert body["preconditions"] == {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
            return {}
        assert method == "POST"
        full = f"{path}/{body['metadata']['name']}"
        assert full not in self.objects
        stored = json.loads(json.dumps(body))
        stored["metadata"].update({"uid": f"uid-{full}", "resourceVersion": "1"})
        self.objects[full] = stored
        return stored

    def patch(self, path: str, body: Any) -> None:
        self.asked.append(("PATCH", path))
        stored = self.objects[path]
        stored["metadata"].setdefault("labels", {}).update(body["metadata"]["labels"])
        stored.update({key: value for key, value in body.items() if key != "metadata"})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(_rbac_run, "KubeApi", lambda *dummy: made)
    return made


@pytest.fixture
def bind(run_module: Run, tmp_path: Path) -> Run:
    kubeconfig = tmp_path / "admin.conf"
    kubeconfig.touch()

    def run(*bindings: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run_module(rbac_binding, **{"kubeconfig": str(kubeconfig), "bindings": bindings, **options})

    return run


def entry(name: str, role: str, *namespaces: str, **others: Any) -> dict[str, Any]:
    return {"subject": {"name": name}, "role": role, "namespaces": namespaces, **others}


def short(names: list[str]) -> list[str]:
    """Names without their digests."""
    return [name.rpartition("-")[0] for name in names]


def test_made_once(bind: Run, api: Api) -> None:
    wanted = [entry("alice", "admin"), entry("bob", "developer", "shop", "bank"), entry("bob", "edit", "shop")]
    predicted = bind(*wanted, check=True, diff=True)
    assert api.changes() == []
    result = bind(*wanted, diff=True)
    assert {**predicted, "invocation": None} == {**result, "invocation": None}
    assert short(result["added"]) == [
        "bank/hostplane:developer:bob",
        "hostplane:admin:alice",
        "shop/hostplane:developer:bob",
        "shop/hostplane:edit:bob",
    ]
    assert result["roles"] == ["hostplane:admin", "hostplane:developer"]
    assert result["diff"]["after"].splitlines() == [
        "User alice: admin in every namespace",
        "User bob: ClusterRole/edit in shop",
        "User bob: developer in bank",
        "User bob: developer in shop",
        "ClusterRole hostplane:admin",
        "ClusterRole hostplane:developer",
    ]
    assert result["report"] == result["diff"]["after"].splitlines()[:4]
    before = len(api.changes())
    again = bind(*reversed(wanted), exact=True)
    assert (again["changed"], len(api.changes()), again["bindings"]) == (False, before, result["bindings"])


def test_one_list_for_each_kind(bind: Run, api: Api) -> None:
    bind(*(entry(f"user{number}", "developer", "shop", "bank") for number in range(50)))
    lists = [path.rpartition("/")[2] for method, path in api.asked if method == "GET"]
    assert sorted(lists) == ["clusterrolebindings", "clusterroles", "namespaces", "rolebindings"]
    assert len(api.changes()) == 50 * 2 + 1


def test_new_rights_come_before_old_ones_go(bind: Run, api: Api) -> None:
    bind(entry("alice", "admin"), entry("bob", "developer", "shop"))
    api.asked.clear()
    result = bind(entry("alice", "admin"), entry("bob", "restricted", "shop"))
    assert (short(result["added"]), short(result["removed"])) == (
        ["shop/hostplane:restricted:bob"],
        ["shop/hostplane:developer:bob"],
    )
    assert [text.split()[0] for text in api.changes()] == ["POST", "POST", "DELETE"]
    assert api.changes()[0].endswith("clusterroles")


def test_exact(bind: Run, api: Api) -> None:
    bind(entry("alice", "admin"), entry("bob", "edit", "shop"))
    path = f"{RBAC}namespaces/shop/rolebindings/by-hand"
    role = {"kind": "ClusterRole", "name": "edit"}
    api.objects[path] = {"metadata": {"name": "by-hand", "namespace": "shop"}, "roleRef": role}
    kept = bind(entry("alice", "admin"))
    assert (kept["changed"], short(kept["unlisted"])) == (False, ["shop/hostplane:edit:bob"])
    result = bind(entry("alice", "admin"), exact=True, diff=True)
    assert (short(result["removed"]), result["unlisted"]) == (["shop/hostplane:edit:bob"], [])
    assert result["diff"]["before"].replace(result["diff"]["after"], "") == "User bob: ClusterRole/edit in shop\n"
    assert path in api.objects


def test_a_binding_with_another_role_is_made_again(bind: Run, api: Api) -> None:
    bind(entry("alice", "edit", "shop"))
    (path,) = [path for path in api.objects if "rolebindings" in path]
    api.objects[path]["roleRef"]["name"] = "view"
    result = bind(entry("alice", "edit", "shop"))
    assert short(result["updated"]) == ["shop/hostplane:edit:alice"]
    assert api.objects[path]["roleRef"]["name"] == "edit"


def test_drift_is_put_right(bind: Run, api: Api) -> None:
    bind(entry("alice", "ops"))
    (path,) = [path for path in api.objects if "clusterrolebindings" in path]
    api.objects[path]["subjects"].append({"kind": "User", "name": "mallory"})
    api.objects[f"{RBAC}clusterroles/hostplane:ops"]["rules"] = []
    result = bind(entry("alice", "ops"), diff=True)
    assert (short(result["updated"]), result["roles"]) == (["hostplane:ops:alice"], ["hostplane:ops"])
    assert "User mallory: ops in every namespace" in result["diff"]["before"]
    assert "ClusterRole hostplane:ops: get,list,watch nodes,persistentvolumes\n" in result["diff"]["after"]
    assert not bind(entry("alice", "ops"))["changed"]


def test_refusals_before_any_change(bind: Run, api: Api) -> None:
    result = bind(entry("a", "edit", "nowhere"), entry("b", "nonesuch", "shop"), entry("c", "developer"))
    assert [item["code"] for item in result["problems"]] == ["namespace_unknown", "role_unknown", "scope_empty"]
    for text in ("bindings[0].namespaces: there is no namespace nowhere", "3 problems found", "Remedy: "):
        assert text in result["msg"]
    assert api.changes() == []


def test_the_last_administrator_stays(bind: Run, api: Api) -> None:
    bind(entry("alice", "admin"))
    api.asked.clear()
    result = bind(exact=True)
    assert [item["code"] for item in result["problems"]] == ["last_admin"] and api.changes() == []


def test_proof(bind: Run, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rbac_proof, "SETTLE_SECONDS", 0)
    checks = [{"verbs": ["get"], "resources": ["pods", "nodes"]}]
    result = bind(entry("alice", "developer", "shop"), prove=True, checks=checks)
    row = {"subject": "User alice", "namespace": "shop", "allowed": {"nodes": [], "pods": []}, "reasons": []}
    assert result["can_i"] == [row]
    assert [text.partition(",")[0] for text in result["warnings"]] == [
        "the API server denies User alice to get pods in shop"
    ]
    gone = bind(exact=True, prove=True, checks=checks)
    assert (gone["can_i"], gone["removed"], gone["warnings"]) == ([row], result["added"], [])


def test_check_mode_before_there_is_a_cluster(run_module: Run, tmp_path: Path) -> None:
    options = {"kubeconfig": str(tmp_path / "none.conf"), "bindings": [entry("a", "developer", "x")], "prove": True}
    result = run_module(rbac_binding, check=True, **options)
    assert result["changed"] and short(result["added"]) == ["x/hostplane:developer:a"]
    assert "none.conf can't be used" in run_module(rbac_binding, **options)["msg"]


def test_a_binding_that_somebody_else_has_removed_meanwhile(bind: Run, api: Api) -> None:
    bind(entry("alice", "edit", "shop"))
    api.broken["DELETE"] = failure(404, "not found")
    assert len(bind(exact=True)["removed"]) == 1
    api.broken["DELETE"] = failure(409, "the UID in the precondition does not match")
    assert "precondition" in bind(exact=True)["msg"]


@pytest.mark.parametrize("where", [f"{RBAC}clusterroles", "POST"])
def test_an_api_that_refuses(bind: Run, api: Api, where: str) -> None:
    api.broken[where] = failure(403, "user is attempting to grant RBAC permissions not currently held")
    result = bind(entry("alice", "admin"))
    assert result["failed"] and "permissions not currently held" in result["msg"]


def test_without_the_library(bind: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kubeapi, "IMPORT_ERROR", "no module")
    assert "kubernetes" in bind(entry("alice", "admin"))["msg"]
