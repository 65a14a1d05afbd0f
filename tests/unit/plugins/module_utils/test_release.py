# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils import _release
from hypothesis import given
from hypothesis import strategies as st

RELEASES = Path(__file__).parents[4] / "releases"
KNOWN = _release.known_releases(str(RELEASES))


def load(version: str) -> dict[str, Any]:
    return yaml.safe_load((RELEASES / f"{version}.yml").read_text())


def problems(document: Any, version: str = "1.36.3") -> list[str]:
    return _release.validate(document, version, lambda path: (RELEASES / path).exists())


def test_catalogues_are_there() -> None:
    assert {"1.35.4", "1.36.3"} <= set(KNOWN)


@pytest.mark.parametrize("version", KNOWN)
def test_every_catalogue_is_valid(version: str) -> None:
    assert problems(load(version), version) == []


@pytest.mark.parametrize("version", KNOWN)
@pytest.mark.parametrize("arch", _release.ARCHES)
def test_upstream_mode_has_every_file(version: str, arch: str) -> None:
    assert _release.missing_upstream(load(version), arch) == []


@pytest.mark.parametrize("version", KNOWN)
def test_components_that_kubeadm_expects(version: str) -> None:
    """The image names are kubeadm's own defaults: nothing has to be configured for it to find them."""
    release = load(version)
    names = set(release["images"])
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        assert f"registry.k8s.io/{program}:v{version}" in names
    parts = release["components"]
    assert f"registry.k8s.io/etcd:{parts['etcd']['version']}-0" in names
    assert f"registry.k8s.io/coredns/coredns:v{parts['coredns']['version']}" in names
    assert f"registry.k8s.io/pause:{parts['pause']['version']}" in names


@pytest.mark.parametrize("version", KNOWN)
def test_go_mod_has_the_version_of_its_component(version: str) -> None:
    release = load(version)
    for name, build in release["builds"].items():
        if not build.get("gomod") or name == "cni-flannel":
            continue
        module, number = release["components"][build["component"]]["purl"].removeprefix("pkg:golang/").split("@")
        assert f"{module} {number}" in (RELEASES / "gomod" / build["gomod"] / "go.mod").read_text()


def test_adding_a_release_is_adding_a_file(tmp_path: Path) -> None:
    # The CSI driver's sources are beside the releases.
    (tmp_path / "csi").symlink_to(RELEASES.parent / "csi")
    folder = tmp_path / "releases"
    folder.mkdir()
    for name in ("balancer", "gomod", "netbase", "pause"):
        (folder / name).symlink_to(RELEASES / name)
    text = (RELEASES / "1.36.3.yml").read_text().replace("version: 1.36.3", "version: 1.36.4")
    (folder / "1.36.4.yml").write_text(text)
    assert _release.known_releases(str(folder)) == ["1.36.4"]
    document = yaml.safe_load((folder / "1.36.4.yml").read_text())
    release = _release.checked(document, "1.36.4", str(folder))
    assert release["builds"]["runc"]["gomod"] == str(folder / "gomod" / "runc-1.4.3")
    assert release["builds"]["pause"]["source"] == str(folder / "pause")
    assert document["builds"]["runc"]["gomod"] == "runc-1.4.3"


def test_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(_release.ReleaseError, match=r"no release '1\.2\.3'; known releases: .*1\.35\.4, 1\.36\.3"):
        _release.catalogue_path(str(RELEASES), "1.2.3")


@pytest.mark.parametrize("version", ["../1.36.3", "1.36.3.yml", "", "gomod"])
def test_only_versions_are_looked_up(version: str) -> None:
    with pytest.raises(_release.ReleaseError):
        _release.catalogue_path(str(RELEASES), version)


def test_releases_are_sorted_as_numbers(tmp_path: Path) -> None:
    for version in ("1.9.10", "1.10.2", "1.9.9"):
        (tmp_path / f"{version}.yml").touch()
    (tmp_path / "README.md").touch()
    assert _release.known_releases(str(tmp_path)) == ["1.9.9", "1.9.10", "1.10.2"]
    assert _release.known_releases(str(tmp_path / "absent")) == []


