# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Encryption of backups with openssl: what was changed by a byte, or made with another key, is never read.

openssl's command line has no authenticated cipher for a passphrase, so the metadata of each backup carries an HMAC over
itself and the digest of the encrypted file. Any openssl decrypts the file; see docs/backup.md.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import hmac
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from ansible_collections.hostplane.cluster.plugins.module_utils._files import file_sha256
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import SnapshotError

CIPHER = "aes-256-cbc"
ITERATIONS = 600_000
# openssl reads one line of at most this many bytes as the passphrase.
SHORTEST, LONGEST = 20, 512


def read_key(path: str) -> bytes:
    """The passphrase in a file that only its owner may read; raises SnapshotError when it is no good."""
    try:
        with open(path, "rb") as handle:
            key = handle.readline().rstrip(b"\r\n")
            mode = os.fstat(handle.fileno()).st_mode & 0o077
    except OSError as exc:
        raise SnapshotError(f"the key of the backups can't be read: {exc}") from exc
    if mode:
        raise SnapshotError(f"{path} can be read by others than its owner; chmod 0600 it and change the key")
    if not SHORTEST <= len(key) <= LONGEST:
        raise SnapshotError(
            f"the first line of {path} has {len(key)} bytes, {SHORTEST} to {LONGEST} are wanted; "
            "make one with: openssl rand -base64 32"
        )
    return key


def sign(metadata: dict[str, Any], key: bytes) -> str:
    """The HMAC (hex) over a backup's metadata; whatever C(hmac) is in it doesn't count."""
    text = json.dumps({name: value for name, value in metadata.items() if name != "hmac"}, sort_keys=True)
    salt, rounds = bytes.fromhex(metadata["encryption"]["salt"]), int(metadata["encryption"]["iterations"])
    derived = hashlib.pbkdf2_hmac("sha256", key, b"hostplane backup metadata" + salt, rounds)
    return hmac.new(derived, text.encode(), "sha256").hexdigest()


def encryption() -> dict[str, Any]:
    """How a new backup is encrypted, for its metadata."""
    return {"cipher": CIPHER, "kdf": "pbkdf2-sha256", "iterations": ITERATIONS, "salt": os.urandom(16).hex()}


def authenticate(path: str, metadata: dict[str, Any], key: bytes) -> None:
    """Raise SnapshotError unless file and metadata are what was written with this key."""
    size = os.path.getsize(path)
    if size != metadata["size"] or file_sha256(path) != metadata["sha256"]:
        raise SnapshotError(
            f"{path} is damaged: its {size} bytes are not the {metadata['size']} that were written "
            f"(sha256 {metadata['sha256']}); use another copy or another backup"
        )
    used = metadata["encryption"]
    if used.get("cipher") != CIPHER or not 1 <= int(used.get("iterations", 0)) <= 10 * ITERATIONS:
        raise SnapshotError(f"{path} is encrypted in a way that is not known here: {used}")
    if not hmac.compare_digest(sign(metadata, key), str(metadata.get("hmac"))):
        raise SnapshotError(f"{path} was made with another key, or its metadata was changed; nothing of it is used")


def _openssl(key_file: str, iterations: int, *words: str) -> list[str]:
    passphrase = ["-pass", f"file:{key_file}"]
    return ["openssl", "enc", f"-{CIPHER}", "-pbkdf2", "-md", "sha256", "-iter", str(iterations), *passphrase, *words]


@contextlib.contextmanager
def sealed(path: str, key_file: str) -> Iterator[tarfile.TarFile]:
    """A tar to write to, which arrives at the path compressed and encrypted; it is never there in the clear."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as sink:
        process = subprocess.Popen(
            _openssl(key_file, ITERATIONS, "-salt"), stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.PIPE
        )
        pipe = cast(BinaryIO, process.stdin)
        try:
            # An etcd database shrinks to a fraction at the fastest level; the others cost minutes of CPU for little.
            packed = gzip.GzipFile(fileobj=pipe, mode="wb", compresslevel=1, mtime=0)
            with packed, tarfile.open(fileobj=packed, mode="w|") as archive:
                yield archive
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            error = process.stderr.read().decode(errors="replace") if process.stderr else ""
            process.wait()
        if process.returncode:
            raise SnapshotError(f"openssl could not encrypt: {error.strip()}")
        os.fsync(sink.fileno())


def unseal(path: str, metadata: dict[str, Any], key_file: str, target: str) -> None:
    """Decrypt a backup into the target directory; call authenticate first."""
    process = subprocess.Popen(
        _openssl(key_file, int(metadata["encryption"]["iterations"]), "-d", "-in", path),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        packed = gzip.GzipFile(fileobj=cast(BinaryIO, process.stdout), mode="rb")
        with packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                _extract(archive, member, target)
    except (OSError, EOFError, tarfile.TarError) as exc:
        raise SnapshotError(f"{path} can't be decrypted: {exc}") from exc
    finally:
        process.kill()
        process.wait()


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str) -> None:
    """Write a file of the archive; Python 3.9 has no filter for names that lead elsewhere."""
    source = archive.extractfile(member) if member.isfile() else None
    if source is None:
        return
    if os.path.isabs(member.name) or ".." in member.name.split("/"):
        raise SnapshotError(f"the backup holds {member.name}, which leads out of it")
    path = os.path.join(target, member.name)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as sink:
        while chunk := source.read(1 << 20):
            sink.write(chunk)
    os.chmod(path, member.mode & 0o700)
