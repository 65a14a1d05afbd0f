# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _gobuild, _sysbuild
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text("abcxyz-=. ", max_size=6)
BUILDS = st.builds(
    _gobuild.GoBuild,
    name=st.sampled_from(["runc", "etcd"]),
    gomod=st.just("/nowhere"),
    binaries=st.dictionaries(TEXT, TEXT, max_size=2),
    arch=st.sampled_from(["amd64", "arm64"]),
    cgo=st.booleans(),
    tags=st.lists(TEXT, max_size=2, unique=True).map(tuple),
    ldflags=TEXT,
)
SOURCES = st.dictionaries(TEXT, TEXT, max_size=2)


@given(BUILDS, SOURCES, TEXT, BUILDS, SOURCES, TEXT)
def test_key_is_the_same_only_for_the_same_inputs(
    build: _gobuild.GoBuild, sources: Any, go: str, other: _gobuild.GoBuild, others: Any, other_go: str
) -> None:
    same = (
        build._replace(tags=tuple(sorted(build.tags))) == other._replace(tags=tuple(sorted(other.tags)))
        and sources == others
        and go == other_go
    )
    assert (_gobuild.build_key(build, sources, go) == _gobuild.build_key(other, others, other_go)) == same


@given(BUILDS, SOURCES)
def test_key_can_be_a_directory_name_and_does_not_depend_on_where_sources_are(
    build: _gobuild.GoBuild, sources: Any
) -> None:
    key = _gobuild.build_key(build, sources, "go1.26.0")
    assert key.startswith(f"{build.name}-{build.arch}-")
    assert key.replace("-", "").isalnum()
    assert key == _gobuild.build_key(build._replace(gomod="/elsewhere"), sources, "go1.26.0")


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("go.etcd.io/etcd/etcdctl/v3", "etcdctl"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("github.com/opencontainers/runc", "runc"),
        ("example.org/v1", "v1"),
        ("example.org/tool/v10", "tool"),
    ],
)
def test_executable_name(package: str, name: str) -> None:
    assert _gobuild.executable_name(package) == name


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8", (1, 26, 8)), ("go version go1.26rc1 linux/amd64", (1, 26, 0)), ("1.25", (1, 25, 0))],
)
def test_parse_go_version(text: str, version: tuple[int, ...]) -> None:
    assert _gobuild.parse_go_version(text) == version


def test_unreadable_go_version() -> None:
    with pytest.raises(_gobuild.GoBuildError, match="cannot read a Go version"):
        _gobuild.parse_go_version("devel")


def test_command_line_is_strict_and_reproducible() -> None:
    build = _gobuild.GoBuild(
        "x", "/m", {"b": "example.org/b", "a": "example.org/a"}, tags=("t1", "t2"), ldflags="-X v=1"
    )
    argv = _gobuild.command_line(build, "/out")
    assert argv[:5] == ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false"]
    assert "-tags=t1,t2" in argv
    assert "-ldflags=-s -w -buildid= -X v=1" in argv
    assert argv[-2:] == ["example.org/a", "example.org/b"]


def test_environment_keeps_the_callers_flags_out() -> None:
    base = {"GOFLAGS": "-mod=mod", "GOWORK": "/x", "CGO_CFLAGS": "-O0", "HOME": "/h", "GOPROXY": "https://p"}
    env = _gobuild.environment(_gobuild.GoBuild("x", "/m", {}, arch="arm64"), base)
    assert (env["GOFLAGS"], env["GOWORK"], env["CGO_ENABLED"], env["GOARCH"]) == ("", "off", "0", "arm64")
    assert "CGO_CFLAGS" not in env
    assert (env["HOME"], env["GOPROXY"], env["GOTOOLCHAIN"]) == ("/h", "https://p", "local")


def test_validate_names_everything(tmp_path: Path) -> None:
    build = _gobuild.GoBuild("x", str(tmp_path), {"a": "one/p", "b": "two/p", "c": "."})
    found = "\n".join(_gobuild.validate(build))
    for part in ("go.mod is missing", "go.sum is missing", "both make a file p", "has to be the only one"):
        assert part in found
    assert "no binaries" in "\n".join(_gobuild.validate(build._replace(binaries={})))


def test_parse_modules_takes_replacements() -> None:
    text = (
        "runc: go1.26\n\tpath\tx\n\tdep\texample.org/b\tv1.0.0\th1:b=\n\tdep\texample.org/a\tv1.0.0\n"
        "\t=>\texample.org/fork\tv1.0.1\th1:f=\n\tbuild\t-trimpath=true\n"
    )
    assert _gobuild.parse_modules(text) == [
        ["example.org/fork", "v1.0.1", "h1:f="],
        ["example.org/b", "v1.0.0", "h1:b="],
    ]


