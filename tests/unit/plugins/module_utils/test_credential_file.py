# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs as files, and the question whom the API server takes their bearers for, asked of a real TLS server."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import http.server
import json
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils import _credential_file
from ansible_collections.hostplane.cluster.plugins.module_utils._credential_file import KubeconfigError, UserFile
from hypothesis import given
from hypothesis import strategies as st

x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

CLUSTER = {"server": "https://a:6443", "certificate-authority-data": "Q0E="}


def sign(key_pem: str, request: bytes, address: str = "") -> str:
    """A certificate (PEM) that a request's own key signed, for an hour."""
    found = x509.load_pem_x509_csr(request)
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(found.subject)
        .issuer_name(found.subject)
        .public_key(found.public_key())
        .serial_number(255)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if address:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(address)]), critical=False)
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


class Server:
    """An API server that knows one token and one certificate, and answers with whatever status it is told."""

    def __init__(self, folder: Path) -> None:
        self.key, request = _credential_file.new_key("kubernetes")
        self.certificate = sign(self.key, request, "kubernetes")
        (folder / "server.pem").write_text(self.certificate + self.key)
        self.status, self.token = 201, "good"
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                known = self.headers.get("Authorization") == f"Bearer {outer.token}"
                peer = self.connection.getpeercert() or {}  # type: ignore[attr-defined]
                name = dict(item[0] for item in peer.get("subject", ())).get("commonName", "alice" if known else "")
                body = json.dumps({"status": {"userInfo": {"username": name}}}).encode()
                self.send_response(outer.status if name else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        self.client_key, request = _credential_file.new_key("hostplane:alice")
        self.client_certificate = sign(self.client_key, request)
        context.load_verify_locations(cadata=self.client_certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.handle_error = lambda *dummy: None  # type: ignore[method-assign]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def file(self, kind: str, secret: str, certificate: str = "") -> UserFile:
        cluster = {
            "server": f"https://127.0.0.1:{self.server.server_address[1]}",
            "certificate-authority-data": base64.b64encode(self.certificate.encode()).decode(),
            "tls-server-name": "kubernetes",
        }
        return UserFile("id", "alice", kind, cluster, certificate=certificate, secret=secret)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.server.shutdown()


@pytest.mark.parametrize("in_memory", [True, False])
def test_who_am_i(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_memory: bool) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    held = server.file("certificate", server.client_key, server.client_certificate)
    assert _credential_file.who_am_i(held) == "hostplane:alice"
    assert list(tmp_path.iterdir()) == []
    assert _credential_file.who_am_i(server.file("token", "good")) == "alice"
    assert _credential_file.who_am_i(server.file("token", "bad")) == ""
    other, _request = _credential_file.new_key("x")
    for key, certificate in ((other, server.client_certificate), ("", ""), (server.client_key, "")):
        assert _credential_file.who_am_i(server.file("certificate", key, certificate)) == ""


def test_an_api_that_does_not_answer_is_no_refusal(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "status", 503)
    with pytest.raises(KubeconfigError, match="status 503"):
        _credential_file.who_am_i(server.file("token", "good"))
    held = server.file("token", "good")
    stranger = dataclasses.replace(held, cluster={**held.cluster, "tls-server-name": "another"})
    gone = dataclasses.replace(held, cluster={**held.cluster, "server": "https://127.0.0.1:1"})
    for file in (stranger, gone):
        with pytest.raises(KubeconfigError, match="does not answer"):
            _credential_file.who_am_i(file)


@given(
    user=st.text(min_size=1, max_size=20).filter(str.isprintable),
    namespace=st.sampled_from(["", "shop"]),
    kind=st.sampled_from(["certificate", "token"]),
)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, user: str, namespace: str, kind: str
) -> None:
    certificate = "CERT" if kind == "certificate" else ""
    made = UserFile("a-1", user, kind, CLUSTER, "production", namespace, certificate, "s3cret")
    path = tmp_path_factory.getbasetemp() / "round.conf"
    path.write_bytes(made.render())
    assert _credential_file.read_file(str(path)) == made
    assert "s3cret" not in repr(made)


@pytest.mark.parametrize("text", ["", "a: [", "- x", "kind: Pod\n", "kind: Config\ncontexts: []\n", "\x00"])
def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.conf"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match=r"x\.conf"):
        _credential_file.read_file(str(path))
    with pytest.raises(KubeconfigError):
        _credential_file.read_file(str(tmp_path))
    assert _credential_file.read_file(str(tmp_path / "none")) is None


def test_a_broken_file_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("users:\n- user: {client-key-data: c2VjcmV0\n")
    with pytest.raises(KubeconfigError) as caught:
        _credential_file.read_file(str(path))
    assert "c2VjcmV0" not in str(caught.value)


def test_the_cluster_of_an_administrator(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("CA")
    config = {
        "clusters": [{"name": "p", "cluster": {"server": "https://a", "certificate-authority": "ca.crt"}}],
        "contexts": [{"name": "x", "context": {"cluster": "p"}}],
        "current-context": "x",
    }
    path = tmp_path / "admin.conf"
    path.write_text(yaml.safe_dump(config))
    wanted = {"server": "https://a", "certificate-authority-data": "Q0E="}
    assert _credential_file.read_cluster(str(path)) == ("p", wanted)
    assert _credential_file.read_cluster(str(path), "https://vip")[1]["server"] == "https://vip"
    path.write_text("kind: Config\n")
    with pytest.raises(KubeconfigError, match="no cluster"):
        _credential_file.read_cluster(str(path))


def test_facts_of_certificates_and_tokens() -> None:
    key, request = _credential_file.new_key("hostplane:alice-x")
    assert x509.load_pem_x509_csr(request).subject.rfc4514_string() == "CN=hostplane:alice-x"
    facts = _credential_file.describe("certificate", sign(key, request), "")
    assert (facts["serial"], len(facts["fingerprint"])) == ("ff", 64)
    assert facts["signer"] == "kubernetes.io/kube-apiserver-client (CN=hostplane:alice-x)"
    claims = {"iat": 1772366400, "exp": 1772370000, "jti": "one", "iss": "https://k"}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    facts = _credential_file.describe("token", "", f"h.{body}.s")
    assert facts == {
        "serial": "one",
        "fingerprint": "",
        "signer": "https://k",
        "not_before": "2026-03-01T12:00:00Z",
        "not_after": "2026-03-01T13:00:00Z",
    }
    for kind, token in (("token", "x"), ("token", "a.b.c"), ("certificate", "")):
        with pytest.raises(KubeconfigError, match="can't be read"):
            _credential_file.describe(kind, "x", token)
