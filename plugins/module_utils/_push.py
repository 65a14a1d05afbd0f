# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What of OCI layouts a registry lacks, and pushing it."""

from __future__ import annotations

import json
import os
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._oci import (
    JSON,
    MEDIA_INDEX,
    MEDIA_MANIFEST,
    Layout,
    OciError,
    canonical_json,
    children,
    descriptor,
    digest_of,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._registry import Registry, RegistryError

T = t.TypeVar("T")
R = t.TypeVar("R")


class PushError(Exception):
    """Everything that went wrong, one line each."""

    def __init__(self, problems: t.Iterable[str]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Blob:
    digest: str
    size: int
    path: str


@dataclass(frozen=True)
class Manifest:
    digest: str
    media_type: str
    data: bytes
    blobs: tuple[Blob, ...] = ()
    inner: tuple[Manifest, ...] = ()

    def walk(self) -> t.Iterator[Manifest]:
        """Yield what an index names before the index itself, the order in which registries take them."""
        for child in self.inner:
            yield from child.walk()
        yield self


@dataclass(frozen=True)
class Artifact:
    name: str
    repository: str
    tag: str
    manifest: Manifest


def target(name: str, prefix: str) -> tuple[str, str]:
    """Return repository and tag in the mirror for the public name of an image, or for our own files and lock."""
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag or not path:
        raise ValueError(f"{name!r} has no tag")
    if "/" not in path:
        path = f"hostplane/{path}"
    return prefix + path, tag


def _load(layout: Layout, entry: JSON, problems: list[str]) -> Manifest:
    def blob_of(item: JSON) -> Blob:
        blob = Blob(item["digest"], item["size"], layout.blob_path(item["digest"]))
        if not layout.has(item):
            problems.append(f"{blob.path} is missing or has not {blob.size} bytes: run the bundle playbook again")
        return blob

    with open(blob_of(entry).path, "rb") as stream:
        data = stream.read()
    if digest_of(data) != entry["digest"]:
        raise ValueError(f"manifest {entry['digest']} is damaged: run the bundle playbook again")
    found = json.loads(data)
    media_type = entry.get("mediaType") or MEDIA_MANIFEST
    inner = tuple(_load(layout, item, problems) for item in found.get("manifests", []))
    return Manifest(entry["digest"], media_type, data, () if inner else tuple(map(blob_of, children(found))), inner)


def left_out(layout: Layout, addons: t.Collection[str] | None) -> set[str]:
    """The images of the layout's lock that belong to addons which are not wanted; None wants all of them."""
    if addons is None:
        return set()
    try:
        with open(os.path.join(layout.path, "lock.json"), encoding="utf-8") as stream:
            images = json.load(stream)["images"]
        return {name for name, entry in images.items() if entry.get("addon") and entry["addon"] not in addons}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise PushError(
            [f"{layout.path}/lock.json is not readable ({error}): run the bundle playbook again"]
        ) from error


def artifacts_of(layout: Layout, prefix: str, addons: t.Collection[str] | None = None) -> list[Artifact]:
    """Everything that the layout names; it is an error when anything of it is missing."""
    skipped = left_out(layout, addons)
    problems: list[str] = []
    result: list[Artifact] = []
    try:
        for name, entry in layout.by_name().items():
            if name and name not in skipped:
                result.append(Artifact(name, *target(name, prefix), _load(layout, entry, problems)))
    except OSError as error:
        problems = problems or [f"{error.filename}: {error.strerror}: run the bundle playbook again"]
    except (OciError, ValueError, KeyError, TypeError) as error:
        problems.append(f"{layout.path} is no OCI layout that can be pushed ({error})")
    if not result and not problems:
        problems.append(f"there is no bundle in {layout.path}: make it first (bundle playbook)")
    if problems:
        raise PushError(problems)
    return result


def _platform(manifest: Manifest) -> dict[str, str]:
    with open(manifest.blobs[0].path, encoding="utf-8") as stream:
        config = json.load(stream)
    return {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}


def combine(layouts: t.Sequence[Layout], prefix: str, addons: t.Collection[str] | None = None) -> list[Artifact]:
    """Join bundles of several architectures: a name that they share becomes an index of their images."""
    named: dict[str, list[Artifact]] = {}
    for layout in layouts:
        for artifact in artifacts_of(layout, prefix, addons):
            same = named.setdefault(artifact.name, [])
            if all(other.manifest.digest != artifact.manifest.digest for other in same):
                same.append(artifact)
    result = []
    problems: list[str] = []
    for name, same in sorted(named.items()):
        if len(same) > 1:
            images = sorted((canonical_json(_platform(a.manifest)), a.manifest.digest, a.manifest) for a in same)
            if len({platform for platform, _digest, _manifest in images}) < len(images):
                problems.append(
                    f"{name} is in several bundles with different content for the same architecture, as each was built"
                    " from its own sources: push them one after the other, that of the release to come last"
                )
                continue
            manifests = [
                descriptor(m.media_type, digest, len(m.data), platform=json.loads(platform))
                for platform, digest, m in images
            ]
            data = canonical_json({"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": manifests})
            joined = Manifest(digest_of(data), MEDIA_INDEX, data, inner=tuple(m for _platform, _digest, m in images))
            same = [Artifact(name, same[0].repository, same[0].tag, joined)]
        result += same
    if problems:
        raise PushError(problems)
    return result


def each(function: t.Callable[[T], R], items: t.Iterable[T], parallel: int) -> list[R]:
    """Work on all items, several at a time; report what failed only after all were tried."""
    problems: list[str] = []
    results: list[R] = []
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        for future in [pool.submit(function, item) for item in items]:
            try:
                results.append(future.result())
            except RegistryError as error:
                problems.append(str(error))
    if problems:
        raise PushError(problems)
    return results


def stored_digests(registry: Registry, artifacts: t.Sequence[Artifact], parallel: int) -> dict[str, str | None]:
    """Return what the registry has under the name of each artifact."""
    found = each(lambda a: (a.name, registry.manifest_digest(a.repository, a.tag)), artifacts, parallel)
    return dict(found)


def push(registry: Registry, artifacts: t.Sequence[Artifact], parallel: int) -> int:
    """Push artifacts, every blob at most once over the network; return the number of bytes sent."""
    blobs: dict[str, Blob] = {}
    homes: dict[str, list[str]] = {}
    for artifact in artifacts:
        for manifest in artifact.manifest.walk():
            for blob in manifest.blobs:
                blobs[blob.digest] = blob
                if artifact.repository not in homes.setdefault(blob.digest, []):
                    homes[blob.digest].append(artifact.repository)

    def send(blob: Blob) -> int:
        present = [name for name in homes[blob.digest] if registry.has_blob(name, blob.digest)]
        sent = 0
        for repository in homes[blob.digest]:
            if repository not in present:
                source = present[0] if present else None
                if registry.put_blob(repository, blob.digest, blob.size, blob.path, source):
                    sent += blob.size
                present.append(repository)
        return sent

    def name(artifact: Artifact) -> None:
        for manifest in artifact.manifest.walk():
            reference = artifact.tag if manifest is artifact.manifest else manifest.digest
            registry.put_manifest(artifact.repository, reference, manifest.media_type, manifest.data)

    # The largest first, so that no worker is left alone with one at the end.
    total = sum(each(send, sorted(blobs.values(), key=lambda blob: -blob.size), parallel))
    # The lock last: whoever finds it finds everything that it names.
    each(name, [a for a in artifacts if not a.name.startswith("lock:")], parallel)
    each(name, [a for a in artifacts if a.name.startswith("lock:")], parallel)
    return total
