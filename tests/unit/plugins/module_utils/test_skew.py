# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Version skew, against the examples of the upstream policy."""

from __future__ import annotations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _skew
from hypothesis import given
from hypothesis import strategies as st

TARGET = (1, 36, 3)
VERSIONS = st.tuples(st.just(1), st.integers(20, 40), st.integers(0, 20))


def component(name: str, version: str, where: str = "n1") -> _skew.Component:
    parsed = _skew.parse(version)
    assert parsed
    return _skew.Component(name, where, parsed)


def codes(found: list[_skew.Finding]) -> list[str]:
    return [item.code for item in found]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.36.3", (1, 36, 3)),
        ("1.36.3", (1, 36, 3)),
        ("registry.k8s.io/etcd:3.6.8-0", (3, 6, 8)),
        ("mirror:5000/kube-proxy:v1.35.4@sha256:abc", (1, 35, 4)),
        ("registry.k8s.io/kube-proxy@sha256:1.2.3", None),
        ("", None),
        ("newest", None),
    ],
)
def test_versions_are_found_in_names_of_images_too(text: str, version: tuple[int, int, int] | None) -> None:
    assert _skew.parse(text) == version


@pytest.mark.parametrize(
    ("servers", "wanted"),
    [
        (["1.35.4"], []),
        (["1.36.1"], []),
        (["1.36.3"], []),
        # An upgrade that was interrupted between two control planes.
        (["1.35.4", "1.36.3"], []),
        (["1.34.9"], ["version_skipped"]),
        (["1.36.4"], ["version_downgrade"]),
        (["1.37.0"], ["version_downgrade"]),
        (["1.34.0", "1.37.0"], ["version_downgrade", "version_skipped"]),
        ([], []),
    ],
)
def test_only_the_next_minor_and_only_up(servers: list[str], wanted: list[str]) -> None:
    assert codes(_skew.check_target([component("kube-apiserver", text) for text in servers], TARGET)) == wanted


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("kubelet", "1.33.0", []),
        ("kubelet", "1.32.9", ["skew_kubelet"]),
        ("kubelet", "1.35.9", []),
        ("kubelet", "1.36.0", ["skew_kubelet"]),
        ("kube-proxy", "1.33.0", []),
        ("kube-proxy", "1.32.9", ["skew_kube_proxy"]),
        ("kube-scheduler", "1.35.0", []),
        ("kube-scheduler", "1.34.0", ["skew_control_plane"]),
        ("kube-controller-manager", "1.34.0", ["skew_control_plane"]),
        ("kube-controller-manager", "1.36.0", ["skew_control_plane"]),
        ("etcd", "3.6.8", []),
    ],
)
def test_skew_is_judged_beside_the_present_and_the_wanted_servers(name: str, version: str, wanted: list[str]) -> None:
    known = [component("kube-apiserver", "1.35.4"), component(name, version)]
    assert codes(_skew.check_skew(known, TARGET)) == wanted


def test_one_finding_names_all_places() -> None:
    known = [component("kube-apiserver", "1.35.4"), *(component("kubelet", "1.31.0", f"n{i}") for i in range(20))]
    (found,) = _skew.check_skew(known, TARGET)
    assert "n0, n1, n2, n3, n4, n5, n6, n7 and 12 more" in found.message


def test_an_upgrade_that_ended_between_two_control_planes_goes_on() -> None:
    known = [component(name, "1.36.3") for name in ("kube-apiserver", "kube-scheduler", "kubelet", "kube-proxy")]
    known += [component(name, "1.35.4", "n2") for name in ("kube-apiserver", "kube-scheduler", "kubelet")]
    found = _skew.check_skew(known, TARGET)
    assert codes(found) == ["skew_kube_proxy", "skew_control_plane", "skew_kubelet"]
    assert {item.severity for item in found} == {"warning"}


def test_what_is_newer_than_the_release_stands_against_it() -> None:
    known = [component("kube-apiserver", "1.35.4"), component("kubelet", "1.36.4")]
    assert [item.severity for item in _skew.check_skew(known, TARGET)] == ["error"]


@pytest.mark.parametrize(("version", "wanted"), [("1.35.0", []), ("1.37.0", []), ("1.34.0", ["skew_kubectl"])])
def test_kubectl_is_only_told(version: str, wanted: list[str]) -> None:
    found = _skew.check_kubectl([component("kubectl", version)], TARGET)
    assert codes(found) == wanted
    assert all(item.severity == "warning" for item in found)


@given(VERSIONS, VERSIONS)
def test_nothing_is_accepted_that_skips_or_goes_back(current: _skew.Version, target: _skew.Version) -> None:
    found = codes(_skew.check_target([_skew.Component("kube-apiserver", "cp", current)], target))
    assert (found == []) == (current <= target and target[1] - current[1] <= 1)
