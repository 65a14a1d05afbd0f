# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the machine on a real node. Tests have another one that can be killed between any two of them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator

from . import filesystems, images, loops, mounts
from .errors import InUse, NotFound, OutOfRange, VolumeError
from .machine import Step, World
from .pool import Pool
from .record import MOUNT, READY, SNAPSHOT, Record, Store

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and how to mount when a step asks for it."""

    path: str = ""
    flags: tuple[str, ...] = ()


class Host:
    def __init__(self, store: Store, pool: Pool) -> None:
        self.store = store
        self.pool = pool
        self.grows_online = filesystems.can_grow_online()

    def world(self, identity: str, place: Place) -> World:
        """`mounted`: at the place; without one, anywhere."""
        record = self.store.read(identity)
        image = self.store.image(identity)
        device = loops.find(image)
        if not device:
            mounted = False
        elif place.path:
            mounted = mounts.shows(place.path, device)
        else:
            mounted = bool(mounts.of(device) or mounts.bound_nodes(device))
        try:
            size = image.stat().st_size
        except FileNotFoundError:
            size = -1
        return World(
            record=record,
            image=size,
            part=self.store.part(identity).exists(),
            device=device,
            device_size=loops.size(device) if device else 0,
            mounted=mounted,
            grows_online=self.grows_online or record is None or record.fs != "ext4",
        )

    def perform(self, step: Step, wanted: Record, world: World, place: Place) -> None:
        """`wanted`: what a new record says; every later step goes by the record that is there."""
        LOG.info("%s: %s", wanted.id, step.value)
        record = world.record or wanted
        if step is Step.RESERVE:
            self._reserve(wanted)
        elif step is Step.PLAN_GROWTH:
            with self.pool.lock:
                if not record.thin:
                    self.pool.require(wanted.size - record.size, f"growing {record.id}")
                self.store.write(dataclasses.replace(record, target=wanted.size))
        else:
            getattr(self, f"_{step.name.lower()}")(record, world, place)

    def _reserve(self, record: Record) -> None:
        source = self._source(record)
        taken = images.allocated(self.store.image(source.id)) if source else 0
        with self.pool.lock:
            # A copy by reference takes no room now, but each of both may be rewritten.
            shared = taken if source and self.pool.reflinks else 0
            need = taken if record.kind == SNAPSHOT else max(record.size, shared)
            self.pool.require(need, record.id)
            if source:
                family = (source.family or source.id) if shared else ""
                record = dataclasses.replace(record, reserve=shared, family=family)
                # Looked at now, under the source's lock: it may have been formatted or grown since the request came.
                size = source.size if record.kind == SNAPSHOT else record.size
                record = dataclasses.replace(record, size=size, formatted=source.formatted, fs_size=source.fs_size)
                if size < source.size:
                    raise OutOfRange(f"{source.id} has grown to {source.size} bytes, a copy of it can't be smaller")
            self.store.write(record)

    def _source(self, record: Record) -> Record | None:
        if not record.source:
            return None
        source = self.store.read(record.source.partition("/")[2])
        if source is None or source.state != READY:
            raise NotFound(f"{record.source}, which {record.id} is to be made from, is not on this node")
        return source

    def _fill(self, record: Record, world: World, place: Place) -> None:
        source = self._source(record)
        path = self.store.image(source.id) if source else None
        images.fill(
            self.store,
            record,
            path,
            lambda: self.quiet(source) if source else contextlib.nullcontext(),
            self.pool.lock,
        )

    @contextlib.contextmanager
    def quiet(self, source: Record) -> Iterator[None]:
        """Hold back writes to a volume while it is copied."""
        device = loops.find(self.store.image(source.id))
        where = mounts.of(device) if device else []
        if where:
            mounts.freeze(where)
            try:
                yield
            finally:
                mounts.thaw(where)
            return
        if device:
            if mounts.bound_nodes(device) and not self.pool.reflinks:
                raise InUse(
                    f"{source.id} is a raw block volume in use, and the pool's file system has no reflinks: a copy "
                    "would mix old and new blocks. Stop its pod first, or put the pool on xfs or btrfs"
                )
            loops.flush(device)
        yield

    def _commit(self, record: Record, world: World, place: Place) -> None:
        self.store.write(dataclasses.replace(record, state=READY))

    def _mark_deleting(self, record: Record, world: World, place: Place) -> None:
        self.store.mark_deleting(record.id)

    def _unmount(self, record: Record, world: World, place: Place) -> None:
        for path in [place.path] if place.path else mounts.of(world.device) + mounts.bound_nodes(world.device):
            mounts.unmount(path)

    def _detach(self, record: Record, world: World, place: Place) -> None:
        loops.detach(world.device, self.store.image(record.id))

    def _remove_files(self, record: Record, world: World, place: Place) -> None:
        self.store.part(record.id).unlink(missing_ok=True)
        self.store.image(record.id).unlink(missing_ok=True)

    def _forget(self, record: Record, world: World, place: Place) -> None:
        self.store.remove(record.id)

    def _attach(self, record: Record, world: World, place: Place) -> None:
        if not images.refill(self.store, record):
            LOG.warning("%s: the pool is too full to give back what was discarded from its image", record.id)
        loops.attach(self.store.image(record.id), keep_blocks=not record.thin)

    def _resize_device(self, record: Record, world: World, place: Place) -> None:
        loops.refresh(world.device, self.store.image(record.id))

    def _format(self, record: Record, world: World, place: Place) -> None:
        filesystems.make(world.device, record.fs)
        self.store.write(dataclasses.replace(record, formatted=True, fs_size=record.size))

    def _mount(self, record: Record, world: World, place: Place) -> None:
        if not mounts.of(world.device):
            filesystems.mount(world.device, place.path, record.fs, list(place.flags))
        else:
            # Mounted elsewhere: the same file system again, unchecked because it is in use.
            filesystems.attach(world.device, place.path, record.fs, list(place.flags))

    def _grow_fs(self, record: Record, world: World, place: Place) -> None:
        if world.mounted:
            filesystems.grow(world.device, place.path or mounts.of(world.device)[0], record.fs)
        else:
            filesystems.grow_unmounted(world.device)
        self.store.write(dataclasses.replace(record, fs_size=record.size))

    def _grow_image(self, record: Record, world: World, place: Place) -> None:
        images.grow(self.store, record, self.pool.lock)

    def _commit_growth(self, record: Record, world: World, place: Place) -> None:
        self.store.write(dataclasses.replace(record, size=record.target, target=0))

    def _drop_growth(self, record: Record, world: World, place: Place) -> None:
        images.cut(self.store, record)
        self.store.write(dataclasses.replace(record, target=0))

    def thaw_all(self) -> list[str]:
        """A driver that was killed while it copied left its source frozen, and its pod hanging.

        What could not be thawed, each with the reason: one damaged file system is no matter of the others.
        """
        problems = []
        for record in self.store.records():
            try:
                device = loops.find(self.store.image(record.id)) if record.mode == MOUNT else ""
                mounts.thaw(mounts.of(device) if device else [])
            except (VolumeError, OSError) as exc:
                problems.append(f"{record.id}: {exc}")
        return problems
