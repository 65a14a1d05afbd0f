# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking and proving snapshots with played etcd programs, which the recovery scenario replaces by the real ones."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _snapshot, _snapshot_tools
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import Member
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError, Tools
from hypothesis import given
from hypothesis import strategies as st

UID = "af21e580-6dc2-42d1-97ea-6da43a2fbdc6"
# Whatever key is asked for.
VALUE = f"*${UID} kubernetesVersion: v1.36.3"
KEYS = [
    "/registry/namespaces/kube-system",
    "/registry/pods/default/a",
    "/registry/pods/default/b",
    "/registry/services/specs/default/kubernetes",
    "/registry/example.com/widgets/default/w",
    "compact_rev_key",
]
# A database is JSON here: its keys, revision and hash. "live" beside the programs is the cluster's own.
PROGRAM = """#!/usr/bin/env python3
import base64, json, os, shutil, sys, time
here = os.path.dirname(os.path.abspath(__file__))
name, words = os.path.basename(__file__), sys.argv[1:]
options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
plain = [word for word in words if not word.startswith("--")]
with open(os.path.join(here, "calls"), "a") as calls:
    calls.write(f"{name} {' '.join(words)}\\n")
def load(path):
    with open(path) as handle:
        return json.load(handle)
if name == "etcd":
    if os.path.exists(os.path.join(here, "etcd-fails")):
        sys.exit('{"level":"fatal","msg":"can not start","error":"broken wal"}')
    if "--force-new-cluster" in words:
        with open(os.path.join(options["data-dir"], "member", "forced"), "w"):
            pass
    work = os.path.dirname(options["listen-client-urls"][len("unix://"):])
    with open(os.path.join(work, "up"), "w") as up:
        up.write(options["data-dir"])
    time.sleep(600)
elif name == "etcdutl":
    if plain[1] == "status":
        found = load(plain[2])
        print(json.dumps({"hash": found["hash"], "revision": found["revision"], "totalKey": found["total"],
                          "totalSize": 1000, "version": "3.6.0"}))
    else:
        target = os.path.join(options["data-dir"], "member", "snap")
        os.makedirs(target)
        os.makedirs(os.path.join(options["data-dir"], "member", "wal"))
        shutil.copy(plain[2], os.path.join(target, "db"))
        with open(os.path.join(target, "options"), "w") as handle:
            json.dump(options, handle)
else:
    endpoint = options["endpoints"]
    if endpoint.startswith("unix://"):
        work = os.path.dirname(endpoint[len("unix://"):])
        if not os.path.exists(os.path.join(work, "up")):
            sys.exit("no answer")
        path = os.path.join(open(os.path.join(work, "up")).read(), "member", "snap", "db")
    else:
        path = os.path.join(here, "live")
    found = load(path)
    if plain[:2] == ["snapshot", "save"]:
        shutil.copy(path, plain[2])
    elif plain[:2] == ["endpoint", "hashkv"]:
        value = found.get("hashkv" if "live" in path else "read_hashkv", found["hash"])
        print(json.dumps([{"HashKV": {"hash": value, "compact_revision": 1}}]))
    elif plain[0] == "get" and "--keys-only" in words:
        print("\\n\\n".join(found["keys"]))
    elif plain[0] == "get":
        print(json.dumps({"kvs": [{"value": base64.b64encode(found["value"].encode()).decode()}]}))
"""


def database(**changes: Any) -> dict[str, Any]:
    """A played database."""
    return {"keys": KEYS, "revision": 756, "hash": 3737000258, "total": len(KEYS), "value": VALUE, **changes}


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., Path]:
    """Make a directory with played programs and a live cluster of that content."""

    def make(**changes: Any) -> Path:
        directory = tmp_path / "programs"
        directory.mkdir(exist_ok=True)
        for name in ("etcd", "etcdctl", "etcdutl"):
            (directory / name).write_text(PROGRAM)
            (directory / name).chmod(0o755)
        (directory / "live").write_text(json.dumps(database(**changes)))
        return directory

    return make


def member(name: str, **changes: Any) -> Member:
    return Member(id=len(name), **{"name": name, "healthy": True, "client_urls": [f"https://{name}:2379"], **changes})


def test_the_leader_is_asked_only_when_it_is_alone() -> None:
    leader = member("cp1", leader=True, applied=100)
    assert _snapshot.choose([leader]).name == "cp1"
    assert _snapshot.choose([leader, member("cp2", applied=98), member("cp3", applied=99)]).name == "cp3"
    assert _snapshot.choose([leader, member("cp2", applied=99), member("cp3", applied=99)]).name == "cp2"
    assert _snapshot.choose([leader, member("cp2", healthy=False), member("cp3", learner=True)]).name == "cp1"


