# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What registries answer besides success, from a stand-in with TLS and the token flow of Harbor."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.server
import ipaddress
import json
import ssl
import threading
import typing as t
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._push import target
from ansible_collections.hostplane.cluster.plugins.module_utils._registry import (
    Registry,
    RegistryError,
    Unreachable,
    parse_challenge,
)

x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

BASIC = "Basic " + base64.b64encode(b"robot:secret").decode()


class Fake:
    """State of the stand-in and the answers prepared for it, by method and beginning of the path."""

    def __init__(self) -> None:
        self.address = ""
        self.bearer = True
        self.answers: list[tuple[str, str, int, dict[str, str], bytes]] = []
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.tokens: list[list[str]] = []
        self.seen: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    fake: Fake
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: t.Any) -> None:
        pass

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        fake, url = self.fake, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query, sent = parse_qs(url.query), self.headers.get("Authorization")
        fake.seen.append(f"{self.command} {url.path}")
        if url.path == "/token":
            if sent != BASIC:
                return self.answer(401, {}, b'{"errors":[{"code":"UNAUTHORIZED","message":"bad user"}]}')
            fake.tokens.append(query.get("scope", []))
            return self.answer(200, {}, json.dumps({"token": "t" + str(len(fake.tokens))}).encode())
        challenge = f'Bearer realm="https://{fake.address}/token",service="s"' if fake.bearer else 'Basic realm="r"'
        if not (sent or "").startswith("Bearer t" if fake.bearer else BASIC):
            return self.answer(401, {"WWW-Authenticate": challenge})
        for number, (method, path, status, headers, data) in enumerate(fake.answers):
            if method == self.command and url.path.startswith(path):
                del fake.answers[number]
                return self.answer(status, headers, data)
        if self.command == "POST":
            return self.answer(202, {"Location": "/v2/upload?state=1"})
        if self.command == "PUT" and "digest" in query:
            fake.blobs[query["digest"][0]] = body
            return self.answer(201)
        if self.command == "PUT":
            fake.manifests[url.path] = body
            return self.answer(201)
        if url.path in fake.manifests:
            digest = "sha256:" + hashlib.sha256(fake.manifests[url.path]).hexdigest()
            return self.answer(200, {"Docker-Content-Digest": digest}, fake.manifests[url.path])
        return self.answer(200 if url.path == "/v2/" else 404)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "tls.pem"
    path.write_bytes(made.public_bytes(pem) + private)
    return path


@pytest.fixture
def fake(certificate: Path) -> t.Iterator[Fake]:
    state = Fake()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("FakeHandler", (Handler,), {"fake": state}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    state.address = f"127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def registry(fake: Fake, certificate: Path) -> Registry:
    return Registry(fake.address, "robot", "secret", str(certificate), timeout=5)


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(b"layer" * 100000)
    return path


def put(registry: Registry, blob: Path, **more: t.Any) -> bool:
    return registry.put_blob("proj/app", "sha256:1", blob.stat().st_size, str(blob), **more)


def test_token_is_asked_for_once_for_each_scope(fake: Fake, registry: Registry, blob: Path) -> None:
    registry.wait(0)
    assert put(registry, blob) and put(registry, blob, mount_from="other")
    assert fake.blobs["sha256:1"] == blob.read_bytes()
    scope = "repository:proj/app:pull,push"
    assert fake.tokens == [[], [scope], [scope, "repository:other:pull"]]
    registry.put_manifest("proj/app", "v1", "application/vnd.oci.image.manifest.v1+json", b"{}")
    assert len(fake.tokens) == 3


def test_expired_token_is_replaced(fake: Fake, registry: Registry) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="https://{fake.address}/token",service="s"'}
    assert registry.has_blob("a", "sha256:1") is False
    fake.answers.append(("HEAD", "/v2/a/", 401, challenge, b""))
    assert registry.has_blob("a", "sha256:1") is False
    assert len(fake.tokens) == 2


def test_basic_authentication(fake: Fake, registry: Registry) -> None:
    fake.bearer = False
    registry.wait(0)
    assert registry.manifest_digest("a", "v1") is None
    assert fake.seen == ["GET /v2/", "GET /v2/", "HEAD /v2/a/manifests/v1"], "one challenge is enough"


@pytest.mark.parametrize("bearer", [True, False])
def test_refused_password(fake: Fake, certificate: Path, bearer: bool) -> None:
    fake.bearer = bearer
    registry = Registry(fake.address, "robot", "wrong", str(certificate))
    with pytest.raises(
        RegistryError, match=r"refuses user 'robot': correct mirror_username and mirror_password"
    ) as error:
        registry.wait(5)
    assert "wrong" not in str(error.value)


@pytest.mark.parametrize(
    "status,data,expected",
    [
        (403, b'{"errors":[{"code":"DENIED","message":"no"}]}', "DENIED: no.*grant it"),
        (404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"project proj not found"}]}', "create the project"),
        (412, b'{"errors":[{"code":"DENIED","message":"will exceed the configured upper limit"}]}', "quota"),
        (413, b"<html>too large</html>", "client_max_body_size"),
        (500, b'{"errors":[{"message":"write: no space left on device"}]}', "full"),
        (418, b"", "see the registry's log"),
    ],
)
def test_refused_upload(fake: Fake, registry: Registry, blob: Path, status: int, data: bytes, expected: str) -> None:
    fake.answers += [("POST", "/v2/proj/app/", status, {}, data)]
    with pytest.raises(RegistryError, match=rf"(?s)/proj/app: upload failed \(HTTP {status}.*{expected}"):
        put(registry, blob)