def test_store_is_atomic_and_cleans_up(tmp_path: Path) -> None:
    def fail(work: str) -> dict[str, Any]:
        Path(work, "half").write_text("x")
        raise _gobuild.GoBuildError("no")

    with pytest.raises(_gobuild.GoBuildError):
        _gobuild.store(str(tmp_path), "key", fail)
    assert os.listdir(tmp_path) == []

    left = tmp_path / ".work-killed"
    left.mkdir()

    def fill(work: str) -> dict[str, Any]:
        Path(work, "program").write_text("x")
        return {"name": "p"}

    manifest = _gobuild.store(str(tmp_path), "key", fill)
    assert os.listdir(tmp_path) == ["key"]
    assert manifest["files"]["program"]["size"] == 1
    assert _gobuild.read_manifest(str(tmp_path / "key")) == manifest
    # Someone else has finished it meanwhile.
    assert _gobuild.store(str(tmp_path), "key", fail) == manifest


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": []}', '{"files": {"gone": {"size": 1}}}', '{"files": {"program": {}}}']
)
def test_a_directory_that_is_no_build_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "program").write_text("x")
    assert _gobuild.read_manifest(str(tmp_path)) is None
    (tmp_path / "manifest.json").write_text(text)
    assert _gobuild.read_manifest(str(tmp_path)) is None


def test_a_program_of_another_size_is_built_again(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("x")
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"program": {"size": 1}}}))
    assert _gobuild.read_manifest(str(tmp_path))
    (tmp_path / "program").write_text("xy")
    assert _gobuild.read_manifest(str(tmp_path)) is None


GOMOD = "module example.org/build\n\ngo 1.21\n"
needs_go = pytest.mark.skipif(not shutil.which("go"), reason="needs Go")


def module(path: Path, more: str = "") -> _gobuild.GoBuild:
    path.mkdir()
    (path / "go.mod").write_text(GOMOD + more)
    (path / "go.sum").write_text("")
    (path / "main.go").write_text('package main\n\nvar version = "none"\n\nfunc main() { print(version) }\n')
    return _gobuild.GoBuild(
        "hello", str(path), {"hello": "."}, arch=_gobuild.host_arch(), ldflags="-X main.version=1.2"
    )


@needs_go
def test_real_build_is_the_same_twice_from_different_directories(tmp_path: Path) -> None:
    sums = []
    for name in ("one", "two"):
        builder = _gobuild.GoBuilder(str(tmp_path / f"cache-{name}"))
        build = module(tmp_path / name)
        manifest = builder.build(build, "key", builder.version())
        sums.append(manifest["files"])
    assert sums[0] == sums[1]
    assert list(sums[0]) == ["hello"]


@needs_go
def test_real_build_that_does_not_match_go_sum_fails_and_changes_nothing(tmp_path: Path) -> None:
    build = module(tmp_path / "m", "\nrequire golang.org/x/text v0.14.0\n")
    main = Path(build.gomod, "main.go")
    main.write_text('package main\n\nimport _ "golang.org/x/text/language"\n\nfunc main() {}\n')
    before = _gobuild.source_digests(build.gomod)
    builder = _gobuild.GoBuilder(str(tmp_path / "cache"))
    with pytest.raises(_gobuild.GoBuildError, match=r"do not match.*(?s:.)*go mod tidy"):
        builder.build(build, "key", builder.version())
    assert _gobuild.source_digests(build.gomod) == before
    assert os.listdir(tmp_path / "cache") == []


def test_missing_go_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(_gobuild.GoBuildError, match="bundle_source: upstream"):
        _gobuild.GoBuilder(str(tmp_path), "/nowhere/go").version()


def test_too_old_go_and_foreign_c_are_named(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    build = _gobuild.GoBuild("kubernetes", str(tmp_path), {"a": "x/a"}, arch="s390x", cgo=True)
    found = _gobuild.GoBuilder(str(tmp_path)).check(build, "go1.24.3")
    assert "needs Go 1.26.0 or newer" in found[0]
    assert "cannot be made for s390x" in found[1]


def test_rootfs_command_and_key() -> None:
    build = _sysbuild.SysBuild("netbase", "/r/netbase", suite="trixie", packages=("nftables", "iptables"))
    argv = _sysbuild.rootfs_command(build, "/out.tar")
    assert argv[-2:] == ["trixie", "/out.tar"]
    assert "--include=iptables,nftables" in argv
    key = _sysbuild.build_key(build, {"a": "1"}, "1.5")
    assert key == _sysbuild.build_key(build._replace(packages=("iptables", "nftables")), {"a": "1"}, "1.5")
    assert key != _sysbuild.build_key(build, {"a": "2"}, "1.5")
    assert key != _sysbuild.build_key(build, {"a": "1"}, "1.6")


def test_parse_control() -> None:
    assert _sysbuild.parse_control("Package: kmod\nVersion: 34.2-2\nDescription: x\n") == ["kmod", "34.2-2"]


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_c_build(tmp_path: Path) -> None:
    (tmp_path / "p.c").write_text("int main(void) { return 0; }\n")
    build = _sysbuild.SysBuild("p", str(tmp_path), arch=_gobuild.host_arch(), binaries={"p": "p.c"})
    manifest = _sysbuild.build_system(str(tmp_path / "cache"), build, "key")
    assert list(manifest["files"]) == ["p"]
    (tmp_path / "p.c").write_text("int main(void) { return }\n")
    with pytest.raises(_gobuild.GoBuildError, match="`gcc` failed"):
        _sysbuild.build_system(str(tmp_path / "cache"), build, "key2")
    with pytest.raises(_gobuild.GoBuildError, match="cannot be made on"):
        _sysbuild.build_system(str(tmp_path / "cache"), build._replace(arch="s390x"), "key3")


def test_missing_tool_says_what_to_do() -> None:
    with pytest.raises(_gobuild.GoBuildError, match="Debian package nothing-here"):
        _sysbuild.tool_version(["nothing-here", "--version"])
