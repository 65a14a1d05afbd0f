# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Draining several nodes at once through the eviction API; nothing is kept, so a killed drain is simply run again."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _drain, _kubeapi

POLL_SECONDS = 0.5
# How long to insist on evictions from a node whose kubelet is gone.
UNREACHABLE_SECONDS = 10.0
# How long to wait for the API to let go of pods that were deleted with grace period 0.
FORCE_SECONDS = 10.0
REQUESTS_AT_ONCE = 10


class DrainError(Exception):
    """Nothing was evicted, since pods would be lost that nobody agreed to lose; the message names them all."""


@dataclass(frozen=True)
class Policy:
    """How to drain; seconds, a negative grace period means the pod's own."""

    timeout: float = 900
    on_timeout: str = "fail"
    grace_period: int = -1
    delete_emptydir_data: bool = False
    unmanaged_pods: str = "fail"


@dataclass
class Work:
    """One node and how far its drain is; pods are those that still have to go."""

    name: str
    node: dict[str, Any] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    # drained, missing, unreachable or expired; empty while there is something to do.
    state: str = ""
    cordoned: bool = False
    known: set[str] | None = None
    lost_at: float | None = None
    looks: int = 0
    error: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    evicted: dict[str, str] = field(default_factory=dict)
    forced: dict[str, str] = field(default_factory=dict)


def set_schedulable(api: _kubeapi.KubeApi, name: str, schedulable: bool) -> None:
    """Cordon or uncordon a node."""
    api.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": None if schedulable else True}})


def look(api: _kubeapi.KubeApi, work: Work) -> None:
    """Read the node and the pods on it.

    Raises one of API_ERRORS.
    """
    node = _kubeapi.find(api, f"/api/v1/nodes/{work.name}")
    if node is None:
        work.state, work.pods = "missing", []
        return
    work.node = node
    query = [("fieldSelector", f"spec.nodeName={work.name}")]
    pods = api.call("GET", "/api/v1/pods", query=query)["items"]
    work.pods, work.error = _drain.to_evict(pods, work.known), ""


def refusals(works: list[Work], policy: Policy) -> list[str]:
    """Why the drain must not begin. What was on an unreachable node is lost already."""
    lines = []
    for work in works:
        if work.node and not _drain.is_unreachable(work.node):
            found = _drain.refusals(work.pods, policy.unmanaged_pods, policy.delete_emptydir_data)
            lines += [f"node {work.name}: pod {line}" for line in found]
    return lines


def list_blockers(api: _kubeapi.KubeApi, works: list[Work]) -> list[dict[str, str]]:
    """What keeps the pods that are left where they are, sorted by node and pod."""
    left = [(work, pod) for work in works for pod in work.pods]
    if not left:
        return []
    try:
        budgets = api.items("/apis/policy/v1/poddisruptionbudgets")
    except _kubeapi.API_ERRORS:
        # What the API said to the evictions is still worth telling.
        budgets = []
    found = [_drain.blocker(work.name, pod, budgets, work.refused.get(_drain.uid(pod), "")) for work, pod in left]
    return sorted(found, key=lambda entry: (entry["node"], entry["pod"]))


