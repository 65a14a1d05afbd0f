# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Credentials in the cluster: read with all their rights, made, and taken away."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _credential, _kubeapi, _rbac_roles
from ansible_collections.hostplane.cluster.plugins.module_utils._credential import Credential
from ansible_collections.hostplane.cluster.plugins.module_utils._credential_file import KubeconfigError
from ansible_collections.hostplane.cluster.plugins.module_utils._rbac import ALL, Grant, key_of

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CORE = f"/api/v1/namespaces/{_credential.NAMESPACE}"
SIGN_SECONDS = 30
# Every reading costs the same five questions, however many credentials there are.
LABELLED = [("labelSelector", _credential.LABEL)]


@dataclass
class Cluster:
    """What one look at a cluster tells; empty for a cluster that is yet to be made."""

    credentials: list[Credential] = field(default_factory=list)
    bindings: list[dict[str, Any]] = field(default_factory=list)
    namespaces: set[str] = field(default_factory=set)
    roles: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def find(self, ident: str) -> Credential | None:
        """A credential by its name."""
        return next((item for item in self.credentials if item.id == ident), None)

    def admins(self, now: datetime) -> set[str]:
        """Names of the credentials that can administer the cluster now."""
        names = {name for name, rules in self.roles.items() if _rbac_roles.is_admin(rules)}
        return {
            item.id
            for item in self.credentials
            if _credential.is_admin(item, names)
            # One whose end is unknown may have expired.
            and item.not_after
            and item.state(now, timedelta(0)) in (_credential.EFFECTIVE, _credential.EXPIRING)
        }


def look(api: _kubeapi.KubeApi) -> Cluster:
    """Read everything that a decision needs."""
    records = api.call("GET", f"{CORE}/configmaps", query=LABELLED)["items"]
    accounts = api.call("GET", f"{CORE}/serviceaccounts", query=LABELLED)["items"]
    bindings = api.items(f"{RBAC}/clusterrolebindings") + api.items(f"{RBAC}/rolebindings")
    return Cluster(
        _credential.read_all(records, bindings, [item["metadata"]["name"] for item in accounts]),
        bindings,
        {item["metadata"]["name"] for item in api.items("/api/v1/namespaces")},
        {item["metadata"]["name"]: item.get("rules") or [] for item in api.items(f"{RBAC}/clusterroles")},
    )


def has_role(api: _kubeapi.KubeApi, namespace: str, name: str) -> bool:
    """Whether a namespace has a Role."""
    return _there(api, f"{RBAC}/namespaces/{namespace}/roles/{name}")


def _there(api: _kubeapi.KubeApi, path: str) -> bool:
    return _kubeapi.find(api, path) is not None


def _delete(api: _kubeapi.KubeApi, path: str) -> None:
    try:
        api.call("DELETE", path)
    except _kubeapi.API_ERRORS as exc:
        if _kubeapi.status_of(exc) != 404:
            raise


def remember(api: _kubeapi.KubeApi, item: Credential, new: bool = False) -> None:
    """Write the record; before a credential is made, so that none exists that nobody knows of."""
    record = item.to_record()
    if new:
        for path, made in _credential.namespace_objects():
            api.create(path, made)
    if not api.create(f"{CORE}/configmaps", record):
        api.patch(
            f"{CORE}/configmaps/{item.id}",
            {"data": record["data"], "metadata": {"labels": record["metadata"]["labels"]}},
        )


def forget(api: _kubeapi.KubeApi, item: Credential) -> None:
    """Remove all of a credential that was never handed out."""
    _delete(api, f"{CORE}/serviceaccounts/{item.id}")
    _delete(api, f"{REQUESTS}/hostplane-{item.id}")
    _delete(api, f"{CORE}/configmaps/{item.id}")


