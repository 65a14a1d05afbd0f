# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""OCI image layouts, manifests and layers that come out the same, byte for byte, whenever they are made."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import typing as t
from collections.abc import Iterable, Iterator

JSON = dict[str, t.Any]

MEDIA_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_LAYER = "application/vnd.oci.image.layer.v1.tar"
MEDIA_EMPTY = "application/vnd.oci.empty.v1+json"
ARTIFACT_FILES = "application/vnd.hostplane.files.v1"
ARTIFACT_LOCK = "application/vnd.hostplane.lock.v1"
REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
CHUNK = 1 << 20


class OciError(Exception):
    """A layout that is not what it says it is; the text names the file and the remedy."""


def canonical_json(value: t.Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_digest(path: str) -> str:
    value = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            value.update(chunk)
    return "sha256:" + value.hexdigest()


def descriptor(media_type: str, digest: str, size: int, **more: t.Any) -> JSON:
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


class LayerFile(t.NamedTuple):
    """One entry of a layer: a file by path or by content, or a directory when there is neither."""

    target: str
    source: str = ""
    content: bytes | None = None
    mode: int = 0o755


def write_layer(files: Iterable[LayerFile], stream: t.BinaryIO) -> None:
    """A tar of the files and their parent directories: sorted, root-owned, dated 1970."""
    wanted = {item.target.strip("/"): item for item in files}
    for name in list(wanted):
        parts = name.split("/")
        for depth in range(1, len(parts)):
            wanted.setdefault("/".join(parts[:depth]), LayerFile("/".join(parts[:depth])))
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(wanted):
            item = wanted[name]
            info = tarfile.TarInfo(name)
            info.mode = item.mode
            if item.content is not None:
                info.size = len(item.content)
                archive.addfile(info, io.BytesIO(item.content))
            elif item.source:
                info.size = os.path.getsize(item.source)
                with open(item.source, "rb") as source:
                    archive.addfile(info, source)
            else:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)


def image_config(arch: str, diff_ids: list[str], settings: JSON) -> JSON:
    """`settings` are the keys of the OCI image configuration, such as Entrypoint and User."""
    return {
        "architecture": arch,
        "os": "linux",
        "config": {key: value for key, value in settings.items() if value},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }


def image_manifest(config: JSON, layers: list[JSON]) -> JSON:
    return {"schemaVersion": 2, "mediaType": MEDIA_MANIFEST, "config": config, "layers": layers}


def artifact_manifest(artifact_type: str, layers: list[JSON]) -> JSON:
    empty = descriptor(MEDIA_EMPTY, digest_of(b"{}"), 2)
    return {**image_manifest(empty, layers), "artifactType": artifact_type}


def children(manifest: JSON) -> list[JSON]:
    """The descriptors that a manifest or an index points at."""
    found = [manifest["config"]] if "config" in manifest else []
    return found + list(manifest.get("layers", [])) + list(manifest.get("manifests", []))


def is_manifest(entry: JSON) -> bool:
    media = str(entry.get("mediaType", ""))
    return media == MEDIA_INDEX or ".manifest." in media


