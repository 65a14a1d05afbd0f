# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is laid out in a directory, with what was recorded when its programs were installed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._files import CACHE, DigestCache
from ansible_collections.hostplane.cluster.plugins.module_utils._hostcomponents import installed, others
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System

KUBELET, RUNC = "/usr/local/bin/kubelet", "/usr/local/bin/runc"
HAPROXY, OTHER = "registry.local/haproxy", "sha256:bb"
PLAN: dict[str, Any] = {
    "files": {
        "amd64": {
            "kubelet": [{"name": "kubelet", "path": KUBELET, "sha256": "k1"}],
            "containerd": [{"name": "runc", "path": RUNC, "sha256": "r1"}, {"name": "ctr", "path": "/c", "sha256": ""}],
        }
    },
    "images": {"haproxy": f"{HAPROXY}:3.2", "digests": {"amd64": {f"{HAPROXY}:3.2": "sha256:aa"}}},
}


@pytest.fixture
def host(tmp_path: Path) -> System:
    system = System(str(tmp_path))
    cache = DigestCache(system.path(CACHE))
    for path, digest in ((KUBELET, "k1"), (RUNC, "r1")):
        there = Path(system.path(path))
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(path)
        cache.entries[path] = [digest, *cache._key(os.stat(there))]
    Path(system.path(CACHE)).parent.mkdir(parents=True)
    Path(system.path(CACHE)).write_text(json.dumps(cache.entries))
    return system


def pod(system: System, image: str) -> None:
    path = Path(system.path("/etc/kubernetes/manifests/haproxy.yaml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'spec:\n  containers:\n    - name: haproxy\n      image: "{image}"\n')


def test_what_was_installed_is_known(host: System) -> None:
    pod(host, f"{HAPROXY}@sha256:aa")
    found = installed(host)
    assert found == {"files": {KUBELET: "k1", RUNC: "r1"}, "images": {"haproxy": f"{HAPROXY}@sha256:aa"}}
    assert others(found, PLAN, "amd64") == []


def test_another_bundle_differs(host: System) -> None:
    pod(host, f"{HAPROXY}@{OTHER}")
    before = installed(host)
    before["files"][KUBELET] = "k0"
    assert others(before, PLAN, "amd64") == ["haproxy", "kubelet"]


def test_what_is_missing_or_damaged_is_left_to_be_put_right(host: System) -> None:
    os.unlink(host.path(KUBELET))
    Path(host.path(RUNC)).write_text("damaged")
    assert installed(host) == {"files": {}, "images": {}}
    assert others(installed(host), PLAN, "amd64") == []


def test_nothing_is_compared_with_what_the_plan_does_not_know(host: System) -> None:
    pod(host, f"{HAPROXY}@{OTHER}")
    for plan in ({}, {"files": {}, "images": {}}, {"images": {"haproxy": "x:1", "digests": {}}}):
        assert others(installed(host), plan, "amd64") == []
    assert others(installed(host), PLAN, "arm64") == []


def test_a_host_without_a_record(tmp_path: Path) -> None:
    assert installed(System(str(tmp_path))) == {"files": {}, "images": {}}
