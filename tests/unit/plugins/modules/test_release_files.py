# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, against a real TLS mirror and a real directory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.modules import release_files

Run = Callable[..., dict[str, Any]]
REPOSITORY = "hostplane/files"
PROGRAM = bytes(range(256)) * 3000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "state" / "files.json"
    monkeypatch.setattr(release_files, "CACHE", str(path))
    monkeypatch.setattr(release_files, "STAGING", str(tmp_path / "staging"))
    return path


@pytest.fixture
def options(tmp_path: Path, site: Any) -> dict[str, Any]:
    root = tmp_path / "root"
    digest = site.add_blob(REPOSITORY, PROGRAM)
    return {
        "mirror": site.options,
        "files": [
            {"path": f"{root}/bin/kubelet", "sha256": digest, "size": len(PROGRAM), "mode": "0755", "name": "kubelet"},
            {"path": f"{root}/etc/unit", "content": "[Unit]\n"},
        ],
        "secret_files": {f"{root}/etc/secret": "hunter2\n"},
    }


def snapshot(tmp_path: Path) -> dict[str, tuple[int, int, int]]:
    found = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pem")
    return {str(path): (path.stat().st_ino, path.stat().st_mode, path.stat().st_mtime_ns) for path in found}


def test_everything_is_made_present_once(run_module: Run, options: dict[str, Any], tmp_path: Path, site: Any) -> None:
    result = run_module(release_files, **options)
    root = tmp_path / "root"
    assert result["changed"] is True
    assert result["changed_paths"] == [f"{root}/bin/kubelet", f"{root}/etc/secret", f"{root}/etc/unit"]
    assert result["downloaded_bytes"] == len(PROGRAM)
    assert "diff" not in result
    assert (root / "bin/kubelet").read_bytes() == PROGRAM
    modes = [(root / name).stat().st_mode & 0o7777 for name in ("bin/kubelet", "etc/unit", "etc/secret")]
    assert modes == [0o755, 0o644, 0o600]

    before, requests = snapshot(tmp_path), len(site.asked)
    for check in (True, False):
        again = run_module(release_files, check=check, diff=True, **options)
        assert (again["changed"], again["changed_paths"], again["diff"]) == (False, [], [])
    assert snapshot(tmp_path) == before
    assert len(site.asked) == requests


def test_check_mode_tells_the_same_and_touches_nothing(
    run_module: Run, options: dict[str, Any], tmp_path: Path, site: Any
) -> None:
    told = run_module(release_files, check=True, diff=True, **options)
    assert not (tmp_path / "root").exists() and not (tmp_path / "state").exists()
    assert site.asked == []
    assert told["downloaded_bytes"] == 0
    done = run_module(release_files, diff=True, **options)
    assert told["changed_paths"] == done["changed_paths"] and told["diff"] == done["diff"]


def test_diff_shows_text_names_programs_and_hides_secrets(
    run_module: Run, options: dict[str, Any], tmp_path: Path
) -> None:
    digest = options["files"][0]["sha256"]
    shown = {entry["before_header"]: entry for entry in run_module(release_files, diff=True, **options)["diff"]}
    root = str(tmp_path / "root")
    assert shown[f"{root}/bin/kubelet"]["after"] == f"sha256:{digest}\nmode: 0755\n"
    assert shown[f"{root}/etc/unit"]["after"] == "[Unit]\nmode: 0644\n"
    assert shown[f"{root}/etc/secret"]["after"] == "(new secret)\nmode: 0600\n"
    assert all(entry["before"] == "" for entry in shown.values())

    Path(root, "etc/secret").write_text("older secret")
    Path(root, "etc/unit").write_text("[Old]\n")
    Path(root, "etc/unit").chmod(0o600)
    Path(root, "bin/kubelet").write_bytes(b"older")
    result = run_module(release_files, check=True, diff=True, **options)
    shown = {entry["before_header"]: entry for entry in result["diff"]}
    assert 'secret"' not in json.dumps(result).replace("etc/secret", "")
    assert shown[f"{root}/etc/secret"]["before"] == "(secret)\n"
    assert (shown[f"{root}/etc/unit"]["before"], shown[f"{root}/etc/unit"]["after"]) == (
        "[Old]\nmode: 0600\n",
        "[Unit]\nmode: 0644\n",
    )
    assert shown[f"{root}/bin/kubelet"]["before"] == "(another file)\n"


def test_no_secret_is_ever_returned(run_module: Run, options: dict[str, Any]) -> None:
    for extra in ({}, {"check": True}):
        text = json.dumps(run_module(release_files, diff=True, **extra, **options))
        assert "hunter2" not in text and "open-sesame" not in text


