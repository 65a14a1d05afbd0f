# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup is made and restored on played hosts, and the restore is killed between any two of its steps."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _backup,
    _backup_crypt,
    _backup_job,
    _kubeadm,
    _restore,
    _restore_check,
    _restore_journal,
    _restore_node,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._backup_job import Job
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import EtcdError, Member
from ansible_collections.hostplane.cluster.plugins.module_utils._restore_journal import Request
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError
from test_snapshot import KEYS, UID, database, programs

__all__ = ["programs"]

TOKEN = "20270101T000000Z"
MANIFEST = """spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://10.0.0.1:2379
    - --data-dir={data}
    - --initial-advertise-peer-urls=https://10.0.0.1:2380
    - --initial-cluster=cp1=https://10.0.0.1:2380
    - --name=cp1
    image: registry.k8s.io/etcd:3.6.8-0
"""


class Host:
    """A control plane below a directory, with played programs and without a kubelet."""

    def __init__(self, base: Path, programs: Path) -> None:
        self.base, self.programs = base, programs
        self.kubernetes, self.data = base / "kubernetes", base / "etcd"
        self.manifests, self.parked = self.kubernetes / "manifests", self.kubernetes / "hostplane-restore"
        self.members = [Member(id=1, name="cp1", healthy=True, client_urls=["https://cp1:2379"], db_size=1000)]

    def make(self) -> None:
        """Make it a member."""
        for name in ("manifests", "pki/etcd", "audit"):
            (self.kubernetes / name).mkdir(parents=True)
        (self.manifests / "etcd.yaml").write_text(MANIFEST.format(data=self.data))
        for name in _restore_node.API:
            (self.manifests / f"{name}.yaml").write_text("spec: {}\n")
        for name in ("ca.crt", "ca.key", "sa.key", "apiserver.key", "etcd/ca.crt", "etcd/server.key"):
            (self.kubernetes / "pki" / name).write_text(f"pki {name}")
        (self.kubernetes / "admin.conf").write_text("admin")
        (self.kubernetes / "audit/policy.yaml").write_text("policy")
        self.mark("init-done")
        (self.data / "member/wal").mkdir(parents=True)
        (self.data / "member/snap").mkdir()
        (self.data / "member/snap/db").write_text(json.dumps(database(keys=["written later"])))

    def mark(self, phase: str) -> None:
        """How far kubeadm is."""
        marker = {"cluster": "prod", "phase": phase, "settings": {"cni": "flannel"}}
        (self.kubernetes / "hostplane.json").write_text(json.dumps(marker))

    def db(self) -> dict[str, Any]:
        """What etcd would serve."""
        found: dict[str, Any] = json.loads((self.data / "member/snap/db").read_text())
        return found

    def kept(self) -> list[Path]:
        """Data of before."""
        return sorted(self.data.glob("member-before-*"))


@pytest.fixture
def host(tmp_path: Path, programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path / "host", programs())
    host.make()
    key = host.base / "key"
    key.write_text("correct horse battery staple\n")
    key.chmod(0o600)

    class Etcd:
        def __init__(self, endpoints: list[str], pki: str) -> None:
            pass

        def look(self) -> list[Member]:
            if not (host.manifests / "etcd.yaml").exists():
                raise EtcdError("does not answer")
            return host.members

    for module, values in {
        _backup_job: {
            "KUBERNETES": str(host.kubernetes),
            "WORK": str(host.base / "work"),
            "Etcd": Etcd,
            "KUBECTL": "/x",
        },
        _backup_crypt: {"ITERATIONS": 1000},
        _restore_journal: {"WORK": str(host.base / "restore")},
        _restore_check: {"Etcd": Etcd, "ca_sha256": lambda: ca_of(host)},
        _restore_node: {"DATA_DIR": str(host.data), "running": lambda names: []},
        _kubeadm: {"MARKER": str(host.kubernetes / "hostplane.json")},
    }.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    # Defaults of arguments were bound when the module was read.
    monkeypatch.setattr(_restore_node.park, "__defaults__", (str(host.manifests), str(host.parked)))
    monkeypatch.setattr(_restore_node.unpark, "__defaults__", (str(host.manifests), str(host.parked)))
    monkeypatch.setattr(_restore_node.read_settings, "__defaults__", (str(host.manifests), str(host.parked)))
    monkeypatch.setattr(_restore_node.put_shared, "__defaults__", (str(host.kubernetes),))
    return host


