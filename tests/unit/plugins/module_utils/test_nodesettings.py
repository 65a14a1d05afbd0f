# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._nodesettings import (
    OWNED,
    SettingsError,
    Wanted,
    change,
    identity,
    read_owned,
    read_wanted,
)
from hypothesis import given
from hypothesis import strategies as st


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396, as the API does it."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


def node(labels: Any = None, taints: Any = None, cordoned: bool = False, owned: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {"name": "n", "resourceVersion": "1", "labels": labels or {}}, "spec": {}}
    if taints:
        found["spec"]["taints"] = taints
    if cordoned:
        found["spec"]["unschedulable"] = True
    if owned is not None:
        found["metadata"]["annotations"] = {OWNED: owned if isinstance(owned, str) else json.dumps(owned)}
    return found


def applied(found: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    return merged(found, change(found, read_wanted("n", wanted)).patch)


def test_labels_are_set_and_only_ours_are_removed() -> None:
    found = applied(node(labels={"theirs": "1"}), labels={"a": "1", "b": "2"})
    assert found["metadata"]["labels"] == {"theirs": "1", "a": "1", "b": "2"}
    found = applied(found, labels={"b": "3"})
    assert found["metadata"]["labels"] == {"theirs": "1", "b": "3"}
    assert json.loads(found["metadata"]["annotations"][OWNED]) == {"labels": ["b"]}
    found = applied(found, labels={})
    assert found["metadata"]["labels"] == {"theirs": "1"}
    assert found["metadata"]["annotations"] == {}


def test_taints_are_told_apart_by_key_and_effect_and_keep_their_time() -> None:
    theirs = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
    found = applied(node(taints=[theirs]), taints=["a=1:NoSchedule", "a=1:NoExecute"])
    assert found["spec"]["taints"] == [
        theirs,
        {"key": "a", "value": "1", "effect": "NoExecute"},
        {"key": "a", "value": "1", "effect": "NoSchedule"},
    ]
    found["spec"]["taints"][1]["timeAdded"] = "2026-01-02T00:00:00Z"
    found = applied(found, taints=["a=1:NoExecute", "b:NoSchedule"])
    assert found["spec"]["taints"] == [
        theirs,
        {"key": "a", "value": "1", "effect": "NoExecute", "timeAdded": "2026-01-02T00:00:00Z"},
        {"key": "b", "effect": "NoSchedule"},
    ]
    assert applied(found, taints=["b=2:NoSchedule"])["spec"]["taints"] == [
        theirs, {"key": "b", "value": "2", "effect": "NoSchedule"}
    ]  # fmt: skip
    assert applied(found, taints=[])["spec"]["taints"] == [theirs]


@pytest.mark.parametrize(
    ("cordoned", "ours", "state", "expected", "then_ours"),
    [
        (False, False, "cordoned", True, True),
        (True, True, "cordoned", True, True),
        # Somebody has made the node schedulable again; the inventory still says cordoned.
        (False, True, "cordoned", True, True),
        (True, False, "cordoned", True, False),
        (True, True, "schedulable", False, False),
        (True, False, "schedulable", True, False),
        (False, True, "schedulable", False, False),
        (False, False, "schedulable", False, False),
        (True, True, None, True, True),
        (False, False, None, False, False),
    ],
)
def test_only_our_own_cordon_is_taken_off(
    cordoned: bool, ours: bool, state: str | None, expected: bool, then_ours: bool
) -> None:
    before = node(cordoned=cordoned, owned={"cordoned": True} if ours else None)
    found = applied(before, state=state)
    assert bool(found["spec"].get("unschedulable")) is expected
    assert read_owned(found).cordoned is then_ours
    left = change(before, Wanted(state=state)).left_cordoned
    assert left is (state == "schedulable" and cordoned and not ours)


def test_what_is_not_given_is_left_alone() -> None:
    owned = {"labels": ["a"], "taints": ["t:NoSchedule"], "cordoned": True}
    before = node({"a": "1"}, [{"key": "t", "effect": "NoSchedule"}], True, owned)
    before["metadata"]["annotations"][OWNED] = json.dumps(owned, sort_keys=True, separators=(",", ":"))
    assert not change(before, read_wanted("n", {"role": "worker"})).patch
    found = applied(before, labels={})
    assert found["metadata"]["labels"] == {}
    assert found["spec"] == before["spec"]
    assert read_owned(found).taints == {"t:NoSchedule"} and read_owned(found).cordoned


@pytest.mark.parametrize("text", ["", "x", "[]", "3", '{"labels": 1}', '{"cordoned": "yes"}', "null"])
def test_a_broken_annotation_gives_nothing_away(text: str) -> None:
    found = applied(node({"a": "1"}, cordoned=True, owned=text), labels={}, state="schedulable")
    assert found["metadata"]["labels"] == {"a": "1"}
    assert found["spec"]["unschedulable"] is True


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ("x", "not a mapping"),
        ({"labels": ["a"]}, "labels is not a mapping"),
        ({"labels": {"a": 1}}, "quote numbers"),
        ({"labels": {"a b": "1"}}, "not a label"),
        ({"taints": ["a"]}, "not a taint"),
        ({"state": "drained"}, "not a state"),
    ],
)
def test_what_makes_no_sense_is_refused(data: Any, part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        read_wanted("n", data)


def test_the_difference_shows_only_what_it_is_about() -> None:
    found = change(node({"theirs": "1", "a": "1"}), read_wanted("n", {"labels": {"a": "2"}}))
    assert found.before["labels"] == {"a": "1"} and found.after["labels"] == {"a": "2"}
    assert found.patch["metadata"]["resourceVersion"] == "1"


LABELS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "1", "2"]))
TAINTS = st.lists(
    st.builds(
        lambda key, value, effect: {"key": key, "value": value, "effect": effect},
        st.sampled_from("xyz"), st.sampled_from(["", "1"]), st.sampled_from(["NoSchedule", "NoExecute"]),
    ),
    unique_by=identity,
)  # fmt: skip
STATES = st.sampled_from(["schedulable", "cordoned", None])
WANTED = st.fixed_dictionaries({}, optional={"labels": LABELS, "taints": TAINTS, "state": STATES})


@given(LABELS, TAINTS, st.booleans(), st.lists(WANTED, min_size=1, max_size=4))
def test_any_history_converges_and_spares_what_was_never_ours(
    labels: dict[str, str], taints: list[dict[str, str]], cordoned: bool, history: list[dict[str, Any]]
) -> None:
    found = node(labels, taints, cordoned)
    for wanted in history:
        found = applied(found, **wanted)
        assert not change(found, read_wanted("n", wanted)).patch, "a second run changes nothing"
        assert set((wanted.get("labels") or {}).items()) <= set(found["metadata"]["labels"].items())
        names = {identity(taint) for taint in found["spec"].get("taints") or []}
        assert {identity(taint) for taint in wanted.get("taints") or []} <= names
        if wanted.get("state") == "cordoned":
            assert found["spec"]["unschedulable"]
    named = {key for wanted in history for key in wanted.get("labels") or {}}
    left = applied(found, labels={}, taints=[], state="schedulable")
    assert {key: value for key, value in labels.items() if key not in named} == left["metadata"]["labels"]
    assert not left["metadata"].get("annotations")
    tainted = {identity(taint) for wanted in history for taint in wanted.get("taints") or []}
    kept = [identity(taint) for taint in left["spec"].get("taints") or []]
    assert kept == [identity(taint) for taint in taints if identity(taint) not in tainted]
    assert bool(left["spec"].get("unschedulable")) is cordoned
