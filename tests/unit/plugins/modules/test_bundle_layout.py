# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _bundle, _gobuild, _oci
from ansible_collections.hostplane.cluster.plugins.modules import bundle_layout

PURL = "pkg:golang/example.org/{}@v1"
RELEASE: dict[str, Any] = {
    "version": "1.36.3",
    "components": {
        name: {"version": "1", "license": "Apache-2.0", "purl": PURL.format(name)} for name in ("kube", "etcd")
    },
    "builds": {"kube": {"component": "kube"}, "etcd": {"component": "etcd"}, "netbase": {"component": "kube"}},
    "files": {
        "kubelet": {"component": "kube", "mode": "0755"},
        "etcdctl": {
            "component": "etcd",
            "mode": "0755",
            "from_image": {"image": "registry.k8s.io/etcd:1", "path": "/bin/etcdctl"},
        },
    },
    "images": {
        "registry.k8s.io/etcd:1": {
            "component": "etcd",
            "recipe": {"base": "static", "files": {"/bin/etcd": "etcd", "/bin/etcdctl": "etcdctl"}, "user": "0:0"},
        },
        "registry.k8s.io/kube-proxy:v1": {
            "component": "kube",
            "recipe": {
                "base": "netbase",
                "files": {"/bin/kube-proxy": "kube-proxy"},
                "entrypoint": ["/bin/kube-proxy"],
            },
        },
    },
}


def build(cache: Path, name: str, files: dict[str, bytes]) -> str:
    def fill(work: str) -> dict[str, Any]:
        for program, data in files.items():
            Path(work, program).write_bytes(data)
        return {"name": name, "modules": [["example.org/lib", "v1", "h1:="]]}

    key = f"{name}-{_oci.digest_of(b''.join(files.values()))[7:19]}"
    _gobuild.store(str(cache), key, fill)
    return str(cache / key)


@pytest.fixture
def builds(tmp_path: Path) -> dict[str, str]:
    cache = tmp_path / "cache"
    rootfs = tmp_path / "rootfs.tar"
    with rootfs.open("wb") as stream:
        _oci.write_layer([_oci.LayerFile("/bin/sh", content=b"sh")], stream)
    return {
        "kube": build(cache, "kube", {"kubelet": b"kubelet", "kube-proxy": b"proxy"}),
        "etcd": build(cache, "etcd", {"etcd": b"etcd", "etcdctl": b"ctl"}),
        "netbase": build(cache, "netbase", {"rootfs.tar": rootfs.read_bytes()}),
    }


def run(path: Path, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
    values = {"path": str(path), "release": RELEASE, "arch": "amd64", "builds": None, "download": None, "verify": True}
    module: Any = SimpleNamespace(params={**values, **params}, check_mode=check, _diff=diff)
    return bundle_layout.run(module)


def tree(path: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(item.relative_to(path)): (item.stat().st_mtime_ns, item.stat().st_ino, item.read_bytes())
        for item in sorted(path.rglob("*"))
        if item.is_file()
    }


def contents(path: Path) -> dict[str, bytes]:
    return {name: data for name, (mtime, inode, data) in tree(path).items()}


def test_two_runs_in_two_places_give_the_same_bytes(tmp_path: Path, builds: dict[str, str]) -> None:
    first, second = run(tmp_path / "a", builds=builds), run(tmp_path / "b", builds=builds)
    assert first["changed"] and second["changed"]
    assert first["lock"] == second["lock"]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_unchanged_run_touches_nothing(tmp_path: Path, builds: dict[str, str]) -> None:
    run(tmp_path / "a", builds=builds)
    before = tree(tmp_path / "a")
    again = run(tmp_path / "a", builds=builds)
    assert again["changed"] is False
    assert (again["made"], again["removed"]) == ([], [])
    assert tree(tmp_path / "a") == before


def test_the_layout_holds_everything_by_name(tmp_path: Path, builds: dict[str, str]) -> None:
    result = run(tmp_path / "a", builds=builds)
    layout = _oci.Layout(str(tmp_path / "a"))
    names = layout.by_name()
    assert set(names) == {*RELEASE["images"], "files:1.36.3-amd64", "lock:1.36.3-amd64"}
    files = layout.read_json(names["files:1.36.3-amd64"]["digest"])
    assert files["artifactType"] == _oci.ARTIFACT_FILES
    assert [layer["annotations"][_oci.TITLE] for layer in files["layers"]] == ["etcdctl", "kubelet"]
    assert result["lock"]["files_manifest"] == names["files:1.36.3-amd64"]["digest"]
    pointer = layout.read_json(names["lock:1.36.3-amd64"]["digest"])
    lock = json.loads(Path(layout.blob_path(pointer["layers"][0]["digest"])).read_bytes())
    assert lock == result["lock"] == json.loads((tmp_path / "a" / "lock.json").read_text())
    assert json.loads((tmp_path / "a" / "sbom.cdx.json").read_text())["bomFormat"] == "CycloneDX"
    assert result["size"] == sum(entry["size"] for entry in layout.walk(layout.index()))


def test_images_are_made_as_the_recipe_says(tmp_path: Path, builds: dict[str, str]) -> None:
    run(tmp_path / "a", builds=builds)
    layout = _oci.Layout(str(tmp_path / "a"))
    proxy = layout.read_json(layout.by_name()["registry.k8s.io/kube-proxy:v1"]["digest"])
    config = layout.read_json(proxy["config"]["digest"])
    assert config["config"]["Entrypoint"] == ["/bin/kube-proxy"]
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in proxy["layers"]]
    found = []
    for layer in proxy["layers"]:
        with tarfile.open(layout.blob_path(layer["digest"])) as archive:
            found += archive.getnames()
    assert {"bin/sh", "bin/kube-proxy"} <= set(found)