def ca_of(host: Host) -> str:
    return _backup_job.ca_sha256(str(host.kubernetes))


def job(host: Host, **changes: Any) -> Job:
    return Job("prod", str(host.base / "backups"), str(host.base / "key"), programs=str(host.programs), **changes)


@pytest.fixture
def backup(host: Host) -> str:
    """A backup of the host's cluster."""
    return str(_backup_job.perform(job(host))["path"])


def request_of(host: Host, backup: str, **changes: Any) -> Request:
    members = (("cp1", "https://10.0.0.1:2380"),)
    wanted = Request("prod", backup, str(host.base / "key"), "", TOKEN, members, "cp1")
    wanted = replace(wanted, programs=str(host.programs), pki="/pki")
    return replace(wanted, **changes)


def test_a_backup_says_what_is_in_it(host: Host) -> None:
    made = _backup_job.perform(job(host))
    assert Path(made["path"]).name.startswith("prod-r756-")
    metadata = _backup.read_metadata(made["path"])
    assert (metadata["member"], metadata["kube_system_uid"], metadata["ca_sha256"]) == ("cp1", UID, ca_of(host))
    assert metadata["snapshot"]["keys"] == len(KEYS)
    _backup_crypt.unseal(made["path"], metadata, str(host.base / "key"), str(host.base / "out"))
    names = sorted(
        str(path.relative_to(host.base / "out")) for path in (host.base / "out").rglob("*") if path.is_file()
    )
    assert {"snapshot.db", "kubernetes/pki/ca.key", "kubernetes/admin.conf", "kubernetes/hostplane.json"} <= set(names)
    # Nothing in the clear stays behind.
    assert [path.name for path in (host.base / "work").iterdir()] == ["lock"]


def test_old_backups_go_only_after_the_new_one_is_safe(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _backup_job.perform(job(host))["path"]
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000)
    (host.programs / "etcd-fails").touch()
    with pytest.raises(SnapshotError, match="can not start"):
        _backup_job.perform(job(host, keep=1))
    assert Path(first).exists()
    (host.programs / "etcd-fails").unlink()
    made = _backup_job.perform(job(host, keep=1))
    assert made["pruned"] == [Path(first).name]
    assert [found.name for found in _backup.find(str(host.base / "backups"), "prod")] == [Path(made["path"]).name]


def test_the_hook_gets_both_files_and_its_failure_is_told(host: Host) -> None:
    note = host.base / "note"
    hook = ("sh", "-c", f'echo "$HOSTPLANE_BACKUP $HOSTPLANE_METADATA" > {note}')
    path = _backup_job.perform(job(host, hook=hook))["path"]
    assert note.read_text().split() == [path, f"{path}.json"]


def test_a_copy_that_fails_leaves_a_backup_and_is_told(host: Host, backup: str) -> None:
    Path(backup).rename(Path(backup).with_name("prod-r1-20200101T000000Z.backup"))
    Path(f"{backup}.json").rename(Path(backup).with_name("prod-r1-20200101T000000Z.backup.json"))
    with pytest.raises(_backup_job.NotCopiedError) as failed:
        _backup_job.perform(job(host, keep=1, hook=("sh", "-c", "echo no space >&2; exit 3")))
    (made,) = _backup.find(str(host.base / "backups"), "prod")
    path = host.base / "backups" / made.name
    assert _backup_job.failure(failed.value) == f"the backup {path} was made, but not copied: sh -c failed: no space"
    assert made.revision == 756


