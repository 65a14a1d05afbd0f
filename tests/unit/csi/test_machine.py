# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver is killed between any two effects of any step; whatever is asked for afterwards still comes true."""

from __future__ import annotations

import dataclasses
import types
import typing as t
from collections.abc import Iterator

import pytest
from hostplane_local import machine
from hostplane_local.engine import Engine
from hostplane_local.errors import Exists, Full, InUse, NotFound, OutOfRange, VolumeError
from hostplane_local.host import Place
from hostplane_local.machine import Step, World
from hostplane_local.record import BLOCK, DELETING, EPHEMERAL, READY, SNAPSHOT, VOLUME, Record
from hypothesis import given, settings
from hypothesis import strategies as st

ROOM = 40
PLACE = Place("/stage")


class Killed(BaseException):
    """Not an error that any code may catch."""


class Node:
    """Disk, kernel and mounts of a node in memory: they survive the driver. Sizes are plain numbers."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.images: dict[str, int] = {}
        self.parts: set[str] = set()
        self.devices: dict[str, int] = {}
        self.mounted: set[str] = set()
        self.formats: list[str] = []
        # What a file system holds: the volumes that were ever mounted have data.
        self.data: set[str] = set()
        self.lives = -1

    def beat(self) -> None:
        """One effect; the driver dies before the one that its lives run out at."""
        if self.lives == 0:
            raise Killed
        self.lives -= 1


class FakeHost:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.store: t.Any = types.SimpleNamespace(read=node.records.get, records=self.records)

    def records(self, *kinds: str) -> Iterator[Record]:
        return (record for record in list(self.node.records.values()) if not kinds or record.kind in kinds)

    def thaw_all(self) -> list[str]:
        return []

    def world(self, identity: str, place: Place) -> World:
        node = self.node
        return World(
            record=node.records.get(identity),
            image=node.images.get(identity, -1),
            part=identity in node.parts,
            device="/dev/loop" if identity in node.devices else "",
            device_size=node.devices.get(identity, 0),
            mounted=identity in node.mounted,
        )

    def perform(self, step: Step, wanted: Record, world: World, place: Place) -> None:
        self.node.beat()
        record = world.record or wanted
        getattr(self, step.name.lower())(record.id, record, wanted)
        self.node.beat()

    def write(self, record: Record, **changes: t.Any) -> None:
        self.node.records[record.id] = dataclasses.replace(record, **changes)

    def take(self, size: int) -> None:
        if size > ROOM - sum(record.committed for record in self.node.records.values()):
            raise Full("full")

    def reserve(self, key: str, record: Record, wanted: Record) -> None:
        source = self.node.records.get(wanted.source.partition("/")[2])
        if wanted.source and (source is None or source.state != READY):
            raise NotFound("source")
        if source:
            # A snapshot is as large as its source is by now, and a copy is never smaller.
            size = source.size if wanted.kind == SNAPSHOT else wanted.size
            if size < source.size:
                raise OutOfRange("grown")
            wanted = dataclasses.replace(wanted, size=size, formatted=source.formatted, fs_size=source.fs_size)
        self.take(wanted.size)
        self.write(wanted)

    def fill(self, key: str, record: Record, wanted: Record) -> None:
        self.node.parts.add(key)
        self.node.beat()
        self.node.parts.discard(key)
        self.node.images[key] = record.size
        if record.source.partition("/")[2] in self.node.data:
            self.node.data.add(key)

    def commit(self, key: str, record: Record, wanted: Record) -> None:
        self.write(record, state=READY)

    def mark_deleting(self, key: str, record: Record, wanted: Record) -> None:
        self.write(record, state=DELETING)

    def unmount(self, key: str, record: Record, wanted: Record) -> None:
        self.node.mounted.remove(key)

    def detach(self, key: str, record: Record, wanted: Record) -> None:
        assert key not in self.node.mounted, "a device is never taken away under a mount"
        del self.node.devices[key]

    def remove_files(self, key: str, record: Record, wanted: Record) -> None:
        assert key not in self.node.devices, "a device is never left on a file that is gone"
        self.node.parts.discard(key)
        self.node.beat()
        self.node.images.pop(key, None)
        self.node.data.discard(key)

    def forget(self, key: str, record: Record, wanted: Record) -> None:
        assert key not in self.node.images and key not in self.node.parts, "the record goes last"
        del self.node.records[key]

    def attach(self, key: str, record: Record, wanted: Record) -> None:
        self.node.devices[key] = self.node.images[key]

    def resize_device(self, key: str, record: Record, wanted: Record) -> None:
        self.node.devices[key] = self.node.images[key]

    def format(self, key: str, record: Record, wanted: Record) -> None:
        assert key not in self.node.data, "nobody's data is ever formatted"
        self.node.formats.append(key)
        self.node.beat()
        self.write(record, formatted=True, fs_size=record.size)

    def mount(self, key: str, record: Record, wanted: Record) -> None:
        self.node.mounted.add(key)
        self.node.data.add(key)

    def grow_fs(self, key: str, record: Record, wanted: Record) -> None:
        assert self.node.devices[key] >= record.size
        self.node.beat()
        self.write(record, fs_size=record.size)

    def plan_growth(self, key: str, record: Record, wanted: Record) -> None:
        self.take(wanted.size - record.size)
        self.write(record, target=wanted.size)

    def grow_image(self, key: str, record: Record, wanted: Record) -> None:
        self.node.images[key] += (record.target - self.node.images[key]) // 2
        self.node.beat()
        self.node.images[key] = record.target

    def commit_growth(self, key: str, record: Record, wanted: Record) -> None:
        self.write(record, size=record.target, target=0)

    def drop_growth(self, key: str, record: Record, wanted: Record) -> None:
        assert record.fs_size <= record.size, "a file system is never cut"
        self.node.images[key] = min(self.node.images[key], record.size)
        self.node.beat()
        self.write(record, target=0)


def volume(name: str, size: int = 4, kind: str = VOLUME, source: str = "") -> Record:
    return Record(id=name, name=name, kind=kind, size=size, fs="ext4", source=source)


def call(engine: Engine, what: str, name: str) -> None:
    """One call as the sidecars and the kubelet make it."""
    if what == "create":
        engine.create(volume(name), lambda found: found.kind == VOLUME)
    elif what == "snapshot":
        engine.create(volume(f"{name}-s", kind=SNAPSHOT, source=f"volume/{name}"), lambda found: True)
    elif what == "restore":
        engine.create(volume(f"{name}-r", 6, source=f"snapshot/{name}-s"), lambda found: True)
    elif what == "delete":
        engine.delete(name, VOLUME)
    elif what == "delete-others":
        engine.delete(f"{name}-s", SNAPSHOT)
        engine.delete(f"{name}-r", VOLUME)
    elif what == "stage":
        engine.stage(name, PLACE)
    elif what == "unstage":
        engine.unstage(name, PLACE, lambda: None)
    elif what == "expand":
        record = engine.store.read(name)
        engine.expand(name, record.size + 5 if record else 5)
    elif what == "inline":
        engine.publish_ephemeral(volume(f"{name}-e", 3, EPHEMERAL), PLACE)
    elif what == "end-inline":
        engine.unpublish(f"{name}-e", lambda: None)


CALLS = (
    "create", "stage", "expand", "snapshot", "restore", "unstage", "delete", "delete-others", "inline", "end-inline",
)  # fmt: skip


def sound(node: Node) -> None:
    """What holds at every moment, right after a kill as well."""
    for key in {*node.images, *node.parts, *node.devices, *node.mounted}:
        assert key in node.records, "nothing is there without a record"
    assert sum(record.committed for record in node.records.values()) <= ROOM
    for key in node.mounted:
        assert key in node.devices
    for key, record in node.records.items():
        if record.state == READY:
            assert node.images[key] >= record.size >= record.fs_size


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(CALLS), st.sampled_from("ab"), st.integers(-1, 25)), max_size=40),
)
def test_killed_anywhere(calls: list[tuple[str, str, int]]) -> None:
    node = Node()
    engine = Engine(FakeHost(node))
    for what, name, lives in calls:
        node.lives = lives
        try:
            call(engine, what, name)
        except VolumeError:
            pass
        except Killed:
            sound(node)
            node.lives = -1
            engine = Engine(FakeHost(node))
            assert engine.recover() == []
            assert all(record.state == READY and not record.target for record in node.records.values())
        node.lives = -1
        sound(node)
        assert not node.parts, "a part is only there while an image is made"
    # However it went, everything can be taken away and leaves nothing.
    for name in "ab":
        for what in ("end-inline", "unstage", "delete-others", "delete"):
            call(engine, what, name)
    assert (node.records, node.images, node.parts, node.devices, node.mounted) == ({}, {}, set(), {}, set())


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("lives", range(16))
def test_each_call_is_finished_by_the_next_one_like_it(what: str, lives: int) -> None:
    def play(lives: int) -> Node:
        node = Node()
        engine = Engine(FakeHost(node))
        before = {"restore": ["snapshot"], "delete-others": ["snapshot", "restore"], "end-inline": ["inline"]}
        for earlier in ["create", *(["stage"] if what not in ("create", "delete") else []), *before.get(what, [])]:
            if earlier != what:
                call(engine, earlier, "a")
        size = node.records["a"].size if "a" in node.records else 0
        node.lives = lives
        try:
            call(engine, what, "a")
        except Killed:
            node.lives = -1
            engine = Engine(FakeHost(node))
            engine.recover()
            if what == "expand":
                # The same size again, whether or not it was reached before.
                engine.expand("a", size + 5)
            else:
                call(engine, what, "a")
        return node

    wanted, got = play(-1), play(lives)
    assert (got.records, got.images, got.devices, got.mounted) == (
        wanted.records,
        wanted.images,
        wanted.devices,
        wanted.mounted,
    )


def test_an_image_without_a_record_is_never_overwritten() -> None:
    with pytest.raises(VolumeError, match="without a record"):
        machine.create(World(image=5))
    assert machine.delete(World(image=5)) is None


def test_what_is_mounted_is_not_deleted() -> None:
    ready = dataclasses.replace(volume("a"), state=READY)
    with pytest.raises(InUse, match="mounted"):
        machine.delete(World(record=ready, image=4, device="/dev/loop1", mounted=True))


def test_a_raw_volume_is_never_formatted() -> None:
    ready = dataclasses.replace(volume("a"), state=READY, mode=BLOCK)
    assert machine.stage(World(record=ready, image=4, device="/dev/loop1", device_size=4)) is None


def test_a_file_system_that_cannot_grow_mounted_grows_before() -> None:
    ready = dataclasses.replace(volume("a", 8), state=READY, formatted=True, fs_size=4)
    world = World(record=ready, image=8, device="/dev/loop1", device_size=8, grows_online=False)
    assert machine.stage(world) is Step.GROW_FS
    assert machine.stage(dataclasses.replace(world, grows_online=True)) is Step.MOUNT
    with pytest.raises(InUse, match="the next time"):
        machine.expand(dataclasses.replace(world, mounted=True), 8)
    assert machine.expand(dataclasses.replace(world, mounted=True), 8, node=False) is None


def test_the_same_name_with_something_else_is_refused() -> None:
    engine = Engine(FakeHost(Node()))
    engine.create(volume("a"), lambda found: True)
    with pytest.raises(Exists):
        engine.create(volume("a", 8), lambda found: False)


def test_without_room_nothing_is_left() -> None:
    node = Node()
    engine = Engine(FakeHost(node))
    with pytest.raises(Full):
        engine.create(volume("a", ROOM + 1), lambda found: True)
    assert node.records == {}
    engine.create(volume("a", ROOM - 1), lambda found: True)
    with pytest.raises(Full):
        engine.expand("a", ROOM + 5)
    assert node.records["a"].size == ROOM - 1 and not node.records["a"].target


def test_a_second_call_is_told_to_come_again() -> None:
    engine = Engine(FakeHost(Node()))
    engine.create(volume("a"), lambda found: True)
    with engine.locks.hold("a"), pytest.raises(VolumeError) as caught:
        engine.stage("a", PLACE)
    assert caught.value.status == "ABORTED"
    engine.stage("a", PLACE)
