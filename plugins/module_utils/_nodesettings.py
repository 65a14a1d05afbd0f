# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Labels, taints and the cordon of a node: what to change so that ours are as wanted and others' stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _names
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_hosts import parse_taint

# What we have set on the node, as JSON; only that is ever taken away again.
OWNED = "hostplane.io/owned"
STATES = ("schedulable", "cordoned")
Taint = dict[str, Any]


class SettingsError(Exception):
    """What was asked for makes no sense; the message names the node and the setting."""


@dataclass(frozen=True)
class Wanted:
    """Settings of one node. None leaves that kind of setting alone, with everything that was ours before."""

    labels: Mapping[str, str] | None = None
    taints: tuple[Mapping[str, str], ...] | None = None
    state: str | None = None


@dataclass(frozen=True)
class Owned:
    """What of a node's settings is ours: names of labels, key:effect of taints, the cordon."""

    labels: frozenset[str] = field(default_factory=frozenset)
    taints: frozenset[str] = field(default_factory=frozenset)
    cordoned: bool = False

    def to_text(self) -> str | None:
        """The value of the annotation; None when there is nothing to remember."""
        data = {"cordoned": self.cordoned, "labels": sorted(self.labels), "taints": sorted(self.taints)}
        kept = {key: value for key, value in data.items() if value}
        return json.dumps(kept, sort_keys=True, separators=(",", ":")) if kept else None


@dataclass(frozen=True)
class Change:
    """A merge patch for one node, empty when all is right, with what it is about before and after."""

    patch: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    # Cordoned by somebody else, so it is not ours to undo.
    left_cordoned: bool


def read_wanted(node: str, data: Any) -> Wanted:
    """Read one entry of the module's option; unknown keys are left out, so that a host of a plan can be given.

    Raises SettingsError.
    """
    if not isinstance(data, Mapping):
        raise SettingsError(f"node {node}: {data!r} is not a mapping of labels, taints and state")
    labels, taints, state = data.get("labels"), data.get("taints"), data.get("state")
    if labels is not None:
        if not isinstance(labels, Mapping):
            raise SettingsError(f"node {node}: labels is not a mapping")
        for key, value in labels.items():
            if not isinstance(value, str) or not _names.is_label_value(value) or not _names.is_label_key(str(key)):
                raise SettingsError(f"node {node}: {key}={value!r} is not a label; values are text, so quote numbers")
    parsed: dict[str, Mapping[str, str]] = {}
    for item in taints or ():
        taint = parse_taint(item)
        if taint is None:
            raise SettingsError(f"node {node}: {item!r} is not a taint; write {{key, value, effect}}")
        parsed[identity(taint)] = taint
    if state is not None and state not in STATES:
        raise SettingsError(f"node {node}: {state!r} is not a state; use {' or '.join(STATES)}")
    return Wanted(labels, None if taints is None else tuple(parsed[key] for key in sorted(parsed)), state)


def identity(taint: Mapping[str, Any]) -> str:
    """What the API allows once per node."""
    return f"{taint.get('key')}:{taint.get('effect')}"


def read_owned(node: Mapping[str, Any]) -> Owned:
    """What the node says is ours. Of an annotation that somebody has broken nothing is believed."""
    try:
        data = json.loads((node["metadata"].get("annotations") or {}).get(OWNED) or "{}")
        labels, taints = data.get("labels") or [], data.get("taints") or []
        return Owned(frozenset(map(str, labels)), frozenset(map(str, taints)), data.get("cordoned") is True)
    except (ValueError, AttributeError, TypeError):
        return Owned()


def _labels(now: Mapping[str, str], wanted: Mapping[str, str], owned: Iterable[str]) -> dict[str, str | None]:
    """The part of a merge patch for labels: ours that are no longer wanted go, wanted ones are set."""
    gone: dict[str, str | None] = {key: None for key in sorted(owned) if key in now and key not in wanted}
    return {**gone, **{key: value for key, value in sorted(wanted.items()) if now.get(key) != value}}


def _taints(now: list[Taint], wanted: Iterable[Mapping[str, str]], owned: frozenset[str]) -> list[Taint]:
    """All taints as they shall be. Entries that are right stay as they are, with the time when they were added."""
    left = {identity(taint): taint for taint in wanted}
    result = []
    for taint in now:
        name = identity(taint)
        if name in left:
            want = left.pop(name)
            same = (taint.get("value") or "") == want["value"]
            result.append(taint if same else _api_taint(want))
        elif name not in owned:
            result.append(taint)
    return result + [_api_taint(taint) for taint in left.values()]


def _api_taint(taint: Mapping[str, str]) -> Taint:
    return {key: value for key, value in taint.items() if value}


def _cordon(now: bool, state: str | None, ours: bool) -> tuple[bool, bool]:
    """Whether the node shall be unschedulable, and whether that is then our doing."""
    if state == "cordoned":
        return True, ours or not now
    if state == "schedulable":
        return now and not ours, False
    return now, ours


def change(node: Mapping[str, Any], wanted: Wanted) -> Change:
    """What is to be done about one node of the API."""
    meta, spec = node["metadata"], node.get("spec") or {}
    owned = read_owned(node)
    labels, taints = dict(meta.get("labels") or {}), list(spec.get("taints") or [])
    cordoned = bool(spec.get("unschedulable"))
    patch: dict[str, Any] = {}
    body: dict[str, Any] = {"metadata": {}, "spec": {}}
    new_labels, new_taints = owned.labels, owned.taints
    if wanted.labels is not None:
        new_labels = frozenset(wanted.labels)
        if found := _labels(labels, wanted.labels, owned.labels):
            body["metadata"]["labels"] = found
    after_taints = taints
    if wanted.taints is not None:
        new_taints = frozenset(identity(taint) for taint in wanted.taints)
        after_taints = _taints(taints, wanted.taints, owned.taints)
        if after_taints != taints:
            body["spec"]["taints"] = after_taints
    after_cordoned, ours = _cordon(cordoned, wanted.state, owned.cordoned)
    if after_cordoned != cordoned:
        body["spec"]["unschedulable"] = after_cordoned or None
    text = Owned(new_labels, new_taints, ours).to_text()
    annotation = (meta.get("annotations") or {}).get(OWNED)
    if text != annotation:
        body["metadata"]["annotations"] = {OWNED: text}
    if any(body.values()):
        # Taints are one list: without this a taint that somebody adds meanwhile would be lost.
        body["metadata"]["resourceVersion"] = meta["resourceVersion"]
        patch = {key: value for key, value in body.items() if value}
    touched = set(body["metadata"].get("labels") or {})
    merged = {**labels, **(body["metadata"].get("labels") or {})}
    return Change(
        patch,
        _view({key: labels[key] for key in touched if key in labels}, taints, cordoned, annotation),
        _view({key: merged[key] for key in touched if merged[key] is not None}, after_taints, after_cordoned, text),
        after_cordoned and wanted.state == "schedulable",
    )


def _view(labels: Mapping[str, Any], taints: list[Taint], cordoned: bool, owned: str | None) -> dict[str, Any]:
    """What a difference shows of a node."""
    texts = [f"{taint.get('key')}={taint.get('value') or ''}:{taint.get('effect')}" for taint in taints]
    return {"labels": dict(sorted(labels.items())), "taints": sorted(texts), "cordoned": cordoned, "owned": owned or ""}
