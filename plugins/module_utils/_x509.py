# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""X.509 on a host that has Python's standard library and the openssl command (1.1.1 or later) and nothing else.

kubeadm's own report (check-expiration) knows neither SANs, keys, chains nor the kubelet's certificates, and Python's
standard library can't read a certificate; openssl is on every supported system. Private keys go to openssl by its
standard input only: they are never arguments and never copied to a file.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

OPENSSL = "openssl"
SECONDS = 30
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.S)
PRIVATE_KEY = re.compile(r"-----BEGIN (?P<kind>(?:\w+ )?PRIVATE KEY)-----.+?-----END (?P=kind)-----\n?", re.S)
PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----\n", re.S)
KEY_TYPES = {"rsaEncryption": "RSA", "id-ecPublicKey": "EC"}
USAGES = {"TLS Web Server Authentication": "serverAuth", "TLS Web Client Authentication": "clientAuth"}
# What openssl verify says first is the reason; "error 20 at 0 depth lookup: unable to get local issuer certificate".
VERIFY_ERROR = re.compile(r"^error \d+ at \d+ depth lookup: ?(.+)$", re.M)


class X509Error(Exception):
    """openssl is missing, or something is no certificate or key; the message names neither content nor key."""


class OpensslError(X509Error):
    """openssl works and does not like what it got."""


