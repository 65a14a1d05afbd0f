# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd_member and etcd_member_info as Ansible runs them, against a played etcd that wants a client certificate."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.modules import etcd_member, etcd_member_info

pytest.importorskip("cryptography")
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

Run = Callable[..., dict[str, Any]]


def make_pki(folder: Path) -> None:
    """One self-signed certificate that is CA, server and client."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "etcd")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.crt").write_bytes(pem)
    (folder / "healthcheck-client.crt").write_bytes(pem)
    (folder / "healthcheck-client.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


class Etcd:
    """The state of an etcd; each member has a server of its own, which can be stopped."""

    def __init__(self, pki: Path) -> None:
        self.pki, self.leader = pki, 1
        self.members: dict[int, dict[str, Any]] = {}
        self.servers: dict[int, http.server.ThreadingHTTPServer] = {}
        self.alarms: list[dict[str, str]] = []
        self.asked: list[tuple[int, str, Any]] = []
        self.learners_for = 0

    def start(self, number: int, learner: bool = False) -> None:
        etcd = self

        class Handler(http.server.BaseHTTPRequestHandler):
            wbufsize = -1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = etcd.answer(number, self.path, body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, *args: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.pki / "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.pki / "healthcheck-client.crt", self.pki / "healthcheck-client.key")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *dummy: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.servers[number] = server
        self.members[number] = {
            "ID": str(number),
            "name": f"cp{number}",
            "peerURLs": [f"https://10.9.0.{number}:2380"],
            "clientURLs": [f"https://127.0.0.1:{server.server_address[1]}"],
            **({"isLearner": True} if learner else {}),
        }

    def stop(self, number: int) -> None:
        server = self.servers.pop(number)
        server.shutdown()
        server.server_close()

    def changes(self) -> list[tuple[int, str]]:
        return [(number, path) for number, path, _body in self.asked if "remove" in path or "transfer" in path]

    def answer(self, number: int, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((number, path, body))
        if path == "/v3/cluster/member/list":
            return 200, {"members": list(self.members.values())}
        if path == "/v3/maintenance/alarm":
            return 200, {"alarms": self.alarms} if self.alarms else {}
        if path == "/v3/cluster/member/remove":
            del self.members[int(body["ID"])]
            return 200, {}
        if path == "/v3/maintenance/transfer-leadership":
            if number != self.leader:
                return 400, {"message": "etcdserver: not leader"}
            self.leader = int(body["targetID"])
            return 200, {}
        learner = self.members[number].get("isLearner", False) or self.learners_for > 0
        self.learners_for -= 1
        status = {"version": "3.6.8", "dbSize": "20", "leader": str(self.leader), "raftAppliedIndex": str(number)}
        return 200, {**status, **({"isLearner": True} if learner else {})}


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    make_pki(tmp_path)
    made = Etcd(tmp_path)
    yield made
    for number in list(made.servers):
        made.stop(number)


@pytest.fixture
def run(run_module: Run, etcd: Etcd) -> Run:
    def call(module: Any, **options: Any) -> dict[str, Any]:
        urls = [url for member in etcd.members.values() for url in member.get("clientURLs", [])]
        return run_module(module, **{"pki": str(etcd.pki), "endpoints": urls, **options})

    return call


def make(etcd: Etcd, count: int) -> None:
    for number in range(1, count + 1):
        etcd.start(number)


def test_info(run: Run, etcd: Etcd) -> None:
    make(etcd, 3)
    etcd.stop(3)
    etcd.alarms = [{"memberID": "2", "alarm": "NOSPACE"}]
    result = run(etcd_member_info)
    assert [(one["name"], one["leader"], one["healthy"], one["alarms"]) for one in result["members"]] == [
        ("cp1", True, True, []),
        ("cp2", False, True, ["NOSPACE"]),
        ("cp3", False, False, []),
    ]
    assert "does not answer" in result["members"][2]["error"]
    counts = {key: result[key] for key in ("voters", "healthy", "quorum", "has_quorum", "tolerates", "changed")}
    assert counts == {
        "voters": 3, "healthy": 2, "quorum": 2, "has_quorum": True, "tolerates": 0, "changed": False,
    }  # fmt: skip


def test_info_waits(run: Run, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_member_info, "POLL_SECONDS", 0.01)
    make(etcd, 2)
    etcd.learners_for = 5
    assert run(etcd_member_info, wait=20)["voters"] == 2
    assert etcd.learners_for <= 0
    etcd.stop(2)
    result = run(etcd_member_info, wait=-1)
    assert result["failed"] and "etcd is not whole" in result["msg"] and "cp2: https://127.0.0.1" in result["msg"]


def test_remove_the_leader(run: Run, etcd: Etcd) -> None:
    make(etcd, 3)
    seen = run(etcd_member, name="cp1", address="10.9.0.1", check=True, diff=True)
    assert (seen["changed"], seen["leader"], etcd.changes()) == (True, "cp3", [])
    result = run(etcd_member, name="cp1", address="10.9.0.1", diff=True)
    assert seen == result and (result["removed"], result["members"]) == ("cp1", ["cp2", "cp3"])
    assert result["diff"] == {"before": "cp1\ncp2\ncp3\n", "after": "cp2\ncp3\n"}
    # Not through the member that goes.
    assert etcd.changes() == [(1, "/v3/maintenance/transfer-leadership"), (2, "/v3/cluster/member/remove")]
    assert (etcd.leader, sorted(etcd.members)) == (3, [2, 3])
    assert run(etcd_member, name="cp1", address="10.9.0.1")["changed"] is False


def test_remove_a_dead_member_whose_endpoint_is_first(run: Run, etcd: Etcd) -> None:
    make(etcd, 3)
    etcd.leader = 2
    etcd.stop(1)
    result = run(etcd_member, address="10.9.0.1")
    assert (result["removed"], result["leader"], result["tolerates"]) == ("cp1", "", 0)


def test_the_quorum_is_guarded(run: Run, etcd: Etcd) -> None:
    make(etcd, 3)
    etcd.stop(3)
    for check in (True, False):
        result = run(etcd_member, name="cp2", check=check)
        assert result["failed"] and "without cp2 only 1 of 2 etcd voters would be healthy" in result["msg"]
    assert etcd.changes() == [] and len(etcd.members) == 3


def test_a_member_that_never_started(run: Run, etcd: Etcd) -> None:
    make(etcd, 1)
    etcd.members[9] = {"ID": "9", "peerURLs": ["https://10.9.0.9:2380"], "isLearner": True}
    (unstarted, _cp1) = run(etcd_member_info)["members"]
    assert (unstarted["error"], unstarted["learner"]) == ("it has never started", True)
    assert run(etcd_member, name="cp9", address="10.9.0.9")["removed"] == "https://10.9.0.9:2380"


def test_errors(run: Run, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    make(etcd, 1)
    assert run(etcd_member)["msg"] == "name the member to remove by its name, its peer address or both"
    assert "is this host a control plane?" in run(etcd_member_info, pki="/nonexistent")["msg"]
    monkeypatch.setattr(etcd, "answer", lambda *dummy: (503, {"message": "etcdserver: no leader"}))
    assert "/v3/cluster/member/list: etcdserver: no leader" in run(etcd_member_info)["msg"]
    monkeypatch.setattr(etcd, "answer", lambda *dummy: (200, b"<html>"))
    assert "did not answer as etcd does: <html>" in run(etcd_member_info)["msg"]