def test_failing_upload_is_started_again(fake: Fake, registry: Registry, blob: Path) -> None:
    fake.answers += [("PUT", "/v2/upload", 502, {}, b"")] * 2
    assert put(registry, blob)
    fake.answers += [("PUT", "/v2/upload", 502, {}, b"")] * 3
    with pytest.raises(RegistryError, match="run again, what was pushed is kept"):
        put(registry, blob)


def test_mounted_blob_is_not_sent(fake: Fake, registry: Registry, blob: Path) -> None:
    fake.answers.append(("POST", "/v2/proj/app/", 201, {}, b""))
    assert put(registry, blob, mount_from="other") is False and fake.blobs == {}


def test_password_never_leaves_tls(fake: Fake, registry: Registry, blob: Path) -> None:
    fake.answers.append(("POST", "/v2/", 202, {"Location": "http://harbor.internal/upload"}, b""))
    with pytest.raises(RegistryError, match=r"sends uploads to http://harbor.internal.*external_url"):
        put(registry, blob)
    fake.address = 'x/token",service="y'  # The challenge now names another realm.
    registry = Registry(registry.address, "robot", "secret", None)
    registry._scheme, registry._bearer = "bearer", {"realm": "http://tokens.internal"}
    with pytest.raises(RegistryError, match="over TLS only"):
        registry.wait(0)


def test_rewritten_manifest_is_noticed(fake: Fake, registry: Registry) -> None:
    fake.answers.append(("HEAD", "/v2/a/manifests/v1", 200, {"Docker-Content-Digest": "sha256:other"}, b""))
    with pytest.raises(RegistryError, match=r"a:v1 is sha256:other after the push"):
        registry.put_manifest("a", "v1", "application/json", b"{}")


def test_registry_that_starts_late_is_waited_for(fake: Fake, registry: Registry) -> None:
    fake.answers += [("GET", "/v2/", 503, {}, b"")] * 2
    registry.wait(5)
    fake.answers += [("GET", "/v2/", 503, {}, b"")] * 9
    with pytest.raises(RegistryError, match="HTTP 503"):
        registry.wait(0)


def test_plain_http_server_is_recognised(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(RegistryError, match="does not speak TLS"):
            Registry(f"127.0.0.1:{server.server_address[1]}", timeout=5).wait(0)
        server.shutdown()


def test_unknown_host_and_unusable_ca(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="has no address"):
        Registry("no-such-host.invalid").wait(0)
    with pytest.raises(Unreachable, match="there is no CA file"):
        Registry("x", ca_file=str(tmp_path / "none"))
    (tmp_path / "ca").write_text("nothing")
    with pytest.raises(RegistryError, match="no certificate in PEM"):
        Registry("x", ca_file=str(tmp_path / "ca"))


def test_challenges() -> None:
    assert parse_challenge('Bearer realm="https://a/t",service="s,1"') == (
        "bearer",
        {"realm": "https://a/t", "service": "s,1"},
    )
    assert parse_challenge("") == ("", {})


@pytest.mark.parametrize(
    "name,prefix,expected",
    [
        ("registry.k8s.io/coredns/coredns:v1", "", ("registry.k8s.io/coredns/coredns", "v1")),
        ("files:1.36.3-amd64", "proj/", ("proj/hostplane/files", "1.36.3-amd64")),
        ("lock:1.36.3-amd64", "", ("hostplane/lock", "1.36.3-amd64")),
    ],
)
def test_places_in_the_mirror(name: str, prefix: str, expected: tuple[str, str]) -> None:
    assert target(name, prefix) == expected


@pytest.mark.parametrize("name", ["registry.k8s.io/pause", "host:5000/pause", ":v1"])
def test_names_without_tag_are_refused(name: str) -> None:
    with pytest.raises(ValueError):
        target(name, "")
