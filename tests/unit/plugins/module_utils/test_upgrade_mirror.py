# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mirror holds, asked of a real TLS server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_mirror
from ansible_collections.hostplane.cluster.plugins.module_utils._mirror import Mirror

Site = Any
IMAGE = "registry.k8s.io/kube-proxy:v1.36.3"


@pytest.fixture
def filled(site: Site) -> Site:
    """A mirror with one image of two blobs and one program."""
    blobs = [
        {"digest": "sha256:" + site.add_blob("registry.k8s.io/kube-proxy", data), "size": len(data)}
        for data in (b"config", b"layer")
    ]
    manifest = {"config": blobs[0], "layers": blobs[1:]}
    site.answers["/v2/registry.k8s.io/kube-proxy/manifests/sha256:image"] = site.Answer(
        body=json.dumps(manifest).encode()
    )
    site.add_blob("hostplane/files", b"kubelet")
    return site


def look(site: Site) -> _upgrade_mirror.Held:
    (name,) = [path for path in site.answers if "/hostplane/files/" in path] or ["sha256:gone"]
    files = {"kubelet": [{"name": "kubelet", "sha256": name.rpartition(":")[2], "size": 7}]}
    return _upgrade_mirror.look(
        Mirror.from_options(site.options, 5), {"amd64": {IMAGE: "sha256:image"}}, {"amd64": files}
    )


def codes(held: _upgrade_mirror.Held) -> list[str]:
    return [item.code for item in _upgrade_mirror.check(held, "1.36.3")]


def test_a_whole_mirror_is_asked_and_nothing_is_fetched(filled: Site) -> None:
    held = look(filled)
    assert codes(held) == []
    assert held.sizes == {"amd64": {IMAGE: 11}} and sum(held.programs["amd64"].values()) == 7
    assert {one.method for one in filled.asked if "/blobs/" in one.path} == {"HEAD"}
    assert len(filled.asked) == len({one.path for one in filled.asked}) == 4


@pytest.mark.parametrize(
    ("gone", "wanted"),
    [
        ("/v2/registry.k8s.io/kube-proxy/manifests/", ["mirror_image_missing"]),
        # The registry has the manifest and has lost a layer: only asking for each blob tells.
        ("/v2/registry.k8s.io/kube-proxy/blobs/", ["mirror_image_missing"]),
        ("/v2/hostplane/files/", ["mirror_file_missing"]),
    ],
)
def test_what_is_missing_is_named(filled: Site, gone: str, wanted: list[str]) -> None:
    path = next(path for path in filled.answers if path.startswith(gone))
    filled.answers[path] = filled.Answer(404)
    assert codes(look(filled)) == wanted


def test_a_mirror_that_refuses_is_told_once(filled: Site) -> None:
    filled.answers = {path: filled.Answer(403) for path in filled.answers}
    held = look(filled)
    assert codes(held) == ["mirror_silent"] and "403" in held.error


def test_an_index_is_as_complete_as_its_manifests(filled: Site) -> None:
    inner = "/v2/registry.k8s.io/kube-proxy/manifests/sha256:image"
    filled.answers[inner.replace("image", "inner")] = filled.answers[inner]
    filled.answers[inner] = filled.Answer(body=json.dumps({"manifests": [{"digest": "sha256:inner"}]}).encode())
    assert codes(look(filled)) == [] and look(filled).sizes == {"amd64": {IMAGE: 11}}
    filled.answers[inner.replace("image", "inner")] = filled.Answer(404)
    assert codes(look(filled)) == ["mirror_image_missing"]