def test_only_the_mode(run_module: Run, options: dict[str, Any], tmp_path: Path, site: Any) -> None:
    run_module(release_files, **options)
    program = tmp_path / "root/bin/kubelet"
    program.chmod(0o644)
    inode, requests = program.stat().st_ino, len(site.asked)
    result = run_module(release_files, diff=True, **options)
    assert result["changed_paths"] == [str(program)] and result["downloaded_bytes"] == 0
    assert [(entry["before"], entry["after"]) for entry in result["diff"]] == [("mode: 0644\n", "mode: 0755\n")]
    assert program.stat().st_ino == inode and program.stat().st_mode & 0o7777 == 0o755
    assert len(site.asked) == requests


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_is_replaced_and_not_followed(
    run_module: Run, options: dict[str, Any], tmp_path: Path, dangling: bool
) -> None:
    run_module(release_files, **options)
    unit, other = tmp_path / "root/etc/unit", tmp_path / "other"
    unit.unlink()
    unit.symlink_to(other)
    if not dangling:
        other.write_text("[Unit]\n")
    result = run_module(release_files, diff=True, **options)
    assert result["changed_paths"] == [str(unit)]
    assert "(not a regular file)" in result["diff"][0]["before"]
    assert not unit.is_symlink() and unit.read_text() == "[Unit]\n"


def test_all_failed_downloads_are_named_and_the_good_ones_kept(
    run_module: Run, options: dict[str, Any], tmp_path: Path, site: Any
) -> None:
    root = tmp_path / "root"
    broken = site.add_blob(REPOSITORY, b"broken")
    site.answers[f"/v2/{REPOSITORY}/blobs/sha256:{broken}"] = site.Answer(body=b"altered")
    options["files"] += [
        {"path": f"{root}/bin/missing", "sha256": "0" * 64},
        {"path": f"{root}/bin/broken", "sha256": broken},
    ]
    result = run_module(release_files, **options)
    assert result["failed"]
    assert f"{root}/bin/missing: " in result["msg"] and "answered 404" in result["msg"]
    assert f"{root}/bin/broken: received 7 bytes" in result["msg"]
    assert os.listdir(root / "bin") == ["kubelet"]
    assert not (root / "etc").exists(), "configuration comes after the programs that read it"
    # What arrived isn't fetched again.
    options["files"] = options["files"][:2]
    assert run_module(release_files, **options)["downloaded_bytes"] == 0


@pytest.mark.parametrize("how", [{"length": 100}, {"chunked": True}])
def test_a_broken_transfer_is_an_error_with_a_name(
    run_module: Run, options: dict[str, Any], tmp_path: Path, site: Any, how: dict[str, Any]
) -> None:
    path = next(iter(site.answers))
    site.answers[path] = site.Answer(body=b"half", headers={"Connection": "close"}, **how)
    result = run_module(release_files, **options)
    assert result["failed"] and "root/bin/kubelet: " in result["msg"]
    assert os.listdir(tmp_path / "root/bin") == []


def test_content_needs_no_mirror(run_module: Run, options: dict[str, Any], tmp_path: Path) -> None:
    del options["mirror"]
    result = run_module(release_files, **options)
    assert result["failed"] and "kubelet: is to be fetched, but no mirror is given" in result["msg"]
    options["files"] = options["files"][1:]
    assert run_module(release_files, **options)["changed"] is True
    assert run_module(release_files)["changed"] is False


def test_wrong_arguments_change_nothing(run_module: Run, options: dict[str, Any], tmp_path: Path) -> None:
    options["files"].append({"path": "relative", "content": ""})
    options["secret_files"][options["files"][0]["path"]] = "twice"
    result = run_module(release_files, **options)
    assert result["failed"] and "relative: the path must be absolute" in result["msg"]
    assert "kubelet: listed more than once" in result["msg"]
    assert not (tmp_path / "root").exists()


def test_what_is_fetched_beforehand_is_used_later(
    run_module: Run, options: dict[str, Any], tmp_path: Path, site: Any
) -> None:
    kubelet = f"{tmp_path}/root/bin/kubelet"
    for check, changed in ((True, True), (False, True), (False, False)):
        result = run_module(release_files, check=check, stage=True, unit="", **options)
        assert (result["changed"], result["staged"]) == (changed, [kubelet] * changed)
        # What a later run will change, whether it is fetched already or not.
        assert kubelet in result["changed_paths"]
        assert not (tmp_path / "root").exists()
    asked = len(site.asked)
    done = run_module(release_files, **options)
    assert Path(kubelet).read_bytes() == PROGRAM and (done["changed"], done["downloaded_bytes"]) == (True, 0)
    assert len(site.asked) == asked and not list((tmp_path / "staging").iterdir())


def test_a_fetched_file_that_was_damaged_is_fetched_again(
    run_module: Run, options: dict[str, Any], tmp_path: Path
) -> None:
    run_module(release_files, stage=True, **options)
    (waiting,) = (tmp_path / "staging/files").iterdir()
    waiting.write_bytes(b"x")
    assert run_module(release_files, **options)["downloaded_bytes"] == len(PROGRAM)
    assert (tmp_path / "root/bin/kubelet").read_bytes() == PROGRAM
