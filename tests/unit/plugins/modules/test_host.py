# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for a bare host as Ansible runs them. Only in check mode: this machine is not to be changed."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest


def run(name: str, **arguments: t.Any) -> dict[str, t.Any]:
    """Run a module in check mode with diff."""
    module = f"ansible_collections.hostplane.cluster.plugins.modules.{name}"
    given = {**arguments, "_ansible_check_mode": True, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        capture_output=True,
        text=True,
        check=False,
    )
    result: dict[str, t.Any] = json.loads(done.stdout)
    return result


def test_host_check_returns_findings_and_facts_without_failing() -> None:
    result = run(
        "host_check", cluster_name="shop", role="control_plane", arch="arm64", min_cpus=4096, ignore=["NumCPU"]
    )
    assert result["changed"] is False
    assert "failed" not in result
    assert "NumCPU" in [entry["code"] for entry in result["ignored"]]
    assert "NumCPU" not in [entry["code"] for entry in result["findings"]]
    assert result["facts"]["cluster"]["state"] in ("empty", "installed", "begun", "member", "foreign")
    assert result["time"]["started"] < result["time"]["ended"]


def test_host_check_fails_with_all_findings_when_asked() -> None:
    result = run("host_check", cluster_name="shop", min_cpus=4096, min_memory_mb=10**9, fail_on_findings=True)
    assert result["failed"] is True
    assert "NumCPU" in result["msg"]
    assert "Memory" in result["msg"]


def test_host_check_keeps_the_password_to_itself() -> None:
    mirror = {"address": "127.0.0.1:1", "username": "u", "password": "open-sesame-42"}
    result = run("host_check", cluster_name="shop", mirror=mirror, mirror_timeout=0.5)
    assert "MirrorUnreachable" in [entry["code"] for entry in result["findings"]]
    assert "open-sesame-42" not in json.dumps(result)


def test_host_kernel_shows_what_it_would_change() -> None:
    value = int(Path("/proc/sys/fs/file-max").read_text())
    result = run("host_kernel", minimums={"vm.swappiness": 10**6, "fs.file-max": 1})
    names = [change["name"] for change in result["changes"]]
    assert result["changed"] is True
    assert "vm.swappiness" in names
    assert "fs.file-max" not in names
    assert "sysctl vm.swappiness = 1000000" in result["diff"]["after"]
    assert not Path("/etc/sysctl.d/10-hostplane.conf").exists()
    assert int(Path("/proc/sys/fs/file-max").read_text()) == value


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({}, "it is empty"), ({"confirm": "other"}, "'other'"), ({"confirm": "yes", "force": True}, "reset_confirm")],
)
def test_host_reset_wants_the_name_of_the_cluster(arguments: dict[str, t.Any], word: str) -> None:
    result = run("host_reset", cluster_name="shop", **arguments)
    assert result["failed"] is True
    assert word in result["msg"]
    assert result["removed"] == []


def test_host_reset_lists_what_it_would_remove(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    result = run(
        "host_reset", cluster_name="shop", confirm="shop", node=False, paths=[str(data), str(tmp_path / "none")]
    )
    assert result["changed"] is True
    assert f"path {data}" in result["removed"]
    assert f"path {data}\n" in result["diff"]["before"]
    assert f"path {tmp_path / 'none'}" not in result["removed"]
    assert data.exists()
