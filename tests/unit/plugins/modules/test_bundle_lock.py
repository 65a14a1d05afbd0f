# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.modules import bundle_lock

Run = Callable[..., dict[str, Any]]


def put(site: Any, arch: str, data: bytes = b"", release: str = "1.36.3") -> dict[str, Any]:
    lock = {"release": release, "arch": arch, "files": {}, "images": {}}
    site.add_artifact("hostplane/lock", f"1.36.3-{arch}", data or json.dumps(lock).encode())
    return lock


@pytest.mark.parametrize("check", [False, True])
def test_locks_of_all_architectures(run_module: Run, site: Any, check: bool) -> None:
    locks = {arch: put(site, arch) for arch in ("amd64", "arm64")}
    options = {"mirror": site.options, "release": "1.36.3", "architectures": ["arm64", "amd64", "arm64"]}
    result = run_module(bundle_lock, check=check, diff=True, **options)
    assert (result["changed"], result["locks"], result["problems"]) == (False, locks, [])
    assert len(site.asked) == 4


def test_images_of_addons_that_the_mirror_was_not_given_are_left_out(run_module: Run, site: Any) -> None:
    there = site.add_artifact("quay.io/metallb/speaker", "v1", b"speaker")
    images = {
        "registry.k8s.io/pause:3.10.2": {"digest": "sha256:" + "1" * 64},
        "quay.io/metallb/speaker:v1": {"digest": there, "addon": "metallb"},
        "quay.io/metallb/controller:v1": {"digest": "sha256:" + "2" * 64, "addon": "metallb"},
    }
    lock = {"release": "1.36.3", "arch": "amd64", "files": {}, "images": images}
    put(site, "amd64", json.dumps(lock).encode())
    result = run_module(bundle_lock, mirror=site.options, release="1.36.3")
    assert sorted(result["locks"]["amd64"]["images"]) == ["quay.io/metallb/speaker:v1", "registry.k8s.io/pause:3.10.2"]
    assert result["problems"] == []


def test_what_is_missing_is_a_problem_and_no_failure(run_module: Run, site: Any) -> None:
    lock = put(site, "amd64")
    result = run_module(bundle_lock, mirror=site.options, release="1.36.3", architectures=["amd64", "arm64"])
    assert result["locks"] == {"amd64": lock}
    (problem,) = result["problems"]
    assert (problem["code"], problem["path"]) == ("MirrorLock", "mirror_address")
    assert "1.36.3-arm64 answered 404" in problem["message"]
    assert "run the bundle and mirror playbooks for 1.36.3" in problem["remedy"]
    assert "open-sesame" not in json.dumps(result)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not json", "lock of 1.36.3 for amd64 .* is not readable"),
        (b"[]", "is not readable"),
        (b"{}", "is not readable: 'release'"),
        (b'{"release": "1.35.4", "arch": "amd64"}', "holds a lock of .*1.35.4.* under the name of 1.36.3 for amd64"),
    ],
)
def test_something_else_under_the_name(run_module: Run, site: Any, data: bytes, message: str) -> None:
    put(site, "amd64", data)
    (problem,) = run_module(bundle_lock, mirror=site.options, release="1.36.3")["problems"]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(problem["message"])


def test_trust_and_reachability_are_problems_too(run_module: Run, site: Any, make_site: Callable[..., Any]) -> None:
    for options, message in (
        ({"ca": make_site().ca}, "is not trusted"),
        ({"ca": "nonsense"}, "not readable as PEM"),
        ({"address": "127.0.0.1:1"}, "can't be reached"),
    ):
        (problem,) = run_module(bundle_lock, mirror={**site.options, **options}, release="1.36.3")["problems"]
        assert message in problem["message"]


def test_mirror_is_required(run_module: Run) -> None:
    assert "missing required arguments: mirror" in run_module(bundle_lock, release="1.36.3")["msg"]
