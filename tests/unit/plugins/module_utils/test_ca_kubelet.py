# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node asks for its client certificate, and the kubelet gets it."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca_kubelet, _x509
from selfsigned import make_certificate


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_ca_kubelet, "KUBELET_PKI", str(tmp_path))
    for name, file in (("KEY", "client.key"), ("KUBELET_CLIENT", "current.pem"), ("KUBELET_SERVER", "server.pem")):
        monkeypatch.setattr(_ca_kubelet, name, str(tmp_path / file))
    monkeypatch.setattr(_ca_kubelet, "POLL_SECONDS", 0.01)
    path, dummy = make_certificate(tmp_path, "w1")
    (tmp_path / "old.pem").write_bytes(Path(path).read_bytes())
    (tmp_path / "current.pem").symlink_to(tmp_path / "old.pem")
    monkeypatch.setattr(_ca_kubelet._x509, "parse", lambda pem: type("C", (), {"subject": "CN=system:node:w1,O=x"}))
    return tmp_path


class Api:
    """Signs at the second look; what it signed is good only from the given request on."""

    def __init__(self, answer: dict[str, Any], good_from: int = 1) -> None:
        self.answer, self.good_from, self.asked, self.looked = answer, good_from, 0, 0
        self.request = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        if method == "POST":
            assert body["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client-kubelet"
            self.request = base64.b64decode(body["spec"]["request"]).decode()
            self.asked += 1
            return {"metadata": {"name": "csr-1"}}
        self.looked += 1
        return {"status": self.answer if self.looked % 2 == 0 else {}}

    def verify(self, certificates: list[str], ca: str) -> list[str]:
        return ["" if self.asked >= self.good_from else "not signed"]


def play(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setattr(_ca_kubelet, "call", api.call)
    monkeypatch.setattr(_ca_kubelet._x509, "verify", api.verify)


SIGNED = {"certificate": base64.b64encode(b"CERTIFICATE\n").decode()}


def test_the_kubelet_gets_the_new_certificate_with_its_key(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(SIGNED)
    play(monkeypatch, api)
    _ca_kubelet.renew_client("CA", time.monotonic() + 20)
    text = (node / "current.pem").read_text()
    assert text.startswith("CERTIFICATE\n") and "PRIVATE KEY" in text
    assert (node / "current.pem").resolve().stat().st_mode & 0o777 == 0o600
    assert not (node / "client.key").exists() and (node / "old.pem").exists()
    subject = _x509.run(["req", "-noout", "-subject", "-nameopt", "RFC2253"], api.request)
    assert "CN=system:node:w1,O=system:nodes" in subject


def test_what_the_old_ca_still_signed_is_asked_for_again(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(SIGNED, good_from=2)
    play(monkeypatch, api)
    _ca_kubelet.renew_client("CA", time.monotonic() + 20)
    assert api.asked == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [({"conditions": [{"type": "Denied", "message": "no"}]}, "refused: no"), ({}, "did not sign w1's certificate")],
)
def test_without_a_certificate_the_old_one_stays(
    node: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], said: str
) -> None:
    play(monkeypatch, Api(answer))
    with pytest.raises(_ca_kubelet.KubeletError, match=said):
        _ca_kubelet.renew_client("CA", time.monotonic() + (20 if answer else 0.1))
    assert (node / "current.pem").resolve() == node / "old.pem" and not (node / "client.key").exists()


def test_a_kubelet_that_has_lost_its_serving_certificate_is_seen(node: Path) -> None:
    assert not _ca_kubelet.server_forgotten()
    (node / "kubelet-server-2026.pem").write_text("")
    (node / "server.pem").symlink_to(node / "kubelet-server-2026.pem")
    assert not _ca_kubelet.server_forgotten()
    _ca_kubelet.forget_server()
    _ca_kubelet.forget_server()
    assert _ca_kubelet.server_forgotten()


def test_when_the_kubelet_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "ActiveState=active\nActiveEnterTimestampMonotonic={}\n"
    micro = int((time.clock_gettime(time.CLOCK_MONOTONIC) - 10) * 1e6)
    monkeypatch.setattr(_ca_kubelet._renewal_host, "command", lambda words: said.format(micro))
    assert abs(time.time() - 10 - _ca_kubelet.started()) < 1
    monkeypatch.setattr(_ca_kubelet._renewal_host, "command", lambda words: "ActiveState=failed\n")
    assert _ca_kubelet.started() == 0.0
