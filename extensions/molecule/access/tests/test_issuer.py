# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tokens of an issuer outside: accepted once it is configured, refused once it is gone, and no restart in between."""

from __future__ import annotations

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from kubernetes import client
from plays import play
from test_access import status_of

AUDIENCE = "kubernetes"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """A small OpenID Connect provider: a discovery document, one key, and tokens signed with it."""

    def __init__(self, address: str, folder: Path) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ca = self._certificate(address, folder / "issuer.pem")
        handler = type(
            "Handler",
            (http.server.BaseHTTPRequestHandler,),
            {"do_GET": self.answer, "log_message": lambda *dummy: None},
        )
        self.server = http.server.ThreadingHTTPServer((address, 0), handler)
        self.url = f"https://{address}:{self.server.server_address[1]}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "issuer.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _certificate(self, address: str, path: Path) -> str:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
        now = datetime.datetime.now(datetime.timezone.utc)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        pem = made.public_bytes(serialization.Encoding.PEM)
        path.write_bytes(
            pem
            + self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pem.decode()

    @staticmethod
    def answer(request: Any) -> None:
        body = json.dumps(request.server.documents.get(request.path, {})).encode()
        request.send_response(200 if request.path in request.server.documents else 404)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def publish(self) -> None:
        numbers = self.key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": "one",
            "n": encode(numbers.n.to_bytes(256, "big")),
            "e": encode(numbers.e.to_bytes(3, "big")),
        }
        self.server.documents = {  # type: ignore[attr-defined]
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/keys": {"keys": [key]},
        }

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        body = {"iss": self.url, "aud": AUDIENCE, "iat": now, "exp": now + 600, **claims}
        head = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (head, body))
        return f"{signed}.{encode(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The entry of the inventory."""
        return {
            "issuer": {"url": self.url, "audiences": [AUDIENCE], "certificateAuthority": self.ca},
            "claimMappings": {
                "username": {"claim": "email", "prefix": "staff:"},
                "groups": {"claim": "groups", "prefix": "staff:"},
            },
            **changes,
        }


@pytest.fixture(scope="module")
def issuer(inventory: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """On this machine's address in the lab's network."""
    network = ipaddress.ip_network(inventory["vars"]["lab_network"])
    made = Issuer(str(network[1]), tmp_path_factory.mktemp("issuer"))
    made.publish()
    yield made
    made.server.shutdown()


def api_of(token: str, api: client.CoreV1Api) -> client.CoreV1Api:
    """The cluster's API for the bearer of a token."""
    admin = api.api_client.configuration
    settings = client.Configuration(host=admin.host, api_key={"authorization": f"Bearer {token}"})
    settings.ssl_ca_cert = admin.ssl_ca_cert
    return client.CoreV1Api(client.ApiClient(settings))


def server_id(hosts: dict[str, Any]) -> str:
    """Which container the API server is in."""
    found: str = hosts["cp1"].check_output("crictl ps --name kube-apiserver -q")
    return found


def test_tokens_of_the_issuer(api: client.CoreV1Api, hosts: dict[str, Any], issuer: Issuer) -> None:
    before = server_id(hosts)
    member = api_of(issuer.token(email="kim@example.com", groups=["shop"]), api)
    admin = api_of(issuer.token(email="ada@example.com", groups=["admins"]), api)
    stranger = api_of(issuer.token(email="joe@example.com", aud="another"), api)
    assert status_of(lambda: member.list_namespaced_pod("default")) == 401
    log = play("access", "--check", access_kubeconfigs=[], cluster_jwt_authenticators=[issuer.settings()])
    assert "cp1 " in log and "changed=1" in log
    assert status_of(lambda: member.list_namespaced_pod("default")) == 401

    play("access", access_kubeconfigs=[], cluster_jwt_authenticators=[issuer.settings()])
    assert status_of(lambda: member.list_namespaced_pod("default")) == 200
    assert status_of(member.list_node) == 403
    assert status_of(admin.list_node) == 200
    assert status_of(lambda: stranger.list_namespaced_pod("default")) == 401
    assert "changed=1" not in play("access", access_kubeconfigs=[], cluster_jwt_authenticators=[issuer.settings()])

    play("access", access_kubeconfigs=[], cluster_jwt_authenticators=[])
    # The API server remembers for ten seconds whom it has let in.
    deadline = time.monotonic() + 15
    while 200 in (status_of(lambda: member.list_namespaced_pod("default")), status_of(admin.list_node)):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert status_of(lambda: member.list_namespaced_pod("default")) == 401
    assert status_of(admin.list_node) == 401
    assert server_id(hosts) == before


def test_wrong_settings_change_nothing(hosts: dict[str, Any], issuer: Issuer) -> None:
    path = "/etc/kubernetes/authentication/config.json"
    before = hosts["cp1"].file(path).content_string
    assert hosts["cp1"].file(path).mode == 0o600
    open_door = issuer.settings(claimMappings={"username": {"claim": "email", "prefix": ""}})
    plain = issuer.settings(issuer={"url": "http://login.example.com", "audiences": []})
    log = play("access", access_kubeconfigs=[], cluster_jwt_authenticators=[open_door, plain], code=2)
    for text in ("3 problems", "system:", "no https URL", "audiences"):
        assert text in log, text
    # Only the API server understands expressions; it must not be left with what it would not start with.
    senseless = issuer.settings(userValidationRules=[{"expression": "user.nothing ==", "message": "no"}])
    log = play("access", access_kubeconfigs=[], cluster_jwt_authenticators=[senseless], code=2)
    assert "refused the settings" in log and "userValidationRules" in log
    assert hosts["cp1"].file(path).content_string == before
    assert "changed=1" not in play("access", access_kubeconfigs=[], cluster_jwt_authenticators=[])