def sign(api: _kubeapi.KubeApi, ident: str, pem: bytes, validity: timedelta) -> str:
    """Have the cluster's signer make a certificate (PEM) of a request (PEM).

    Raises KubeconfigError when it does not.
    """
    path = f"{REQUESTS}/hostplane-{ident}"
    request = api.call("POST", REQUESTS, body=_credential.signing_request(ident, pem, validity))
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "Issued",
        "message": "issued by hostplane.cluster.kubeconfig",
    }
    api.call("PUT", f"{path}/approval", body={**request, "status": {"conditions": [approved]}})
    deadline = time.monotonic() + SIGN_SECONDS
    while time.monotonic() < deadline:
        status = api.call("GET", path).get("status") or {}
        if status.get("certificate"):
            _delete(api, path)
            return base64.b64decode(status["certificate"]).decode()
        refused = [item for item in status.get("conditions") or [] if item["type"] in ("Denied", "Failed")]
        if refused:
            raise KubeconfigError(f"the signer refused: {refused[0].get('message') or refused[0].get('reason')}")
        time.sleep(0.1)
    raise KubeconfigError(
        f"no certificate came within {SIGN_SECONDS} s; does kube-controller-manager run, and does it hold the CA's key?"
    )


def make_token(api: _kubeapi.KubeApi, ident: str, validity: timedelta) -> str:
    """Make a token of a service account that exists for this credential only."""
    api.create(f"{CORE}/serviceaccounts", _credential.account_object(ident))
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": int(validity.total_seconds())},
    }
    return str(api.call("POST", f"{CORE}/serviceaccounts/{ident}/token", body=request)["status"]["token"])


def _bind_one(api: _kubeapi.KubeApi, ident: str, grant: Grant) -> None:
    """Make a binding; one of this credential that was changed by hand is made anew, since its role can't be changed."""
    path, made = _credential.bindings_path(grant.namespace), _credential.binding_object(grant, ident)
    if api.create(path, made):
        return
    found = api.call("GET", f"{path}/{grant.name}")
    if not _credential.own_bindings([found], ident):
        raise KubeconfigError(f"the binding {grant.name}, which is not of this credential, is in the way; delete it")
    _delete(api, f"{path}/{grant.name}")
    api.create(path, made)


def bind(api: _kubeapi.KubeApi, ident: str, added: Iterable[Grant], removed: Iterable[Grant], cluster: Cluster) -> None:
    """Give a credential these rights and take those; preset roles that are not there are made."""
    removed_keys = set(removed)
    for grant in sorted(added):
        if grant.role.preset and grant.role.name not in cluster.roles:
            api.create(f"{RBAC}/clusterroles", _rbac_roles.preset_object(grant.role.preset))
        _bind_one(api, ident, grant)
    for binding in _credential.own_bindings(cluster.bindings, ident):
        if any(grant in removed_keys for grant in _credential.grants_of(binding)):
            _delete(api, _credential.bindings_path(*key_of(binding)))


def revoke(api: _kubeapi.KubeApi, item: Credential, cluster: Cluster, now: datetime) -> None:
    """Take everything from a credential. The rights go first; the record stays and says when."""
    for binding in _credential.own_bindings(cluster.bindings, item.id):
        _delete(api, _credential.bindings_path(*key_of(binding)))
    if item.kind == _credential.TOKEN:
        _delete(api, f"{CORE}/serviceaccounts/{item.id}")
    remember(api, replace(item, revoked=item.revoked or _credential.to_text(now)))


def drop(api: _kubeapi.KubeApi, item: Credential, cluster: Cluster, now: datetime) -> None:
    """Take everything from a credential that ended long ago, and forget it."""
    revoke(api, item, cluster, now)
    forget(api, item)


def missing(api: _kubeapi.KubeApi, grants: Iterable[Grant], cluster: Cluster) -> list[str]:
    """Roles and namespaces that are not there, sorted."""
    found = set()
    for grant in grants:
        if grant.namespace != ALL and grant.namespace not in cluster.namespaces:
            found.add(f"namespace {grant.namespace} is not there")
        elif grant.role.kind == "Role" and not has_role(api, grant.namespace, grant.role.name):
            found.add(f"Role {grant.namespace}/{grant.role.name} is not there")
        if grant.role.kind == "ClusterRole" and not grant.role.preset and grant.role.name not in cluster.roles:
            found.add(f"ClusterRole {grant.role.name} is not there")
    return sorted(found)
