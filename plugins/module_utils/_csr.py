# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whether a kubelet's request for a serving certificate is one that the inventory vouches for."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

try:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    IMPORT_ERROR = ""
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

SERVING = "kubernetes.io/kubelet-serving"
NODE_USER = "system:node:"
NODE_GROUP = "system:nodes"
# A request for an elliptic-curve key leaves "key encipherment" out.
REQUIRED_USAGES = {"digital signature", "server auth"}
ALLOWED_USAGES = REQUIRED_USAGES | {"key encipherment"}


@dataclass(frozen=True)
class Request:
    """A certificate signing request of a kubelet, judged; an empty reason means that it may be approved."""

    name: str
    node: str
    created: str
    reason: str


def is_pending(csr: Mapping[str, Any]) -> bool:
    """Whether nobody has decided about it yet."""
    decided = {entry.get("type") for entry in csr.get("status", {}).get("conditions") or []}
    return not decided & {"Approved", "Denied", "Failed"}


def pending(
    csrs: Iterable[Mapping[str, Any]], addresses: Mapping[str, Iterable[str]]
) -> tuple[list[Request], list[Request]]:
    """The pending requests for serving certificates: (to be approved, refused), oldest first.

    addresses: by name of the node, what its certificate may be for besides the name.
    """
    requests = []
    for csr in csrs:
        if csr["spec"].get("signerName") == SERVING and is_pending(csr):
            user = str(csr["spec"].get("username") or "")
            node = user[len(NODE_USER) :] if user.startswith(NODE_USER) else ""
            meta = csr["metadata"]
            created = str(meta.get("creationTimestamp") or "")
            requests.append(Request(meta["name"], node, created, refusal(csr["spec"], addresses)))
    requests.sort(key=lambda request: (request.created, request.name))
    return [one for one in requests if not one.reason], [one for one in requests if one.reason]


def refusal(spec: Mapping[str, Any], addresses: Mapping[str, Iterable[str]]) -> str:
    """Why this request must not be approved by us; empty when it may."""
    user = str(spec.get("username") or "")
    if not user.startswith(NODE_USER) or NODE_GROUP not in (spec.get("groups") or []):
        return f"it was made by {user or 'nobody'}, which is no kubelet"
    node = user[len(NODE_USER) :]
    if node not in addresses:
        return f"no host of the inventory is the node {node!r}"
    usages = set(spec.get("usages") or [])
    if not REQUIRED_USAGES <= usages <= ALLOWED_USAGES:
        return f"it asks for the usages {', '.join(sorted(usages)) or 'none'}"
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or "", validate=True))
    except (ValueError, binascii.Error) as exc:
        return f"it can't be read: {exc}"
    if not request.is_signature_valid:
        return "it is not signed with its own key"
    return _subject(request, user) or _names(request, node, {*map(_address, addresses[node])})


def _subject(request: x509.CertificateSigningRequest, user: str) -> str:
    """What is wrong with the subject: exactly the node's name and the nodes' group must be in it."""
    found = sorted((attribute.oid.dotted_string, str(attribute.value)) for attribute in request.subject)
    wanted = [(NameOID.COMMON_NAME.dotted_string, user), (NameOID.ORGANIZATION_NAME.dotted_string, NODE_GROUP)]
    return "" if found == sorted(wanted) else f"its subject is {request.subject.rfc4514_string()}"


def _names(request: x509.CertificateSigningRequest, node: str, addresses: set[str]) -> str:
    """What is wrong with the names and addresses that the certificate is to be for."""
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "it names neither a host name nor an address"
    except ValueError as exc:
        return f"its extensions can't be read: {exc}"
    strange = []
    for name in names:
        if isinstance(name, x509.DNSName):
            strange += [name.value] if name.value != node else []
        elif isinstance(name, x509.IPAddress):
            strange += [str(name.value)] if str(name.value) not in addresses else []
        else:
            strange.append(str(name.value))
    if not strange:
        return "" if len(names) else "it names neither a host name nor an address"
    return f"it is for {', '.join(sorted(strange))}, which the inventory doesn't give to {node}"


def _address(text: str) -> str:
    """An address in its shortest form; other text as it is."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def approval(csr: Mapping[str, Any]) -> dict[str, Any]:
    """The object to send to the request's C(approval)."""
    status = dict(csr.get("status") or {})
    condition = {
        "type": "Approved",
        "status": "True",
        "reason": "HostplaneInventory",
        "message": "node, subject, names and addresses are those of the inventory",
    }
    return {**csr, "status": {**status, "conditions": [*(status.get("conditions") or []), condition]}}
