# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling images with a stand-in for crane that takes them from a directory."""

from __future__ import annotations

import json
import os
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _oci, _pull
from ansible_collections.hostplane.cluster.plugins.module_utils._pull import Images, PullError, pull

PAUSE = "registry.k8s.io/pause:3.10.2"
ETCD = "registry.k8s.io/etcd:3.6.8-0"

# Copies the layout of the image, or fails with the next text that was prepared for it.
CRANE = f"""#!{sys.executable}
import os, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
source, target = sys.argv[-2:]
with (here / "calls").open("a") as calls:
    calls.write(source + "\\n")
failures = here / "failures"
left = failures.read_text().splitlines() if failures.exists() else []
if left:
    failures.write_text("\\n".join(left[1:]))
    sys.exit("Error: " + left[0])
shutil.copytree(here / source.partition("@")[0].rpartition("/")[2].partition(":")[0], target, dirs_exist_ok=True)
"""


def make_image(path: Path, content: bytes) -> str:
    layout = _oci.Layout(str(path))
    layout.init()
    layer = layout.put_layer([_oci.LayerFile("/base", content=b"shared"), _oci.LayerFile("/p", content=content)])
    config = layout.put(_oci.canonical_json(_oci.image_config("amd64", [layer["digest"]], {})), _oci.MEDIA_CONFIG)
    manifest = layout.put(_oci.canonical_json(_oci.image_manifest(config, [layer])), _oci.MEDIA_MANIFEST)
    layout.write_index([{**manifest, "annotations": {_oci.REF_NAME: "whatever crane was asked for"}}])
    return str(manifest["digest"])


class Place:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.crane = path / "crane"
        self.crane.write_text(CRANE)
        self.crane.chmod(0o755)
        self.digests = {PAUSE: make_image(path / "pause", b"pause"), ETCD: make_image(path / "etcd", b"etcd")}

    def images(self, **digests: str) -> Images:
        return Images(str(self.path / "images"), str(self.path / "images.json"), digests)

    def pull(
        self, names: t.Sequence[str] = (PAUSE, ETCD), registry_map: t.Mapping[str, str] | None = None
    ) -> list[str]:
        images = self.images()
        return pull(images, images.missing(names), str(self.crane), "amd64", registry_map or {}, retries=2)

    def calls(self) -> list[str]:
        path = self.path / "calls"
        return sorted(path.read_text().splitlines()) if path.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(_pull.time, "sleep", lambda seconds: None)
    return Place(tmp_path)


def test_images_join_one_layout_under_their_public_names(place: Place) -> None:
    assert place.pull(registry_map={"registry.k8s.io": "127.0.0.1:5000/k8s"}) == []
    assert place.calls() == ["127.0.0.1:5000/k8s/etcd:3.6.8-0", "127.0.0.1:5000/k8s/pause:3.10.2"]
    layout = place.images().layout
    assert {name: entry["digest"] for name, entry in layout.by_name().items()} == place.digests
    assert layout.verify() == []
    assert json.loads((place.path / "images.json").read_text()) == place.digests
    assert place.images().missing([PAUSE, ETCD]) == []
    assert [name for name in os.listdir(layout.path) if name.startswith(".")] == []


def test_later_pulls_are_by_the_recorded_digest(place: Place) -> None:
    place.pull([PAUSE])
    os.unlink(place.path / "images/index.json")
    assert place.pull([PAUSE]) == []
    assert place.calls() == [PAUSE, f"registry.k8s.io/pause@{place.digests[PAUSE]}"]


def test_another_image_than_the_recorded_one_is_refused(place: Place) -> None:
    place.pull([PAUSE])
    os.unlink(place.path / "images/index.json")
    other = make_image(place.path / "pause", b"replaced")
    (problem,) = place.pull([PAUSE])
    assert place.digests[PAUSE] in problem and other in problem
    assert place.images().missing([PAUSE]) == [PAUSE]


def test_committed_digest_and_record_must_agree(place: Place) -> None:
    place.pull([PAUSE])
    assert place.images(**{PAUSE: place.digests[PAUSE]}).missing([PAUSE]) == []
    with pytest.raises(PullError, match=r"images.json has another digest.*pause"):
        place.images(**{PAUSE: "sha256:" + "0" * 64})


def test_missing_blob_is_pulled_again(place: Place) -> None:
    place.pull()
    layout = place.images().layout
    blob = max(Path(layout.path, "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.unlink()
    missing = place.images().missing([PAUSE, ETCD])
    assert len(missing) == 1 and place.pull() == []
    assert place.images().layout.verify() == []


def test_damaged_pull_is_not_taken(place: Place) -> None:
    blob = max((place.path / "pause/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(b"x" * blob.stat().st_size)
    (problem,) = place.pull([PAUSE])
    assert blob.name in problem and place.images().missing([PAUSE]) == [PAUSE]


def test_transient_errors_are_retried_and_final_ones_are_not(place: Place) -> None:
    failures = place.path / "failures"
    failures.write_text("unexpected status code 503 Service Unavailable\nread: connection reset by peer")
    assert place.pull([PAUSE]) == [] and len(place.calls()) == 3
    failures.write_text("MANIFEST_UNKNOWN: manifest unknown")
    (problem,) = place.pull([ETCD])
    assert "MANIFEST_UNKNOWN" in problem and "release catalogue" in problem and ETCD in problem
    assert len(place.calls()) == 4


def test_leftovers_of_a_killed_run_are_removed(place: Place) -> None:
    (place.path / "images/.pull-killed/blobs").mkdir(parents=True)
    assert place.pull([PAUSE]) == []
    assert not (place.path / "images/.pull-killed").exists()


def test_unusable_crane_and_record(place: Place) -> None:
    place.crane.chmod(0o644)
    (problem,) = place.pull([PAUSE])
    assert "does not run" in problem
    (place.path / "images.json").write_text("{")
    with pytest.raises(PullError, match="cannot be read"):
        place.images()
