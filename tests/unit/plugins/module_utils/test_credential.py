# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster remembers of a credential, its states over time, and whom its bindings belong to."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _credential, _kubeconfig
from ansible_collections.hostplane.cluster.plugins.module_utils._credential import Credential
from ansible_collections.hostplane.cluster.plugins.module_utils._rbac import Grant, Role
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
ORDER = ["effective", "expiring", "expired"]
SHOP = [{"role": "developer", "namespaces": ["shop"]}]


def credential(ident: str = "alice-1", kind: str = "certificate", days: float = 30) -> Credential:
    grant = Grant(_credential.subject_of(kind, ident), Role("ClusterRole", "view"), "shop")
    end = _credential.to_text(START + timedelta(days=days))
    start = _credential.to_text(START)
    return Credential(ident, "alice", kind, "/a", "ca", "1f", "ab", start, end, grants=(grant,))


@given(days=st.floats(0.01, 4000), warn=st.floats(0, 5000), steps=st.lists(st.floats(0, 5000), min_size=2, max_size=6))
def test_a_credential_only_grows_older(days: float, warn: float, steps: list[float]) -> None:
    item, limit = credential(days=days), timedelta(days=warn)
    states = [item.state(START + timedelta(days=step), limit) for step in sorted(steps)]
    assert [ORDER.index(state) for state in states] == sorted(ORDER.index(state) for state in states)
    assert item.state(START, limit) == "effective"
    assert item.state(START + timedelta(days=days), limit) == "expired"


@given(st.sampled_from(["revoked", "grants", "account"]), st.floats(0, 100))
def test_without_rights_it_is_revoked(what: str, passed: float) -> None:
    lost = {"revoked": "2026-03-02T00:00:00Z", "grants": (), "account": False}[what]
    item = replace(credential(kind="token"), **{what: lost})  # type: ignore[arg-type]
    assert item.state(START + timedelta(days=passed), timedelta(days=10)) == "revoked"


@given(user=st.text(max_size=40), path=st.text(max_size=40), kind=st.sampled_from(["certificate", "token"]))
def test_a_record_is_read_as_it_was_written(user: str, path: str, kind: str) -> None:
    item = replace(credential(kind=kind), user=user, path=path)
    binding = _credential.binding_object(item.grants[0], item.id)
    (read,) = _credential.read_all([item.to_record()], [binding], [item.id])
    assert read == item and read.grants == item.grants
    (gone,) = _credential.read_all([item.to_record()], [binding], [])
    assert gone.account == (kind == "certificate")


def test_a_label_alone_gives_no_rights() -> None:
    """Somebody could put the label on a binding of another subject."""
    stolen = _credential.binding_object(credential("bob-1").grants[0], "alice-1")
    (item,) = _credential.read_all([credential().to_record()], [stolen], [])
    assert item.grants == ()
    assert _credential.foreign_bindings([stolen], credential("bob-1").subject, "bob-1") == [
        "shop/" + stolen["metadata"]["name"]
    ]


@given(st.text(max_size=400))
def test_names_are_new_readable_and_fit(user: str) -> None:
    first, second = _credential.new_id(user), _credential.new_id(user)
    assert first != second
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,38}[a-z0-9]", first)
    # X.509 allows a common name of 64 characters.
    assert len(_credential.subject_of("certificate", first).user) <= 64


def test_names_show_whose_they_are() -> None:
    assert _credential.new_id("Åsa.O'Neil@example.com").startswith("sa-o-neil-example-com-")
    assert _credential.new_id("李").startswith("user-")


@pytest.mark.parametrize("kind", ["certificate", "token"])
def test_other_lists_of_bindings_do_not_see_these(kind: str) -> None:
    wish, problems = _kubeconfig.read_wish(
        {"user": "a", "path": "/a", "kind": kind, "days": 1, "renew_before": None, "bindings": SHOP}
    )
    (grant,) = wish.held_by("a-1")
    labels = _credential.binding_object(grant, "a-1")["metadata"]["labels"]
    assert problems == [] and "hostplane.io/rbac" not in labels and labels["hostplane.io/credential"] == "a-1"
    assert wish.namespace == "shop" and wish.renew_before == timedelta(hours=8)
