# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig and kubeconfig_info as Ansible runs them, against a played API that signs with a real CA."""

from __future__ import annotations

import base64
import datetime
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _credential_api,
    _credential_file,
    _kubeapi,
    _kubeconfig_run,
)
from ansible_collections.hostplane.cluster.plugins.modules import kubeconfig, kubeconfig_info

exceptions = pytest.importorskip("kubernetes.client.exceptions")
x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

Run = Callable[..., dict[str, Any]]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SHOP = [{"role": "developer", "namespaces": ["shop"]}]
ADMIN = [{"role": "admin"}]
NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.timezone.utc)


class Api(_kubeapi.KubeApi):
    """Objects by their path; requests are signed for at most a year, tokens are made up."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            "/api/v1/namespaces/shop": {"metadata": {"name": "shop"}},
            f"{RBAC}/clusterroles/edit": {"metadata": {"name": "edit"}, "rules": []},
        }
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.now = NOW
        self.longest = datetime.timedelta(days=365)
        self.dies_at = ""
        self.refuses = ""
        self.writes: list[str] = []

    def call(self, method: str, path: str, body: Any = None, query: Any = None, content_type: str = "") -> Any:
        if method != "GET":
            self.writes.append(f"{method} {path}")
            if self.dies_at and re.search(self.dies_at, self.writes[-1]):
                raise KeyboardInterrupt
        if method == "POST" and path.endswith("/token"):
            return {"status": {"token": self.token(path, body["spec"]["expirationSeconds"])}}
        if method == "POST":
            return self.post(path, body)
        if method == "PUT" and path.endswith("/approval"):
            return self.approve(path.rpartition("/")[0])
        if method == "GET" and path not in self.objects:
            return self.collection(path, query)
        if path not in self.objects:
            raise exceptions.ApiException(status=404, reason="Not Found")
        if method == "DELETE":
            return self.objects.pop(path)
        if method == "PATCH":
            self.objects[path].update({key: body[key] for key in body if key != "metadata"})
        return self.objects[path]

    def collection(self, path: str, query: Any) -> Any:
        kind = path.rpartition("/")[2]
        if kind not in (
            "namespaces",
            "clusterroles",
            "clusterrolebindings",
            "rolebindings",
            "configmaps",
            "serviceaccounts",
        ):
            raise exceptions.ApiException(status=404, reason="Not Found")
        found = [
            item
            for place, item in self.objects.items()
            if place.split("/")[-2] == kind and (kind == "rolebindings" or place.rpartition("/")[0] == path)
        ]
        return {"items": [item for item in found if not query or query[0][1] in (item["metadata"].get("labels") or {})]}

    def post(self, path: str, body: Any) -> Any:
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            raise exceptions.ApiException(status=409, reason="Conflict")
        self.objects[place] = json.loads(json.dumps(body))
        namespace = re.search(r"/namespaces/([^/]+)/", place)
        if namespace:
            self.objects[place]["metadata"]["namespace"] = namespace[1]
        return self.objects[place]

    def approve(self, path: str) -> Any:
        item = self.objects[path]
        if self.refuses:
            item["status"] = {"conditions": [{"type": "Failed", "message": self.refuses}]}
            return item
        request = x509.load_pem_x509_csr(base64.b64decode(item["spec"]["request"]))
        span = min(datetime.timedelta(seconds=item["spec"]["expirationSeconds"]), self.longest)
        made = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")]))
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now)
            .not_valid_after(self.now + span)
            .sign(self.key, hashes.SHA256())
        )
        item["status"] = {"certificate": base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()}
        return item

    def token(self, path: str, seconds: int) -> str:
        name, start = path.split("/")[-2], int(self.now.timestamp())
        claims = {
            "sub": name,
            "iat": start,
            "exp": start + seconds,
            "jti": f"jti-{len(self.writes)}",
            "iss": "https://k",
        }
        return f"x.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.signature"

    def who(self, file: _credential_file.UserFile) -> str:
        """As the real API server: a certificate counts by itself, a token as long as its account is there."""
        if file.kind == "token":
            there = f"/api/v1/namespaces/hostplane-access/serviceaccounts/{file.id}" in self.objects
            return f"system:serviceaccount:hostplane-access:{file.id}" if there else ""
        if "PRIVATE KEY" not in file.secret:
            return ""
        return str(x509.load_pem_x509_certificate(file.certificate.encode()).subject.rfc4514_string()[3:])

    def bindings(self) -> list[tuple[str, str, str]]:
        """Namespace, role and subject of every binding, sorted."""
        return sorted(
            (item["metadata"].get("namespace", "*"), item["roleRef"]["name"], item["subjects"][0]["name"])
            for place, item in self.objects.items()
            if "rolebindings/" in place
        )


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(_kubeconfig_run, "KubeApi", lambda path: made)
    monkeypatch.setattr(_kubeconfig_run, "_now", lambda: made.now)
    monkeypatch.setattr(_credential_file, "who_am_i", made.who)
    monkeypatch.setattr(_credential_api, "SIGN_SECONDS", 0.2)
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with an administrator's kubeconfig."""
    config = {
        "clusters": [
            {"name": "production", "cluster": {"server": "https://a:6443", "certificate-authority-data": "Q0E="}}
        ],
        "contexts": [{"name": "x", "context": {"cluster": "production", "user": "admin"}}],
        "current-context": "x",
        "users": [{"name": "admin", "user": {}}],
    }
    (tmp_path / "admin.conf").write_text(yaml.safe_dump(config))
    return tmp_path


