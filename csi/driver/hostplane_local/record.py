# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept about a volume: one JSON file beside its image, replaced as a whole."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .errors import Full, Invalid

CREATING, READY, DELETING = "creating", "ready", "deleting"
VOLUME, SNAPSHOT, EPHEMERAL = "volume", "snapshot", "ephemeral"
MOUNT, BLOCK = "mount", "block"
SCHEMA = 1
# What a record is called, and what once its volume is being deleted.
RECORD_SUFFIXES = ("json", "gone")

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OWN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.[ns]([0-9a-f]{8})")
_LONGEST_ID = 128


@dataclasses.dataclass(frozen=True)
class Record:
    """Sizes are bytes, `created` seconds since 1970; `fs` is empty for raw block."""

    id: str
    name: str
    kind: str
    size: int
    state: str = CREATING
    # What the volume is growing to; 0 when it is not.
    target: int = 0
    thin: bool = False
    mode: str = MOUNT
    fs: str = ""
    # Kind and id of what the content came from, such as volume/pvc-1.n0123abcd.
    source: str = ""
    formatted: bool = False
    fs_size: int = 0
    # Shared with another image when it was made: each of both may be rewritten and then needs this much more.
    reserve: int = 0
    # Id of the first of all images that have blocks in common with this one.
    family: str = ""
    created: int = 0

    @property
    def committed(self) -> int:
        return max(self.size, self.target)


def node_hash(node: str) -> str:
    return hashlib.sha256(node.encode()).hexdigest()[:8]


def make_id(name: str, node: str, snapshot: bool = False) -> str:
    """The same for the same name and node; also a file name, so an odd or long one is replaced by its digest.

    A volume and a snapshot may have the same name.
    """
    if not _SAFE.fullmatch(name) or name.startswith("x-"):
        name = "x-" + hashlib.sha256(name.encode()).hexdigest()[:40]
    return f"{name}.{'s' if snapshot else 'n'}{node_hash(node)}"


def is_file_name(text: str) -> bool:
    return len(text) <= _LONGEST_ID and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text))


def lies_elsewhere(identity: str, node: str) -> bool:
    """Whether the id was given by the driver of another node."""
    match = _OWN_ID.fullmatch(identity)
    return match is not None and match.group(1) != node_hash(node)


def from_json(text: str) -> Record:
    """ValueError when the text is not a record of this schema."""
    document = json.loads(text)
    if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
        raise ValueError("not a record of this driver's version")
    try:
        record = Record(**document)
    except TypeError as exc:
        raise ValueError(str(exc)) from exc
    if record.state not in (CREATING, READY, DELETING) or record.kind not in (VOLUME, SNAPSHOT, EPHEMERAL):
        raise ValueError(f"unknown state {record.state!r} or kind {record.kind!r}")
    return record


def to_json(record: Record) -> str:
    return json.dumps({"schema": SCHEMA, **dataclasses.asdict(record)}, indent=1, sort_keys=True) + "\n"


def sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Store:
    """The files of a pool: <directory>/<id>.json, .img, and .img.part while an image is made. A volume that is
    being deleted has .gone instead of .json."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, identity: str, suffix: str) -> Path:
        if not is_file_name(identity):
            raise Invalid(f"{identity!r} is no id of this driver")
        return self.directory / f"{identity}.{suffix}"

    def image(self, identity: str) -> Path:
        return self.path(identity, "img")

    def part(self, identity: str) -> Path:
        return self.path(identity, "img.part")

    def read(self, identity: str) -> Record | None:
        """None when there is none; ValueError when there is one that cannot be understood."""
        if not is_file_name(identity):
            return None
        for suffix in RECORD_SUFFIXES:
            try:
                text = self.path(identity, suffix).read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            record = from_json(text)
            if record.id != identity:
                raise ValueError(f"{identity}.{suffix} is about {record.id}")
            return record if suffix == "json" else dataclasses.replace(record, state=DELETING)
        return None

    def write(self, record: Record) -> None:
        """Full when the pool's file system is."""
        path = self.path(record.id, "json")
        temporary = path.with_suffix(".json.part")
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(to_json(record))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as exc:
            temporary.unlink(missing_ok=True)
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Full(f"the pool's file system has no room for the record of {record.id}") from exc
            raise
        os.rename(temporary, path)
        sync_directory(self.directory)

    def mark_deleting(self, identity: str) -> None:
        """By its name: that takes no block, so a pool that is full to the last one can be emptied."""
        os.rename(self.path(identity, "json"), self.path(identity, "gone"))
        sync_directory(self.directory)

    def remove(self, identity: str) -> None:
        for suffix in RECORD_SUFFIXES:
            self.path(identity, suffix).unlink(missing_ok=True)
        sync_directory(self.directory)

    def records(self, *kinds: str) -> Iterator[Record]:
        """Readable records by id; the others are for the report."""
        for identity in self.identities():
            try:
                record = self.read(identity)
            except (ValueError, OSError):
                continue
            if record and (not kinds or record.kind in kinds):
                yield record

    def identities(self) -> list[str]:
        """Ids that have a record, whether or not it can be read."""
        ends = [name.rpartition(".") for name in self.names()]
        return sorted({identity for identity, _dot, suffix in ends if suffix in RECORD_SUFFIXES and identity})

    def names(self) -> list[str]:
        return sorted(os.listdir(self.directory))
