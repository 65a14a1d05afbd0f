# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Credentials that were issued: what the cluster remembers of them, in which state they are, which objects they need.

Every credential is an identity of its own, whose rights hang on it alone. Kubernetes can't revoke a client certificate,
but nothing else is lost when the rights of that one identity go.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._rbac import (
    ALL,
    Grant,
    Subject,
    grants_of,
    key_of,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._rbac_roles import LABEL as RBAC_LABEL

NAMESPACE = "hostplane-access"
LABEL = "hostplane.io/credential"
MANAGED = {"app.kubernetes.io/managed-by": "hostplane.cluster"}
SIGNER = "kubernetes.io/kube-apiserver-client"
CERTIFICATE, TOKEN = "certificate", "token"
EFFECTIVE, EXPIRING, EXPIRED, REVOKED = "effective", "expiring", "expired", "revoked"
# The shortest validity that the API takes, for both kinds.
SHORTEST = timedelta(minutes=10)
# How long the cluster remembers a credential after its end.
KEPT = timedelta(days=90)
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def new_id(user: str) -> str:
    """A name for a credential that was never used before and shows whose it is."""
    readable = re.sub(r"[^a-z0-9]+", "-", user.lower()).strip("-")[:30].strip("-")
    return f"{readable or 'user'}-{''.join(secrets.choice(_LETTERS) for _dummy in range(8))}"


def subject_of(kind: str, ident: str) -> Subject:
    """Who the API server sees."""
    return Subject("ServiceAccount", ident, NAMESPACE) if kind == TOKEN else Subject("User", f"hostplane:{ident}")


def to_text(moment: datetime) -> str:
    """A time as Kubernetes writes it."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_time(text: str) -> datetime:
    """A time that Kubernetes wrote."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Credential:
    """What is known of one credential; nothing in it is secret. Without a serial its issue was not finished.

    serial is that of the certificate (hex), or the token's ID. fingerprint is the certificate's SHA-256 (hex).
    """

    id: str
    user: str = ""
    kind: str = CERTIFICATE
    path: str = ""
    signer: str = ""
    serial: str = ""
    fingerprint: str = ""
    not_before: str = ""
    not_after: str = ""
    revoked: str = ""
    grants: tuple[Grant, ...] = field(default=(), compare=False)
    # For tokens: whether the service account is still there.
    account: bool = field(default=True, compare=False)

    @property
    def subject(self) -> Subject:
        return subject_of(self.kind, self.id)

    @property
    def audit_id(self) -> str:
        """How the audit log names the credential."""
        if not self.serial:
            return ""
        return f"X509SHA256={self.fingerprint}" if self.kind == CERTIFICATE else f"JTI={self.serial}"

    def state(self, now: datetime, warn: timedelta) -> str:
        """In which state it is; without any right it counts as revoked, whoever took them."""
        if self.revoked or not self.grants or not self.account:
            return REVOKED
        # Its record was damaged, or its issue was interrupted at the very end: it may well be in use.
        if not self.not_after:
            return EFFECTIVE
        start, end = to_time(self.not_before), to_time(self.not_after)
        if end <= now:
            return EXPIRED
        # What lives a day only is not expiring all its life.
        return EXPIRING if end - now <= min(warn, (end - start) / 3) else EFFECTIVE

    def to_record(self) -> dict[str, Any]:
        """The ConfigMap that remembers it."""
        data = {key: value for key, value in asdict(self).items() if key not in ("grants", "account")}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.id, "namespace": NAMESPACE, "labels": {**MANAGED, LABEL: self.id}},
            "data": {"credential": json.dumps(data, sort_keys=True)},
        }

    def to_result(self, now: datetime, warn: timedelta) -> dict[str, Any]:
        """For people, sorted."""
        left = (to_time(self.not_after) - now) / timedelta(days=1) if self.not_after else 0.0
        return {
            **{key: value for key, value in asdict(self).items() if key not in ("grants", "account", "revoked")},
            "username": self.subject.user,
            "audit_id": self.audit_id,
            "bindings": to_bindings(self.grants),
            "days_left": round(max(left, 0.0), 2),
            "state": self.state(now, warn),
            "revoked_at": self.revoked,
        }


def read_record(record: Mapping[str, Any]) -> Credential:
    """A credential out of its ConfigMap; one that was damaged by hand is still named."""
    ident = record["metadata"]["name"]
    try:
        data = json.loads(record["data"]["credential"])
        known = {key: str(data[key]) for key in Credential.__dataclass_fields__ if key in data}
        made = Credential(**{**known, "id": ident})
        for text in filter(None, (made.not_before, made.not_after, made.revoked)):
            to_time(text)
        return made if (made.not_before and made.not_after) or not made.serial else Credential(ident)
    except (ValueError, KeyError, TypeError):
        return Credential(ident)