@pytest.fixture
def issue(run_module: Run, place: Path, api: Api) -> Run:
    """The module for alice, unless said otherwise."""

    def call(**options: Any) -> dict[str, Any]:
        given = {"user": "alice", "path": str(place / "alice.conf"), "bindings": SHOP}
        given = {} if "id" in options else given
        return run_module(kubeconfig, **{"kubeconfig": str(place / "admin.conf"), **given, **options})

    return call


@pytest.fixture
def states(run_module: Run, place: Path) -> Callable[[], dict[str, str]]:
    def call() -> dict[str, str]:
        result = run_module(kubeconfig_info, kubeconfig=str(place / "admin.conf"))
        return {item["id"]: item["state"] for item in result["credentials"]}

    return call


@pytest.mark.parametrize("kind", ["certificate", "token"])
def test_issued_once(issue: Run, api: Api, place: Path, kind: str) -> None:
    checked = issue(kind=kind, check=True, diff=True)
    assert checked["changed"] and api.writes == [] and not (place / "alice.conf").exists()
    assert "developer in shop" in checked["diff"]["after"]
    result = issue(kind=kind)
    item = result["credential"]
    assert (result["changed"], result["reason"], item["state"]) == (True, "there is no file", "effective")
    assert item["days_left"] == 30 and item["not_after"] == "2026-03-31T12:00:00Z"
    path = place / "alice.conf"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = yaml.safe_load(path.read_text())
    assert written["contexts"][0]["context"]["namespace"] == "shop"
    assert written["clusters"][0]["cluster"]["server"] == "https://a:6443"
    name = item["id"] if kind == "token" else f"hostplane:{item['id']}"
    assert api.bindings() == [("shop", "hostplane:developer", name)]
    # Neither the key nor the token, and the request that made it is gone.
    bearer = written["users"][0]["user"]
    secret = bearer.get("token") or base64.b64decode(bearer["client-key-data"]).decode()
    assert secret not in json.dumps(api.objects) + json.dumps(result)
    assert not any(REQUESTS in place for place in api.objects)
    api.writes.clear()
    again = issue(kind=kind, diff=True)
    assert (again["changed"], again["credential"], api.writes) == (False, item, [])
    assert again["diff"]["before"] == again["diff"]["after"]


