# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which requests for serving certificates the inventory vouches for."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _csr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

KEY = ec.generate_private_key(ec.SECP256R1())
ADDRESSES = {"w1": ["10.0.0.21", "fd00:0:0::21"]}


def san(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def request(
    *names: str,
    node: str = "w1",
    user: str | None = None,
    cn: str | None = None,
    org: list[str] | None = None,
    extra: list[x509.GeneralName] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """The spec of a request as the API returns it."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in (org or ["system:nodes"])]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, cn or f"system:node:{node}"))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if names or extra:
        alternative = x509.SubjectAlternativeName([*map(san, names), *(extra or [])])
        builder = builder.add_extension(alternative, critical=False)
    pem = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {
        "request": base64.b64encode(pem).decode(),
        "signerName": _csr.SERVING,
        "username": user or f"system:node:{node}",
        "groups": ["system:nodes", "system:authenticated"],
        "usages": ["digital signature", "server auth"],
        **spec,
    }


def csr(name: str, spec: dict[str, Any], created: str = "2026-11-21T12:00:00Z", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    "names", [["w1", "10.0.0.21"], ["10.0.0.21"], ["w1"], ["w1", "10.0.0.21", "fd00::21"]], ids=str
)
def test_a_kubelet_of_the_inventory_is_approved(names: list[str]) -> None:
    assert _csr.refusal(request(*names), ADDRESSES) == ""


def test_an_rsa_kubelet_asks_for_one_usage_more() -> None:
    usages = ["key encipherment", "digital signature", "server auth"]
    assert _csr.refusal(request("w1", usages=usages), ADDRESSES) == ""


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (request("w1", "10.0.0.22"), "10.0.0.22, which the inventory doesn't give to w1"),
        (request("w1", "kubernetes.default.svc"), "kubernetes.default.svc, which"),
        (request("w1", "w2"), "it is for w2"),
        (request("w1", extra=[x509.UniformResourceIdentifier("spiffe://x")]), "spiffe://x"),
        (request("w1", extra=[x509.RFC822Name("root@w1")]), "root@w1"),
        (request(), "neither a host name nor an address"),
        (request("w1", user="system:serviceaccount:default:x"), "which is no kubelet"),
        (request("w1", user="kubernetes-admin"), "which is no kubelet"),
        (request("w1", groups=["system:authenticated"]), "which is no kubelet"),
        (request("w9", node="w9"), "no host of the inventory is the node 'w9'"),
        (request("w1", cn="system:node:w2"), "its subject is"),
        (request("w1", org=["system:nodes", "system:masters"]), "its subject is"),
        (request("w1", org=["system:masters"]), "its subject is"),
        (request("w1", usages=["digital signature", "client auth"]), "client auth"),
        (request("w1", usages=["digital signature", "server auth", "client auth"]), "client auth"),
        (request("w1", usages=["server auth"]), "usages server auth"),
        (request("w1", request="bm90aGluZw=="), "can't be read"),
        (request("w1", request="%"), "can't be read"),
    ],
    ids=range(18),
)
def test_everything_else_is_refused_with_the_reason(spec: dict[str, Any], reason: str) -> None:
    assert reason in _csr.refusal(spec, ADDRESSES)


def test_a_request_signed_with_another_key_is_refused() -> None:
    spec = request("w1")
    der = x509.load_pem_x509_csr(base64.b64decode(spec["request"])).public_bytes(serialization.Encoding.DER)
    forged = base64.encodebytes(der[:-1] + bytes([der[-1] ^ 1])).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{forged}-----END CERTIFICATE REQUEST-----\n"
    spec["request"] = base64.b64encode(pem.encode()).decode()
    assert "own key" in _csr.refusal(spec, ADDRESSES)


@given(st.ip_addresses())
def test_no_address_but_the_hosts_own_is_approved(address: Any) -> None:
    good = str(address) in ("10.0.0.21", "fd00::21")
    assert (_csr.refusal(request("w1", str(address)), ADDRESSES) == "") == good


def test_only_what_is_pending_and_for_serving_counts_oldest_first() -> None:
    decided = [csr(kind, request("w1"), conditions=[{"type": kind}]) for kind in ("Approved", "Denied", "Failed")]
    other = csr("client", request("w1", signerName="kubernetes.io/kube-apiserver-client-kubelet"))
    listed = [*decided, other, csr("late", request("w1"), "2026-11-21T12:00:09Z"), csr("early", request("w1"))]
    good, refused = _csr.pending([*listed, csr("bad", request("w2"))], ADDRESSES)
    assert [one.name for one in good] == ["early", "late"]
    assert [(one.name, one.node) for one in refused] == [("bad", "w1")]


def test_an_approval_keeps_what_was_there() -> None:
    asked = csr("x", request("w1"), conditions=[{"type": "Other"}])
    sent = _csr.approval(asked)
    assert [one["type"] for one in sent["status"]["conditions"]] == ["Other", "Approved"]
    assert sent["spec"] == asked["spec"] and asked["status"]["conditions"] == [{"type": "Other"}]
