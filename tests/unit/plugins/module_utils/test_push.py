# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is pushed, in which order, with a registry that only remembers."""

from __future__ import annotations

import json
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _oci
from ansible_collections.hostplane.cluster.plugins.module_utils._push import (
    PushError,
    combine,
    push,
    stored_digests,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._registry import Registry, RegistryError

NAMES = ("registry.k8s.io/kube-proxy:v1.36.3", "ghcr.io/flannel-io/flannel:v0.28.4")


class Memory:
    """As much of Registry as pushing uses."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blobs: set[tuple[str, str]] = set()
        self.manifests: dict[tuple[str, str], str] = {}
        self.log: list[str] = []
        self.forbidden = ""

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        return self.manifests.get((repository, reference))

    def has_blob(self, repository: str, digest: str) -> bool:
        return (repository, digest) in self.blobs

    def put_blob(self, repository: str, digest: str, size: int, path: str, mount_from: str | None = None) -> bool:
        if self.forbidden and self.forbidden in repository:
            raise RegistryError(f"may not push to {repository}")
        assert Path(path).stat().st_size == size
        assert mount_from is None or (mount_from, digest) in self.blobs
        with self.lock:
            self.blobs.add((repository, digest))
            self.log.append(f"{'mount' if mount_from else 'send'} {repository}")
        return mount_from is None

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None:
        found = json.loads(data)
        for entry in _oci.children(found):
            known = {digest for name, digest in self.manifests if name == repository}
            assert (repository, entry["digest"]) in self.blobs or entry["digest"] in known, "named before it was there"
        with self.lock:
            self.manifests[repository, reference] = _oci.digest_of(data)
            self.log.append(f"name {repository}:{reference}")


def make_layout(path: Path, arch: str = "amd64", content: bytes = b"") -> _oci.Layout:
    layout = _oci.Layout(str(path))
    layout.init()
    entries = []
    shared = layout.put_layer([_oci.LayerFile("/base", content=arch.encode())])
    for name in NAMES:
        layers = [shared, layout.put_layer([_oci.LayerFile("/p", content=name.encode() + content)])]
        diff_ids = [layer["digest"] for layer in layers]
        config = layout.put(_oci.canonical_json(_oci.image_config(arch, diff_ids, {})), _oci.MEDIA_CONFIG)
        manifest = _oci.canonical_json(_oci.image_manifest(config, layers))
        entries.append(layout.put(manifest, _oci.MEDIA_MANIFEST, annotations={_oci.REF_NAME: name}))
    lock = layout.put(b"{}", _oci.MEDIA_EMPTY)
    manifest = _oci.canonical_json(_oci.artifact_manifest(_oci.ARTIFACT_LOCK, [lock]))
    annotations = {_oci.REF_NAME: f"lock:1.36.3-{arch}"}
    entries.append(layout.put(manifest, _oci.MEDIA_MANIFEST, annotations=annotations))
    layout.write_index(entries)
    return layout


def run(memory: Memory, *layouts: _oci.Layout, prefix: str = "") -> int:
    """Push what is missing; return the number of bytes sent."""
    registry = t.cast(Registry, memory)
    artifacts = combine(layouts, prefix)
    stored = stored_digests(registry, artifacts, 4)
    return push(registry, [a for a in artifacts if stored[a.name] != a.manifest.digest], 4)


def test_shared_layers_are_mounted_and_the_lock_is_named_last(tmp_path: Path) -> None:
    memory = Memory()
    assert run(memory, make_layout(tmp_path), prefix="p/") > 0
    assert sum(line.startswith("mount") for line in memory.log) == 1
    assert memory.log[-1] == "name p/hostplane/lock:1.36.3-amd64"
    assert ("p/registry.k8s.io/kube-proxy", "v1.36.3") in memory.manifests
    memory.log.clear()
    assert run(memory, make_layout(tmp_path), prefix="p/") == 0 and memory.log == []


def test_only_changed_layers_are_sent(tmp_path: Path) -> None:
    memory = Memory()
    run(memory, make_layout(tmp_path / "old"))
    memory.log.clear()
    run(memory, make_layout(tmp_path / "new", content=b"!"))
    assert sum(line.startswith("send") for line in memory.log) == 4, "a layer and a configuration of each image"


def test_interrupted_push_is_finished(tmp_path: Path) -> None:
    memory, layout = Memory(), make_layout(tmp_path)
    memory.forbidden = "flannel"
    with pytest.raises(PushError, match="may not push to ghcr.io/flannel-io/flannel"):
        run(memory, layout)
    assert memory.manifests == {}, "nothing is named before its blobs are there"
    memory.forbidden = ""
    run(memory, layout)
    assert len(memory.manifests) == 3


def test_bundles_of_two_architectures_become_one_index(tmp_path: Path) -> None:
    amd64, arm64 = make_layout(tmp_path / "amd64"), make_layout(tmp_path / "arm64", "arm64")
    memory = Memory()
    run(memory, amd64, arm64)
    artifacts = {artifact.name: artifact for artifact in combine([arm64, amd64], "")}
    assert len(artifacts) == 4
    for name in NAMES:
        index = json.loads(artifacts[name].manifest.data)
        assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
        assert memory.manifests[artifacts[name].repository, artifacts[name].tag] == artifacts[name].manifest.digest
    memory.log.clear()
    assert run(memory, arm64, amd64) == 0 and memory.log == [], "the order of the bundles means nothing"


def test_same_name_and_architecture_with_other_content_is_refused(tmp_path: Path) -> None:
    layouts = [make_layout(tmp_path / "a"), make_layout(tmp_path / "b", content=b"!")]
    with pytest.raises(PushError, match="different content for the same architecture"):
        combine(layouts, "")
    assert len(combine([layouts[0], layouts[0]], "")) == 3


def test_every_missing_blob_is_named(tmp_path: Path) -> None:
    layout = make_layout(tmp_path)
    manifests = {entry["digest"] for entry in layout.index()}
    blobs = [layout.blob_path(e["digest"]) for e in layout.walk(layout.index()) if e["digest"] not in manifests]
    for path in blobs:
        Path(path).unlink()
    with pytest.raises(PushError) as error:
        combine([layout], "")
    assert [problem.split(" ")[0] for problem in error.value.problems] == sorted(set(blobs))


def test_damaged_manifest_and_missing_bundle(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "a")
    entry = layout.index()[0]
    Path(layout.blob_path(entry["digest"])).write_bytes(b" " * entry["size"])
    with pytest.raises(PushError, match="is damaged"):
        combine([layout], "")
    with pytest.raises(PushError, match="there is no bundle in .*: make it first"):
        combine([_oci.Layout(str(tmp_path / "none"))], "")


def test_addons_that_are_not_wanted_stay_here(tmp_path: Path) -> None:
    layout = make_layout(tmp_path)
    images = {NAMES[0]: {"digest": "x"}, NAMES[1]: {"digest": "y", "addon": "flannel"}}
    layout.write("lock.json", json.dumps({"images": images}).encode())
    names = [[a.name for a in combine([layout], "", addons)] for addons in (None, ["flannel"], ["metallb"], [])]
    both, one = sorted([*NAMES, "lock:1.36.3-amd64"]), ["lock:1.36.3-amd64", NAMES[0]]
    assert [sorted(found) for found in names] == [both, both, one, one]
    layout.write("lock.json", b"[]")
    with pytest.raises(PushError, match=r"lock\.json is not readable"):
        combine([layout], "", [])