def test_a_new_program_makes_only_its_image_and_removes_the_old_one(tmp_path: Path, builds: dict[str, str]) -> None:
    run(tmp_path / "a", builds=builds)
    builds["kube"] = build(tmp_path / "cache", "kube", {"kubelet": b"kubelet", "kube-proxy": b"newer"})
    assert run(tmp_path / "a", builds=builds, check=True)["made"] == ["registry.k8s.io/kube-proxy:v1"]
    result = run(tmp_path / "a", builds=builds)
    assert result["made"] == ["registry.k8s.io/kube-proxy:v1"]
    # Program layer, configuration and manifest of the image, the lock and its manifest.
    assert len(result["removed"]) == 5
    run(tmp_path / "b", builds=builds)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_check_mode_tells_and_touches_nothing(tmp_path: Path, builds: dict[str, str]) -> None:
    result = run(tmp_path / "a", builds=builds, check=True, diff=True)
    assert result["changed"] is True
    assert sorted(RELEASE["images"]) == result["made"]
    assert result["diff"]["before"] == ""
    assert '"kubelet"' in result["diff"]["after"]
    assert not (tmp_path / "a").exists()
    run(tmp_path / "a", builds=builds)
    before = tree(tmp_path / "a")
    assert run(tmp_path / "a", builds=builds, check=True)["changed"] is False
    assert tree(tmp_path / "a") == before


@pytest.mark.parametrize("name", ["lock.json", "index.json", "sbom.cdx.json"])
def test_what_a_killed_run_left_is_finished(tmp_path: Path, builds: dict[str, str], name: str) -> None:
    run(tmp_path / "a", builds=builds)
    wanted = contents(tmp_path / "a")
    (tmp_path / "a" / name).unlink()
    (tmp_path / "a" / "blobs" / "sha256" / ".tmp-x").write_bytes(b"half")
    assert run(tmp_path / "a", builds=builds)["changed"] is True
    assert contents(tmp_path / "a") == wanted


def test_a_lost_blob_is_made_again(tmp_path: Path, builds: dict[str, str]) -> None:
    run(tmp_path / "a", builds=builds)
    wanted = contents(tmp_path / "a")
    for name in list(wanted):
        if name.startswith("blobs/"):
            (tmp_path / "a" / name).unlink()
            assert run(tmp_path / "a", builds=builds, check=True)["changed"] is True
            run(tmp_path / "a", builds=builds)
            assert contents(tmp_path / "a") == wanted


def test_a_damaged_blob_is_found_when_asked_for(tmp_path: Path, builds: dict[str, str]) -> None:
    result = run(tmp_path / "a", builds=builds)
    digest = result["lock"]["files"]["kubelet"]["sha256"]
    blob = tmp_path / "a" / "blobs" / "sha256" / digest
    blob.unlink()
    blob.write_bytes(b"KUBELET")
    with pytest.raises(_bundle.BundleError, match="does not hold what its name says"):
        run(tmp_path / "a", builds=builds)


def test_all_missing_programs_are_named(tmp_path: Path, builds: dict[str, str]) -> None:
    with pytest.raises(_bundle.BundleError, match="no build makes kube-proxy, kubelet, netbase"):
        run(tmp_path / "a", builds={"etcd": builds["etcd"]})
    with pytest.raises(_bundle.BundleError, match="is not a finished build"):
        run(tmp_path / "a", builds={"etcd": str(tmp_path / "gone")})


def test_downloads_are_taken_as_they_are(tmp_path: Path, builds: dict[str, str]) -> None:
    run(tmp_path / "made", builds=builds)
    source = _oci.Layout(str(tmp_path / "made"))
    staging = tmp_path / "download"
    images = _oci.Layout(str(staging / "images"))
    images.init()
    entries = [_bundle.copy_image(images, source, name, source.by_name()[name]) for name in RELEASE["images"]]
    images.write_index(entries)
    with pytest.raises(_bundle.BundleError, match="download these first: kubelet"):
        run(tmp_path / "a", download=str(staging))
    (staging / "files" / "kubelet").write_bytes(b"published")

    result = run(tmp_path / "a", download=str(staging))
    assert result["lock"]["source"] == "upstream"
    layout = _oci.Layout(str(tmp_path / "a"))
    for name in RELEASE["images"]:
        assert layout.by_name()[name]["digest"] == source.by_name()[name]["digest"]
    # Taken out of the image of the same version.
    blob = layout.blob_path("sha256:" + result["lock"]["files"]["etcdctl"]["sha256"])
    assert Path(blob).read_bytes() == b"ctl"
    assert run(tmp_path / "a", download=str(staging))["changed"] is False


def test_another_source_replaces_the_images(tmp_path: Path, builds: dict[str, str]) -> None:
    run(tmp_path / "a", builds=builds)
    release = copy.deepcopy(RELEASE)
    release["images"]["registry.k8s.io/etcd:1"]["recipe"]["user"] = "65532:65532"
    assert run(tmp_path / "a", builds=builds, release=release)["made"] == ["registry.k8s.io/etcd:1"]
    assert os.path.exists(tmp_path / "a" / "lock.json")
