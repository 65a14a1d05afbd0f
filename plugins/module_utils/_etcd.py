# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The members of kubeadm's etcd, through the JSON gateway of etcd itself: nothing to install, always its version."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

PKI = "/etc/kubernetes/pki/etcd"
REQUEST_SECONDS = 5.0
LEADER_SECONDS = 10.0


class EtcdError(Exception):
    """etcd can't be asked, or refused; the message says why and what to do."""


@dataclass(frozen=True)
class Member:
    """One member, with what it says about itself when it answers."""

    id: int
    name: str = ""
    peer_urls: list[str] = field(default_factory=list)
    client_urls: list[str] = field(default_factory=list)
    learner: bool = False
    leader: bool = False
    healthy: bool = False
    version: str = ""
    db_size: int = 0
    db_in_use: int = 0
    revision: int = 0
    applied: int = 0
    alarms: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def title(self) -> str:
        """What people call it; a member that has never started has no name."""
        return self.name or ", ".join(self.peer_urls)

    def public(self) -> dict[str, Any]:
        """The member as modules return it, with the number as etcdctl writes it."""
        shown = {key: value for key, value in vars(self).items() if key != "applied"}
        return {**shown, "id": f"{self.id:x}"}


def quorum(voters: int) -> int:
    """How many of so many voters must agree."""
    return voters // 2 + 1


def summary(members: list[Member]) -> dict[str, Any]:
    """Counts of a member list, for modules."""
    voters = [member for member in members if not member.learner]
    healthy = sum(member.healthy for member in voters)
    return {
        "voters": len(voters),
        "healthy": healthy,
        "quorum": quorum(len(voters)),
        "has_quorum": healthy >= quorum(len(voters)),
        "tolerates": max(0, healthy - quorum(len(voters))),
    }


def refusal(members: list[Member], target: Member) -> str:
    """Why the target must not be removed; empty when etcd keeps its quorum. A learner has no vote to lose."""
    now = summary(members)
    if not now["has_quorum"]:
        return (
            f"etcd has lost its quorum: {now['healthy']} of {now['voters']} voters are healthy, {now['quorum']} are "
            "needed. Bring members back, or restore etcd from a snapshot, before any is removed"
        )
    if target.learner:
        return ""
    then = summary([member for member in members if member.id != target.id])
    if not then["voters"]:
        return f"{target.title} is the last etcd member that has a vote; removing it would destroy the cluster"
    if not then["has_quorum"]:
        sick = ", ".join(sorted(m.title for m in members if not m.learner and not m.healthy and m.id != target.id))
        return (
            f"without {target.title} only {then['healthy']} of {then['voters']} etcd voters would be healthy, "
            f"{then['quorum']} are needed; bring back or remove {sick} first"
        )
    return ""


def host_of(url: str) -> str:
    """The address in a peer or client URL."""
    return urlsplit(url).hostname or ""


def find(members: list[Member], name: str, address: str) -> Member | None:
    """The member of that name or peer address; a host that was replaced may have left one of each.

    Raises EtcdError when more than one fits.
    """
    found = [
        member
        for member in members
        if (name and member.name == name) or (address and address in map(host_of, member.peer_urls))
    ]
    if len(found) > 1:
        fitting = "; ".join(f"{m.title} ({m.id:x}) at {', '.join(m.peer_urls)}" for m in found)
        raise EtcdError(f"more than one etcd member fits {name or address!r}: {fitting}; name one by its peer address")
    return found[0] if found else None


def successor(members: list[Member], target: Member) -> Member | None:
    """Who takes over leadership from the target: the healthy voter that is furthest, and the first by name of those."""
    able = [m for m in members if m.healthy and not m.learner and m.id != target.id]
    return min(able, key=lambda member: (-member.applied, member.name), default=None)


def parse_members(answer: dict[str, Any]) -> list[Member]:
    """The members in etcd's answer, sorted by name and number; its JSON leaves out what is empty or false."""
    members = [
        Member(
            id=int(entry["ID"]),
            name=entry.get("name", ""),
            peer_urls=sorted(entry.get("peerURLs") or []),
            client_urls=sorted(entry.get("clientURLs") or []),
            learner=bool(entry.get("isLearner")),
        )
        for entry in answer.get("members") or []
    ]
    return sorted(members, key=lambda member: (member.name, member.id))