def test_the_upload_shows_no_secret(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(_backup_job, "run", lambda argv, **options: called.append(argv) or "")
    path = host.base / "a.backup"
    path.write_text("x")
    Path(f"{path}.json").write_text("y")
    _backup_job.send(job(host, upload_config="/etc/hostplane/backup-s3.curl"), str(path))
    assert [argv[-1] for argv in called] == [str(path), f"{path}.json"]
    assert all(argv[:3] == ["curl", "--config", "/etc/hostplane/backup-s3.curl"] for argv in called)


def test_a_fresh_backup_is_good_enough(host: Host, backup: str) -> None:
    now = time.time()
    assert _backup_job.newest_fresh(job(host), now) is None
    found = _backup_job.newest_fresh(job(host, fresh=60), now)
    assert found is not None and found.name == Path(backup).name
    assert _backup_job.newest_fresh(job(host, fresh=60), now + 120) is None


def test_without_space_nothing_begins(host: Host) -> None:
    host.members = [replace(host.members[0], db_size=1 << 60)]
    with pytest.raises(SnapshotError, match="MiB free"):
        _backup_job.perform(job(host))
    assert not (host.programs / "calls").exists()


def test_the_timers_program_says_what_it_did(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    config = host.base / "backup.json"
    settings = {"cluster": "prod", "directory": str(host.base / "b"), "key_file": str(host.base / "key")}
    config.write_text(json.dumps({**settings, "programs": str(host.programs), "hook": [], "of_another_release": 1}))
    assert _backup_job.main(str(config)) == 0
    assert "6 keys of cp1, verified" in capsys.readouterr().out
    host.members = []
    assert _backup_job.main(str(config)) == 1
    assert "no healthy etcd member" in capsys.readouterr().err
    assert _backup_job.main(str(host.base / "missing")) == 1


STEPS: dict[str, Callable[[Request], object]] = {
    "stop": lambda request: _restore.stop(request, _backup.read_metadata(request.backup)["sha256"]),
    "restore": _restore.restore,
    "start_etcd": lambda request: _restore.start(_restore_node.ETCD, "start_etcd"),
    "compare": _restore.compare,
    "start_api": lambda request: _restore.start(_restore_node.API, "start_api"),
}


def test_a_restore_brings_the_backup_back_and_keeps_the_rest(host: Host, backup: str) -> None:
    checked = _restore_check.check(request_of(host, backup))
    assert (checked["resumed"], checked["name"], checked["peer_url"]) == (False, "cp1", "https://10.0.0.1:2380")
    request = request_of(host, backup, token=checked["token"])
    STEPS["stop"](request)
    assert list(host.manifests.iterdir()) == []
    made = _restore.restore(request)
    assert made["revision"] == 756 + _restore_journal.bump_of(checked["token"])
    STEPS["start_etcd"](request)
    assert [path.name for path in host.manifests.iterdir()] == ["etcd.yaml"]
    STEPS["compare"](request)
    STEPS["start_api"](request)
    assert len(list(host.manifests.iterdir())) == 4 and not host.parked.exists()
    (kept,) = host.kept()
    assert _restore.finish() == str(kept)
    assert json.loads((kept / "snap/db").read_text())["keys"] == ["written later"]
    assert host.db()["keys"] == KEYS
    options = json.loads((host.data / "member/snap/options").read_text())
    assert options["initial-cluster"] == "cp1=https://10.0.0.1:2380"
    assert options["initial-cluster-token"] == f"prod-{checked['token']}"
    assert int(options["bump-revision"]) == _restore_journal.bump_of(checked["token"])
    assert left(host) == ["journal.json"]


def left(host: Host) -> list[str]:
    """What a restore has left in its directory."""
    return sorted(path.name for path in (host.base / "restore").iterdir())


class Killed(BaseException):
    """What SIGKILL is to the process."""


# Functions after (or instead of) which a run is killed, one at a time.
PLACES = [
    (_restore, "write_journal"),
    (_restore, "put"),
    (_restore_node, "swap"),
    (_restore_node, "stop"),
    (_restore_node, "unpark"),
    (_restore.os, "rename"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place[1]))
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_killed_restore_is_finished_by_the_next_run(
    host: Host, backup: str, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], after: bool, nth: int
) -> None:
    module, name = place
    real, count = getattr(module, name), 0

    def kill(*words: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count != nth:
            return real(*words, **options)
        if after:
            real(*words, **options)
        raise Killed

    def run() -> None:
        token = _restore_check.check(request_of(host, backup))["token"]
        request = request_of(host, backup, token=token)
        for step in STEPS.values():
            step(request)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, kill)
        with contextlib.suppress(Killed):
            run()
    moment = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: moment)
    run()
    assert host.db()["keys"] == KEYS
    assert len(list(host.manifests.iterdir())) == 4
    assert [json.loads((kept / "snap/db").read_text())["keys"] for kept in host.kept()] == [["written later"]]
    _restore.finish()
    assert left(host) == ["journal.json"] and not (host.data / ".restore").exists()


