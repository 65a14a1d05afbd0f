# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot calls of the Controller service."""

from __future__ import annotations

import time
import typing as t

from . import requests
from .engine import Engine
from .errors import Busy, NotFound
from .record import SNAPSHOT, VOLUME, Record, lies_elsewhere, make_id
from .wire import csi


class Snapshots:
    def __init__(self, engine: Engine, node: str) -> None:
        self.engine = engine
        self.node = node

    def CreateSnapshot(self, request: t.Any) -> t.Any:
        """The whole size of the source is that of the snapshot, whatever it takes in the pool."""
        requests.need(request.name, "name")
        requests.need(request.source_volume_id, "source_volume_id")
        requests.snapshot_parameters(request.parameters)
        if lies_elsewhere(request.source_volume_id, self.node):
            raise NotFound(
                f"{request.source_volume_id} is on another node; snapshots are made by the driver there "
                "(snapshot-controller --enable-distributed-snapshotting, csi-snapshotter --node-deployment)"
            )
        origin = f"{VOLUME}/{request.source_volume_id}"
        identity = make_id(request.name, self.node, snapshot=True)
        known = self._existing(identity, origin)
        if known is not None:
            return csi.CreateSnapshotResponse(snapshot=self._snapshot(known))
        source = self.engine.get(request.source_volume_id, VOLUME)
        wanted = Record(
            id=identity,
            name=request.name,
            kind=SNAPSHOT,
            size=source.size,
            mode=source.mode,
            fs=source.fs,
            source=origin,
            created=int(time.time()),
        )
        record = self.engine.create(wanted, lambda found: found.kind == SNAPSHOT and found.source == origin)
        return csi.CreateSnapshotResponse(snapshot=self._snapshot(record))

    def _existing(self, identity: str, origin: str) -> Record | None:
        """A finished one stays what it is when its volume is gone or has grown."""
        try:
            found = self.engine.get(identity, SNAPSHOT)
        except NotFound:
            return None
        return found if found.source == origin else None

    @staticmethod
    def _snapshot(record: Record) -> t.Any:
        snapshot = csi.Snapshot(
            snapshot_id=record.id,
            source_volume_id=record.source.partition("/")[2],
            size_bytes=record.size,
            ready_to_use=True,
        )
        snapshot.creation_time.seconds = record.created
        return snapshot

    def DeleteSnapshot(self, request: t.Any) -> t.Any:
        self.engine.delete(requests.need(request.snapshot_id, "snapshot_id"), SNAPSHOT)
        return csi.DeleteSnapshotResponse()

    def GetSnapshot(self, request: t.Any) -> t.Any:
        record = self.engine.get(requests.need(request.snapshot_id, "snapshot_id"), SNAPSHOT)
        return csi.GetSnapshotResponse(snapshot=self._snapshot(record))

    def ListSnapshots(self, request: t.Any) -> t.Any:
        records = [
            record
            for record in self.engine.records(SNAPSHOT)
            if request.snapshot_id in ("", record.id)
            and request.source_volume_id in ("", record.source.partition("/")[2])
        ]
        try:
            found, token = requests.page(records, [r.id for r in records], request.starting_token, request.max_entries)
        except ValueError as exc:
            raise Busy(str(exc)) from exc
        entries = [csi.ListSnapshotsResponse.Entry(snapshot=self._snapshot(record)) for record in found]
        return csi.ListSnapshotsResponse(entries=entries, next_token=token)
