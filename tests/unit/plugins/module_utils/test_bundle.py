# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _bundle, _oci
from hypothesis import given
from hypothesis import strategies as st

RELEASE: dict[str, Any] = {
    "version": "1.36.3",
    "components": {
        "runc": {"version": "1.4.3", "license": "Apache-2.0", "purl": "pkg:golang/example.org/runc@v1.4.3"},
        "debian": {"version": "13", "license": "LicenseRef-Debian-main", "purl": "pkg:generic/debian@13"},
    },
    "builds": {"runc": {"component": "runc"}, "netbase": {"component": "debian"}},
    "files": {"runc": {"component": "runc", "mode": "0755"}},
    "images": {"example.org/p:1": {"component": "runc", "recipe": {"base": "netbase", "files": {"/runc": "runc"}}}},
}
PROGRAM = _bundle.Program("/build/runc", "a" * 64, 7)
BASE = _bundle.Program("/build/rootfs.tar", "b" * 64, 9)
RECIPE = RELEASE["images"]["example.org/p:1"]["recipe"]


def lock() -> dict[str, Any]:
    images = {"example.org/p:1": {"digest": "sha256:" + "c" * 64, "size": 3, "mediaType": "x"}}
    return _bundle.lock_document(RELEASE, "amd64", "source", {"runc": PROGRAM}, images, "sha256:" + "d" * 64)


def test_lock_has_what_hosts_need() -> None:
    assert lock() == {
        "schema": 1,
        "release": "1.36.3",
        "arch": "amd64",
        "source": "source",
        "files": {"runc": {"version": "1.4.3", "sha256": "a" * 64, "size": 7, "mode": "0755"}},
        "images": {"example.org/p:1": {"digest": "sha256:" + "c" * 64, "size": 3}},
        "files_manifest": "sha256:" + "d" * 64,
    }


def test_source_mode_goes_without_what_is_only_published() -> None:
    published = {"component": "runc", "addon": "extra"}
    release = {**RELEASE, "images": {**RELEASE["images"], "example.org/q:1": published}}
    assert _bundle.image_names(release, "source") == ["example.org/p:1"]
    assert _bundle.image_names(release, "upstream") == ["example.org/p:1", "example.org/q:1"]
    own = {**RELEASE["images"], "example.org/own:1": {**RELEASE["images"]["example.org/p:1"], "published": False}}
    assert _bundle.image_names({**RELEASE, "images": own}, "upstream") == ["example.org/p:1"]
    assert _bundle.image_names({**RELEASE, "images": own}, "source") == ["example.org/own:1", "example.org/p:1"]
    assert _bundle.missing_programs(release, {"runc": PROGRAM}, {"netbase": BASE}) == []
    entry = {"digest": "sha256:" + "c" * 64, "size": 3}
    made = _bundle.lock_document(release, "amd64", "upstream", {"runc": PROGRAM}, {"example.org/q:1": entry}, "")
    assert made["images"] == {"example.org/q:1": {**entry, "addon": "extra"}}


def test_sbom_lists_components_libraries_packages_files_and_images() -> None:
    builds = {
        "runc": {"modules": [["example.org/lib", "v1.0.0", "h1:x="], ["example.org/runc", "v1.4.3", ""]]},
        "netbase": {"packages": [["libc6", "2.41-12+deb13u4"], ["busybox-static", "1:1.37.0-6"]]},
    }
    document = _bundle.sbom_document(RELEASE, lock(), builds)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    references = [item["bom-ref"] for item in document["components"]]
    assert references == sorted(set(references))
    assert "pkg:golang/example.org/lib@v1.0.0" in references
    assert "pkg:deb/debian/libc6@2.41-12%2Bdeb13u4?arch=amd64" in references
    assert "pkg:deb/debian/busybox-static@1%3A1.37.0-6?arch=amd64" in references
    assert {"file:runc", "image:example.org/p:1"} <= set(references)
    depends = {item["ref"]: item["dependsOn"] for item in document["dependencies"]}
    assert depends["pkg:golang/example.org/runc@v1.4.3"] == ["pkg:golang/example.org/lib@v1.0.0"]
    assert set(depends) - {"hostplane.cluster/1.36.3-amd64"} <= set(references)
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", document["serialNumber"])


