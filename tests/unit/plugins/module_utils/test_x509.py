# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What openssl is asked and how its answers are read, against certificates that another library made."""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 2, 1, 8, 5, 9, tzinfo=timezone.utc)
SERVER, CLIENT = x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH


def name_of(common: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


class Signer:
    """A CA; or what it signs, which is then no CA."""

    def __init__(self, common: str, key: Any = None) -> None:
        self.name, self.key = name_of(common), key or ec.generate_private_key(ec.SECP256R1())
        self.pem = self.sign(self.name, self.key, ca=True)

    def sign(
        self, subject: x509.Name, key: Any, ca: bool = False, usages: Any = (), sans: Any = (), days: float = 300
    ) -> str:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(0xAB00CD)
            .not_valid_before(START)
            .not_valid_after(START + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if usages:
            made = made.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if sans:
            made = made.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        signed = made.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


def private(key: Any, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode())


@pytest.fixture(scope="module")
def authority() -> Signer:
    return Signer("kubernetes")


def test_a_servers_certificate(authority: Signer) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    sans = [x509.DNSName("kubernetes"), x509.IPAddress(ipaddress.ip_address("fd00::1")), x509.DNSName("*.a.example")]
    read = _x509.parse(authority.sign(name_of("kube-apiserver"), key, usages=[SERVER, CLIENT], sans=sans))
    assert (read.subject, read.issuer, read.serial) == ("CN=kube-apiserver", "CN=kubernetes", "ab00cd")
    assert (read.not_before, read.not_after) == (START, START + timedelta(days=300))
    assert read.sans == ("DNS:*.a.example", "DNS:kubernetes", "IP:fd00::1")
    assert read.usages == ("clientAuth", "serverAuth")
    assert (read.key_type, read.key_bits, read.ca) == ("EC", 384, False)
    made = x509.load_pem_x509_certificate(read.pem.encode())
    assert read.fingerprint == made.fingerprint(hashes.SHA256()).hex()
    assert _x509.public_key_of(private(key)) == read.public_key


@pytest.mark.parametrize(
    ("key", "kind", "bits"),
    [(rsa.generate_private_key(65537, 2048), "RSA", 2048), (ed25519.Ed25519PrivateKey.generate(), "ED25519", 256)],
)
def test_other_keys(authority: Signer, key: Any, kind: str, bits: int) -> None:
    read = _x509.parse(authority.sign(name_of("system:node:a,b", "system:nodes"), key))
    assert (read.key_type, read.key_bits, read.sans, read.usages) == (kind, bits, (), ())
    assert read.subject == r"CN=system:node:a\,b,O=system:nodes"
    assert _x509.public_key_of(private(key)) == read.public_key


def test_a_ca_and_kubeadms_form_of_a_key(authority: Signer) -> None:
    read = _x509.parse(authority.pem)
    assert read.ca and read.subject == read.issuer
    text = "junk\n" + authority.pem + private(authority.key, serialization.PrivateFormat.TraditionalOpenSSL)
    assert _x509.certificates_in(text) == [authority.pem]
    assert _x509.public_key_of(_x509.private_key_in(text)) == read.public_key


def test_time_that_is_left(authority: Signer) -> None:
    read = _x509.parse(authority.sign(name_of("a"), authority.key, days=100))
    assert read.days_left(START + timedelta(days=90, hours=1)) == 9
    assert read.days_left(START + timedelta(days=100, seconds=1)) == -1
    assert read.life_left(START + timedelta(days=90)) == pytest.approx(0.1)


def test_who_signed_what_in_one_call(authority: Signer) -> None:
    other, key = Signer("kubernetes"), ec.generate_private_key(ec.SECP256R1())
    good = authority.sign(name_of("a"), key, usages=[SERVER])
    bad = other.sign(name_of("a"), key, usages=[SERVER])
    reasons = _x509.verify([good, bad, good], authority.pem, "sslserver")
    assert [bool(reason) for reason in reasons] == [False, True, False]
    assert _x509.verify([good, bad], authority.pem + other.pem) == ["", ""]
    assert "purpose" in _x509.verify([good], authority.pem, "sslclient")[0]
    assert _x509.verify([good], "") == ["there is no CA certificate to check it against"]
    assert _x509.verify([], authority.pem) == []


def test_an_expired_certificate_has_a_good_chain(authority: Signer) -> None:
    assert _x509.verify([authority.sign(name_of("a"), authority.key, days=0.1)], authority.pem) == [""]


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_or_key(text: str) -> None:
    with pytest.raises(_x509.OpensslError, match="no certificate"):
        _x509.parse(text)
    with pytest.raises(_x509.OpensslError, match="no private key"):
        _x509.public_key_of(text)


def test_a_missing_openssl_is_named(monkeypatch: pytest.MonkeyPatch, authority: Signer) -> None:
    monkeypatch.setattr(_x509, "OPENSSL", "/nowhere/openssl")
    with pytest.raises(_x509.X509Error, match="install the package openssl"):
        _x509.parse(authority.pem)


def test_a_key_is_no_argument_and_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Signer) -> None:
    program = tmp_path / "openssl"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexec openssl "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(_x509, "OPENSSL", str(program))
    monkeypatch.setattr(_x509.tempfile, "TemporaryDirectory", lambda **options: pytest.fail("a file was made"))
    _x509.public_key_of(private(authority.key))
    assert (tmp_path / "arguments").read_text() == "pkey -pubout\n"


def kubeconfig(**user: str) -> dict[str, Any]:
    cluster = {"server": "https://10.0.0.1:6443", "certificate-authority-data": base64.b64encode(b"ca").decode()}
    return {
        "clusters": [{"cluster": cluster, "name": "c"}],
        "contexts": [{"context": {"cluster": "c", "user": "u"}, "name": "u@c"}],
        "users": [{"name": "u", "user": user}],
    }


@given(st.binary(min_size=1).map(lambda data: base64.b64encode(data).decode()), st.booleans())
def test_json_and_yaml_kubeconfigs_are_read_alike(data: str, compact: bool) -> None:
    import yaml

    config = kubeconfig(**{"client-certificate-data": base64.b64encode(data.encode()).decode(), "client-key": "k.pem"})
    for text in (yaml.safe_dump(config), json.dumps(config, indent=None if compact else 2)):
        read = _x509.read_kubeconfig(text)
        assert (read.server, read.ca, read.certificate, read.key) == ("https://10.0.0.1:6443", "ca", data, "")
        assert (read.key_file, read.certificate_file, read.ca_file) == ("k.pem", "", "")


def test_nonsense_is_an_empty_kubeconfig() -> None:
    assert _x509.read_kubeconfig("client-key-data: '%%%'\n{") == _x509.Kubeconfig()