@dataclass(frozen=True)
class Certificate:
    """One certificate; names are as RFC 2253 writes them, the serial and the fingerprint (SHA-256) are lower hex."""

    pem: str
    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    key_type: str
    key_bits: int
    public_key: str
    sans: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()
    ca: bool = False

    def days_left(self, now: datetime) -> int:
        """Whole days until it expires; negative once it has."""
        return int((self.not_after - now).total_seconds() // 86400)

    def life_left(self, now: datetime) -> float:
        """The part of its validity that is left, from 1 to 0 and below."""
        whole = (self.not_after - self.not_before).total_seconds()
        return (self.not_after - now).total_seconds() / whole if whole > 0 else 0.0


def run(arguments: Sequence[str], text: str = "", codes: Sequence[int] = (0,)) -> str:
    """What openssl prints on both outputs; text is its standard input. Raises X509Error for other exit codes."""
    try:
        done = subprocess.run(
            [OPENSSL, *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as exc:
        raise X509Error("the openssl command is missing; install the package openssl") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise X509Error(f"openssl {arguments[0]} did not run: {exc}") from exc
    if done.returncode not in codes:
        said = next((line for line in done.stdout.splitlines() if "error" in line.lower() or "unable" in line), "")
        raise OpensslError(f"openssl {arguments[0]}: {said or 'it gave no reason'}")
    return done.stdout


def certificates_in(text: str) -> list[str]:
    """The certificates (PEM) in a text, in its order; whatever else is in it is left out."""
    return [match.group(0).rstrip("\n") + "\n" for match in CERTIFICATE.finditer(text)]


def private_key_in(text: str) -> str:
    """The first private key (PEM) in a text; empty when there is none."""
    found = PRIVATE_KEY.search(text)
    return found.group(0).rstrip("\n") + "\n" if found else ""


def _names(text: str, extension: str) -> list[str]:
    """The entries of an extension in openssl's text form: they stand on the line after its name."""
    found = re.search(rf"X509v3 {extension}: ?(?:critical)?\s*\n\s*(.+)", text)
    return [entry.strip() for entry in found[1].split(",")] if found else []


def _san(entry: str) -> str:
    kind, dummy, value = entry.partition(":")
    # openssl writes IPv6 in full; everybody else writes it short.
    return f"IP:{ipaddress.ip_address(value)}" if kind == "IP Address" else f"{kind}:{value}"


def _time(text: str) -> datetime:
    """openssl's form of a time (Nov 21 12:00:00 2027 GMT), read without the locale's month names."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    month, day, clock, year, dummy = text.split()
    hour, minute, second = (int(float(part)) for part in clock.split(":"))
    return datetime(int(year), months.index(month) + 1, int(day), hour, minute, second, tzinfo=timezone.utc)


def parse(pem: str) -> Certificate:
    """Read one certificate; raises X509Error when it is none."""
    options = ["-noout", "-subject", "-issuer", "-serial", "-dates", "-fingerprint", "-sha256", "-pubkey", "-text"]
    try:
        said = run(["x509", *options, "-nameopt", "RFC2253"], pem)
    except OpensslError as exc:
        raise OpensslError("it is no certificate that openssl can read") from exc
    fields = {key.lower(): value for key, value in re.findall(r"^([\w ]+?) ?=(.*)$", said, re.M)}
    algorithm = re.search(r"Public Key Algorithm: (\S+)", said)
    bits = re.search(r"Public-Key: \((\d+) bit", said)
    public = PUBLIC_KEY.search(said)
    try:
        kind = algorithm[1] if algorithm else ""
        return Certificate(
            pem=pem,
            subject=fields["subject"].strip(),
            issuer=fields["issuer"].strip(),
            serial=fields["serial"].strip().lower(),
            not_before=_time(fields["notbefore"]),
            not_after=_time(fields["notafter"]),
            fingerprint=fields["sha256 fingerprint"].replace(":", "").strip().lower(),
            key_type=KEY_TYPES.get(kind, kind),
            key_bits=int(bits[1]) if bits else 256 if kind == "ED25519" else 0,
            public_key=public[0] if public else "",
            sans=tuple(sorted(map(_san, _names(said, "Subject Alternative Name")))),
            usages=tuple(sorted(USAGES.get(entry, entry) for entry in _names(said, "Extended Key Usage"))),
            ca="CA:TRUE" in _names(said, "Basic Constraints"),
        )
    except (KeyError, ValueError) as exc:
        raise X509Error(f"openssl's description of a certificate can't be understood: {exc}") from exc


def public_key_of(private_key: str) -> str:
    """The public half (PEM) of a private key (PEM); raises X509Error when it is no usable key."""
    try:
        found = PUBLIC_KEY.search(run(["pkey", "-pubout"], private_key))
    except OpensslError:
        found = None
    if not found:
        raise OpensslError("it is no private key that openssl can read")
    return found[0]


def verify(certificates: Sequence[str], ca: str, purpose: str = "") -> list[str]:
    """Check certificates (PEM) against trusted ones (PEM bundle), once for each CA; why each is bad, empty when good.

    The time does not count here: that something has expired is told by its date. purpose is sslserver, sslclient or
    empty for any. What follows the first certificate of an entry is used as its intermediates. While a CA is rotated,
    the bundle holds two of the same name, of which openssl by itself may try the wrong one only.
    """
    reasons = ["there is no CA certificate to check it against"] * len(certificates)
    for number, authority in enumerate(certificates_in(ca)):
        open_ones = [place for place, reason in enumerate(reasons) if reason]
        if not open_ones:
            break
        told = _verify_by([certificates[place] for place in open_ones], authority, purpose)
        for place, reason in zip(open_ones, told):
            reasons[place] = reason if number == 0 or not reason else reasons[place]
    return reasons


def _verify_by(certificates: Sequence[str], ca: str, purpose: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="hostplane-x509-") as folder:

        def keep(name: str, text: str) -> str:
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii", errors="replace") as handle:
                handle.write(text)
            return path

        options = ["-no_check_time", "-partial_chain", "-CAfile", keep("ca", ca)]
        # -no-CApath: the host's own trust store has no say in the cluster's certificates.
        options += ["-no-CApath", *(["-purpose", purpose] if purpose else [])]
        extra = "".join(pem for text in certificates for pem in certificates_in(text)[1:])
        if extra:
            options += ["-untrusted", keep("extra", extra)]
        paths = [keep(f"{number}.crt", text) for number, text in enumerate(certificates)]
        said = run(["verify", *options, *paths], codes=(0, 1, 2))
    return [_reason(said, path) for path in paths]


def _reason(said: str, path: str) -> str:
    """What openssl verify says of one file: "PATH: OK", or its errors before "error PATH: verification failed"."""
    if f"{path}: OK" in said.splitlines():
        return ""
    before = said.partition(f"error {path}: verification failed")[0]
    after_last = re.split(r"^\S+: OK$|^error \S+: verification failed$", before, flags=re.M)[-1]
    found = VERIFY_ERROR.search(after_last)
    return found[1].strip() if found else "openssl verify gave no reason"


@dataclass(frozen=True)
class Kubeconfig:
    """What matters of a kubeconfig with one user: PEM texts, or paths where it refers to files."""

    server: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


def read_kubeconfig(text: str) -> Kubeconfig:
    """The first user and cluster of a kubeconfig. Python's standard library has no YAML; in what kubeadm, kubectl and
    this collection write, these values are plain words on a line of their own."""
    if text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            text = json.dumps(json.loads(text), indent=1)

    def word(key: str) -> str:
        found = re.search(rf"""^[\s{{,-]*["']?{key}["']?\s*:\s*["']?([^\s"',}}]+)""", text, re.M)
        return found[1] if found else ""

    def data(key: str) -> str:
        with contextlib.suppress(binascii.Error, ValueError):
            return base64.b64decode(word(key), validate=True).decode()
        return ""

    return Kubeconfig(
        server=word("server"),
        ca=data("certificate-authority-data"),
        certificate=data("client-certificate-data"),
        key=data("client-key-data"),
        ca_file=word("certificate-authority"),
        certificate_file=word("client-certificate"),
        key_file=word("client-key"),
    )
