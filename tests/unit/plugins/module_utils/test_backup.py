# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and retention of backups, what is kept of them, and their encryption by the real openssl."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup, _backup_crypt
from ansible_collections.hostplane.cluster.plugins.module_utils._backup import Backup
from ansible_collections.hostplane.cluster.plugins.module_utils._files import file_sha256
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError
from hypothesis import given
from hypothesis import strategies as st

DAY = 86400
clusters = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
moments = st.integers(0, 4_000_000_000)


@given(clusters, st.integers(0, 1 << 62), moments)
def test_a_name_says_what_it_was_made_of(cluster: str, revision: int, moment: int) -> None:
    name = _backup.name_of(cluster, revision, moment)
    assert _backup.parse_name(name) == Backup(name, cluster, revision, moment)


@pytest.mark.parametrize("name", ["a.backup", "a-r1-20261301T000000Z.backup", "a-r1-20260101T000000Z.backup.json", ""])
def test_other_names_are_no_backups(name: str) -> None:
    assert _backup.parse_name(name) is None


ages = st.lists(st.integers(0, 100 * DAY), unique=True, min_size=1, max_size=20)


def of_ages(found: list[int], now: int) -> list[Backup]:
    return [Backup(str(age), "c", 1, now - age) for age in found]


@given(ages, st.integers(0, 10), st.integers(0, 60))
def test_what_goes_is_old_or_too_many_and_never_the_newest(found: list[int], keep: int, days: int) -> None:
    now = 2_000_000_000
    going = {int(backup.name) for backup in _backup.surplus(of_ages(found, now), keep, days, now)}
    stays = set(found) - going
    assert min(found) in stays
    assert keep == 0 or len(stays) <= max(keep, 1)
    assert days == 0 or all(age <= days * DAY for age in stays - {min(found)})
    for age in going:
        younger = sum(other < age for other in found)
        assert (keep and younger >= keep) or (days and age > days * DAY)


def test_without_limits_everything_stays() -> None:
    assert _backup.surplus(of_ages([0, DAY, 1000 * DAY], 2_000_000_000), 0, 0, 2_000_000_000) == []


def put(directory: Path, name: str, metadata: str | None = "{}") -> Path:
    path = directory / name
    path.write_bytes(b"x")
    if metadata is not None:
        Path(_backup.metadata_path(str(path))).write_text(metadata)
    return path


def test_only_complete_backups_of_the_cluster_are_found(tmp_path: Path) -> None:
    old, new = _backup.name_of("prod", 5, 1000), _backup.name_of("prod", 9, 2000)
    put(tmp_path, old)
    put(tmp_path, new)
    put(tmp_path, _backup.name_of("prod-eu", 7, 3000))
    put(tmp_path, _backup.name_of("prod", 10, 4000), None)
    put(tmp_path, "notes.backup")
    assert [backup.name for backup in _backup.find(str(tmp_path), "prod")] == [new, old]
    assert _backup.find(str(tmp_path / "missing"), "prod") == []


def test_what_a_killed_run_has_left_goes(tmp_path: Path) -> None:
    whole = put(tmp_path, _backup.name_of("prod", 5, 1000))
    half = put(tmp_path, _backup.name_of("prod", 6, 2000), None)
    foreign = put(tmp_path, "notes.backup", None)
    _backup.remove_incomplete(str(tmp_path))
    assert (whole.exists(), half.exists(), foreign.exists()) == (True, False, True)


def test_removing_takes_both_files(tmp_path: Path) -> None:
    name = _backup.name_of("prod", 5, 1000)
    put(tmp_path, name)
    assert _backup.remove(str(tmp_path), _backup.find(str(tmp_path), "prod")) == [name]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("correct horse battery staple\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("short\n", 0o600, "20 to 512"),
        ("x" * 513, 0o600, "20 to 512"),
        ("\n" + "x" * 40, 0o600, "has 0 bytes"),
        ("x" * 40, 0o640, "by others"),
        ("x" * 40, 0o604, "by others"),
    ],
)
def test_a_bad_key_is_refused(key_file: Path, text: str, mode: int, said: str) -> None:
    key_file.write_text(text)
    key_file.chmod(mode)
    with pytest.raises(SnapshotError, match=said):
        _backup_crypt.read_key(str(key_file))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="nowhere"):
        _backup_crypt.read_key(str(tmp_path / "nowhere"))


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backup_crypt, "ITERATIONS", 1000)


