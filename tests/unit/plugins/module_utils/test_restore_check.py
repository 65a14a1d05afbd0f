# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be restored is refused, with the way out, while the host is as it was."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup, _restore_check, _restore_journal
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import Member
from ansible_collections.hostplane.cluster.plugins.module_utils._restore_journal import Journal
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError
from test_restore import TOKEN, Host, backup, host, request_of
from test_snapshot import programs

__all__ = ["backup", "host", "programs"]
Usage = namedtuple("Usage", "total used free")


def runs(host: Host, **settings: str) -> None:
    """The Kubernetes of the host; the backup is of 1.36.3."""
    marker = {"cluster": "prod", "phase": "init-done", "settings": settings}
    (host.kubernetes / "hostplane.json").write_text(json.dumps(marker))


@pytest.mark.parametrize(
    ("settings", "versions"),
    [
        ({"version": "v1.36.3"}, ["1.36.3"]),
        ({"version": "1.36.3", "upgrading_to": "1.37.1"}, ["1.36.3", "1.37.1"]),
        ({}, ["1.38.0"]),
    ],
)
def test_a_host_tells_what_it_runs_or_is_to_run(
    host: Host, backup: str, settings: dict[str, str], versions: list[str]
) -> None:
    runs(host, **settings)
    checked = _restore_check.check(request_of(host, backup, version="1.38.0"))
    assert checked["versions"] == versions
    assert checked["description"]["snapshot"]["kubernetes"] == "1.36.3"


def test_an_earlier_ca_is_accepted_when_it_is_named(host: Host, backup: str) -> None:
    earlier = _backup.read_metadata(backup)["ca_sha256"]
    (host.kubernetes / "pki/ca.crt").write_text("the CA after its rotation")
    with pytest.raises(SnapshotError, match=rf"sha256 {earlier}.*restore_accept_ca"):
        _restore_check.check(request_of(host, backup))
    with pytest.raises(SnapshotError, match="another cluster"):
        _restore_check.check(request_of(host, backup, accept_ca="0" * 64))
    _restore_check.check(request_of(host, backup, accept_ca=earlier))
    with pytest.raises(SnapshotError, match="another cluster"):
        _restore_check.check(request_of(host, backup, accept_ca=earlier, cluster="test"))


def test_the_controller_may_be_a_node_of_another_cluster(host: Host, backup: str) -> None:
    (host.kubernetes / "pki/ca.crt").write_text("the CA of another cluster")
    (host.kubernetes / "hostplane.json").write_text("not for everyone")
    checked = _restore_check.check(request_of(host, backup, name=""))
    assert list(checked) == ["description"]
    with pytest.raises(SnapshotError, match="another cluster"):
        _restore_check.check(request_of(host, backup, name="", cluster="test"))


def free(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, megabytes << 20))


def sized(monkeypatch: pytest.MonkeyPatch, backup: str, megabytes: int) -> None:
    """A backup whose snapshot has that size."""
    metadata = _backup.read_metadata(backup)
    metadata["snapshot"]["size"] = megabytes << 20
    monkeypatch.setattr(_backup, "read_metadata", lambda path: metadata)
    monkeypatch.setattr(_restore_check._backup_crypt, "authenticate", lambda *words: None)


def test_what_is_unpacked_and_the_new_data_need_space_together(
    host: Host, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sized(monkeypatch, backup, 1000)
    free(monkeypatch, 2000)
    with pytest.raises(SnapshotError, match="2000 MiB free, 2340 MiB are needed"):
        _restore_check.check(request_of(host, backup))
    free(monkeypatch, 2400)
    _restore_check.check(request_of(host, backup))


def test_each_file_system_needs_its_own(host: Host, backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sized(monkeypatch, backup, 1000)
    real = os.stat
    Stat = namedtuple("Stat", "st_dev")

    def stat(path: Any, **options: Any) -> Any:
        return Stat(len(str(path))) if str(path) in (str(host.data), str(host.base)) else real(path, **options)

    free(monkeypatch, 1300)
    monkeypatch.setattr(os, "stat", stat)
    _restore_check._check_space(1000 << 20, 1128 << 20)


def test_what_is_begun_is_not_stopped_by_a_lack_of_space(
    host: Host, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _restore_journal.write_journal(Journal(_backup.read_metadata(backup)["sha256"], TOKEN, "stop"))
    free(monkeypatch, 0)
    assert _restore_check.check(request_of(host, backup))["resumed"] is True


def test_a_survivor_needs_space_for_its_copies(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.members = []
    free(monkeypatch, 100)
    with pytest.raises(SnapshotError, match="MiB are needed"):
        _restore_check.check(request_of(host, "", survivor="cp1"))
    # The others only stop.
    assert _restore_check.check(request_of(host, "", survivor="cp2"))["resumed"] is False


def test_a_survivor_of_long_ago_is_no_reason_to_stop_a_healthy_etcd(host: Host) -> None:
    request = request_of(host, "", survivor="cp1")
    host.members = [replace(host.members[0]), Member(id=2, name="cp2", healthy=True)]
    _restore_journal.write_journal(Journal("cp1", TOKEN, "start_api"))
    assert _restore_check.check(request)["resumed"] is True
    _restore_journal.write_journal(Journal("cp1", TOKEN, "finish"))
    with pytest.raises(SnapshotError, match="has its quorum"):
        _restore_check.check(request)
