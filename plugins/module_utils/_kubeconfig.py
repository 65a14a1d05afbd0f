# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One user's kubeconfig: whether what is there still serves, what is to be done, and doing it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _credential,
    _credential_api,
    _credential_file,
    _rbac,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._credential import Credential
from ansible_collections.hostplane.cluster.plugins.module_utils._credential_api import Cluster
from ansible_collections.hostplane.cluster.plugins.module_utils._credential_file import KubeconfigError, UserFile
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeapi import KubeApi
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem
from ansible_collections.hostplane.cluster.plugins.module_utils._rbac import Grant
from ansible_collections.hostplane.cluster.plugins.module_utils._rbac_roles import PREFIX, is_admin

MODE = 0o600


class Refused(Exception):
    """Nothing was changed; the problems say why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("refused")
        self.problems = problems


@dataclass
class Wish:
    """What the operator asked for."""

    user: str
    path: str
    kind: str = _credential.CERTIFICATE
    validity: timedelta = timedelta(days=30)
    renew_before: timedelta = timedelta(days=10)
    grants: frozenset[Grant] = frozenset()
    cluster_name: str = ""
    connection: dict[str, Any] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The namespace that a client asks for when it says none."""
        places = {grant.namespace for grant in self.grants}
        return places.pop() if len(places) == 1 and places != {_rbac.ALL} else ""

    def held_by(self, ident: str) -> frozenset[Grant]:
        """The same rights for a credential."""
        return frozenset(replace(grant, subject=_credential.subject_of(self.kind, ident)) for grant in self.grants)


@dataclass
class Plan:
    """What a run would do, and why."""

    ident: str = ""
    file: UserFile | None = None
    current: Credential | None = None
    reason: str = ""
    rewrite: bool = False
    added: frozenset[Grant] = frozenset()
    removed: frozenset[Grant] = frozenset()
    record: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.reason or self.rewrite or self.added or self.removed or self.record)


def read_wish(params: Mapping[str, Any]) -> tuple[Wish, list[Problem]]:
    """The wish, and all that is wrong with it by itself."""
    user, path = params["user"] or "", os.path.abspath(params["path"]) if params["path"] else ""
    days, before = params["days"], params["renew_before"]
    before = days / 3 if before is None else before
    problems = []

    def add(code: str, message: str, remedy: str, where: str) -> None:
        problems.append(Problem(code, message, remedy, path=where))

    if user.startswith("system:") or not user.strip() or any(not letter.isprintable() for letter in user):
        add(
            "user_name",
            f"{user!r} can't be a user's name",
            "give the person's name; system: is Kubernetes' own",
            "user",
        )
    if timedelta(days=days) < _credential.SHORTEST:
        add(
            "too_short",
            f"{days:g} days are under 10 minutes, the shortest that the API gives",
            "ask for longer",
            "days",
        )
    elif not 0 <= before < days:
        add(
            "renewal",
            f"renew_before ({before:g} days) is not within days ({days:g})",
            "make it smaller",
            "renew_before",
        )
    if not params["bindings"]:
        add(
            "no_rights",
            "no binding is listed, so the kubeconfig would allow nothing",
            "say which role where",
            "bindings",
        )
    subject = _credential.subject_of(params["kind"], "x")
    entries = [{**entry, "subject": subject.__dict__} for entry in params["bindings"]]
    grants, more = _rbac.parse(entries, "")
    wish = Wish(user, path, params["kind"], timedelta(days=days), timedelta(days=before), frozenset(grants))
    return wish, problems + more


def unserviceable(file: UserFile | None, current: Credential | None, wish: Wish, now: datetime) -> str:
    """Why the file can't stay, from what is known without trying it; empty when it may."""
    if file is None:
        return "there is no file"
    if file.kind != wish.kind:
        return f"it holds a {file.kind}, not a {wish.kind}"
    if current is None:
        return f"this cluster does not know {file.id}"
    if current.revoked or not current.account:
        return f"{file.id} is revoked"
    try:
        facts = _credential_file.describe(file.kind, file.certificate, file.secret)
    except KubeconfigError as exc:
        return str(exc)
    end = _credential.to_time(facts["not_after"])
    if end - now <= wish.renew_before:
        return f"it {'has expired' if end <= now else 'expires'} {facts['not_after']}"
    return ""


def misplaced(wish: Wish, file: UserFile | None) -> list[Problem]:
    """What is there at the path that must not be replaced."""
    found = []
    remedy = "give every kubeconfig a path of its own, or move this one away"
    if file and file.user != wish.user:
        found.append(Problem("path_taken", f"{wish.path} is the kubeconfig of {file.user}, not {wish.user}", remedy))
    if file and file.cluster_name != wish.cluster_name:
        text = f"{wish.path} is for the cluster {file.cluster_name}, not {wish.cluster_name}"
        found.append(Problem("path_taken", text, remedy))
    return found


