# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the machine for one volume until its goal is reached, under the volume's lock."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import typing as t
from collections.abc import Callable, Iterator

from . import machine
from .errors import Exists, Full, InUse, NotFound, VolumeError
from .host import Place
from .machine import Step, World
from .pool import Locks
from .record import EPHEMERAL, READY, SNAPSHOT, VOLUME, Record, Store

LOG = logging.getLogger(__name__)
# A goal is at most about ten steps away; more means that a step has no effect.
_MOST_STEPS = 40
_ANYWHERE = Place()

Rule = Callable[[World], t.Optional[Step]]


class Performer(t.Protocol):
    store: Store

    def world(self, identity: str, place: Place) -> World: ...

    def perform(self, step: Step, wanted: Record, world: World, place: Place) -> None: ...

    def thaw_all(self) -> list[str]: ...


class Engine:
    def __init__(self, host: Performer) -> None:
        self.host = host
        self.store = host.store
        self.locks = Locks()

    def _run(self, rule: Rule, wanted: Record, place: Place = _ANYWHERE) -> World:
        for _count in range(_MOST_STEPS):
            world = self._look(wanted.id, place)
            step = rule(world)
            if step is None:
                return world
            self.host.perform(step, wanted, world, place)
        raise VolumeError(
            f"{wanted.id}: no end after {_MOST_STEPS} steps; the last was to {step.value if step else ''}"
        )

    def _look(self, identity: str, place: Place) -> World:
        try:
            return self.host.world(identity, place)
        except ValueError as exc:
            raise VolumeError(f"the record of {identity} cannot be read ({exc}); nothing is done with it") from exc

    def get(self, identity: str, *kinds: str) -> Record:
        """A volume that is ready, by default of a kind that has a node's path."""
        try:
            record = self.store.read(identity)
        except ValueError as exc:
            raise VolumeError(f"the record of {identity} cannot be read ({exc}); nothing is done with it") from exc
        if record is None or record.state != READY or record.kind not in (kinds or (VOLUME, EPHEMERAL)):
            raise NotFound(f"{identity} is not on this node")
        return record

    def create(self, wanted: Record, fits: Callable[[Record], bool]) -> Record:
        """`fits`: whether what is there under the name is what is asked for."""
        with self.locks.hold(wanted.id, wanted.source.partition("/")[2]):
            return self._create(wanted, fits)

    def _create(self, wanted: Record, fits: Callable[[Record], bool]) -> Record:
        record = self._look(wanted.id, _ANYWHERE).record
        if record and record.state == READY and not fits(record):
            raise Exists(f"{wanted.name} is there already, with another size, source or kind")
        if record and record.state == machine.CREATING:
            # Nobody was told of it, and this request may be another one of the same name.
            self._run(lambda world: machine.delete(world), wanted)
        try:
            done = self._run(machine.create, wanted)
        except (VolumeError, OSError):
            self._take_back(wanted)
            raise
        assert done.record
        return done.record

    def _take_back(self, wanted: Record) -> None:
        with contextlib.suppress(VolumeError, OSError, ValueError):
            found = self.store.read(wanted.id)
            if found and found.state == machine.CREATING:
                self._run(lambda world: machine.delete(world), wanted)

    def delete(self, identity: str, *kinds: str) -> None:
        """Nothing when there is nothing; InUse while it is mounted."""
        with self.locks.hold(identity):
            record = self._look(identity, _ANYWHERE).record if self._known(identity) else None
            if record and record.kind in kinds:
                self._run(machine.delete, record)

    def _known(self, identity: str) -> bool:
        try:
            return self.store.read(identity) is not None
        except ValueError:
            return True

    def stage(self, identity: str, place: Place) -> World:
        with self.locks.hold(identity):
            return self._run(machine.stage, self.get(identity), place)

    def unstage(self, identity: str, place: Place, also: Callable[[], None]) -> None:
        """`also`: what has to go before the device can."""
        with self.locks.hold(identity):
            record = self.store.read(identity)
            also()
            if record:
                self._run(self._unless_elsewhere(machine.unstage, identity, place), record, place)

    def _unless_elsewhere(self, rule: Rule, identity: str, place: Place) -> Rule:
        def checked(world: World) -> Step | None:
            step = rule(world)
            # The device stays while another path shows the volume.
            if step is Step.DETACH and self.host.world(identity, _ANYWHERE).mounted:
                raise InUse(f"{identity} is still mounted somewhere else than at {place.path}")
            return step

        return checked

    def publish_ephemeral(self, wanted: Record, place: Place) -> None:
        with self.locks.hold(wanted.id):
            self._create(wanted, lambda found: found.kind == EPHEMERAL)
            self._run(machine.stage, wanted, place)

    def unpublish(self, identity: str, also: Callable[[], None]) -> None:
        """Unmounts; a volume that lives as long as its mount goes with it."""
        with self.locks.hold(identity):
            record = self.store.read(identity)
            also()
            if record and record.kind == EPHEMERAL:
                self._run(lambda world: machine.delete(world, unmount=True), record)

    def expand(self, identity: str, size: int, node: bool = True) -> Record:
        """`node`: with the file system; the controller grows image and device only."""
        with self.locks.hold(identity):
            record = self.get(identity)
            wanted = dataclasses.replace(record, size=max(size, record.size))
            try:
                done = self._run(lambda world: machine.expand(world, wanted.size, node), wanted)
            except Full:
                self._run(machine.recover, record)
                raise
            assert done.record
            return done.record

    def records(self, *kinds: str) -> Iterator[Record]:
        return (record for record in self.store.records(*kinds) if record.state == READY)

    def recover(self) -> list[str]:
        """After a start; what could not be brought to an end, each with the reason."""
        problems = self.host.thaw_all()
        for record in list(self.store.records(VOLUME, SNAPSHOT, EPHEMERAL)):
            try:
                with self.locks.hold(record.id):
                    self._run(machine.recover, record)
            except (VolumeError, OSError) as exc:
                problems.append(f"{record.id}: {exc}")
        return problems
