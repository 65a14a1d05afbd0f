# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Reading and writing roles and bindings of a cluster: one list for each kind, one request for each change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac as rbac
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_plan as planning
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeapi import API_ERRORS, KubeApi, status_of

API = "/apis/rbac.authorization.k8s.io/v1"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def read(api: KubeApi, grants: Iterable[rbac.Grant]) -> planning.Live:
    """What there is; Roles only when one is listed."""
    names = {item["metadata"]["name"]: item["status"]["phase"] for item in api.items("/api/v1/namespaces")}
    cluster_roles = {item["metadata"]["name"]: item for item in api.items(f"{API}/clusterroles")}
    roles = api.items(f"{API}/roles") if any(grant.role.kind == "Role" for grant in grants) else []
    bindings: dict[planning.Key, planning.Object] = {}
    # The items of a list don't say their kind.
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for item in api.items(f"{API}/{kind.lower()}s"):
            bindings[rbac.key_of(item)] = {**item, "kind": kind}
    who = api.call("POST", REVIEW, body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    user = who["status"]["userInfo"]
    by_place = {rbac.key_of(item): item for item in roles}
    return planning.Live(names, cluster_roles, by_place, bindings, user["username"], user.get("groups") or [])


def _path(binding: planning.Object, name: str = "") -> str:
    namespace = binding["metadata"].get("namespace")
    place = f"namespaces/{namespace}/rolebindings" if namespace else "clusterrolebindings"
    return f"{API}/{place}{'/' + name if name else ''}"


def _delete(api: KubeApi, live: planning.Live, key: planning.Key) -> None:
    """Delete a binding, unless somebody has changed it since it was read."""
    meta = live.bindings[key]["metadata"]
    body: dict[str, Any] = {"preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}}
    try:
        api.call("DELETE", _path(live.bindings[key], meta["name"]), body=body)
    except API_ERRORS as exc:
        if status_of(exc) != 404:
            raise


def write(api: KubeApi, live: planning.Live, changes: planning.Changes) -> None:
    """Make the changes, those that take rights away last."""
    for role in changes.roles:
        name = role["metadata"]["name"]
        if name in live.cluster_roles:
            body = {"metadata": {"labels": role["metadata"]["labels"]}, "rules": role["rules"], "aggregationRule": None}
            api.patch(f"{API}/clusterroles/{name}", body)
        else:
            api.call("POST", f"{API}/clusterroles", body=role)
    for binding in changes.create:
        api.call("POST", _path(binding), body=binding)
    for binding in changes.update:
        meta = binding["metadata"]
        api.patch(
            _path(binding, meta["name"]), {"metadata": {"labels": meta["labels"]}, "subjects": binding["subjects"]}
        )
    # The role that a binding refers to can't be changed, and the name is the binding's own.
    for binding in changes.recreate:
        _delete(api, live, rbac.key_of(binding))
        api.call("POST", _path(binding), body=binding)
    for binding in changes.delete:
        _delete(api, live, rbac.key_of(binding))
