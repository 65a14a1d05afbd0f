# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _gobuild
from ansible_collections.hostplane.cluster.plugins.modules import bundle_build

FAKE_GO = """#!/bin/sh
case "$1" in
  env) echo go1.26.8 ;;
  version) printf 'a: go1.26.8\\n\\tdep\\texample.org/lib\\tv1.0.0\\th1:x=\\n' ;;
  build)
    echo "$PWD" >> {log}
    test -e broken && { echo 'go: updates to go.mod needed' >&2; exit 1; }
    while [ "$1" != -o ]; do shift; done
    echo program > "$2/tool" ;;
esac
"""


@pytest.fixture
def go(tmp_path: Path) -> str:
    path = tmp_path / "go"
    path.write_text(FAKE_GO.replace("{log}", str(tmp_path / "log")))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def builds(tmp_path: Path) -> dict[str, Any]:
    made = {}
    for name in ("one", "two"):
        path = tmp_path / "gomod" / name
        path.mkdir(parents=True)
        (path / "go.mod").write_text("module x\n\ngo 1.26.0\n")
        (path / "go.sum").touch()
        made[name] = {"component": name, "gomod": str(path), "binaries": {name: "example.org/tool"}, "minutes": 3}
    return made


def run(
    tmp_path: Path, go: str, builds: dict[str, Any], check: bool = False, names: tuple[str, ...] = ()
) -> dict[str, Any]:
    params = {
        "builds": builds,
        "names": list(names),
        "arch": _gobuild.host_arch(),
        "cache_dir": str(tmp_path / "cache"),
    }
    module: Any = SimpleNamespace(params={**params, "go": go}, check_mode=check, _diff=True)
    return bundle_build.run(module)


def calls(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return [Path(line).name for line in log.read_text().splitlines()] if log.exists() else []


def test_check_mode_says_what_would_be_built(tmp_path: Path, go: str, builds: dict[str, Any]) -> None:
    result = run(tmp_path, go, builds, check=True)
    assert result["changed"] is True
    assert [(row["name"], row["cached"], row["minutes"]) for row in result["builds"]] == [
        ("one", False, 3),
        ("two", False, 3),
    ]
    assert "build one" in result["diff"]["after"]
    assert calls(tmp_path) == []
    assert not (tmp_path / "cache").exists()


def test_only_what_is_missing_is_built(tmp_path: Path, go: str, builds: dict[str, Any]) -> None:
    first = run(tmp_path, go, builds, names=("one",))
    assert [row["name"] for row in first["builds"]] == ["one"]
    assert run(tmp_path, go, builds)["changed"] is True
    assert calls(tmp_path) == ["one", "two"]
    again = run(tmp_path, go, builds)
    assert again["changed"] is False
    assert all(row["cached"] and Path(row["path"], row["name"]).exists() for row in again["builds"])
    assert calls(tmp_path) == ["one", "two"]


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_a_changed_source_is_built_again(tmp_path: Path, go: str, builds: dict[str, Any], name: str) -> None:
    run(tmp_path, go, builds)
    with open(os.path.join(builds["two"]["gomod"], name), "a", encoding="utf-8") as stream:
        stream.write("// new\n")
    result = run(tmp_path, go, builds, check=True)
    assert [row["name"] for row in result["builds"] if not row["cached"]] == ["two"]


def test_a_mismatch_is_explained_and_leaves_nothing(tmp_path: Path, go: str, builds: dict[str, Any]) -> None:
    Path(builds["one"]["gomod"], "broken").touch()
    with pytest.raises(_gobuild.GoBuildError, match="do not match what is to be built"):
        run(tmp_path, go, builds, names=("one",))
    assert os.listdir(tmp_path / "cache") == []


def test_all_problems_come_before_the_first_build(tmp_path: Path, go: str, builds: dict[str, Any]) -> None:
    os.unlink(os.path.join(builds["one"]["gomod"], "go.sum"))
    Path(builds["two"]["gomod"], "go.mod").write_text("module x\n\ngo 1.99\n")
    with pytest.raises(_gobuild.GoBuildError) as caught:
        run(tmp_path, go, builds, names=("one", "two", "three"))
    for part in ("no build 'three'", "go.sum is missing", "needs Go 1.99"):
        assert part in str(caught.value)
    assert calls(tmp_path) == []


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_c_programs_need_no_go(tmp_path: Path) -> None:
    source = tmp_path / "pause"
    source.mkdir()
    (source / "pause.c").write_text("int main(void) { return 0; }\n")
    builds = {"pause": {"component": "pause", "source": str(source), "binaries": {"pause": "pause.c"}}}
    assert run(tmp_path, "/nowhere/go", builds)["changed"] is True
    assert run(tmp_path, "/nowhere/go", builds, check=True)["builds"][0]["cached"] is True
