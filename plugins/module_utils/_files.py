# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Files of a host: what is wanted, what is there, and the way there without ever leaving half a file."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

CHUNK = 1 << 20
# What is known of the programs that were installed on this host.
CACHE = "/var/lib/hostplane/files.json"
# Where files wait that were fetched for an upgrade, below the name of their unit and by their SHA-256.
STAGING = "/var/lib/hostplane/staging"


class FilesError(Exception):
    """A file that can't be looked at, fetched or written; the message names it."""


@dataclass(frozen=True)
class WantedFile:
    """One wanted file: either inline content or a digest of the bundle.

    mode is an octal string such as 0644; size is in bytes and 0 when unknown.
    """

    path: str
    mode: str = "0644"
    content: str | None = None
    sha256: str = ""
    size: int = 0
    secret: bool = False

    @property
    def digest(self) -> str:
        """The sha256 (hex) that the file must have."""
        return self.sha256 if self.content is None else hashlib.sha256(self.content.encode()).hexdigest()

    @property
    def mode_bits(self) -> int:
        """The permission bits as a number."""
        return int(self.mode, 8)


@dataclass(frozen=True)
class FileState:
    """What differs on the host for one wanted file."""

    wanted: WantedFile
    exists: bool
    content_differs: bool
    mode_differs: bool

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return self.content_differs or self.mode_differs


def wanted_files(entries: Iterable[dict[str, Any]], secrets: Iterable[dict[str, Any]] = ()) -> list[WantedFile]:
    """Turn module options into wanted files; the content of secrets is never shown.

    Raises FilesError with every wrong entry at once.
    """
    files, errors = [], []
    for entry, secret in [*((entry, False) for entry in entries), *((entry, True) for entry in secrets)]:
        path, content, digest = entry["path"], entry.get("content"), entry.get("sha256") or ""
        if not os.path.isabs(path):
            errors.append(f"{path}: the path must be absolute")
        if (content is None) == (not digest):
            errors.append(f"{path}: give either content or sha256")
        if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            errors.append(f"{path}: {digest!r} is not a sha256 (64 hex digits)")
        try:
            int(entry.get("mode") or "0644", 8)
        except ValueError:
            errors.append(f"{path}: {entry.get('mode')!r} is not an octal mode")
        files.append(
            WantedFile(path, entry.get("mode") or "0644", content, digest, int(entry.get("size") or 0), secret)
        )
    paths = [file.path for file in files]
    errors.extend(f"{path}: listed more than once" for path in sorted({p for p in paths if paths.count(p) > 1}))
    if errors:
        raise FilesError("; ".join(errors))
    return files


def file_sha256(path: str) -> str:
    """The sha256 (hex) of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class DigestCache:
    """Remembers the digests of large files, so that a second run costs a stat instead of reading gigabytes.

    An entry counts only while size, inode, mtime and ctime are what they were; ctime can't be set by a program, so a
    file that was changed in any way is read again.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.entries: dict[str, list[Any]] = {}
        self.dirty = False
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as handle:
            loaded = json.load(handle)
            if isinstance(loaded, dict):
                self.entries = loaded

    @staticmethod
    def _key(info: os.stat_result) -> list[int]:
        return [info.st_size, info.st_ino, info.st_mtime_ns, info.st_ctime_ns]

    def digest(self, path: str) -> str:
        """The file's sha256 (hex), from memory when nothing about the file changed."""
        key = self._key(os.stat(path))
        entry = self.entries.get(path)
        if entry and entry[1:] == key:
            return str(entry[0])
        found = file_sha256(path)
        self.record(path, found)
        return found

    def known(self, path: str, place: str = "") -> str:
        """The digest that the file had when it was installed or read; empty when it is another file by now.

        place is where the file is, if not at its path.
        """
        entry = self.entries.get(path)
        with contextlib.suppress(OSError):
            if entry and entry[1:] == self._key(os.stat(place or path)):
                return str(entry[0])
        return ""

    def record(self, path: str, digest: str) -> None:
        """Remember a digest that has just been computed."""
        self.entries[path] = [digest, *self._key(os.stat(path))]
        self.dirty = True

    def save(self) -> None:
        """Write the cache if it changed; entries of files that are gone are dropped."""
        if not self.dirty:
            return
        kept = {path: entry for path, entry in sorted(self.entries.items()) if os.path.exists(path)}
        atomic_write(self.path, json.dumps(kept, indent=0).encode(), 0o600)
        self.dirty = False


def look(file: WantedFile, cache: DigestCache) -> FileState:
    """Compare one wanted file with the host."""
    try:
        info = os.lstat(file.path)
    except FileNotFoundError:
        return FileState(file, exists=False, content_differs=True, mode_differs=True)
    except OSError as exc:
        raise FilesError(f"{file.path}: {exc.strerror}") from exc
    if stat.S_ISDIR(info.st_mode):
        raise FilesError(f"{file.path}: is a directory; move it away")
    if not stat.S_ISREG(info.st_mode):
        return FileState(file, exists=True, content_differs=True, mode_differs=True)
    differs = (bool(file.size) and info.st_size != file.size) or cache.digest(file.path) != file.digest
    return FileState(file, True, differs, stat.S_IMODE(info.st_mode) != file.mode_bits)


def read_text(path: str) -> str:
    """What is there now; whatever is no regular file (a link, a pipe) is not followed, since it will be replaced."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return "(not a regular file)\n"
    with open(path, encoding="utf-8", errors="replace") as handle:
        return handle.read()


def describe(state: FileState) -> dict[str, str]:
    """One entry of the diff; programs are shown by digest, secrets not at all."""
    wanted = state.wanted
    before, after = "", ""
    if state.content_differs and wanted.secret:
        before, after = "(secret)\n" if state.exists else "", "(new secret)\n"
    elif state.content_differs and wanted.content is not None:
        after = wanted.content
        if state.exists:
            before = read_text(wanted.path)
    elif state.content_differs:
        before, after = "(another file)\n" if state.exists else "", f"sha256:{wanted.digest}\n"
    if state.mode_differs:
        if state.exists:
            before += f"mode: {os.lstat(wanted.path).st_mode & 0o7777:04o}\n"
        after += f"mode: {wanted.mode_bits:04o}\n"
    return {"before_header": wanted.path, "after_header": wanted.path, "before": before, "after": after}


def atomic_write(path: str, data: bytes, mode: int) -> None:
    """Write a small file so that a reader sees either the old or the new one, also after a power cut."""
    with _replacing(path, mode) as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


@contextlib.contextmanager
def _replacing(path: str, mode: int) -> Any:
    directory, prefix = os.path.dirname(path), f".{os.path.basename(path)}."
    os.makedirs(directory, mode=0o755, exist_ok=True)
    # What a killed run has left. The eight characters are mkstemp's.
    for left in glob.glob(f"{glob.escape(os.path.join(directory, prefix))}????????.new"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(left)
    descriptor, temporary = tempfile.mkstemp(prefix=prefix, suffix=".new", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def stream_to(path: str, source: BinaryIO, mode: int, sha256: str) -> int:
    """Write a stream to a path; the file appears only when its digest is right. Returns the size in bytes.

    Raises FilesError when the digest differs. Large files are not synced to disk: the digest cache notices a file that
    a power cut shortened, and the next run fetches it again.
    """
    digest, size = hashlib.sha256(), 0
    with _replacing(path, mode) as handle:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            handle.write(chunk)
        if digest.hexdigest() != sha256:
            raise FilesError(f"{path}: received {size} bytes with sha256 {digest.hexdigest()}, wanted {sha256}")
    return size
