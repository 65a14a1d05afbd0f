# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _certificates as inventory
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_plan import ORDER, Plan, make_plan, problems
from ansible_collections.hostplane.cluster.plugins.module_utils._x509 import Certificate
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
PLACES = {place.name: place for place in (*inventory.CONTROL_PLANE, *inventory.NODE)}
LEAVES = sorted(name for name, place in PLACES.items() if place.manager == "kubeadm")


def found(name: str, left: float = 300, life: float = 365, **fields: object) -> inventory.Found:
    end = NOW + timedelta(days=left)
    certificate = Certificate("", f"CN={name}", "", "", end - timedelta(days=life), end, "", "RSA", 2048, "")
    chain = "" if PLACES[name].ca else None
    return replace(inventory.Found(PLACES[name], certificate, chain=chain, key_matches=True), **fields)


def host(**changed: inventory.Found) -> list[inventory.Found]:
    """A control plane of which some certificates are others."""
    names = [*LEAVES, "ca", "etcd-ca", "front-proxy-ca", "kubelet-client"]
    items = {name: found(name, 3000, 3650) if name.endswith("ca") else found(name) for name in names}
    return list({**items, **{name.replace("_", "-"): item for name, item in changed.items()}}.values())


def plan(*changed: inventory.Found, **options: object) -> Plan:
    return make_plan(host(**{item.place.name: item for item in changed}), 90, NOW, **options)  # type: ignore[arg-type]


def test_nothing_is_due() -> None:
    assert plan() == Plan() and plan().empty


def test_who_reads_it_once_is_restarted_and_the_others_reload() -> None:
    made = plan(*(found(name, 10) for name in LEAVES))
    assert made.kubeadm == tuple(sorted(LEAVES))
    assert made.restart == ("kube-controller-manager", "kube-scheduler")
    assert made.reload == ("etcd", "kube-apiserver")
    assert dict(made.reasons) == dict.fromkeys(LEAVES, "expires in 10 days")


@pytest.mark.parametrize("name", ["admin.conf", "super-admin.conf", "etcd-healthcheck-client"])
def test_what_nobody_runs_with_restarts_nobody(name: str) -> None:
    made = plan(found(name, 10))
    assert (made.kubeadm, made.restart, made.reload) == ((name,), (), ())


@pytest.mark.parametrize(
    "broken",
    [found("apiserver", -1), found("apiserver", chain="bad signature"), found("apiserver", key_matches=False)],
)
def test_who_runs_with_a_broken_one_is_restarted(broken: inventory.Found) -> None:
    assert (plan(broken).restart, plan(broken).reload) == (("kube-apiserver",), ())


@given(st.sets(st.sampled_from(LEAVES)), st.integers(-400, 364), st.integers(1, 300))
def test_exactly_what_is_due_is_renewed_and_only_its_users_touched(names: set[str], left: int, days: int) -> None:
    items = host(**{name: found(name, left) for name in names})
    made = make_plan(items, days, NOW)
    due = names if left < days or left <= 0 else set()
    assert set(made.kubeadm) == due
    users = {user for name in due for user in PLACES[name].users}
    assert set(made.restart) | set(made.reload) == users
    assert not set(made.restart) & set(made.reload)
    assert list(made.restart) == [name for name in ORDER if name in made.restart]


def test_a_restart_that_was_missed_is_made_up_for() -> None:
    written = {"kube-scheduler": 200.0, "kube-controller-manager": 50.0}
    made = plan(started={"kube-scheduler": 100.0, "kube-controller-manager": 100.0}, written=written)
    assert (made.kubeadm, made.restart, made.empty) == ((), ("kube-scheduler",), False)
    assert dict(made.reasons) == {"kube-scheduler": "it runs with a certificate that was replaced since"}
    assert plan(started={}, written=written).empty


def test_what_lasts_as_long_as_its_ca_is_not_renewed_again_and_again() -> None:
    short = {"ca": found("ca", 50, 3650)}
    leaves = {name: found(name, 50) for name in LEAVES if PLACES[name].ca == "ca"}
    assert make_plan(host(**short, **leaves), 90, NOW).kubeadm == ()
    assert make_plan(host(**short, apiserver=found("apiserver", 20)), 90, NOW).kubeadm == ("apiserver",)


def test_all_on_demand() -> None:
    made = plan(force=True)
    assert made.kubeadm == tuple(sorted(LEAVES)) and made.kubelet == ""


def test_the_kubelet_is_left_alone_until_it_failed() -> None:
    assert plan(found("kubelet-client", 40)).kubelet == ""
    assert plan(found("kubelet-client", 30)).kubelet == "sign"
    worker = [found("ca", 3000, 3650, key_matches=None), found("kubelet-client", -3)]
    assert make_plan(worker, 90, NOW).kubelet == "bootstrap"
    assert problems(worker, 90, NOW) == []
    assert plan(found("kubelet-server", -3)).empty
    assert plan(found("kubelet-server-self", 3)).serving


def told(*changed: inventory.Found) -> str:
    return "\n".join(item.message for item in problems(host(**{item.place.name: item for item in changed}), 90, NOW))


def test_what_nobody_can_renew() -> None:
    assert told() == ""
    assert told(found("apiserver", 10)) == ""
    assert "admin.conf (/etc/kubernetes/admin.conf) is missing" in told(
        inventory.Found(PLACES["admin.conf"], error="is missing")
    )
    assert "this host has no /etc/kubernetes/pki/ca.key" in told(
        found("ca", 3000, 3650, key_matches=None), found("apiserver", 10)
    )
    assert told(found("ca", 3000, 3650, key_matches=None)) == ""
    assert "ca (/etc/kubernetes/pki/ca.crt) expired on" in told(found("ca", -1, 3650))
    assert "etcd-ca" in told(found("etcd-ca", 3000, 3650, key_matches=False))


def test_a_ca_of_somebody_else_signs_nothing() -> None:
    wrong = [found(name, chain="not signed") for name in LEAVES if PLACES[name].ca == "etcd-ca"]
    assert "signed none of this host's 4 certificates" in told(*wrong)
    assert told(*wrong[1:]) == ""
    second = replace(found("ca", -1, 3650), place=replace(PLACES["ca"], name="ca#2"))
    assert problems([*host(), second], 90, NOW) == []