def with_status(member: Member, status: dict[str, Any]) -> Member:
    """The member with its own answer; without a leader it can't serve, whatever else it says."""
    leader = int(status.get("leader", 0))
    return replace(
        member,
        leader=leader == member.id,
        healthy=leader != 0,
        learner=bool(status.get("isLearner")),
        version=status.get("version", ""),
        db_size=int(status.get("dbSize", 0)),
        db_in_use=int(status.get("dbSizeInUse", 0)),
        revision=int(status.get("header", {}).get("revision", 0)),
        applied=int(status.get("raftAppliedIndex", 0)),
        error="" if leader else "it knows no leader",
    )


def with_alarms(members: list[Member], answer: dict[str, Any]) -> list[Member]:
    """The members with the alarms that etcd has raised for them (NOSPACE, CORRUPT); a corrupt one is not healthy."""
    raised: dict[int, list[str]] = {}
    for entry in answer.get("alarms") or []:
        raised.setdefault(int(entry.get("memberID", 0)), []).append(str(entry.get("alarm", "")))
    marked = [replace(member, alarms=sorted(raised.get(member.id, []))) for member in members]
    return [
        replace(member, healthy=False, error="its data is corrupt") if "CORRUPT" in member.alarms else member
        for member in marked
    ]


class Etcd:
    """A client with kubeadm's own certificate; endpoints are tried in order."""

    def __init__(self, endpoints: list[str], pki: str = PKI) -> None:
        self.endpoints = endpoints
        try:
            self._tls = ssl.create_default_context(cafile=os.path.join(pki, "ca.crt"))
            self._tls.load_cert_chain(
                os.path.join(pki, "healthcheck-client.crt"), os.path.join(pki, "healthcheck-client.key")
            )
        except OSError as exc:
            raise EtcdError(
                f"etcd's client certificate in {pki} can't be used ({exc}); is this host a control plane?"
            ) from exc

    def post(self, endpoint: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request to one endpoint; raises EtcdError with what etcd said."""
        url = urlsplit(endpoint)
        # Not urllib: a proxy of the environment has no business here.
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port or 2379, timeout=REQUEST_SECONDS, context=self._tls
        )
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
            answer = json.loads(text)
        except ValueError as exc:
            raise EtcdError(f"{endpoint}{path} did not answer as etcd does: {text[:200]}") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise EtcdError(f"{endpoint} does not answer: {exc}") from exc
        finally:
            connection.close()
        if response.status != 200 or not isinstance(answer, dict):
            said = answer.get("message") if isinstance(answer, dict) else ""
            raise EtcdError(f"{endpoint}{path}: {said or text[:200]}")
        return answer

    def first(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of the first endpoint that gives one; raises EtcdError with what all of them said."""
        errors = []
        for endpoint in self.endpoints:
            try:
                return self.post(endpoint, path, body)
            except EtcdError as exc:
                errors.append(str(exc))
        raise EtcdError("; ".join(errors))

    def look(self) -> list[Member]:
        """All members with their state; asks each of them at the same time.

        The list is of the endpoint's own data, so that there is one when the quorum is lost.
        """
        members = parse_members(self.first("/v3/cluster/member/list", {"linearizable": False}))
        with ThreadPoolExecutor(max(1, len(members))) as pool:
            members = list(pool.map(self._ask, members))
        if any(member.healthy for member in members):
            members = with_alarms(members, self.first("/v3/maintenance/alarm", {"action": "GET"}))
        return members

    def _ask(self, member: Member) -> Member:
        error = "it has never started"
        for url in member.client_urls:
            try:
                return with_status(member, self.post(url, "/v3/maintenance/status", {}))
            except EtcdError as exc:
                error = str(exc)
        return replace(member, error=error)

    def lead(self, members: list[Member], target: Member) -> str:
        """Move leadership off the target; returns the name of the new leader."""
        heir = successor(members, target)
        if heir is None:
            raise EtcdError(f"no healthy voter can take over leadership from {target.title}")
        self.post(target.client_urls[0], "/v3/maintenance/transfer-leadership", {"targetID": str(heir.id)})
        until = time.monotonic() + LEADER_SECONDS
        while not self._ask(heir).leader:
            if time.monotonic() > until:
                raise EtcdError(f"{heir.title} has not become leader within {LEADER_SECONDS:.0f} s")
            time.sleep(0.1)
        return heir.title

    def remove(self, members: list[Member], target: Member) -> None:
        """Remove the target by way of another member, whose answer does not go down with it."""
        helpers = [url for m in members if m.healthy and m.id != target.id for url in m.client_urls]
        self.post(helpers[0], "/v3/cluster/member/remove", {"ID": str(target.id)})