def plan(wish: Wish, cluster: Cluster, file: UserFile | None, now: datetime, ask: Callable[[UserFile], str]) -> Plan:
    """Decide. ask tells under which name the API server knows a file's bearer."""
    current = cluster.find(file.id) if file else None
    made = Plan(file=file, current=current, reason=unserviceable(file, current, wish, now))
    if file and current and not made.reason:
        moved = replace(file, cluster=wish.connection, cluster_name=wish.cluster_name, namespace=wish.namespace)
        name = ask(moved)
        if name != current.subject.user:
            made.reason = "the API server does not accept it" if not name else f"the API server takes it for {name}"
        made.rewrite = moved != file or stat.S_IMODE(os.stat(wish.path).st_mode) != MODE
        made.file, made.ident = moved, current.id
        wanted, held = wish.held_by(current.id), frozenset(current.grants)
        made.added, made.removed, made.record = wanted - held, held - wanted, not current.serial
    if made.reason:
        made = replace(made, ident="", rewrite=False, added=wish.grants, removed=frozenset(), record=True)
    return made


def last_admin(losers: set[str], cluster: Cluster, now: datetime) -> list[Problem]:
    """The refusal to leave nobody with an issued administrator's credential."""
    admins = cluster.admins(now)
    if not admins & losers or admins - losers:
        return []
    return [
        Problem(
            "last_admin",
            f"{', '.join(sorted(admins & losers))} is the last effective credential of an administrator",
            "issue another one first, or say force=true when kubeadm's own admin.conf is enough for you",
        )
    ]


def loses_admin(wish: Wish, current: Credential | None, cluster: Cluster, now: datetime) -> list[Problem]:
    """The same for a credential that is changed or replaced."""
    names = {name for name, rules in cluster.roles.items() if is_admin(rules)} | {PREFIX + "admin"}
    stays = any(_credential.gives_admin(grant, names) for grant in wish.grants)
    return [] if stays or current is None else last_admin({current.id}, cluster, now)


def issue(api: KubeApi, wish: Wish, cluster: Cluster, now: datetime, old: UserFile | None) -> Credential:
    """Make a new credential and its file; the one in the file before is then revoked.

    Until the file is there the credential has no rights, so a run that is killed leaves nothing of use.
    """
    item = Credential(_credential.new_id(wish.user), wish.user, wish.kind, wish.path)
    _credential_api.remember(api, item, new=True)
    try:
        certificate, secret = "", ""
        if wish.kind == _credential.TOKEN:
            secret = _credential_api.make_token(api, item.id, wish.validity)
        else:
            secret, request = _credential_file.new_key(item.subject.user)
            certificate = _credential_api.sign(api, item.id, request, wish.validity)
        file = UserFile(
            item.id, wish.user, wish.kind, wish.connection, wish.cluster_name, wish.namespace, certificate, secret
        )
        facts = _credential_file.describe(wish.kind, certificate, secret)
        if _credential.to_time(facts["not_after"]) - now <= wish.renew_before:
            raise KubeconfigError(
                f"the cluster gives a {wish.kind} until {facts['not_after']} at most, which is within renew_before; "
                "ask for fewer days, or raise the cluster's limit (--cluster-signing-duration)"
            )
        name = _credential_file.who_am_i(file)
        if name != item.subject.user:
            raise KubeconfigError(
                f"the API server takes the new {wish.kind} for {name or 'nobody'}; nothing was handed out"
            )
    except BaseException:
        _credential_api.forget(api, item)
        raise
    atomic_write(wish.path, file.render(), MODE)
    _credential_api.bind(api, item.id, wish.held_by(item.id), (), cluster)
    item = replace(item, **facts)  # type: ignore[arg-type]
    _credential_api.remember(api, item)
    for other in cluster.credentials:
        if old and other.id == old.id and not other.revoked:
            _credential_api.revoke(api, other, cluster, now)
        elif not other.serial and not other.revoked and (other.user, other.path) == (wish.user, wish.path):
            _credential_api.forget(api, other)
        elif other.not_after and now - _credential.to_time(other.not_after) > _credential.KEPT:
            _credential_api.drop(api, other, cluster, now)
    return replace(item, grants=tuple(sorted(wish.held_by(item.id))))


def keep(api: KubeApi, wish: Wish, cluster: Cluster, made: Plan) -> Credential:
    """Put right what surrounds a credential that still serves."""
    if made.file is None or made.current is None:
        raise AssertionError("only what is there can be kept")
    facts = _credential_file.describe(made.file.kind, made.file.certificate, made.file.secret)
    item = replace(made.current, user=wish.user, path=wish.path, **facts)  # type: ignore[arg-type]
    if made.rewrite:
        atomic_write(wish.path, made.file.render(), MODE)
    _credential_api.bind(api, made.ident, made.added, made.removed, cluster)
    if made.record:
        _credential_api.remember(api, item)
    return replace(item, grants=tuple(sorted(wish.held_by(made.ident))))


def chosen(cluster: Cluster, ident: str, user: str, path: str) -> list[Credential]:
    """The credentials that are to be revoked: one by its name, or a user's, all or those of a file."""
    if ident:
        return [item for item in cluster.credentials if item.id == ident]
    where = os.path.abspath(path) if path else ""
    return [item for item in cluster.credentials if item.user == user and (not where or item.path == where)]
