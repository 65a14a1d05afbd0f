# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the mirror, against real TLS servers."""

from __future__ import annotations

import base64
import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._hostmirror import probe
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

GOOD = "Basic " + base64.b64encode(b"hostplane:right").decode()


def certificate(folder: Path, address: str, days: int = 1) -> str:
    """A self-signed certificate for an address, and where it is with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mirror")])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{address}-{days}.pem"
    pem = built.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + private)
    (folder / f"{path.name}.crt").write_bytes(pem)
    return str(path)


class Registry(http.server.BaseHTTPRequestHandler):
    mode = "basic"

    def do_GET(self) -> None:
        right = self.headers.get("Authorization") == GOOD
        if self.mode == "broken" or self.path not in ("/v2/", "/token?service=harbor"):
            status, challenge = 404, ""
        elif self.mode == "token" and self.path == "/v2/":
            status, challenge = 401, f'Bearer realm="https://{self.headers["Host"]}/token",service="harbor"'
        else:
            status, challenge = (200, "") if right else (401, 'Basic realm="hostplane"')
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: t.Any) -> None:
        pass


@pytest.fixture
def serve(tmp_path: Path) -> t.Iterator[t.Callable[..., dict[str, t.Any]]]:
    """Start a registry; returns the options with which it is reached."""
    servers = []

    def start(mode: str = "basic", address: str = "127.0.0.1", days: int = 1) -> dict[str, t.Any]:
        path = certificate(tmp_path, address, days)
        handler = type("Handler", (Registry,), {"mode": mode})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if mode != "plain":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return {
            "address": f"127.0.0.1:{server.server_address[1]}",
            "username": "hostplane",
            "password": "right",
            "ca": Path(f"{path}.crt").read_text(),
        }

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def codes(mirror: dict[str, t.Any]) -> list[str]:
    found = probe(mirror, 2)
    assert all("right" not in str(entry) and "wrong" not in str(entry) for entry in found)
    return [entry["code"] for entry in found]


@pytest.mark.parametrize("mode", ["basic", "token"])
def test_registry_with_basic_or_token_authentication(serve: t.Any, mode: str) -> None:
    mirror = serve(mode)
    assert codes(mirror) == []
    assert codes({**mirror, "password": "wrong"}) == ["MirrorAuth"]
    assert codes({**mirror, "username": None}) == ["MirrorAuth"]


def test_a_certificate_of_a_stranger(serve: t.Any) -> None:
    assert codes({**serve(), "ca": ""}) == ["MirrorCertificate"]
    assert codes({**serve(), "ca": serve()["ca"]}) == ["MirrorCertificate"]
    assert codes({**serve(), "ca": "no certificate"}) == ["MirrorCertificate"]


def test_a_certificate_for_another_address(serve: t.Any) -> None:
    (found,) = probe(serve(address="10.1.2.3"))
    assert found["code"] == "MirrorCertificate"
    assert "mirror_address" in found["remedy"]


def test_an_expired_certificate(serve: t.Any) -> None:
    (found,) = probe(serve(days=-1))
    assert found["code"] == "MirrorCertificate"
    assert "renew" in found["remedy"]


def test_something_that_is_not_a_registry(serve: t.Any) -> None:
    assert codes(serve("broken")) == ["MirrorUnreachable"]
    (found,) = probe(serve("plain"))
    assert (found["code"], "HTTPS port" in found["remedy"]) == ("MirrorUnreachable", True)


def test_nobody_there() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        (found,) = probe({"address": address}, 1)
        assert found["code"] == "MirrorUnreachable"
        assert "refused" in found["message"]
        listener.listen()
        (found,) = probe({"address": address}, 0.2)
    assert "no answer in time" in found["message"]
    assert codes({"address": "no-such-host.invalid:5000"}) == ["MirrorUnreachable"]
