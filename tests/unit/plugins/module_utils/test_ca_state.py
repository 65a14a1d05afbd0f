# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is seen of a rotation on one host, and what all hosts together say."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca, _ca_state
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


class Authority:
    """A CA; all of them have the same name, as those of kubeadm do."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        self.pem = self._sign(self.name, self.key, ca=True)

    def leaf(self, name: str) -> str:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._sign(subject, ec.generate_private_key(ec.SECP256R1()), ca=False)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> str:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(minutes=5))
            .not_valid_after(NOW + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(identifier, critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def worker(tmp_path: Path) -> Any:
    """Write files of a worker below a root of its own and look at it."""

    def look(bundle: list[str], **leaves: str) -> dict[str, Any]:
        pki, kubelet = tmp_path / "etc/kubernetes/pki", tmp_path / "var/lib/kubelet/pki"
        pki.mkdir(parents=True, exist_ok=True)
        kubelet.mkdir(parents=True, exist_ok=True)
        (pki / "ca.crt").write_text("".join(bundle))
        for name, text in leaves.items():
            (kubelet / f"kubelet-{name}-current.pem").write_text(text)
        return _ca_state.look(str(tmp_path))

    return look


def test_a_worker_has_one_ca_and_tells_what_it_has_not_signed(worker: Any) -> None:
    old, new = Authority(), Authority()
    leaves = {"client": old.leaf("a"), "server": old.leaf("b")}
    found = worker([old.pem, new.pem], **leaves)
    assert not found["control_plane"] and list(found["authorities"]) == ["cluster"]
    cluster = found["authorities"]["cluster"]
    assert cluster["bundle"] == [_ca.fingerprint(old.pem), _ca.fingerprint(new.pem)]
    assert cluster["made"] == "2026-11-21T12:00:00Z" and cluster["not_signed"] == [] and not cluster["key"]
    # Of two CAs with the same name only the one that signs vouches for a certificate.
    turned = worker([new.pem, old.pem], server=new.leaf("b"))["authorities"]["cluster"]
    assert turned["not_signed"] == ["kubelet-client"]


def test_a_host_without_a_ca_has_none(worker: Any) -> None:
    assert worker([])["authorities"] == {}


@pytest.mark.parametrize(
    ("before", "days", "wanted"),
    [(None, 365, False), (None, 3651, True), (NOW, 0, False), (NOW + timedelta(seconds=1), 0, True)],
    ids=str,
)
def test_a_ca_is_due_by_its_age_or_its_end(before: datetime | None, days: int, wanted: bool) -> None:
    info = {"made": "2026-11-21T12:00:00Z", "not_after": "2036-11-18T12:00:00Z"}
    assert _ca_state.due(info, before, days, NOW) is wanted


def entry(bundle: list[str], *, staged: str = "", **more: Any) -> dict[str, Any]:
    found = {"bundle": [_ca.fingerprint(pem) for pem in bundle], "key": True, "next": staged, "next_key": bool(staged)}
    return {**found, "made": "2026-11-20T12:00:00Z", "not_after": "2036-11-18T12:00:00Z", "not_signed": [], **more}


def infos(**hosts: dict[str, Any]) -> dict[str, Any]:
    return {
        host: {"control_plane": host.startswith("cp"), "authorities": {"cluster": one}} for host, one in hosts.items()
    }


def summarize(found: dict[str, Any], hosts: list[str], **options: Any) -> dict[str, Any]:
    chosen = options.pop("chosen", ["cluster"])
    before = options.pop("before", NOW)
    return _ca_state.summarize(found, hosts, chosen, before, 0, NOW, **options)


OLD, NEW, THIRD = Authority().pem, Authority().pem, Authority().pem


def test_nothing_is_due_after_a_rotation() -> None:
    found = infos(cp1=entry([NEW], made="2026-11-21T12:00:00Z"), w1=entry([NEW], key=False))
    result = summarize(found, ["cp1", "w1"])
    assert result["authorities"] == [] and not result["active"] and result["problems"] == []


def test_what_was_begun_is_finished_whatever_is_chosen_now() -> None:
    found = infos(cp1=entry([OLD], staged=NEW), cp2=entry([OLD]), w1=entry([OLD], key=False))
    result = summarize(found, list(found), chosen=[], before=None)
    assert result["authorities"] == ["cluster"] and result["active"] and result["holder"] == "cp1"
    assert result["lacking"] == ["cp2"] and result["next"] == {"cluster": NEW}


def test_the_host_that_is_farthest_behind_tells_the_stage() -> None:
    found = infos(cp1=entry([NEW, OLD], staged=NEW), w1=entry([OLD, NEW], key=False, not_signed=["kubelet-client"]))
    result = summarize(found, ["cp1", "w1"])
    assert result["stages"] == {"cluster": "trust"} and result["not_signed"] == {"w1": ["kubelet-client"]}


@pytest.mark.parametrize(
    ("found", "unknown", "code"),
    [
        (infos(cp1=entry([OLD])), [], "rotation_unreachable"),
        (infos(cp1=entry([OLD]), w1=entry([OLD], key=False)), ["w9"], "rotation_unknown_node"),
        (infos(cp1=entry([OLD], key=False), cp2=entry([OLD]), w1=entry([OLD])), [], "rotation_external_ca"),
        (
            infos(cp1=entry([OLD], staged=NEW), cp2=entry([OLD], staged=THIRD), w1=entry([OLD])),
            [],
            "rotation_two_cas",
        ),
        ({**infos(cp1=entry([OLD])), "w1": {"control_plane": False, "authorities": {}}}, [], "rotation_no_ca"),
    ],
    ids=["unreachable", "unknown", "external", "two", "none"],
)
def test_what_would_lock_a_host_out_is_a_problem(found: dict[str, Any], unknown: list[str], code: str) -> None:
    result = summarize(found, [*found, "w1"] if "w1" not in found else list(found), unknown=unknown)
    assert [problem["code"] for problem in result["problems"]] == [code]


def test_an_unreachable_host_is_no_problem_when_nothing_is_due() -> None:
    assert summarize(infos(cp1=entry([OLD])), ["cp1", "w1"], before=None)["problems"] == []
