# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whether the mirror holds everything that the hosts will fetch, asked for without fetching it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._mirror import Mirror, MirrorError
from ansible_collections.hostplane.cluster.plugins.module_utils._push import target
from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_finding import Finding, error, listed

FILES = "hostplane/files"
PARALLEL = 8


@dataclass
class Held:
    """What the mirror lacks, by architecture, and how large the images are that it has."""

    files: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, list[str]] = field(default_factory=dict)
    # Architecture to image to its digest, as the release has it.
    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # Architecture to image to the bytes of its layers, compressed.
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    # Architecture to program, by its SHA-256, to its bytes.
    programs: dict[str, dict[str, int]] = field(default_factory=dict)
    error: str = ""


def _image(mirror: Mirror, repository: str, digest: str) -> int | None:
    """Bytes of an image that is complete, None for one that is not."""
    manifest = mirror.read_manifest(repository, digest)
    if manifest is None:
        return None
    size = 0
    for item in [manifest.get("config"), *(manifest.get("layers") or [])]:
        if item and not mirror.holds_blob(repository, item["digest"]):
            return None
        size += int(item.get("size", 0)) if item else 0
    for item in manifest.get("manifests") or []:
        inner = _image(mirror, repository, item["digest"])
        if inner is None:
            return None
        size += inner
    return size


def look(mirror: Mirror, images: Mapping[str, Mapping[str, str]], files: Mapping[str, Any]) -> Held:
    """Ask for each manifest and blob once.

    images: architecture to image to digest; files: architecture to purpose to entries with name, sha256 and size.
    """
    held = Held(digests=images)
    wanted_images = sorted((arch, name, digest) for arch, found in images.items() for name, digest in found.items())
    wanted_files = sorted(
        (arch, entry["name"], entry["sha256"])
        for arch, purposes in files.items()
        for entries in purposes.values()
        for entry in entries
        if entry["sha256"]
    )
    for arch, purposes in files.items():
        held.programs[arch] = {e["sha256"]: int(e["size"]) for entries in purposes.values() for e in entries}
    try:
        with ThreadPoolExecutor(PARALLEL) as pool:
            sizes = list(pool.map(lambda item: _image(mirror, target(item[1], "")[0], item[2]), wanted_images))
            there = list(pool.map(lambda item: mirror.holds_blob(FILES, f"sha256:{item[2]}"), wanted_files))
    except MirrorError as exc:
        held.error = str(exc)
        return held
    for (arch, name, _digest), size in zip(wanted_images, sizes, strict=True):
        if size is None:
            held.images.setdefault(arch, []).append(name)
        else:
            held.sizes.setdefault(arch, {})[name] = size
    for (arch, name, _digest), found in zip(wanted_files, there, strict=True):
        if not found:
            held.files.setdefault(arch, []).append(name)
    return held


def check(held: Held, version: str) -> Iterator[Finding]:
    remedy = f"Run the playbook mirror with the bundle of {version} again."
    if held.error:
        yield error("mirror_silent", f"The mirror can't be asked: {held.error}", "Correct that; nodes fetch from it.")
    for code, what, found in (("mirror_image", "image", held.images), ("mirror_file", "program", held.files)):
        for arch, names in sorted(found.items()):
            yield error(
                f"{code}_missing",
                f"The mirror lacks, or has only parts of, {what}s of {version} for {arch}: {listed(names)}.",
                remedy,
                path=arch,
            )