def test_without_a_healthy_member_the_way_out_is_named() -> None:
    with pytest.raises(SnapshotError, match=r"cp1: it knows no leader.*restore_survivor"):
        _snapshot.choose([member("cp1", healthy=False, error="it knows no leader")])


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("/registry/pods/default/a", "pods"),
        ("/registry/namespaces/kube-system", "namespaces"),
        ("/registry/services/specs/default/a", "services/specs"),
        ("/registry/services/endpoints/default/a", "services/endpoints"),
        ("/registry/apiregistration.k8s.io/apiservices/v1.apps", "apiregistration.k8s.io/apiservices"),
        ("/registry/example.com/widgets/default/w", "example.com/widgets"),
        ("/registry/clusterroles/system:node", "clusterroles"),
        ("compact_rev_key", ""),
        ("", ""),
    ],
)
def test_resources_of_keys(key: str, resource: str) -> None:
    assert _snapshot.resource_of(key) == resource


counts = st.dictionaries(st.sampled_from(["pods", "secrets", "nodes", "example.com/widgets"]), st.integers(1, 9))


@given(counts, counts)
def test_differences_are_told_both_ways(wanted: dict[str, int], found: dict[str, int]) -> None:
    told = [_snapshot.differences(*sides) for sides in itertools.permutations((wanted, found))]
    assert (told[0] == []) == (wanted == found)
    assert len(told[0]) == len(told[1])


@pytest.mark.parametrize(
    ("value", "uid"),
    [
        (b"k8s\0\n\x0fkube-system\x12\x00*$" + UID.encode() + b"2\x00", UID),
        (b'{"metadata":{"name":"kube-system","uid":"' + UID.encode() + b'"}}', UID),
        (b"k8s:enc:aescbc:v1:key1:\x00\x01", ""),
        (b"", ""),
    ],
)
def test_the_uid_of_a_stored_object(value: bytes, uid: str) -> None:
    assert _snapshot.uid_of(value) == uid


@pytest.mark.parametrize(
    ("value", "version"),
    [
        (b"k8s\0ClusterConfiguration\x12\xa0kind: X\nkubernetesVersion: v1.36.3\nnetworking:\n", "1.36.3"),
        (b"kubernetesVersion: 1.37.0-rc.1\n", "1.37.0-rc.1"),
        (b"k8s:enc:aescbc:v1:key1:\x00\x01", ""),
    ],
)
def test_the_version_in_kubeadms_configuration(value: bytes, version: str) -> None:
    assert _snapshot.version_of(value) == version


def take(directory: Path, tmp_path: Path) -> _snapshot.Snapshot:
    tools, path = Tools(str(directory)), str(tmp_path / "snapshot.db")
    hashed = _snapshot.save(tools, member("cp2"), "/pki", path)
    return _snapshot.verify(tools, path, str(tmp_path / "work"), hashed)


def test_a_snapshot_is_read_back_to_the_last_key(programs: Callable[..., Path], tmp_path: Path) -> None:
    directory = programs()
    snapshot = take(directory, tmp_path)
    assert snapshot.kubernetes == "1.36.3"
    assert (snapshot.revision, snapshot.keys, snapshot.hash) == (756, 6, f"{3737000258:08x}")
    assert snapshot.kube_system_uid == UID
    assert snapshot.resources == {"example.com/widgets": 1, "namespaces": 1, "pods": 2, "services/specs": 1}
    calls = (directory / "calls").read_text().splitlines()
    assert "--endpoints=https://cp2:2379" in calls[0] and "/pki/healthcheck-client.key" in calls[0]
    # Nothing of the temporary member stays.
    assert not (tmp_path / "work/verify").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"total": 9}, "9 keys, but 6"),
        ({"read_hashkv": 5}, "hash 00000005"),
        ({"keys": ["other"], "total": 1}, "not of a Kubernetes cluster"),
    ],
)
def test_what_differs_is_refused(
    programs: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SnapshotError, match=said):
        take(programs(**changes), tmp_path)


def test_the_unreadable_key_of_a_restore_counts_as_read(programs: Callable[..., Path], tmp_path: Path) -> None:
    assert take(programs(total=len(KEYS) + 1), tmp_path).keys == len(KEYS)