@pytest.mark.parametrize("kind", ["certificate", "token"])
@pytest.mark.parametrize("ending", ["expires", "expired", "revoked", "kind", "garbage", "unknown", "refused"])
def test_replaced_when_it_does_not_serve(
    issue: Run, api: Api, place: Path, states: Any, monkeypatch: pytest.MonkeyPatch, kind: str, ending: str
) -> None:
    first = issue(kind=kind)["credential"]["id"]
    path = place / "alice.conf"
    wanted = kind
    if ending in ("expires", "expired"):
        api.now += datetime.timedelta(days=25 if ending == "expires" else 31)
    elif ending == "revoked":
        held = path.read_text()
        issue(id=first, state="absent")
        path.write_text(held)
    elif ending == "kind":
        wanted = "token" if kind == "certificate" else "certificate"
    elif ending == "garbage":
        text = yaml.safe_load(path.read_text())
        text["users"][0]["user"] = {"token": "x", "client-certificate-data": "eA=="}
        path.write_text(yaml.safe_dump(text))
    elif ending == "unknown":
        for name in [name for name in api.objects if "hostplane-access" in name or "rolebindings" in name]:
            del api.objects[name]
    else:
        answers = iter([""])
        monkeypatch.setattr(_credential_file, "who_am_i", lambda file: next(answers, file and api.who(file)))
    result = issue(kind=wanted)
    second = result["credential"]["id"]
    assert second != first and result["reason"] and result["credential"]["kind"] == wanted
    assert [subject.rpartition(":")[2] for _space, _role, subject in api.bindings()] == [second]
    assert states() == {second: "effective", **({} if ending == "unknown" else {first: "revoked"})}
    assert result["revoked"] == ([] if ending in ("unknown", "revoked") else [first])


def test_rights_follow_without_a_new_credential(issue: Run, api: Api, place: Path) -> None:
    first = issue()["credential"]["id"]
    result = issue(bindings=[{"role": "ClusterRole/edit", "namespaces": ["shop"]}], diff=True)
    assert result["changed"] and not result["reason"] and result["credential"]["id"] == first
    assert "-".join(result["diff"]["after"].splitlines()).count("ClusterRole/edit in shop") == 1
    assert api.bindings() == [("shop", "edit", f"hostplane:{first}")]
    # What somebody took away or changed by hand comes back.
    (name,) = [name for name in api.objects if "rolebindings/" in name]
    api.objects[name]["subjects"][0]["name"] = "eve"
    assert issue(bindings=[{"role": "ClusterRole/edit", "namespaces": ["shop"]}])["changed"]
    assert api.bindings() == [("shop", "edit", f"hostplane:{first}")]


def test_the_file_follows_the_endpoint_and_stays_secret(issue: Run, place: Path) -> None:
    first = issue()["credential"]["id"]
    path = place / "alice.conf"
    path.chmod(0o644)
    assert issue(check=True)["changed"] and stat.S_IMODE(path.stat().st_mode) == 0o644
    assert issue()["changed"] and stat.S_IMODE(path.stat().st_mode) == 0o600
    result = issue(server="https://vip:6443")
    assert result["changed"] and result["credential"]["id"] == first
    assert yaml.safe_load(path.read_text())["clusters"][0]["cluster"]["server"] == "https://vip:6443"


@pytest.mark.parametrize(
    "point",
    [
        "POST .*/namespaces$",
        "POST .*configmaps",
        "POST .*(requests|serviceaccounts)$",
        "approval|token",
        "POST .*bindings",
        "PATCH",
    ],
)
@pytest.mark.parametrize("kind", ["certificate", "token"])
def test_a_killed_run_is_finished(issue: Run, api: Api, place: Path, states: Any, kind: str, point: str) -> None:
    api.dies_at = point
    with pytest.raises(KeyboardInterrupt):
        issue(kind=kind)
    api.dies_at = ""
    result = issue(kind=kind)
    assert result["changed"] and result["credential"]["state"] == "effective"
    ident = result["credential"]["id"]
    assert states() == {ident: "effective"}
    assert [subject.rpartition(":")[2] for _space, _role, subject in api.bindings()] == [ident]
    assert not issue(kind=kind)["changed"]