class Drainer:
    """One drain of several nodes, which all have the same deadline."""

    def __init__(self, api: _kubeapi.KubeApi, policy: Policy, works: list[Work]) -> None:
        self.api, self.policy, self.works = api, policy, works

    def run(self) -> None:
        """Cordon, evict and wait until every node has a state."""
        deadline = time.monotonic() + self.policy.timeout
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:

            def each(do: Callable[..., None], *columns: list[Any]) -> None:
                # Consumed for the sake of the exceptions.
                list(pool.map(do, *columns))

            each(self.cordon, self.active())
            while True:
                active = self.active()
                each(self.look_again, active)
                for work in active:
                    self.settle(work, deadline)
                due = [(work, pod) for work in active if not work.state for pod in work.pods]
                due = [(work, pod) for work, pod in due if not _drain.is_terminating(pod)]
                each(self.evict, [work for work, _pod in due], [pod for _work, pod in due])
                if not self.active():
                    break
                time.sleep(POLL_SECONDS)
            if self.policy.on_timeout == "force":
                each(self.force, [work for work in self.works if work.state in ("expired", "unreachable")])
        if self.policy.on_timeout == "skip":
            for work in self.works:
                # The node stays in service, so it is left as it was found.
                if work.state == "expired" and work.cordoned:
                    set_schedulable(self.api, work.name, True)
                    work.cordoned = False

    def active(self) -> list[Work]:
        """The nodes that are not done."""
        return [work for work in self.works if not work.state]

    def cordon(self, work: Work) -> None:
        """Keep the scheduler off the node."""
        if not _drain.is_cordoned(work.node):
            set_schedulable(self.api, work.name, False)
            work.cordoned = True

    def look_again(self, work: Work) -> None:
        """Read the node; an API that is away for a moment (its own node may be the drained one) is waited for."""
        try:
            look(self.api, work)
        except _kubeapi.API_ERRORS as exc:
            if _kubeapi.status_of(exc) in (401, 403):
                raise
            work.error = _kubeapi.reason_of(exc)
        else:
            work.known = work.known if work.known is not None else {_drain.uid(pod) for pod in work.pods}

    def settle(self, work: Work, deadline: float) -> None:
        """Decide whether the node is done."""
        now = time.monotonic()
        work.looks += 1
        # However short the time is, each eviction has been asked for once.
        late = now > deadline and work.looks > 1
        if work.state or (work.error and not late):
            return
        if not work.error and not work.pods:
            work.state = "drained"
            return
        if not work.error and _drain.is_unreachable(work.node):
            work.lost_at = now if work.lost_at is None else work.lost_at
            # Nobody reports the end of a pod there: the API's acceptance is all that can be had.
            if now > work.lost_at + UNREACHABLE_SECONDS or all(map(_drain.is_terminating, work.pods)):
                work.state = "unreachable"
                return
        hopeless = all(_drain.MANY_BUDGETS in work.refused.get(_drain.uid(pod), "") for pod in work.pods)
        if late or (hopeless and not work.error):
            work.state = "expired"

    def evict(self, work: Work, pod: dict[str, Any]) -> None:
        """Ask for one eviction; a refusal is remembered and the next look asks again."""
        name, uid = pod["metadata"]["name"], _drain.uid(pod)
        namespace = pod["metadata"]["namespace"]
        options: dict[str, Any] = {"preconditions": {"uid": uid}}
        if self.policy.grace_period >= 0:
            options["gracePeriodSeconds"] = self.policy.grace_period
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": options,
        }
        try:
            self.api.call("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body=body)
        except _kubeapi.API_ERRORS as exc:
            if _kubeapi.status_of(exc) != 404:
                work.refused[uid] = _kubeapi.reason_of(exc)
            return
        work.refused.pop(uid, None)
        work.evicted[uid] = _drain.full_name(pod)

    def force(self, work: Work) -> None:
        """Delete what is left without grace; what finalizers hold stays and is reported."""
        until = time.monotonic() + FORCE_SECONDS
        while work.pods and time.monotonic() < until:
            for pod in work.pods:
                if _drain.uid(pod) not in work.forced:
                    self.delete(work, pod)
            self.look_again(work)
            if all(_drain.is_terminating(pod) and pod["metadata"].get("finalizers") for pod in work.pods):
                break
            time.sleep(POLL_SECONDS)
        if work.state == "expired" and not work.error and all(_drain.uid(pod) in work.forced for pod in work.pods):
            work.state = "drained"

    def delete(self, work: Work, pod: dict[str, Any]) -> None:
        """Delete one pod at once, past every budget."""
        uid = _drain.uid(pod)
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        try:
            self.api.call("DELETE", path, body={"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
        except _kubeapi.API_ERRORS as exc:
            if _kubeapi.status_of(exc) != 404:
                work.refused[uid] = _kubeapi.reason_of(exc)
            return
        work.forced[uid] = _drain.full_name(pod)