CASES = {
    "version: is '1.0.0', the file name says '1.36.3'": lambda d: d.update(version="1.0.0"),
    "top level: unknown key 'extra'": lambda d: d.update(extra=1),
    "images: must be a mapping that is not empty": lambda d: d.update(images={}),
    "components.runc.license: must be a text": lambda d: d["components"]["runc"].pop("license"),
    "builds.runc: gomod/gone/go.mod is missing": lambda d: d["builds"]["runc"].update(gomod="gone"),
    "builds.pause: directory gone is missing": lambda d: d["builds"]["pause"].update(source="gone"),
    "builds.runc: needs exactly one of gomod, source": lambda d: d["builds"]["runc"].update(source="pause"),
    "builds.runc: unknown key 'cflags'": lambda d: d["builds"]["runc"].update(cflags="-O2"),
    "builds.runc.binaries: must be a mapping": lambda d: d["builds"]["runc"].update(binaries=[]),
    "runc is made by runc already": lambda d: d["builds"]["pause"].update(binaries={"runc": "runc.c"}),
    "builds.netbase: suite and packages belong together": lambda d: d["builds"]["netbase"].pop("packages"),
    "files.runc.component: 'nope' is not among": lambda d: d["files"]["runc"].update(component="nope"),
    "files.runc.mode: must be a quoted octal text": lambda d: d["files"]["runc"].update(mode=493),
    "amd64.sha256: must be 64": lambda d: d["files"]["runc"]["upstream"]["amd64"].update(sha256="abc"),
    "amd64.url: must start with https": lambda d: d["files"]["runc"]["upstream"]["amd64"].update(url="http://x"),
    "files.runc.upstream.sparc: unknown": lambda d: d["files"]["runc"]["upstream"].update(sparc={"url": "https://x"}),
    "files.new: neither a build nor upstream": lambda d: d["files"].update(new={"component": "runc", "mode": "0755"}),
    "files.etcdctl.from_image": lambda d: d["files"]["etcdctl"]["from_image"].update(image="example.org/x:1"),
    "must be a full name with registry and tag": lambda d: d["images"].update(pause=next(iter(d["images"].values()))),
    "recipe.base: 'runc' is neither": lambda d: next(iter(d["images"].values()))["recipe"].update(base="runc"),
    "nothing is made by no build": lambda d: next(iter(d["images"].values()))["recipe"].update(files={"/x": "nothing"}),
    "x must be an absolute path": lambda d: next(iter(d["images"].values()))["recipe"].update(files={"x": "runc"}),
    "images.ghcr.io/a/b:1: build runc is of the addon x, so this needs addon: x": lambda d: (
        d["builds"]["runc"].update(addon="x"),
        d["images"].update({"ghcr.io/a/b:1": {"component": "runc", "addon": "y", "recipe": {"files": {"/x": "runc"}}}}),
    ),
    "builds.runc.addon: must be a name": lambda d: d["builds"]["runc"].update(addon="Not a name"),
    "recipe: must be a mapping": lambda d: next(iter(d["images"].values())).pop("recipe"),
}


@pytest.mark.parametrize("message", CASES)
def test_each_mistake_is_named(message: str) -> None:
    document = load("1.36.3")
    CASES[message](document)
    assert any(message in problem for problem in problems(document))


def test_only_the_image_of_an_addon_may_be_without_a_recipe() -> None:
    document = load("1.36.3")
    document["images"]["ghcr.io/a/b:1"] = {"component": "runc", "addon": "x"}
    assert problems(document) == []
    assert _release.probe_urls(document, "amd64", {})


def test_all_mistakes_come_together() -> None:
    document = load("1.36.3")
    document["version"] = "1.0.0"
    document["files"]["runc"]["mode"] = 493
    document["builds"]["pause"]["source"] = "gone"
    with pytest.raises(_release.ReleaseError) as caught:
        _release.checked(document, "1.36.3", str(RELEASES))
    assert str(caught.value).count("\n- ") == 3


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_any_document_is_answered_with_problems(document: Any) -> None:
    assert problems(document)


@given(st.sampled_from(["components", "builds", "files", "images"]), JSON_VALUES, st.data())
def test_any_entry_is_answered_with_problems(section: str, value: Any, data: st.DataObject) -> None:
    document = copy.deepcopy(load_cached())
    name = data.draw(st.sampled_from(sorted(document[section])))
    document[section][name] = value
    assert problems(document)


_CACHE: dict[str, Any] = {}


def load_cached() -> dict[str, Any]:
    if not _CACHE:
        _CACHE.update(load("1.36.3"))
    return _CACHE


def test_one_address_per_host_is_asked() -> None:
    urls = _release.probe_urls(load("1.36.3"), "amd64", {"ghcr.io": "mirror.example.org:5000/ghcr"})
    hosts = [url.split("/")[2] for url in urls]
    assert hosts == [
        "dl.k8s.io",
        "registry-1.docker.io",
        "mirror.example.org:5000",
        "github.com",
        "quay.io",
        "registry.k8s.io",
    ]


@given(
    st.sampled_from(["", "source", "upstream", "?"]),
    st.lists(st.text(), max_size=2),
    st.dictionaries(st.text(), st.text()),
)
def test_choice_is_upstream_only_when_everything_is_to_be_had(
    present: str, missing: list[str], silent: dict[str, str]
) -> None:
    source, reason = _release.choose_source(present, missing, silent)
    assert reason
    if present in ("source", "upstream"):
        assert source == present
    else:
        assert (source == "upstream") == (not missing and not silent)


def test_missing_upstream_is_named(tmp_path: Path) -> None:
    release = load("1.36.3")
    del release["files"]["crane"]["upstream"]["arm64"]
    assert _release.missing_upstream(release, "arm64") == ["crane"]
    assert "crane" in _release.choose_source("", ["crane"], {})[1]
    shutil.rmtree(tmp_path)