@pytest.mark.parametrize("place", [(_restore.os, "unlink"), (_restore.shutil, "rmtree"), (_restore, "write_journal")])
@pytest.mark.parametrize("after", [False, True])
def test_a_restore_killed_while_it_finishes_is_only_finished(
    host: Host, backup: str, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], after: bool
) -> None:
    request = request_of(host, backup)
    for step in STEPS.values():
        step(request)
    (host.base / "restore/key").write_text("secret")
    real = getattr(*place)

    def kill(*words: Any, **options: Any) -> Any:
        if after:
            real(*words, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*place, kill)
        with contextlib.suppress(Killed):
            _restore.finish()
    monkeypatch.setattr(_restore_node, "park", lambda *words: pytest.fail("it was stopped"))
    for name, step in STEPS.items():
        assert step(request) in (None, False) or name == "restore"
    again = _restore.restore(request)
    assert (again["changed"], again["revision"]) == (False, 756 + _restore_journal.bump_of(TOKEN))
    assert again["resources"]["pods"] == 2
    assert _restore.finish() == str(host.kept()[0])
    assert left(host) == ["journal.json"]


def test_of_a_host_that_only_got_the_backup_nothing_stays(host: Host) -> None:
    (host.base / "restore").mkdir()
    (host.base / "restore/key").write_text("secret")
    assert _restore.finish() == ""
    assert not (host.base / "restore").exists()