def test_hashes_from_different_compactions_say_nothing() -> None:
    snapshot = _snapshot.Snapshot("00", 5, 1, 1, "", resources={"namespaces": 1})
    _snapshot.check(snapshot, 1, (1, 10), (2, 11))
    with pytest.raises(SnapshotError, match="CORRUPT"):
        _snapshot.check(snapshot, 1, (1, 10), (2, 10))


def test_a_member_that_does_not_start_tells_why(programs: Callable[..., Path], tmp_path: Path) -> None:
    directory = programs()
    (directory / "etcd-fails").touch()
    with pytest.raises(SnapshotError, match="can not start broken wal"):
        take(directory, tmp_path)
    assert not (tmp_path / "work/verify").exists()


def test_a_survivors_data_is_only_read(programs: Callable[..., Path], tmp_path: Path) -> None:
    data = tmp_path / "etcd"
    (data / "member/snap").mkdir(parents=True)
    (data / "member/snap/db").write_text(json.dumps(database()))
    before = sorted(str(path) for path in data.rglob("*"))
    target = tmp_path / "snapshot.db"
    _snapshot.salvage(Tools(str(programs())), str(data), str(tmp_path), str(target))
    assert json.loads(target.read_text()) == database()
    assert sorted(str(path) for path in data.rglob("*")) == before
    assert not (tmp_path / "salvage").exists()


def test_a_program_that_fails_or_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="false"):
        _snapshot_tools.run(["false", "now"])
    with pytest.raises(SnapshotError, match="nowhere"):
        _snapshot_tools.run([str(tmp_path / "nowhere"), "x"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"level":"info","msg":"a"}\n{"level":"fatal","msg":"boom","error":"disk"}\n{"level":"info","msg":"b"}',
            "boom disk",
        ),
        (
            '{"level":"warn","msg":"failed to verify flags","error":"missing port"}',
            "failed to verify flags missing port",
        ),
        ("one\ntwo\n", "one\ntwo"),
        ("", ""),
    ],
)
def test_of_a_log_only_the_error_is_told(text: str, said: str) -> None:
    assert _snapshot_tools.complaint(text) == said


def test_the_image_of_a_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "etcd.yaml"
    manifest.write_text(
        "spec:\n  containers:\n  - command: [etcd]\n    image: registry.k8s.io/etcd:3.6.8-0\n    imagePullPolicy: x\n"
    )
    assert _snapshot_tools.node_image(str(tmp_path / "none.yaml"), str(manifest)) == "registry.k8s.io/etcd:3.6.8-0"


CTR = """#!/bin/bash
cd {home}; echo "$*" >> calls
case "$*" in
  *"images list"*) printf '%s\\n' r/etcd:3.6.8-0 r/etcd:3.6.10-0 r/pause:3.10 sha256:0 r/etcd@sha256:1;;
  *"images mount"*) mkdir -p "${{@: -1}}/usr/local/bin";;
  *"images unmount"*) rm -rf "${{@: -1}}"/*;;
esac
"""


@pytest.fixture
def ctr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A played ctr; returns where its calls are noted."""
    home = tmp_path / "ctr"
    home.mkdir()
    (home / "ctr").write_text(CTR.format(home=home))
    (home / "ctr").chmod(0o755)
    monkeypatch.setattr(_snapshot_tools, "CTR", str(home / "ctr"))
    return home / "calls"


def test_without_a_manifest_the_newest_image_is_used(ctr: Path, tmp_path: Path) -> None:
    assert _snapshot_tools.node_image(str(tmp_path / "none.yaml")) == "r/etcd:3.6.10-0"


def test_an_image_is_mounted_only_as_long_as_needed(ctr: Path, tmp_path: Path) -> None:
    for _again in range(2):
        with pytest.raises(ZeroDivisionError), _snapshot_tools.mounted("etcd:1", str(tmp_path / "work")) as tools:
            assert os.path.isdir(tools.directory)
            raise ZeroDivisionError
    assert list((tmp_path / "work").iterdir()) == []
    calls = [line.split()[3:] for line in ctr.read_text().splitlines()]
    assert [words[0] for words in calls] == ["mount", "unmount", "mount", "unmount"]
    # containerd refuses the name of a mount that it has not forgotten yet.
    assert calls[0][-1] != calls[2][-1]


def test_what_a_killed_run_has_mounted_goes(ctr: Path, tmp_path: Path) -> None:
    (tmp_path / "image-left").mkdir()
    with _snapshot_tools.mounted("etcd:1", str(tmp_path)):
        assert not (tmp_path / "image-left").exists()
