# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Issued kubeconfigs: what they allow, how they are replaced, and what revoking takes away."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from plays import PLAIN, play

# Authorization follows a deleted binding at once; a token may be in the API server's cache for ten seconds.
SECONDS = 15


def run_module(name: str, fails: bool = False, **options: Any) -> dict[str, Any]:
    """Run a module on this machine; returns its result."""
    command = ["ansible", "localhost", "-m", f"hostplane.cluster.{name}", "-a", json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=PLAIN)
    assert bool(done.returncode) == fails, done.stdout[-4000:] + done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.partition(" => ")[2])
    return found


def status_of(call: Callable[[], Any]) -> int:
    """The HTTP status that a call of the API is answered with."""
    try:
        call()
    except client.ApiException as exc:
        return int(exc.status)
    return 200


def core(path: Path) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(path)))


def seconds_until(wanted: int, call: Callable[[], Any]) -> float:
    """How long it takes until a call is answered with that status."""
    start = time.monotonic()
    while (status := status_of(call)) != wanted:
        assert time.monotonic() - start < SECONDS, f"still {status}, not {wanted}"
        time.sleep(0.1)
    return time.monotonic() - start


@pytest.fixture
def issued(lab_dir: Path) -> Path:
    return lab_dir / "issued"


@pytest.fixture
def wishes(lab_dir: Path, inventory: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The scenario's kubeconfigs by user, to be changed."""
    text = json.dumps(inventory["vars"]["access_kubeconfigs"]).replace("{{ lab_dir }}", str(lab_dir))
    return {entry["user"]: entry for entry in json.loads(text)}


@pytest.fixture
def known(lab_dir: Path) -> Callable[..., list[dict[str, Any]]]:
    """What the cluster remembers, of one user or all."""

    def ask(user: str = "") -> list[dict[str, Any]]:
        options = {"kubeconfig": str(lab_dir / "admin.conf"), "user": user}
        found: list[dict[str, Any]] = run_module("kubeconfig_info", **options)["credentials"]
        return found

    return ask


@pytest.fixture
def issue(lab_dir: Path) -> Callable[..., dict[str, Any]]:
    """The module kubeconfig on the scenario's cluster."""

    def run(wish: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run_module("kubeconfig", kubeconfig=str(lab_dir / "admin.conf"), **{**wish, **options})

    return run


def identity(path: Path) -> str:
    """Which credential a file holds."""
    name: str = yaml.safe_load(path.read_text())["users"][0]["name"]
    return name


def test_files_are_the_owners_alone(issued: Path) -> None:
    files = sorted(issued.iterdir())
    assert [path.name for path in files] == ["alice.conf", "pipeline.conf", "root.conf"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 3


def test_each_allows_what_it_was_issued_for(issued: Path) -> None:
    alice, root, pipeline = (core(issued / f"{name}.conf") for name in ("alice", "root", "pipeline"))
    assert status_of(lambda: alice.list_namespaced_pod("default")) == 200
    assert status_of(lambda: alice.list_namespaced_pod("kube-system")) == 403
    assert status_of(alice.list_node) == 403
    assert status_of(root.list_node) == 200
    assert status_of(lambda: pipeline.list_namespaced_config_map("default")) == 200
    assert status_of(lambda: pipeline.list_namespaced_config_map("hostplane-access")) == 403


def test_the_cluster_remembers_what_the_files_are(issued: Path, known: Callable[..., Any]) -> None:
    found = {item["user"]: item for item in known()}
    assert {user: item["state"] for user, item in found.items()} == dict.fromkeys(
        ("alice", "root@example.com", "pipeline"), "effective"
    )
    assert found["alice"]["id"] == identity(issued / "alice.conf")
    assert 29.9 < found["alice"]["days_left"] <= 30 and 0.9 < found["pipeline"]["days_left"] <= 1
    assert found["alice"]["signer"].startswith("kubernetes.io/kube-apiserver-client")
    assert found["root@example.com"]["bindings"] == [{"role": "admin", "namespaces": ["*"]}]
    review = client.AuthenticationV1Api(config.new_client_from_config(str(issued / "alice.conf")))
    me = review.create_self_subject_review(client.V1SelfSubjectReview()).status.user_info
    assert me.username == found["alice"]["username"]
    assert me.extra["authentication.kubernetes.io/credential-id"] == [found["alice"]["audit_id"]]


def test_nothing_secret_is_in_the_cluster(api: client.CoreV1Api) -> None:
    assert api.list_namespaced_secret("hostplane-access").items == []
    records = api.list_namespaced_config_map("hostplane-access", label_selector="hostplane.io/credential").items
    assert len(records) == 3
    assert not any("PRIVATE KEY" in text or "eyJ" in text for item in records for text in item.data.values())


def test_nobody_can_borrow_an_account(issued: Path, api: client.CoreV1Api) -> None:
    container = {"name": "x", "image": "registry.k8s.io/pause:3.10.1"}
    pod = {"metadata": {"name": "thief"}, "spec": {"containers": [container]}}
    notes = {"kubernetes.io/service-account.name": identity(issued / "pipeline.conf")}
    secret = {"metadata": {"name": "thief", "annotations": notes}, "type": "kubernetes.io/service-account-token"}
    assert status_of(lambda: api.create_namespaced_pod("hostplane-access", pod)) == 403
    assert status_of(lambda: api.create_namespaced_secret("hostplane-access", secret)) == 403


def test_other_rights_need_no_other_credential(
    issued: Path, wishes: dict[str, Any], issue: Callable[..., dict[str, Any]]
) -> None:
    before = identity(issued / "alice.conf")
    wishes["alice"]["bindings"] = [{"role": "restricted", "namespaces": ["kube-system"]}]
    assert issue(wishes["alice"])["changed"]
    assert identity(issued / "alice.conf") == before
    alice = core(issued / "alice.conf")
    seconds_until(200, lambda: alice.list_namespaced_pod("kube-system"))
    seconds_until(403, lambda: alice.list_namespaced_pod("default"))
    assert not issue(wishes["alice"])["changed"]


@pytest.mark.parametrize(("user", "days", "refusal"), [("root@example.com", 100, 403), ("pipeline", 1.5, 401)])
def test_replaced_before_its_end_without_a_word_too_much(
    user: str, days: float, refusal: int, issued: Path, wishes: dict[str, Any], tmp_path: Path
) -> None:
    path, old = Path(wishes[user]["path"]), tmp_path / "old.conf"
    shutil.copy(path, old)
    wish = {**wishes[user], "days": days, "renew_before": wishes[user]["days"]}
    log = play("access", "-vvv", "--diff", access_kubeconfigs=[wish])
    assert identity(path) != identity(old)
    assert status_of(lambda: core(path).list_namespaced_config_map("default")) == 200
    former = core(old)
    seconds_until(refusal, lambda: former.list_namespaced_config_map("default"))
    for held in (old, path):
        bearer = yaml.safe_load(held.read_text())["users"][0]["user"]
        assert (bearer.get("client-key-data") or bearer["token"]) not in log
    assert "PRIVATE KEY" not in log


def test_what_is_lost_is_issued_again(
    issued: Path, wishes: dict[str, Any], issue: Callable[..., dict[str, Any]]
) -> None:
    path = issued / "alice.conf"
    before = identity(path)
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in text if "client-key-data" not in line))
    assert issue(wishes["alice"])["reason"] == "the API server does not accept it"
    assert identity(path) != before
    assert status_of(lambda: core(path).list_namespaced_pod("default")) == 200


@pytest.mark.parametrize(("user", "refusal"), [("alice", 403), ("pipeline", 401)])
def test_revoked_within_seconds(
    user: str, refusal: int, wishes: dict[str, Any], issue: Any, known: Callable[..., Any], tmp_path: Path
) -> None:
    issue(wishes[user])
    path, kept = Path(wishes[user]["path"]), tmp_path / "kept.conf"
    shutil.copy(path, kept)
    thief = core(kept)
    assert status_of(lambda: thief.list_namespaced_config_map("default")) == 200
    leave = [{"user": user, "state": "absent"}]
    log = play("access", "--check", access_kubeconfigs=leave)
    assert "changed=1" in log and path.exists()
    play("access", access_kubeconfigs=leave)
    passed = seconds_until(refusal, lambda: thief.list_namespaced_config_map("default"))
    print(f"{user}: refused {passed:.1f} s after the playbook's end")
    assert not path.exists()
    assert {item["state"] for item in known(user)} == {"revoked"}
    assert all(item["revoked_at"] for item in known(user))
    assert not issue(leave[0])["changed"]


def test_rights_that_others_gave_are_named(issued: Path, wishes: dict[str, Any], issue: Any, lab_dir: Path) -> None:
    issue(wishes["alice"])
    name = f"hostplane:{identity(issued / 'alice.conf')}"
    rbac = client.RbacAuthorizationV1Api(config.new_client_from_config(str(lab_dir / "admin.conf")))
    group = "rbac.authorization.k8s.io"
    body = {
        "metadata": {"name": "by-hand"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
    }
    rbac.create_namespaced_role_binding("default", body)
    try:
        assert issue({"user": "alice", "state": "absent"})["left"] == ["default/by-hand"]
        assert rbac.read_namespaced_role_binding("by-hand", "default")
    finally:
        rbac.delete_namespaced_role_binding("by-hand", "default")


def test_the_last_administrator_stays(issued: Path, wishes: dict[str, Any], issue: Any) -> None:
    root, leave = wishes["root@example.com"], {"user": "root@example.com", "state": "absent"}
    for options in (leave, {**root, "bindings": [{"role": "ops"}]}):
        assert [item["code"] for item in issue(options, fails=True)["problems"]] == ["last_admin"]
    assert status_of(lambda: core(issued / "root.conf").list_node()) == 200
    # The new administrator comes before the old one goes, whatever the order of the list.
    play("access", access_kubeconfigs=[leave, {**root, "user": "eve", "path": str(issued / "eve.conf")}])
    assert status_of(lambda: core(issued / "eve.conf").list_node()) == 200
    assert issue({"user": "eve", "state": "absent", "force": True})["changed"]


def test_everything_wrong_is_told_at_once(issued: Path, issue: Any, known: Callable[..., Any]) -> None:
    foreign = issued / "foreign.conf"
    foreign.write_text("apiVersion: v1\nkind: Config\nclusters: []\n")

    def remembered() -> list[dict[str, Any]]:
        return [{key: value for key, value in item.items() if key != "days_left"} for item in known()]

    before = remembered()
    wrong = {
        "user": "system:admin",
        "path": str(foreign),
        "days": 0.001,
        "bindings": [
            {"role": "developer", "namespaces": ["nowhere"]},
            {"role": "ClusterRole/nothing", "namespaces": ["default"]},
        ],
    }
    codes = sorted(item["code"] for item in issue(wrong, fails=True)["problems"])
    assert codes == ["file", "missing", "missing", "too_short", "user_name"]
    assert foreign.read_text().endswith("clusters: []\n")
    assert remembered() == before
    foreign.unlink()