def read_all(
    records: Iterable[Mapping[str, Any]], bindings: Iterable[Mapping[str, Any]], accounts: Iterable[str]
) -> list[Credential]:
    """All credentials with the rights that they have now, sorted by user and age.

    A record that somebody deleted doesn't hide the rights: they carry the credential's name as well.
    """
    there, found = set(accounts), {item["metadata"]["name"]: read_record(item) for item in records}
    grants: dict[str, list[Grant]] = {}
    for binding in bindings:
        ident = (binding["metadata"].get("labels") or {}).get(LABEL)
        if not ident:
            continue
        own = [
            grant
            for grant in grants_of(binding)
            if grant.subject in (subject_of(k, ident) for k in (CERTIFICATE, TOKEN))
        ]
        grants.setdefault(ident, []).extend(own)
        if ident not in found:
            kind = TOKEN if own and own[0].subject.kind == "ServiceAccount" else CERTIFICATE
            found[ident] = Credential(ident, kind=kind)
    made = [
        replace(item, grants=tuple(sorted(grants.get(ident, []))), account=item.kind != TOKEN or ident in there)
        for ident, item in found.items()
    ]
    return sorted(made, key=lambda item: (item.user, item.not_before, item.id))


def to_bindings(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    """Grants as a list of role and namespaces, sorted."""
    places: dict[str, set[str]] = {}
    for grant in grants:
        places.setdefault(str(grant.role), set()).add(grant.namespace)
    return [{"role": role, "namespaces": sorted(names)} for role, names in sorted(places.items())]


def binding_object(grant: Grant, ident: str) -> dict[str, Any]:
    """The binding of one right of a credential; other lists of bindings don't see it."""
    made = grant.to_object()
    labels = {key: value for key, value in made["metadata"]["labels"].items() if key != RBAC_LABEL}
    made["metadata"]["labels"] = {**labels, LABEL: ident}
    return made


def bindings_path(namespace: str, name: str = "") -> str:
    """Where the API has a binding, or all of a place."""
    group = "/apis/rbac.authorization.k8s.io/v1"
    kind = "clusterrolebindings" if namespace == ALL else f"namespaces/{namespace}/rolebindings"
    return f"{group}/{kind}/{name}".rstrip("/")


def own_bindings(bindings: Iterable[Mapping[str, Any]], ident: str) -> list[Mapping[str, Any]]:
    """The bindings that were made for a credential."""
    return [item for item in bindings if (item["metadata"].get("labels") or {}).get(LABEL) == ident]


def foreign_bindings(bindings: Iterable[Mapping[str, Any]], subject: Subject, ident: str) -> list[str]:
    """Bindings to the credential's identity that somebody else made, sorted."""
    return sorted(
        "/".join(key_of(item))
        for item in bindings
        if (item["metadata"].get("labels") or {}).get(LABEL) != ident
        and any(grant.subject == subject for grant in grants_of(item))
    )


def gives_admin(grant: Grant, admin_roles: Iterable[str]) -> bool:
    """Whether the grant allows everything everywhere."""
    return grant.namespace == ALL and grant.role.kind == "ClusterRole" and grant.role.name in set(admin_roles)


def is_admin(item: Credential, admin_roles: Iterable[str]) -> bool:
    """Whether the credential may do everything everywhere."""
    return any(gives_admin(grant, admin_roles) for grant in item.grants)


def signing_request(ident: str, pem: bytes, validity: timedelta) -> dict[str, Any]:
    """The CertificateSigningRequest of the API."""
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"hostplane-{ident}", "labels": {**MANAGED, LABEL: ident}},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": SIGNER,
            "expirationSeconds": int(validity.total_seconds()),
            "usages": ["digital signature", "client auth"],
        },
    }


def namespace_objects() -> Sequence[tuple[str, dict[str, Any]]]:
    """Where credentials are remembered, as path and object."""
    meta = {"labels": MANAGED}
    # Who may start a pod there, or make a service account's Secret, could borrow any of its service accounts.
    quota = {"metadata": {"name": "no-pods-no-secrets", **meta}, "spec": {"hard": {"pods": "0", "secrets": "0"}}}
    return (
        ("/api/v1/namespaces", {"metadata": {"name": NAMESPACE, **meta}}),
        (f"/api/v1/namespaces/{NAMESPACE}/resourcequotas", quota),
    )


def account_object(ident: str) -> dict[str, Any]:
    """The service account of a token."""
    meta = {"name": ident, "labels": {**MANAGED, LABEL: ident}}
    return {"metadata": meta, "automountServiceAccountToken": False}