@pytest.mark.parametrize("kind", ["certificate", "token"])
def test_revoked(issue: Run, api: Api, place: Path, states: Any, kind: str) -> None:
    ident = issue(kind=kind)["credential"]["id"]
    path = place / "alice.conf"
    checked = issue(state="absent", check=True, diff=True)
    assert (checked["changed"], checked["revoked"], path.exists()) == (True, [ident], True)
    assert ident in checked["diff"]["before"] and api.bindings()
    result = issue(state="absent")
    assert (result["changed"], result["revoked"], path.exists()) == (True, [ident], False)
    assert api.bindings() == [] and states() == {ident: "revoked"}
    assert not any("serviceaccounts/" in name for name in api.objects)
    assert not issue(state="absent")["changed"]


def test_revoked_by_user_without_the_file(issue: Run, api: Api, place: Path, states: Any) -> None:
    first = issue()["credential"]["id"]
    second = issue(path=str(place / "laptop.conf"), kind="token")["credential"]["id"]
    other = issue(user="bob", path=str(place / "bob.conf"))["credential"]["id"]
    (place / "alice.conf").unlink()
    result = issue(state="absent", path=None)
    assert result["revoked"] == sorted([first, second])
    assert states() == {first: "revoked", second: "revoked", other: "effective"}
    assert not (place / "laptop.conf").exists() and (place / "bob.conf").exists()


def test_a_file_of_somebody_else_hinders_no_revoking(issue: Run, place: Path, states: Any) -> None:
    ident = issue()["credential"]["id"]
    (place / "alice.conf").write_text("kind: Config\n")
    result = issue(state="absent")
    assert states() == {ident: "revoked"} and (place / "alice.conf").exists()
    assert "not deleted" in json.dumps(result["warnings"])


def test_rights_that_others_gave_are_told(issue: Run, api: Api) -> None:
    ident = issue()["credential"]["id"]
    subject = {"kind": "User", "name": f"hostplane:{ident}"}
    role = {"kind": "ClusterRole", "name": "edit"}
    api.objects[f"{RBAC}/clusterrolebindings/by-hand"] = {
        "metadata": {"name": "by-hand"}, "subjects": [subject], "roleRef": role,
    }  # fmt: skip
    result = issue(state="absent")
    assert result["left"] == ["*/by-hand"]
    assert "*/by-hand" in json.dumps(result["warnings"])


def test_the_last_administrator_stays(issue: Run, api: Api, place: Path) -> None:
    issue(bindings=ADMIN)
    for options in ({"state": "absent"}, {"bindings": SHOP}, {"bindings": SHOP, "kind": "token"}):
        result = issue(**options)
        assert [problem["code"] for problem in result["problems"]] == ["last_admin"], options
    assert [role for _space, role, _subject in api.bindings()] == ["hostplane:admin"]
    # One that expired does not count.
    issue(user="old", path=str(place / "old.conf"), bindings=ADMIN, days=0.5)
    api.now += datetime.timedelta(days=1)
    assert issue(state="absent")["problems"]
    issue(user="bob", path=str(place / "bob.conf"), bindings=ADMIN)
    assert issue(state="absent")["changed"]
    assert issue(user="bob", path=str(place / "bob.conf"), state="absent", force=True)["changed"]


def test_an_administrator_is_replaced(issue: Run, api: Api) -> None:
    first = issue(bindings=ADMIN)["credential"]["id"]
    api.now += datetime.timedelta(days=25)
    assert issue(bindings=ADMIN)["revoked"] == [first]


def test_everything_wrong_is_told_at_once(issue: Run, api: Api, place: Path) -> None:
    (place / "alice.conf").write_text("kind: Config\n")
    result = issue(
        user="system:admin",
        days=0.001,
        bindings=[
            {"role": "developer", "namespaces": ["nowhere"]},
            {"role": "nothing", "namespaces": ["shop"]},
            {"role": "Role/none", "namespaces": ["shop"]},
            {"role": "restricted"},
        ],
    )
    codes = sorted(problem["code"] for problem in result["problems"])
    assert codes == ["file", "missing", "missing", "missing", "scope_empty", "too_short", "user_name"]
    assert api.writes == [] and (place / "alice.conf").read_text() == "kind: Config\n"
    assert {problem["code"] for problem in issue(bindings=[], renew_before=30)["problems"]} >= {"no_rights", "renewal"}