def place(path: str, fill: t.Callable[[t.BinaryIO], t.Any]) -> None:
    """Fill a temporary sibling and rename it: nobody ever sees half a file."""
    handle, work = tempfile.mkstemp(prefix=".tmp-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as out:
            fill(out)
        os.chmod(work, 0o644)
        os.replace(work, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(work)


class Layout:
    """An OCI image layout in a directory."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.changes = 0

    def blob_path(self, digest: str) -> str:
        algorithm, value = (digest.split(":", 1) + [""])[:2]
        if algorithm != "sha256" or len(value) != 64 or not value.isalnum():
            raise OciError(f"{self.path}: {digest!r} is not a sha256 digest")
        return os.path.join(self.path, "blobs", "sha256", value)

    def has(self, entry: JSON) -> bool:
        """Whether the blob is there with the right size; what it holds is looked at by verify()."""
        try:
            return os.stat(self.blob_path(entry["digest"])).st_size == entry["size"]
        except OSError:
            return False

    def read_json(self, digest: str) -> JSON:
        path = self.blob_path(digest)
        try:
            with open(path, "rb") as stream:
                document: JSON = json.loads(stream.read())
        except (OSError, ValueError) as exc:
            raise OciError(f"{path} cannot be read: {exc}") from exc
        return document

    def index(self) -> list[JSON]:
        """The manifests of index.json; none when there is no layout yet."""
        path = os.path.join(self.path, "index.json")
        try:
            with open(path, "rb") as stream:
                return list(json.loads(stream.read())["manifests"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise OciError(f"{path} is not an OCI index ({exc}); remove {self.path} and make it again") from exc

    def by_name(self) -> dict[str, JSON]:
        return {entry.get("annotations", {}).get(REF_NAME, ""): entry for entry in self.index()}

    def complete(self, entry: JSON) -> bool:
        """Whether everything that an index entry leads to is there."""
        try:
            return all(self.has(item) for item in self.walk([entry]))
        except (OciError, KeyError, TypeError):
            return False

    def walk(self, entries: Iterable[JSON]) -> Iterator[JSON]:
        """Each descriptor that can be reached, once; a missing manifest raises OciError."""
        seen: set[str] = set()
        queue = list(entries)
        while queue:
            entry = queue.pop(0)
            if entry["digest"] in seen:
                continue
            seen.add(entry["digest"])
            yield entry
            if is_manifest(entry):
                queue += children(self.read_json(entry["digest"]))

    def init(self) -> None:
        os.makedirs(os.path.join(self.path, "blobs", "sha256"), exist_ok=True)
        self.write("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def write(self, name: str, data: bytes) -> bool:
        """Put a file of the layout in place in one step; True when it was different."""
        path = os.path.join(self.path, name)
        with contextlib.suppress(OSError), open(path, "rb") as stream:
            if stream.read() == data:
                return False
        place(path, lambda out: out.write(data))
        self.changes += 1
        return True

    def put(self, data: bytes, media_type: str, **more: t.Any) -> JSON:
        entry = descriptor(media_type, digest_of(data), len(data), **more)
        if not self.has(entry):
            place(self.blob_path(entry["digest"]), lambda out: out.write(data))
            self.changes += 1
        return entry

    def put_layer(self, files: Iterable[LayerFile]) -> JSON:
        """Write a layer straight to disk: programs are too large to hold several of them in memory."""
        folder = os.path.join(self.path, "blobs", "sha256")
        handle, work = tempfile.mkstemp(prefix=".tmp-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as out:
                write_layer(files, out)
            entry = descriptor(MEDIA_LAYER, file_digest(work), os.path.getsize(work))
            os.chmod(work, 0o644)
            os.replace(work, self.blob_path(entry["digest"]))
            self.changes += 1
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(work)
        return entry

    def take_file(self, source: str, entry: JSON) -> None:
        """Make the content of `source` the blob `entry`; a hard link where the file system allows it."""
        if self.has(entry):
            return
        target = self.blob_path(entry["digest"])
        if os.path.getsize(source) != entry["size"] or file_digest(source) != entry["digest"]:
            raise OciError(f"{source} is not {entry['digest']} any more; remove it, it will be made again")
        self.changes += 1
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        try:
            os.link(source, target)
        except OSError:
            with open(source, "rb") as stream:
                place(target, lambda out: shutil.copyfileobj(stream, out, CHUNK))

    def write_index(self, entries: Iterable[JSON]) -> bool:
        ordered = sorted(entries, key=lambda entry: (entry.get("annotations", {}).get(REF_NAME, ""), entry["digest"]))
        document = {"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": ordered}
        return self.write("index.json", canonical_json(document) + b"\n")

    def size(self) -> int:
        return sum(entry["size"] for entry in self.walk(self.index()))

    def stale(self) -> list[str]:
        """File names in blobs/ that nothing in the index leads to."""
        wanted = {entry["digest"].partition(":")[2] for entry in self.walk(self.index())}
        try:
            present = os.listdir(os.path.join(self.path, "blobs", "sha256"))
        except FileNotFoundError:
            return []
        return sorted(set(present) - wanted)

    def prune(self) -> list[str]:
        removed = self.stale()
        for name in removed:
            os.unlink(os.path.join(self.path, "blobs", "sha256", name))
        return removed

    def verify(self) -> list[str]:
        """Read every blob back; the answer is what is wrong, nothing when all is well."""
        problems = []
        try:
            for entry in self.walk(self.index()):
                path = self.blob_path(entry["digest"])
                if not self.has(entry):
                    problems.append(f"{path} is missing or does not have {entry['size']} bytes")
                elif file_digest(path) != entry["digest"]:
                    problems.append(f"{path} does not hold what its name says")
        except OciError as exc:
            problems.append(str(exc))
        return problems