def test_sbom_is_the_same_twice_and_has_no_date() -> None:
    assert _bundle.sbom_document(RELEASE, lock(), {}) == _bundle.sbom_document(RELEASE, lock(), {})
    assert "timestamp" not in json.dumps(_bundle.sbom_document(RELEASE, lock(), {}))


def test_sbom_serial_number_follows_the_content() -> None:
    other = {**lock(), "files": {"runc": {**lock()["files"]["runc"], "sha256": "e" * 64}}}
    first, second = (_bundle.sbom_document(RELEASE, item, {})["serialNumber"] for item in (lock(), other))
    assert first != second


def test_image_inputs_change_with_program_base_recipe_and_arch() -> None:
    first = _bundle.image_inputs(RECIPE, "amd64", {"runc": PROGRAM}, BASE)
    assert first == _bundle.image_inputs(RECIPE, "amd64", {"runc": PROGRAM._replace(path="/x")}, BASE)
    others = [
        _bundle.image_inputs(RECIPE, "arm64", {"runc": PROGRAM}, BASE),
        _bundle.image_inputs(RECIPE, "amd64", {"runc": PROGRAM._replace(sha256="c" * 64)}, BASE),
        _bundle.image_inputs(RECIPE, "amd64", {"runc": PROGRAM}, BASE._replace(sha256="c" * 64)),
        _bundle.image_inputs({**RECIPE, "user": "1:1"}, "amd64", {"runc": PROGRAM}, BASE),
    ]
    assert len({first, *others}) == 5


@given(st.sets(st.sampled_from(["runc", "other"])), st.sets(st.sampled_from(["netbase"])))
def test_missing_programs_are_exactly_those_that_are_not_there(programs: set[str], bases: set[str]) -> None:
    missing = _bundle.missing_programs(RELEASE, dict.fromkeys(programs, PROGRAM), dict.fromkeys(bases, BASE))
    assert missing == sorted({"runc", "netbase"} - programs - bases)


def test_config_settings_leave_out_nothing_that_was_asked_for() -> None:
    recipe = {"files": {}, "env": {"B": "2", "A": "1"}, "entrypoint": ["/p"], "cmd": ["x"], "user": "65535:65535"}
    config = _oci.image_config("amd64", [], _bundle.config_settings(recipe))["config"]
    assert config == {
        "Env": ["A=1", "B=2"],
        "Entrypoint": ["/p"],
        "Cmd": ["x"],
        "User": "65535:65535",
        "WorkingDir": "/",
    }
    assert _oci.image_config("amd64", [], _bundle.config_settings({"files": {}}))["config"] == {"WorkingDir": "/"}


@pytest.mark.parametrize("packed", [False, True])
def test_extract_member_takes_the_last_layer_that_has_it(tmp_path: Path, packed: bool) -> None:
    layout = _oci.Layout(str(tmp_path / "layout"))
    layout.init()
    layers = []
    for content in (b"old", b"new"):
        stream = io.BytesIO()
        _oci.write_layer([_oci.LayerFile("/usr/local/bin/etcdctl", content=content)], stream)
        data = stream.getvalue()
        media = _oci.MEDIA_LAYER + ("+gzip" if packed else "")
        layers.append(layout.put(gzip.compress(data) if packed else data, media))
    config = layout.put(b"{}", _oci.MEDIA_CONFIG)
    entry = layout.put(_oci.canonical_json(_oci.image_manifest(config, layers)), _oci.MEDIA_MANIFEST)
    target = tmp_path / "etcdctl"
    assert _bundle.extract_member(layout, entry, "/usr/local/bin/etcdctl", str(target))
    assert target.read_bytes() == b"new"
    assert not _bundle.extract_member(layout, entry, "/absent", str(tmp_path / "absent"))
