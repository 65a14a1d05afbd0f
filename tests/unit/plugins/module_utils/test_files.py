# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host, in a real directory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _files
from ansible_collections.hostplane.cluster.plugins.module_utils._files import (
    DigestCache,
    FilesError,
    WantedFile,
    atomic_write,
    file_sha256,
    look,
    stream_to,
    wanted_files,
)
from hypothesis import given
from hypothesis import strategies as st


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    return DigestCache(str(tmp_path / "state" / "files.json"))


def test_entries_become_wanted_files() -> None:
    first, second = wanted_files(
        [{"path": "/a", "content": "text"}, {"path": "/b", "sha256": "0" * 64, "size": 3, "mode": "0755"}]
    )
    assert (first.digest, first.mode_bits, first.secret) == (sha(b"text"), 0o644, False)
    assert (second.digest, second.mode_bits, second.size) == ("0" * 64, 0o755, 3)
    assert wanted_files([], [{"path": "/a", "content": ""}])[0] == WantedFile("/a", content="", secret=True)


def test_all_wrong_entries_are_told_at_once() -> None:
    with pytest.raises(FilesError) as caught:
        wanted_files(
            [
                {"path": "relative", "content": ""},
                {"path": "/neither"},
                {"path": "/both", "content": "x", "sha256": "0" * 64},
                {"path": "/digest", "sha256": "sha256:00"},
                {"path": "/mode", "content": "", "mode": "u=rw"},
                {"path": "/twice", "content": "1"},
            ],
            [{"path": "/twice", "content": "2"}],
        )
    assert str(caught.value).split("; ") == [
        "relative: the path must be absolute",
        "/neither: give either content or sha256",
        "/both: give either content or sha256",
        "/digest: 'sha256:00' is not a sha256 (64 hex digits)",
        "/mode: 'u=rw' is not an octal mode",
        "/twice: listed more than once",
    ]


@given(st.binary(max_size=100))
def test_digest_of_a_file(data: bytes) -> None:
    wanted = WantedFile("/x", content=data.decode("latin-1"))
    assert wanted.digest == sha(data.decode("latin-1").encode())


def test_look_sees_content_and_mode(tmp_path: Path, cache: DigestCache) -> None:
    path = tmp_path / "file"
    wanted = WantedFile(str(path), "0640", "text")
    state = look(wanted, cache)
    assert (state.exists, state.content_differs, state.mode_differs, state.changed) == (False, True, True, True)
    path.write_text("text")
    path.chmod(0o600)
    state = look(wanted, cache)
    assert (state.exists, state.content_differs, state.mode_differs, state.changed) == (True, False, True, True)
    path.chmod(0o640)
    assert not look(wanted, cache).changed
    path.write_text("TEXT")
    assert look(wanted, cache).content_differs


def test_a_wrong_size_saves_reading(tmp_path: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"long")
    monkeypatch.setattr(_files, "file_sha256", lambda path: pytest.fail("was read"))
    assert look(WantedFile(str(path), sha256="0" * 64, size=3), cache).content_differs


def test_links_are_replaced_and_directories_refused(tmp_path: Path, cache: DigestCache) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("text")
    link.symlink_to(target)
    state = look(WantedFile(str(link), content="text"), cache)
    assert state.exists and state.content_differs
    atomic_write(str(link), b"text", 0o644)
    assert not link.is_symlink() and target.read_text() == "text"
    with pytest.raises(FilesError, match="is a directory"):
        look(WantedFile(str(tmp_path), content=""), cache)
    with pytest.raises(FilesError, match="Not a directory"):
        look(WantedFile(f"{target}/below", content=""), cache)


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "new" / "directory" / "file"
    atomic_write(str(path), b"one", 0o600)
    atomic_write(str(path), b"two", 0o4755)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o4755
    assert os.listdir(path.parent) == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full_disk(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(str(path), b"new", 0o644)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_run_has_left_goes_with_the_next_write(tmp_path: Path) -> None:
    left, other = tmp_path / ".kubelet.abcd_123.new", tmp_path / ".kubelet.conf.abcd_123.new"
    for path in (left, other):
        path.write_text("half")
    atomic_write(str(tmp_path / "kubelet"), b"whole", 0o755)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "kubelet"]


def test_stream_appears_only_when_it_is_right(tmp_path: Path) -> None:
    path, data = tmp_path / "program", bytes(range(256)) * 10000
    with pytest.raises(FilesError, match=f"received 3 bytes with sha256 {sha(b'bad')}, wanted {sha(data)}"):
        stream_to(str(path), io.BytesIO(b"bad"), 0o755, sha(data))
    assert os.listdir(tmp_path) == []
    assert stream_to(str(path), io.BytesIO(data), 0o755, sha(data)) == len(data)
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_cache_spares_reading_while_nothing_changed(
    tmp_path: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert cache.digest(str(path)) == sha(b"one")
    cache.save()
    read: list[str] = []
    monkeypatch.setattr(_files, "file_sha256", lambda name: read.append(name) or file_sha256(name))
    again = DigestCache(cache.path)
    assert again.digest(str(path)) == sha(b"one")
    assert read == []
    # Same size, same mtime: only ctime tells.
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again.digest(str(path)) == sha(b"two")
    assert read == [str(path)]


def test_cache_is_private_and_forgets_what_is_gone(tmp_path: Path, cache: DigestCache) -> None:
    for name in ("keep", "gone"):
        (tmp_path / name).write_text(name)
        cache.digest(str(tmp_path / name))
    (tmp_path / "gone").unlink()
    cache.save()
    assert list(json.loads(Path(cache.path).read_text())) == [str(tmp_path / "keep")]
    assert stat.S_IMODE(os.stat(cache.path).st_mode) == 0o600


def test_cache_is_written_only_when_there_is_news(tmp_path: Path, cache: DigestCache) -> None:
    cache.save()
    assert not os.path.exists(cache.path)
    (tmp_path / "file").write_text("x")
    cache.digest(str(tmp_path / "file"))
    cache.save()
    inode = os.stat(cache.path).st_ino
    cache.save()
    assert os.stat(cache.path).st_ino == inode


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", '{"/x": ["half"]}'])
def test_a_damaged_cache_is_no_harm(tmp_path: Path, content: str) -> None:
    path = tmp_path / "files.json"
    path.write_text(content.replace("/x", str(path)))
    cache = DigestCache(str(path))
    assert cache.digest(str(path)) == file_sha256(str(path))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=3), st.sampled_from([0o600, 0o755])), max_size=8))
def test_what_is_written_is_never_seen_as_different(
    tmp_path_factory: Any, writes: list[tuple[str, bytes, int]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    cache = DigestCache(str(folder / "cache.json"))
    for name, data, mode in writes:
        path = str(folder / name)
        wanted = WantedFile(path, f"{mode:04o}", sha256=sha(data))
        if look(wanted, cache).changed:
            stream_to(path, io.BytesIO(data), mode, sha(data))
            cache.record(path, sha(data))
        assert not look(wanted, cache).changed
        assert not look(wanted, DigestCache("/nonexistent")).changed
