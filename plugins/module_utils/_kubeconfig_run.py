# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the modules kubeconfig and kubeconfig_info do with their options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _credential,
    _credential_api,
    _credential_file,
    _kubeconfig,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._credential import Credential
from ansible_collections.hostplane.cluster.plugins.module_utils._credential_api import Cluster
from ansible_collections.hostplane.cluster.plugins.module_utils._credential_file import KubeconfigError, UserFile
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeapi import KubeApi
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeconfig import Plan, Refused, Wish
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

Result = tuple[dict[str, Any], list[str]]


def _now() -> datetime:
    return datetime.now(timezone.utc)


def connect(params: Mapping[str, Any], check_mode: bool) -> KubeApi | None:
    """The cluster's API; None in check mode for a cluster that is yet to be made."""
    if check_mode and not os.path.exists(params["kubeconfig"]):
        return None
    return KubeApi(params["kubeconfig"])


def _text(wish: Wish, ident: str, until: str, grants: Any) -> str:
    """What the diff shows of a credential."""
    lines = [f"user: {wish.user}", f"kind: {wish.kind}", f"credential: {ident}", f"until: {until}"]
    lines += [f"allows: {item['role']} in {', '.join(item['namespaces'])}" for item in _credential.to_bindings(grants)]
    return "\n".join(lines) + "\n"


def diff(wish: Wish, made: Plan) -> dict[str, str]:
    """Before and after, without anything secret."""
    before, after = "", ""
    if made.current:
        before = _text(wish, made.current.id, made.current.not_after, made.current.grants)
    if made.reason:
        after = _text(
            wish, f"a new one, since {made.reason}", f"{wish.validity / timedelta(days=1):g} days", wish.grants
        )
    elif made.current:
        after = _text(wish, made.current.id, made.current.not_after, wish.held_by(made.ident))
    return {"before": before, "after": after, "before_header": wish.path, "after_header": wish.path}


def present(params: Mapping[str, Any], check_mode: bool) -> Result:
    """Issue what is missing or does not serve any more."""
    wish, problems = _kubeconfig.read_wish(params)
    now, file, cluster = _now(), None, Cluster()
    api = connect(params, check_mode)
    try:
        if api:
            wish.cluster_name, wish.connection = _credential_file.read_cluster(params["kubeconfig"], params["server"])
        file = _credential_file.read_file(wish.path)
    except KubeconfigError as exc:
        problems.append(Problem("file", str(exc), "see the path", path="path"))
    if api:
        cluster = _credential_api.look(api)
        lacking = _credential_api.missing(api, wish.grants, cluster)
        problems += [Problem("missing", text, "create it first", path="bindings") for text in lacking]
        problems += _kubeconfig.misplaced(wish, file)
        if not params["force"] and file:
            problems += _kubeconfig.loses_admin(wish, cluster.find(file.id), cluster, now)
    if problems:
        raise Refused(problems)
    made = _kubeconfig.plan(wish, cluster, file, now, _credential_file.who_am_i)
    item = made.current or Credential("")
    if made.reason:
        item = Credential("", wish.user, wish.kind, wish.path, grants=tuple(sorted(wish.grants)))
    superseded = made.current if made.reason and made.current and not made.current.revoked else None
    if api and not check_mode:
        if made.reason:
            item = _kubeconfig.issue(api, wish, cluster, now, file)
        elif made.changed:
            item = _kubeconfig.keep(api, wish, cluster, made)
    left = left_to([superseded] if superseded else [], cluster)
    result = {
        "changed": made.changed,
        "reason": made.reason,
        "credential": item.to_result(now, wish.renew_before),
        "revoked": [superseded.id] if superseded else [],
        "left": left,
        "diff": diff(wish, made),
    }
    return result, _others(wish, cluster, made, now) + _left_warning(left)


