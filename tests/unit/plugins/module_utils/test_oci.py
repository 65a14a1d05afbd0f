# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _oci
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


def layer_of(files: list[_oci.LayerFile]) -> bytes:
    stream = io.BytesIO()
    _oci.write_layer(files, stream)
    return stream.getvalue()


@given(st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=5), st.randoms())
def test_layer_does_not_depend_on_order(contents: dict[str, bytes], random: object) -> None:
    files = [_oci.LayerFile("/x/" + name.replace("/", "-"), content=data) for name, data in contents.items()]
    mixed = list(files)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert layer_of(files) == layer_of(mixed)
    with tarfile.open(fileobj=io.BytesIO(layer_of(files))) as archive:
        members = archive.getmembers()
    assert [item.name for item in members] == sorted(item.name for item in members)
    assert {(item.mtime, item.uid, item.gid, item.uname) for item in members} == {(0, 0, 0, "")}


def test_layer_has_parent_directories_before_their_content(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"run")
    os.utime(program, (5, 5))
    data = layer_of([_oci.LayerFile("/usr/local/bin/p", str(program)), _oci.LayerFile("/tmp", mode=0o1777)])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["tmp", "usr", "usr/local", "usr/local/bin", "usr/local/bin/p"]
        assert archive.getmember("tmp").mode == 0o1777
        assert archive.getmember("usr/local/bin/p").mode == 0o755


@pytest.fixture
def layout(tmp_path: Path) -> _oci.Layout:
    made = _oci.Layout(str(tmp_path / "layout"))
    made.init()
    return made


def add_image(layout: _oci.Layout, name: str, content: bytes = b"program") -> _oci.JSON:
    layer = layout.put_layer([_oci.LayerFile("/bin/p", content=content)])
    config = layout.put(_oci.canonical_json(_oci.image_config("amd64", [layer["digest"]], {})), _oci.MEDIA_CONFIG)
    data = _oci.canonical_json(_oci.image_manifest(config, [layer]))
    return layout.put(data, _oci.MEDIA_MANIFEST, annotations={_oci.REF_NAME: name})


def test_layout_round_trip(layout: _oci.Layout) -> None:
    entry = add_image(layout, "example.org/p:1")
    assert layout.write_index([entry]) is True
    assert layout.write_index([entry]) is False
    assert layout.by_name() == {"example.org/p:1": entry}
    assert layout.complete(entry)
    assert layout.verify() == []
    assert layout.stale() == []


def test_index_is_sorted_whatever_the_order(layout: _oci.Layout) -> None:
    entries = [add_image(layout, f"example.org/{name}:1", name.encode()) for name in "cab"]
    layout.write_index(entries)
    assert list(layout.by_name()) == [f"example.org/{name}:1" for name in "abc"]


def test_prune_removes_only_what_nothing_refers_to(layout: _oci.Layout) -> None:
    keep, drop = add_image(layout, "example.org/p:1"), add_image(layout, "example.org/p:2", b"other")
    layout.write_index([keep])
    Path(layout.path, "blobs", "sha256", ".tmp-left-by-a-killed-run").touch()
    removed = layout.prune()
    assert drop["digest"].split(":")[1] in removed
    assert ".tmp-left-by-a-killed-run" in removed
    assert layout.verify() == []
    assert not layout.complete(drop)


def test_verify_finds_changed_missing_and_short_blobs(layout: _oci.Layout) -> None:
    entry = add_image(layout, "example.org/p:1")
    layout.write_index([entry])
    layer = Path(layout.blob_path(layout.read_json(entry["digest"])["layers"][0]["digest"]))
    data = layer.read_bytes()
    layer.write_bytes(b"X" + data[1:])
    assert "does not hold what its name says" in layout.verify()[0]
    layer.write_bytes(data[:-1])
    assert "does not have" in layout.verify()[0]
    layer.unlink()
    assert "is missing" in layout.verify()[0]
    assert not layout.complete(entry)
    os.unlink(layout.blob_path(entry["digest"]))
    assert layout.verify()


def test_take_file_refuses_a_changed_source(layout: _oci.Layout, tmp_path: Path) -> None:
    source = tmp_path / "kubelet"
    source.write_bytes(b"one")
    entry = _oci.descriptor("application/octet-stream", _oci.digest_of(b"one"), 3)
    layout.take_file(str(source), entry)
    assert layout.has(entry)
    source.unlink()
    source.write_bytes(b"two")
    os.unlink(layout.blob_path(entry["digest"]))
    with pytest.raises(_oci.OciError, match="is not sha256:"):
        layout.take_file(str(source), entry)


def test_take_file_copies_across_file_systems(
    layout: _oci.Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "kubelet").write_bytes(b"one")
    entry = _oci.descriptor("application/octet-stream", _oci.digest_of(b"one"), 3)
    layout.take_file(str(tmp_path / "kubelet"), entry)
    assert Path(layout.blob_path(entry["digest"])).read_bytes() == b"one"


@pytest.mark.parametrize("digest", ["sha512:" + "0" * 64, "sha256:../../../etc/passwd", "sha256:" + "0" * 63, ""])
def test_digests_cannot_lead_out_of_the_layout(layout: _oci.Layout, digest: str) -> None:
    with pytest.raises(_oci.OciError, match="is not a sha256 digest"):
        layout.blob_path(digest)


def test_a_broken_index_is_explained(layout: _oci.Layout) -> None:
    Path(layout.path, "index.json").write_text("{")
    with pytest.raises(_oci.OciError, match="is not an OCI index"):
        layout.index()


def test_walk_follows_multi_platform_indexes_once(layout: _oci.Layout) -> None:
    inner = add_image(layout, "example.org/p:1")
    outer = layout.put(_oci.canonical_json({"schemaVersion": 2, "manifests": [inner, inner]}), _oci.MEDIA_INDEX)
    digests = [entry["digest"] for entry in layout.walk([outer])]
    assert len(digests) == len(set(digests)) == 4
