# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Verified, resumable, parallel downloads."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import tarfile
import time
import typing as t
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._oci import CHUNK, file_digest

USER_AGENT = "hostplane-bundle"
# 429 and 408 ask for another try by definition; the rest of 4xx will say the same again.
TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)


class DownloadError(Exception):
    """One file could not be had: what happened, and what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class TransientError(DownloadError):
    """Worth another try."""

    wait: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """A file to have: the download at url, or one member of that archive."""

    name: str
    url: str
    sha256: str
    dest: str
    mode: int = 0o644
    member: str | None = None


def bare_sum(value: str) -> str:
    """Return the hexadecimal digest of V(sha256:<hex>) or V(<hex>)."""
    digest = value.strip().lower()
    if digest.startswith("sha256:"):
        digest = digest[len("sha256:") :]
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{value!r} is not a SHA-256 sum")
    return digest


def map_prefix(value: str, mapping: t.Mapping[str, str]) -> str:
    """Replace the longest matching prefix, ending at a path boundary."""
    for prefix in sorted(mapping, key=len, reverse=True):
        bare = prefix.rstrip("/")
        if value == bare or value.startswith(bare + "/"):
            return mapping[prefix].rstrip("/") + value[len(bare) :]
    return value


def stamp_path(dest: str) -> str:
    return os.path.join(os.path.dirname(dest), f".{os.path.basename(dest)}.stamp")


def write_stamp(wanted: Wanted) -> None:
    status = os.stat(wanted.dest)
    stamp = {"mtime_ns": status.st_mtime_ns, "sha256": file_digest(wanted.dest)[7:], "size": status.st_size}
    stamp["source"] = f"{wanted.sha256} {wanted.member or ''}".strip()
    temporary = stamp_path(wanted.dest) + ".new"
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump(stamp, stream, sort_keys=True)
    os.replace(temporary, stamp_path(wanted.dest))


def is_current(wanted: Wanted, full: bool = False) -> bool:
    """Tell whether the file is the wanted one, by its stamp; with full, by its content."""
    try:
        status = os.stat(wanted.dest)
        with open(stamp_path(wanted.dest), encoding="utf-8") as stream:
            stamp = json.load(stream)
        expected = (status.st_mtime_ns, status.st_size, f"{wanted.sha256} {wanted.member or ''}".strip())
        if (stamp["mtime_ns"], stamp["size"], stamp["source"]) != expected:
            return False
        return not full or file_digest(wanted.dest) == "sha256:" + stamp["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _problem_of(error: Exception, timeout: float) -> DownloadError:
    """Translate what urllib raises into what an operator can act on."""
    cause: t.Any = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        reason = f"HTTP {error.code} {error.msg}"
        if error.code in TRANSIENT_STATUS:
            problem = TransientError(reason, "the server is overloaded or out of order: try again later")
            after = error.headers.get("Retry-After", "") if error.headers else ""
            problem.wait = min(float(after), 60.0) if after.isdigit() else 0.0
            return problem
        if error.code in (404, 410):
            return DownloadError(
                reason, "nothing is published there: check the version in the release catalogue, or your URL map"
            )
        return DownloadError(reason, "the server refuses access: check your proxy, your mirror or the URL map")
    if isinstance(cause, ssl.SSLError):
        return DownloadError(
            f"TLS: {cause}", "if a proxy opens TLS here, add its CA to the system's trust store (or set SSL_CERT_FILE)"
        )
    if isinstance(cause, socket.gaierror):
        return DownloadError(f"host name not found ({cause.strerror})", "check DNS, https_proxy, or the URL map")
    if isinstance(cause, (TimeoutError, socket.timeout)):
        return TransientError(f"no data for {timeout:g} s", "check the network and https_proxy")
    if isinstance(cause, ConnectionRefusedError):
        return DownloadError("connection refused", "check the address, https_proxy, or the URL map")
    if isinstance(cause, (ConnectionError, http.client.HTTPException)):
        return TransientError(f"connection broken ({cause})", "check the network and https_proxy")
    return DownloadError(str(cause), "check the address, https_proxy, or the URL map")


def _transfer(url: str, part: str, timeout: float) -> tuple[str, bool]:
    """Append to the part file what is missing of url; return its digest and whether an older part was used."""
    digest = hashlib.sha256()
    have = 0
    if os.path.exists(part):
        with open(part, "rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                digest.update(chunk)
                have += len(chunk)
    # identity: a transparently compressed answer could neither be resumed nor verified.
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        # Not open_url: that sets up the whole process anew for each request, and downloads run in threads.
        response = urllib.request.build_opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing is left to send: the part is complete, or it is not this file. Its digest will tell.
        error.close()
        return digest.hexdigest(), True
    with response:
        if have and not (
            response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        ):
            if response.status == 206:
                raise TransientError("the server answered another range than asked for", "try again")
            digest, have = hashlib.sha256(), 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        resumed, got = bool(have), have
        with open(part, "ab" if have else "wb") as stream:
            try:
                for chunk in iter(lambda: response.read(CHUNK), b""):
                    stream.write(chunk)
                    digest.update(chunk)
                    got += len(chunk)
            except http.client.IncompleteRead as error:
                stream.write(error.partial)
                got += len(error.partial)
                total = got + (error.expected or 1)
    if total is not None and got != total:
        raise TransientError(
            f"truncated: got {got} of {total if length else 'more'} bytes",
            "the connection broke early; run again, it continues where it stopped",
        )
    return digest.hexdigest(), resumed


def fetch(
    url: str,
    sha256: str,
    part: str,
    retries: int = 4,
    timeout: float = 30.0,
) -> None:
    """Download url to the part file and verify it; what was transferred before is continued."""
    attempt = 0
    while True:
        try:
            actual, resumed = _transfer(url, part, timeout)
            if actual == sha256:
                return
            os.unlink(part)
            if resumed:
                # An old part of another file is no fault of the server.
                continue
            raise DownloadError(
                f"corrupted: expected sha256 {sha256}, got {actual}",
                "a proxy or mirror altered it, or the release catalogue is wrong: compare with the publisher's own sum",
            )
        except (TransientError, OSError, http.client.HTTPException) as error:
            problem = error if isinstance(error, TransientError) else _problem_of(error, timeout)
            if not isinstance(problem, TransientError):
                raise problem from error
            attempt += 1
            if attempt > retries:
                raise DownloadError(f"{problem.reason}, {attempt} times", problem.remedy) from error
            time.sleep(problem.wait or min(2.0 ** (attempt - 1), 30.0))


def _install(wanted: Wanted, temporary: str) -> None:
    os.chmod(temporary, wanted.mode)
    os.replace(temporary, wanted.dest)
    write_stamp(wanted)


def extract(archive: str, members: t.Sequence[Wanted]) -> None:
    """Take single regular files out of a verified archive; names inside it never become paths."""
    missing: dict[str, list[Wanted]] = {}
    for item in members:
        missing.setdefault(str(item.member), []).append(item)
    try:
        with tarfile.open(archive, "r:*") as tar:
            for info in tar:
                if not info.isreg():
                    continue
                for item in missing.pop(os.path.normpath(info.name), []):
                    temporary = item.dest + ".part"
                    with t.cast(t.BinaryIO, tar.extractfile(info)) as source, open(temporary, "wb") as stream:
                        shutil.copyfileobj(source, stream, CHUNK)
                    _install(item, temporary)
                if not missing:
                    return
    except (tarfile.TarError, EOFError) as error:
        raise DownloadError(f"not a readable tar archive ({error})", "correct its URL in the catalogue") from error
    raise DownloadError(
        f"the archive has no regular file {', '.join(sorted(missing))}", "correct 'member' in the release catalogue"
    )


def _one_source(group: t.Sequence[Wanted], url: str, retries: int, timeout: float) -> None:
    first = group[0]
    for item in group:
        os.makedirs(os.path.dirname(item.dest), exist_ok=True)
    # Named by content, so that an interrupted run of another release never continues a wrong file.
    part = os.path.join(os.path.dirname(first.dest), f".{first.sha256[:16]}.part")
    fetch(url, first.sha256, part, retries, timeout)
    members = [item for item in group if item.member]
    if members:
        extract(part, members)
    for item in group:
        if not item.member:
            copy = item.dest + ".part"
            shutil.copyfile(part, copy) if len(group) > 1 else os.replace(part, copy)
            _install(item, copy)
    if os.path.exists(part):
        os.unlink(part)


def download(
    wanted: t.Iterable[Wanted],
    url_map: t.Mapping[str, str],
    parallel: int = 4,
    retries: int = 4,
    timeout: float = 30.0,
) -> list[str]:
    """Have all files, every address fetched once; return all problems, one line each."""
    groups: dict[tuple[str, str], list[Wanted]] = {}
    for item in wanted:
        groups.setdefault((map_prefix(item.url, url_map), item.sha256), []).append(item)

    def work(key: tuple[str, str]) -> str | None:
        try:
            _one_source(groups[key], key[0], retries, timeout)
        except DownloadError as error:
            names = ", ".join(item.name for item in groups[key])
            return f"{names} ({key[0]}): {error.reason}; {error.remedy}"
        except OSError as error:
            return f"{groups[key][0].name}: {error.strerror or error} ({error.filename}); correct it and run again"
        return None

    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        return sorted(problem for problem in pool.map(work, groups) if problem)