def test_files_of_others_are_left_alone(issue: Run, api: Api, place: Path) -> None:
    issue()
    before = (place / "alice.conf").read_text()
    (problem,) = issue(user="bob")["problems"]
    assert problem["code"] == "path_taken" and "alice" in problem["message"]
    config = (place / "admin.conf").read_text()
    (place / "admin.conf").write_text(config.replace("production", "staging"))
    (problem,) = issue()["problems"]
    assert "for the cluster production, not staging" in problem["message"]
    assert (place / "alice.conf").read_text() == before


def test_nothing_is_left_of_what_was_not_signed(issue: Run, api: Api, place: Path, states: Any) -> None:
    api.refuses = "denied by policy"
    assert "denied by policy" in issue()["msg"]
    api.refuses = ""
    api.longest = datetime.timedelta(days=5)
    assert "within renew_before" in issue(days=90)["msg"]
    assert states() == {} and not (place / "alice.conf").exists()
    assert issue(days=90, renew_before=1)["credential"]["days_left"] == 5


def test_a_lost_file_is_told(issue: Run, place: Path, states: Any) -> None:
    first = issue()["credential"]["id"]
    (place / "alice.conf").unlink()
    result = issue()
    assert first in json.dumps(result["warnings"]) and result["revoked"] == []
    assert states() == {first: "effective", result["credential"]["id"]: "effective"}


def test_states(issue: Run, api: Api, place: Path, states: Any, run_module: Run) -> None:
    ident = issue(days=60)["credential"]["id"]
    day = issue(user="day", path=str(place / "day.conf"), days=1)["credential"]["id"]
    assert states() == {ident: "effective", day: "effective"}
    api.now += datetime.timedelta(days=51)
    assert states() == {ident: "expiring", day: "expired"}
    api.now += datetime.timedelta(days=10)
    assert states() == {ident: "expired", day: "expired"}
    for name in [name for name in api.objects if "rolebindings" in name]:
        del api.objects[name]
    assert set(states().values()) == {"revoked"}
    result = run_module(kubeconfig_info, kubeconfig=str(place / "admin.conf"), user="day")
    assert result["counts"] == {"effective": 0, "expiring": 0, "expired": 0, "revoked": 1}
    assert [line.split()[0] for line in result["report"]] == ["USER", "day"]


@pytest.mark.parametrize("damage", ["deleted", "no JSON", '{"serial": "1"}', '{"serial": "1", "not_after": "soon"}'])
def test_a_lost_record_hides_no_access(issue: Run, api: Api, states: Any, damage: str) -> None:
    ident = issue(bindings=ADMIN)["credential"]["id"]
    path = f"/api/v1/namespaces/hostplane-access/configmaps/{ident}"
    if damage == "deleted":
        del api.objects[path]
    else:
        api.objects[path]["data"]["credential"] = damage
    assert states() == {ident: "effective"}
    assert issue(id=ident, state="absent")["revoked"] == [ident]
    assert states() == {ident: "revoked"} and api.bindings() == []


def test_what_ended_long_ago_is_forgotten(issue: Run, api: Api, place: Path, states: Any) -> None:
    issue(user="old", path=str(place / "old.conf"), days=1, kind="token")
    api.now += datetime.timedelta(days=92)
    ident = issue()["credential"]["id"]
    assert states() == {ident: "effective"} and len(api.bindings()) == 1


def test_an_unknown_name_is_no_success(issue: Run) -> None:
    (problem,) = issue(id="alice-x", state="absent")["problems"]
    assert problem["code"] == "unknown"


def test_before_the_cluster_is_there(issue: Run, place: Path, run_module: Run) -> None:
    gone = str(place / "none.conf")
    assert issue(kubeconfig=gone, check=True)["changed"]
    assert not issue(kubeconfig=gone, check=True, state="absent")["changed"]
    assert run_module(kubeconfig_info, kubeconfig=gone, check=True)["credentials"] == []
    assert issue(kubeconfig=gone, check=True, days=0)["problems"]