def _others(wish: Wish, cluster: Cluster, made: Plan, now: datetime) -> list[str]:
    """A word about credentials that look lost: their file was here and is replaced without having been seen."""
    lost = [
        item.id
        for item in cluster.credentials
        if made.reason and (item.user, item.path) == (wish.user, wish.path) and item is not made.current
        if item.state(now, timedelta(0)) == _credential.EFFECTIVE
    ]
    if not lost:
        return []
    return [f"{wish.path} was gone, and {', '.join(lost)} that was written there is effective; revoke it if it is lost"]


def left_to(items: list[Credential], cluster: Cluster) -> list[str]:
    """Bindings of others to these credentials' identities, sorted."""
    return sorted(
        {name for item in items for name in _credential.foreign_bindings(cluster.bindings, item.subject, item.id)}
    )


def _left_warning(left: list[str]) -> list[str]:
    return [f"bindings that others made still give rights to what was revoked: {', '.join(left)}"] if left else []


def _file_of(path: str, warnings: list[str]) -> UserFile | None:
    """The kubeconfig at a path; what it is must not keep anybody from revoking."""
    try:
        return _credential_file.read_file(path) if path else None
    except KubeconfigError as exc:
        warnings.append(f"{exc}; it is not deleted")
        return None


def absent(params: Mapping[str, Any], check_mode: bool) -> Result:
    """Revoke what the options name, and delete its files here."""
    warnings: list[str] = []
    user, ident, path = params["user"] or "", params["id"] or "", params["path"] or ""
    api, now = connect(params, check_mode), _now()
    cluster = _credential_api.look(api) if api else Cluster()
    chosen = _kubeconfig.chosen(cluster, ident, user, path)
    if api and ident and not chosen:
        text = f"this cluster knows no credential {ident}"
        raise Refused([Problem("unknown", text, "see kubeconfig_info for their names", path="id")])
    here = _file_of(os.path.abspath(path) if path else "", warnings)
    named = cluster.find(here.id) if here and here.user == user else None
    if named and named not in chosen:
        chosen.append(named)
    doomed = [item for item in chosen if not item.revoked or item.grants]
    refusals = [] if params["force"] else _kubeconfig.last_admin({item.id for item in doomed}, cluster, now)
    if refusals:
        raise Refused(refusals)
    wanted = {item.id for item in chosen}
    if here and here.user == user:
        wanted.add(here.id)
    files = []
    for place in sorted({item.path for item in chosen} | ({os.path.abspath(path)} if path else set())):
        found = _file_of(place, [])
        if found and found.id in wanted:
            files.append(place)
    if api and not check_mode:
        for item in doomed:
            _credential_api.revoke(api, item, cluster, now)
        for place in files:
            os.unlink(place)
    names = sorted(item.id for item in doomed)
    left = left_to(chosen, cluster)
    result = {
        "changed": bool(doomed or files),
        "reason": "",
        "credential": {},
        "revoked": names,
        "left": left,
        "diff": {
            "before": "".join(f"credential {name}\n" for name in names) + "".join(f"file {x}\n" for x in files),
            "after": "",
        },
    }
    return result, warnings + _left_warning(left)


def table(items: list[dict[str, Any]]) -> list[str]:
    """The list for people, in columns."""
    rows = [("USER", "CREDENTIAL", "KIND", "STATE", "DAYS LEFT", "ALLOWS")]
    for item in items:
        allows = "; ".join(f"{entry['role']} in {', '.join(entry['namespaces'])}" for entry in item["bindings"])
        left = f"{item['days_left']:.1f}" if item["not_after"] else "?"
        rows.append((item["user"] or "?", item["id"], item["kind"], item["state"], left, allows or "-"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def listed(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Every credential with its state."""
    api, now, warn = connect(params, check_mode), _now(), timedelta(days=params["warn_days"])
    cluster = _credential_api.look(api) if api else Cluster()
    items = [
        {**item.to_result(now, warn), "left": left_to([item], cluster)}
        for item in cluster.credentials
        if params["user"] in ("", item.user)
    ]
    states = (_credential.EFFECTIVE, _credential.EXPIRING, _credential.EXPIRED, _credential.REVOKED)
    return {
        "changed": False,
        "credentials": items,
        "report": table(items),
        "counts": {state: sum(item["state"] == state for item in items) for state in states},
    }