def test_a_host_that_has_finished_is_not_touched_while_another_has_not(
    host: Host, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in STEPS.values():
        step(request_of(host, backup))
    _restore.finish()
    checked = _restore_check.check(request_of(host, backup))
    assert (checked["resumed"], checked["last_token"], checked["done"]) == (False, TOKEN, "finish")
    # Another host continues with this token; by itself this one would begin a new restore.
    assert checked["token"] != TOKEN
    monkeypatch.setattr(_restore_node, "park", lambda *words: pytest.fail("it was stopped"))
    for name, step in STEPS.items():
        assert step(request_of(host, backup)) in (None, False) or name == "restore"
    assert _restore.restore(request_of(host, backup))["resources"]["pods"] == 2


def test_a_second_restore_keeps_both_pasts(host: Host, backup: str) -> None:
    for token in (TOKEN, "20270102T000000Z"):
        for step in STEPS.values():
            step(request_of(host, backup, token=token))
        _restore.finish()
    assert [path.name for path in host.kept()] == [f"member-before-{TOKEN}", "member-before-20270102T000000Z"]


def test_what_etcd_serves_is_compared(host: Host, backup: str) -> None:
    for step in ("stop", "restore", "start_etcd"):
        STEPS[step](request_of(host, backup))
    (host.programs / "live").write_text(json.dumps(database(keys=KEYS[:-2])))
    with pytest.raises(SnapshotError, match="example.com/widgets: 0 instead of 1"):
        STEPS["compare"](request_of(host, backup))


def test_no_step_without_a_begun_restore(host: Host, backup: str) -> None:
    for step in ("restore", "start_etcd", "compare", "start_api"):
        with pytest.raises(SnapshotError, match="no restore has begun"):
            STEPS[step](request_of(host, backup))
    with pytest.raises(SnapshotError, match="no token"):
        STEPS["stop"](request_of(host, backup, token="x"))
    assert len(list(host.manifests.iterdir())) == 4


def untouched(host: Host) -> bool:
    return len(list(host.manifests.iterdir())) == 4 and host.kept() == [] and host.db()["keys"] == ["written later"]


def test_what_can_not_be_restored_is_refused_before_anything_is_touched(host: Host, backup: str) -> None:
    with pytest.raises(SnapshotError, match="another cluster"):
        _restore_check.check(request_of(host, backup, cluster="test"))
    (host.kubernetes / "pki/ca.crt").write_text("another CA")
    with pytest.raises(SnapshotError, match="another cluster.*CA"):
        _restore_check.check(request_of(host, backup))
    with open(backup, "ab") as handle:
        handle.write(b"x")
    with pytest.raises(SnapshotError, match="damaged"):
        _restore_check.check(request_of(host, backup))
    with pytest.raises(SnapshotError, match="missing"):
        _restore_check.check(request_of(host, f"{backup}.gone"))
    assert untouched(host)


def test_a_replaced_host_gets_the_clusters_cas_and_is_left_for_kubeadm(host: Host, backup: str) -> None:
    shutil.rmtree(host.kubernetes)
    shutil.rmtree(host.data)
    checked = _restore_check.check(request_of(host, backup))
    assert checked["name"] == ""
    request = request_of(host, backup, members=(("new", "https://10.0.0.9:2380"),))
    for step in ("stop", "restore", "restore"):
        STEPS[step](request)
    served = host.data / "member/snap/db"
    whole = served.read_text()
    served.write_text(json.dumps(database(keys=KEYS[:-2])))
    with pytest.raises(SnapshotError, match="example.com/widgets: 0 instead of 1"):
        STEPS["compare"](request)
    served.write_text(whole)
    STEPS["compare"](request)
    assert _restore_journal.read_journal().done == "start_api"
    found = sorted(str(path.relative_to(host.kubernetes)) for path in host.kubernetes.rglob("*") if path.is_file())
    assert found == ["audit/policy.yaml", "hostplane.json", "pki/ca.crt", "pki/ca.key", "pki/etcd/ca.crt", "pki/sa.key"]
    assert _kubeadm.read_marker() == _kubeadm.Marker("prod", "init-started", {"cni": "flannel"})
    assert json.loads((host.data / "member/snap/options").read_text())["name"] == "new"
    assert _restore_check.check(request_of(host, backup))["name"] == "" and host.kept() == []


@pytest.mark.parametrize("name", ["pki/apiserver.crt", "pki/etcd/peer.key", "manifests/etcd.yaml", "admin.conf"])
def test_what_belongs_to_one_host_is_not_given_to_another(name: str) -> None:
    assert not _restore_node.is_shared(name)


@pytest.mark.parametrize(
    "name", ["pki/ca.key", "pki/front-proxy-ca.crt", "pki/etcd/ca.key", "encryption.yaml", "a/b.conf"]
)
def test_what_belongs_to_the_cluster_is(name: str) -> None:
    assert _restore_node.is_shared(name)


def test_a_survivor_is_used_only_when_the_quorum_is_lost(host: Host) -> None:
    request = request_of(host, "", survivor="cp1")
    with pytest.raises(SnapshotError, match="has its quorum"):
        _restore_check.check(request)
    host.members = [replace(host.members[0], healthy=False), Member(id=2, name="cp2"), Member(id=3, name="cp3")]
    assert _restore_check.check(request)["name"] == "cp1"
    (host.data / "member/snap/db").write_text(json.dumps(database()))
    _restore.stop(request, "cp1")
    made = _restore.restore(request)
    assert made["resources"]["pods"] == 2
    assert host.db()["keys"] == KEYS
    # While it is repeated, the single new member has a quorum of course.
    host.members = [Member(id=9, name="cp1", healthy=True)]
    _restore.start(_restore_node.ETCD, "start_etcd")
    assert _restore_check.check(request)["resumed"] is True


def test_a_survivor_needs_data(host: Host) -> None:
    shutil.rmtree(host.data / "member")
    host.members = []
    with pytest.raises(SnapshotError, match="no data"):
        _restore_check.check(request_of(host, "", survivor="cp1"))


def test_pods_that_do_not_stop_are_stopped_by_the_runtime(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    left, clock, called = ["a1"], [0.0], []

    def run(argv: list[str], timeout: float) -> str:
        called.append(argv)
        left.clear()
        return ""

    monkeypatch.setattr(_restore_node, "running", lambda names: list(left))
    monkeypatch.setattr(_restore_node, "run", run)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    _restore_node.stop(_restore_node.ETCD)
    assert len(called) == 1 and called[0][-1] == "a1"
    assert _restore_node.GRACE_SECONDS < clock[0] < _restore_node.STOP_SECONDS
    left.append("b2")
    monkeypatch.setattr(_restore_node, "run", lambda argv, timeout: "")
    with pytest.raises(SnapshotError, match="still run"):
        _restore_node.stop(_restore_node.ETCD)


def test_a_later_restore_never_shows_an_older_revision() -> None:
    apart = _restore_journal.bump_of("20270101T000001Z") - _restore_journal.bump_of(TOKEN)
    assert apart == _restore_journal.REVISIONS_PER_SECOND
