# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd_snapshot and backup_prune as Ansible runs them; what a backup is made of is tested with its utils."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup, _backup_job
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError
from ansible_collections.hostplane.cluster.plugins.modules import backup_prune, etcd_snapshot

Run = Callable[..., dict[str, Any]]
METADATA = {
    "format": 1,
    "cluster": "prod",
    "time": "20270115T080000Z",
    "size": 1,
    "sha256": "aa",
    "hmac": "bb",
    "ca_sha256": "cc",
    "kube_system_uid": "",
    "snapshot": {"revision": 7, "keys": 5},
    "encryption": {},
}


def put(directory: Path, revision: int, age: float) -> str:
    name = _backup.name_of("prod", revision, time.time() - age)
    (directory / name).write_bytes(b"x")
    _backup.write_metadata(str(directory / name), METADATA)
    return name


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[_backup_job.Job]:
    """The jobs that were performed, without performing them."""
    jobs: list[_backup_job.Job] = []

    def perform(job: _backup_job.Job) -> dict[str, Any]:
        jobs.append(job)
        return {**METADATA, "path": f"{job.directory}/prod-r9-20270116T080000Z.backup", "pruned": []}

    monkeypatch.setattr(_backup_job, "perform", perform)
    return jobs


def test_options_reach_the_job(run_module: Run, performed: list[_backup_job.Job], tmp_path: Path) -> None:
    result = run_module(
        etcd_snapshot, cluster="prod", directory=str(tmp_path), key_file="/k", keep=3, hook=["a", "b"], diff=True
    )
    assert result["changed"] is True and result["metadata"]["snapshot"]["keys"] == 5
    assert "path" not in result["metadata"]
    (job,) = performed
    assert (job.cluster, job.directory, job.key_file, job.keep, job.hook) == (
        "prod",
        str(tmp_path),
        "/k",
        3,
        ("a", "b"),
    )
    assert result["diff"]["after"] == "prod-r9-20270116T080000Z.backup\n"


def test_check_mode_works_on_an_empty_host(run_module: Run, performed: list[_backup_job.Job], tmp_path: Path) -> None:
    result = run_module(etcd_snapshot, cluster="prod", directory=str(tmp_path / "none"), check=True)
    assert (result["changed"], result["path"], performed) == (True, "", [])
    assert not (tmp_path / "none").exists()


def test_a_fresh_backup_is_returned_instead(run_module: Run, performed: list[_backup_job.Job], tmp_path: Path) -> None:
    put(tmp_path, 6, 5000)
    name = put(tmp_path, 7, 60)
    result = run_module(etcd_snapshot, cluster="prod", directory=str(tmp_path), fresh=600)
    assert (result["changed"], result["path"], performed) == (False, str(tmp_path / name), [])
    assert result["metadata"]["cluster"] == "prod"
    assert run_module(etcd_snapshot, cluster="prod", directory=str(tmp_path), fresh=30)["changed"] is True


def test_a_failure_says_that_there_is_no_backup(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def perform(job: _backup_job.Job) -> dict[str, Any]:
        raise SnapshotError("no healthy etcd member")

    monkeypatch.setattr(_backup_job, "perform", perform)
    assert run_module(etcd_snapshot, cluster="prod")["msg"] == "no backup was made: no healthy etcd member"


def test_pruning_keeps_the_newest(run_module: Run, tmp_path: Path) -> None:
    names = [put(tmp_path, revision, age) for revision, age in ((9, 60), (8, 3600), (7, 90000))]
    options = {"cluster": "prod", "directory": str(tmp_path), "keep": 2, "keep_days": 0}
    assert run_module(backup_prune, check=True, **options)["pruned"] == [names[2]]
    assert (tmp_path / names[2]).exists()
    result = run_module(backup_prune, diff=True, **options)
    assert (result["changed"], result["kept"]) == (True, names[:2])
    assert result["diff"]["after"].split() == names[:2]
    assert not (tmp_path / names[2]).exists()
    assert run_module(backup_prune, **options)["changed"] is False
