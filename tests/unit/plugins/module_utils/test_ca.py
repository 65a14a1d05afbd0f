# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a rotation has come, and the texts on its way."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca
from hypothesis import given
from hypothesis import strategies as st
from selfsigned import make_certificate

BUNDLES = st.lists(st.sampled_from("nabc"), unique=True, min_size=1)


@pytest.fixture
def pems(tmp_path: Path) -> list[str]:
    return [make_certificate(tmp_path, f"ca{number}.test")[1] for number in range(3)]


@pytest.mark.parametrize(
    ("bundle", "stage"),
    [(["a"], "untouched"), (["a", "n"], "trust"), (["n", "a"], "issue"), (["n"], "drop"), (["a", "b"], "untouched")],
    ids=str,
)
def test_the_bundle_tells_the_stage(bundle: list[str], stage: str) -> None:
    assert _ca.stage(bundle, "n") == stage
    assert _ca.stage(bundle, "") == "untouched"


@given(BUNDLES, st.lists(st.sampled_from(_ca.PHASES), max_size=6))
def test_a_host_never_goes_back_and_is_where_it_was_sent(bundle: list[str], phases: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ca, "fingerprint", lambda pem: pem)
        current, reached = bundle, _ca.STAGES.index(_ca.stage(bundle, "n"))
        for phase in phases:
            current = _ca.wanted_bundle(phase, current, "n")
            now = _ca.STAGES.index(_ca.stage(current, "n"))
            assert now == max(reached, _ca.STAGES.index(phase))
            assert current == _ca.wanted_bundle(phase, current, "n")
            reached = now


def test_each_phase_has_its_bundle(pems: list[str]) -> None:
    old, new = pems[:2]
    trust = _ca.wanted_bundle("trust", [old], new)
    assert trust == [old, new]
    assert _ca.wanted_bundle("issue", trust, new) == [new, old]
    assert _ca.wanted_bundle("drop", [new, old], new) == [new]


def test_what_is_trusted_does_not_depend_on_the_order(pems: list[str]) -> None:
    assert _ca.trust_id(pems) == _ca.trust_id(pems[::-1]) != _ca.trust_id(pems[:2])


def test_a_kubeconfig_gets_the_bundle_and_nothing_else_changes(pems: list[str]) -> None:
    before = "clusters:\n- cluster:\n    certificate-authority-data: b2xk\n    server: https://a:6443\n"
    after = _ca.with_ca_data(before, _ca.complete(*pems[:2]))
    data = after.splitlines()[2].split()[1]
    assert base64.b64decode(data).decode() == "".join(pems[:2])
    assert after.replace(data, "b2xk") == before
    assert _ca.with_ca_data(after, _ca.complete(*pems[:2])) == after
    assert _ca.with_ca_data("no cluster", pems[0]) == "no cluster"


def test_only_the_file_that_signs_is_exchanged_in_the_manifest() -> None:
    manifest = (
        "- --root-ca-file=/pki/ca.crt\n- --cluster-signing-cert-file=/pki/ca.crt\n- --cluster-signing-key-file=k\n"
    )
    changed = _ca.with_signing_file(manifest, _ca.SIGNING)
    assert changed == manifest.replace("cert-file=/pki/ca.crt", f"cert-file={_ca.SIGNING}")
    assert _ca.with_signing_file(changed, "/pki/ca.crt") == manifest


def test_every_certificate_of_kubeadm_has_its_ca_and_kubeconfigs_are_last() -> None:
    leaves = {name: authority.leaves() for name, authority in _ca.AUTHORITIES.items()}
    assert {place.name for place in leaves["etcd"]} == {
        "apiserver-etcd-client", "etcd-server", "etcd-peer", "etcd-healthcheck-client",
    }  # fmt: skip
    assert {place.name for place in leaves["front_proxy"]} == {"front-proxy-client"}
    names = [place.name for place in leaves["cluster"]]
    assert names[:2] == ["apiserver", "apiserver-kubelet-client"]
    assert all(name.endswith(".conf") for name in names[2:]) and len(names) == 6
