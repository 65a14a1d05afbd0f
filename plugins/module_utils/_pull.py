# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Published images into an OCI layout, each pinned to the digest that was seen first."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hostplane.cluster.plugins.module_utils._download import map_prefix
from ansible_collections.hostplane.cluster.plugins.module_utils._oci import REF_NAME, Layout, OciError

STAGING = ".pull-"
# What crane writes when the network or the server failed, not the request.
TRANSIENT = re.compile(
    r"\b(408|429|50[0-9])\b|timeout|timed out|connection reset|broken pipe|unexpected EOF|TLS handshake|"
    r"TOOMANYREQUESTS|http2: (server sent GOAWAY|client connection lost)|\bEOF$",
    re.I | re.M,
)
REMEDIES = (
    (r"x509:|certificate", "add the CA to the system's trust store (or set SSL_CERT_FILE)"),
    (r"UNAUTHORIZED|DENIED|\b40[13]\b", "log in with 'crane auth login', or correct the registry map"),
    (
        r"MANIFEST_UNKNOWN|NAME_UNKNOWN|NOT_FOUND|\b404\b",
        "check name and tag in the release catalogue, or your registry map",
    ),
    (r"no such host|refused|timeout|timed out", "check DNS, https_proxy, or the registry map"),
)


class PullError(Exception):
    """An image could not be had; the text says why and what to do."""


def read_record(path: str) -> dict[str, str]:
    """Digest of every image at its first download."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PullError(
            f"{path} cannot be read ({error}): correct it, or remove it to accept what is published now"
        ) from error
    return {str(name): str(digest) for name, digest in found.items()}


class Images:
    """The images of one layout."""

    def __init__(self, path: str, record: str, digests: t.Mapping[str, str]) -> None:
        self.layout = Layout(path)
        self._record_path = record
        self._recorded = read_record(record)
        self._lock = threading.Lock()
        conflicts = [name for name in digests if self._recorded.get(name, digests[name]) != digests[name]]
        if conflicts:
            raise PullError(
                f"{record} has another digest than the release catalogue for {', '.join(sorted(conflicts))}: "
                "find out which is right; remove the line from the file if it is the catalogue"
            )
        self.expected = {**self._recorded, **digests}

    def missing(self, names: t.Iterable[str]) -> list[str]:
        present = self.layout.by_name()
        return [
            name
            for name in names
            if name not in present
            or self.expected.get(name, present[name]["digest"]) != present[name]["digest"]
            or not self.layout.complete(present[name])
        ]

    def source(self, name: str, registry_map: t.Mapping[str, str]) -> str:
        """Where the image is pulled from: by digest as soon as one is known."""
        mapped = map_prefix(name, registry_map)
        return f"{mapped.rpartition(':')[0]}@{self.expected[name]}" if name in self.expected else mapped

    def adopt(self, name: str, folder: str) -> None:
        """Verify what was pulled, and make it part of the layout under its public name."""
        pulled = Layout(folder)
        found = pulled.index()
        if len(found) != 1:
            raise PullError(f"{name}: crane left {len(found)} images instead of one: run again")
        entry = {key: found[0][key] for key in ("mediaType", "digest", "size")}
        if self.expected.get(name, entry["digest"]) != entry["digest"]:
            raise PullError(
                f"{name}: expected {self.expected[name]}, got {entry['digest']}: the registry gave another image; "
                "check the registry map and the digest"
            )
        with self._lock:
            self.layout.init()
            for item in pulled.walk([entry]):
                self.layout.take_file(pulled.blob_path(item["digest"]), item)
            entries = {**self.layout.by_name(), name: {**entry, "annotations": {REF_NAME: name}}}
            self.layout.write_index(entries.values())
            self._recorded[name] = entry["digest"]
            temporary = self._record_path + ".new"
            with open(temporary, "w", encoding="utf-8") as stream:
                stream.write(json.dumps(self._recorded, indent=2, sort_keys=True) + "\n")
            os.replace(temporary, self._record_path)

    def sweep(self) -> None:
        """Remove what a killed run left."""
        for name in os.listdir(self.layout.path) if os.path.isdir(self.layout.path) else []:
            if name.startswith(STAGING):
                shutil.rmtree(os.path.join(self.layout.path, name), ignore_errors=True)


def run_crane(command: t.Sequence[str], retries: int) -> None:
    """Run crane, again after transient errors; its last words explain a failure."""
    for attempt in range(retries + 1):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise PullError(
                f"{command[0]} does not run ({error.strerror}): remove it, it will be downloaded again"
            ) from error
        if done.returncode == 0:
            return
        said = done.stderr.strip() or f"exit code {done.returncode}"
        if attempt < retries and TRANSIENT.search(said):
            time.sleep(min(2.0**attempt, 30.0))
            continue
        last = said.splitlines()[-1]
        remedy = next((text for pattern, text in REMEDIES if re.search(pattern, said, re.I)), "see the text of crane")
        raise PullError(f"{last}; {remedy}")


def pull(
    images: Images,
    names: t.Sequence[str],
    crane: str,
    arch: str,
    registry_map: t.Mapping[str, str],
    parallel: int = 3,
    retries: int = 3,
) -> list[str]:
    """Pull images; return all problems, one line each."""
    images.sweep()
    os.makedirs(images.layout.path, exist_ok=True)

    def one(name: str) -> str | None:
        source = images.source(name, registry_map)
        # Next to the blobs, so that they become part of the layout by a link.
        with tempfile.TemporaryDirectory(prefix=STAGING, dir=images.layout.path) as folder:
            try:
                command = [crane, "pull", "--format=oci", "--annotate-ref", f"--platform=linux/{arch}", source, folder]
                run_crane(command, retries)
                images.adopt(name, folder)
            except (PullError, OciError, OSError) as error:
                return str(error) if name in str(error) else f"{name} ({source}): {error}"
        return None

    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        return sorted(problem for problem in pool.map(one, names) if problem)