def seal(directory: Path, key_file: Path, files: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
    """A sealed backup with its metadata, as a job makes it."""
    path = str(directory / _backup.name_of("prod", 7, 1_800_000_000))
    with _backup_crypt.sealed(path, str(key_file)) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    metadata: dict[str, Any] = {
        "format": 1,
        "cluster": "prod",
        "time": "20270115T080000Z",
        "ca_sha256": "aa",
        "kube_system_uid": "",
        "snapshot": {"revision": 7},
        "size": os.path.getsize(path),
        "sha256": file_sha256(path),
        "encryption": _backup_crypt.encryption(),
    }
    metadata["hmac"] = _backup_crypt.sign(metadata, _backup_crypt.read_key(str(key_file)))
    _backup.write_metadata(path, metadata)
    return path, metadata


FILES = {"snapshot.db": os.urandom(300_000), "kubernetes/pki/ca.key": b"secret secret secret"}


def test_what_was_sealed_comes_back_for_root_alone(tmp_path: Path, key_file: Path) -> None:
    path, metadata = seal(tmp_path, key_file, FILES)
    assert b"secret" not in Path(path).read_bytes()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(_backup.metadata_path(path)).st_mode) == 0o600
    _backup_crypt.authenticate(path, _backup.read_metadata(path), _backup_crypt.read_key(str(key_file)))
    target = tmp_path / "out"
    _backup_crypt.unseal(path, metadata, str(key_file), str(target))
    for name, data in FILES.items():
        assert (target / name).read_bytes() == data
        assert stat.S_IMODE((target / name).stat().st_mode) == 0o600


def test_anybody_with_the_key_and_openssl_can_read_it(tmp_path: Path, key_file: Path) -> None:
    """The command in docs/backup.md."""
    path, metadata = seal(tmp_path, key_file, FILES)
    rounds = str(metadata["encryption"]["iterations"])
    command = ["openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2", "-md", "sha256", "-iter", rounds]
    plain = subprocess.run([*command, "-pass", f"file:{key_file}", "-in", path], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz") as archive:
        assert archive.getnames() == list(FILES)


@given(st.integers(0), st.integers(1, 255))
def test_one_changed_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: int, change: int) -> None:
    directory = tmp_path_factory.mktemp("changed")
    key = directory / "key"
    key.write_text("correct horse battery staple\n")
    key.chmod(0o600)
    path, metadata = seal(directory, key, {"snapshot.db": b"data"})
    data = bytearray(Path(path).read_bytes())
    data[place % len(data)] ^= change
    Path(path).write_bytes(data)
    with pytest.raises(SnapshotError, match="damaged"):
        _backup_crypt.authenticate(path, metadata, b"correct horse battery staple")


@pytest.mark.parametrize("field", ["cluster", "time", "ca_sha256"])
def test_changed_metadata_is_noticed(tmp_path: Path, key_file: Path, field: str) -> None:
    path, metadata = seal(tmp_path, key_file, FILES)
    with pytest.raises(SnapshotError, match="metadata was changed"):
        _backup_crypt.authenticate(path, {**metadata, field: "other"}, _backup_crypt.read_key(str(key_file)))


def test_a_shortened_file_and_another_key_are_told_apart(tmp_path: Path, key_file: Path) -> None:
    path, metadata = seal(tmp_path, key_file, FILES)
    with pytest.raises(SnapshotError, match="another key"):
        _backup_crypt.authenticate(path, metadata, b"another key of enough length")
    with open(path, "r+b") as handle:
        handle.truncate(1000)
    with pytest.raises(SnapshotError, match="damaged"):
        _backup_crypt.authenticate(path, metadata, _backup_crypt.read_key(str(key_file)))


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, key_file: Path, name: str) -> None:
    path, metadata = seal(tmp_path, key_file, {name: b"x"})
    with pytest.raises(SnapshotError, match="leads out"):
        _backup_crypt.unseal(path, metadata, str(key_file), str(tmp_path / "out" / "deep"))
    assert not (tmp_path / "outside").exists()


def test_an_unreadable_key_fails_the_sealing(tmp_path: Path) -> None:
    with (
        pytest.raises((SnapshotError, BrokenPipeError)),
        _backup_crypt.sealed(str(tmp_path / "x"), str(tmp_path / "nowhere")) as archive,
    ):
        archive.addfile(tarfile.TarInfo("a"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "1"}'])
def test_metadata_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = put(tmp_path, _backup.name_of("prod", 5, 1000), text)
    with pytest.raises(SnapshotError, match=r"understood|no metadata"):
        _backup.read_metadata(str(path))


def test_missing_metadata_and_another_format_are_named(tmp_path: Path, key_file: Path) -> None:
    with pytest.raises(SnapshotError, match="is missing"):
        _backup.read_metadata(str(tmp_path / "a.backup"))
    path, metadata = seal(tmp_path, key_file, FILES)
    Path(_backup.metadata_path(path)).write_text(json.dumps({**metadata, "format": 2}))
    with pytest.raises(SnapshotError, match="format 2"):
        _backup.read_metadata(path)


def test_a_backup_of_another_cluster_is_refused() -> None:
    metadata = {"cluster": "prod", "ca_sha256": "aa"}
    assert _backup.refusals(metadata, "prod", "aa") == []
    assert _backup.refusals(metadata, "prod", "") == []
    assert len(_backup.refusals(metadata, "test", "bb")) == 2
    assert "CA" in _backup.refusals(metadata, "prod", "bb")[0]
