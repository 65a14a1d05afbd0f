# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Controller service of one node: every call is about volumes of this node, and says so when they are another's."""

from __future__ import annotations

import time
import typing as t

from . import TOPOLOGY_KEY, requests
from .condition import condition
from .engine import Engine
from .errors import Busy, Full, Invalid, OutOfRange
from .filesystems import SMALLEST, check_kind
from .pool import Pool
from .record import BLOCK, MOUNT, SNAPSHOT, VOLUME, Record, lies_elsewhere, make_id
from .snapshots import Snapshots
from .wire import csi

_CAPABILITIES = (
    "CREATE_DELETE_VOLUME", "LIST_VOLUMES", "GET_CAPACITY", "CREATE_DELETE_SNAPSHOT", "LIST_SNAPSHOTS", "CLONE_VOLUME",
    "EXPAND_VOLUME", "VOLUME_CONDITION", "GET_VOLUME", "SINGLE_NODE_MULTI_WRITER", "GET_SNAPSHOT",
)  # fmt: skip


class Controller(Snapshots):
    def __init__(self, engine: Engine, pool: Pool, node: str) -> None:
        super().__init__(engine, node)
        self.pool = pool

    def ControllerGetCapabilities(self, request: t.Any) -> t.Any:
        rpc = csi.ControllerServiceCapability.RPC
        kinds = [csi.ControllerServiceCapability(rpc=rpc(type=rpc.Type.Value(name))) for name in _CAPABILITIES]
        return csi.ControllerGetCapabilitiesResponse(capabilities=kinds)

    def CreateVolume(self, request: t.Any) -> t.Any:
        requests.need(request.name, "name")
        kind = requests.kinds_of(request.volume_capabilities)
        thin = requests.class_parameters(request.parameters)
        if request.mutable_parameters:
            raise Invalid("mutable_parameters: this driver has none")
        self._here(request.accessibility_requirements)
        source = self._source(request.volume_content_source)
        fs = self._file_system(kind, source)
        size = self._size(request.capacity_range, fs, source)
        low, high = request.capacity_range.required_bytes, request.capacity_range.limit_bytes
        wanted = Record(
            id=make_id(request.name, self.node),
            name=request.name,
            kind=VOLUME,
            size=size,
            thin=thin,
            mode=kind.mode,
            fs=fs,
            source=f"{source.kind}/{source.id}" if source else "",
            created=int(time.time()),
        )

        def fits(found: Record) -> bool:
            same = all(
                getattr(found, name) == getattr(wanted, name) for name in ("kind", "thin", "mode", "fs", "source")
            )
            return same and found.size >= low and (not high or found.size <= high)

        record = self.engine.create(wanted, fits)
        return csi.CreateVolumeResponse(volume=self._volume(record, request.volume_content_source))

    def _volume(self, record: Record, source: t.Any = None) -> t.Any:
        volume = csi.Volume(
            volume_id=record.id,
            capacity_bytes=record.size,
            accessible_topology=[csi.Topology(segments={TOPOLOGY_KEY: self.node})],
        )
        if source is not None and record.source:
            volume.content_source.CopyFrom(source)
        return volume

    def _here(self, requirement: t.Any) -> None:
        """Full when the volume is wanted elsewhere: the scheduler then looks for another node."""
        wanted = [dict(topology.segments) for topology in requirement.requisite]
        if wanted and not any(found.get(TOPOLOGY_KEY, self.node) == self.node for found in wanted):
            raise Full(f"the volume is wanted on other nodes than {self.node}, which is all that this driver has")

    def _source(self, content: t.Any) -> Record | None:
        """What the new volume's content is; NotFound when it is nowhere, Full when it is on another node."""
        kind = content.WhichOneof("type")
        if not kind:
            return None
        identity = content.snapshot.snapshot_id if kind == "snapshot" else content.volume.volume_id
        requests.need(identity, f"the id of the source {kind}")
        if lies_elsewhere(identity, self.node):
            raise Full(f"{identity} is on another node; a copy of it can only be made there")
        return self.engine.get(identity, SNAPSHOT if kind == "snapshot" else VOLUME)

    @staticmethod
    def _file_system(kind: requests.Kind, source: Record | None) -> str:
        if source is None:
            return check_kind(kind.fs) if kind.mode == MOUNT else ""
        if source.mode != kind.mode:
            raise Invalid(f"{source.id} is a {source.mode} volume, a copy of it can't be a {kind.mode} volume")
        if kind.fs and kind.fs != source.fs:
            raise Invalid(f"{source.id} holds {source.fs}, a copy of it can't be {kind.fs}")
        return source.fs

    @staticmethod
    def _size(wanted: t.Any, fs: str, source: Record | None) -> int:
        if source is None:
            return requests.whole_size(wanted.required_bytes, wanted.limit_bytes, fs)
        size = requests.whole_size(wanted.required_bytes, wanted.limit_bytes, fs, default=source.size)
        if size < source.size:
            if wanted.limit_bytes and wanted.limit_bytes < source.size:
                raise OutOfRange(f"{source.id} has {source.size} bytes, a copy of it can't be smaller")
            if wanted.required_bytes:
                raise OutOfRange(f"{source.id} has {source.size} bytes, {wanted.required_bytes} are asked for")
        return max(size, source.size)

    def DeleteVolume(self, request: t.Any) -> t.Any:
        self.engine.delete(requests.need(request.volume_id, "volume_id"), VOLUME)
        return csi.DeleteVolumeResponse()

    def ValidateVolumeCapabilities(self, request: t.Any) -> t.Any:
        requests.need(request.volume_id, "volume_id")
        if not request.volume_capabilities:
            raise Invalid("volume_capabilities is missing")
        record = self.engine.get(request.volume_id, VOLUME)
        try:
            kind = requests.kinds_of(request.volume_capabilities)
            requests.class_parameters(request.parameters)
        except Invalid as exc:
            return csi.ValidateVolumeCapabilitiesResponse(message=str(exc))
        if kind.mode != record.mode or (kind.fs and kind.fs != record.fs):
            return csi.ValidateVolumeCapabilitiesResponse(message=f"it is a {record.fs or BLOCK} volume")
        confirmed = csi.ValidateVolumeCapabilitiesResponse.Confirmed(
            volume_capabilities=request.volume_capabilities,
            volume_context=request.volume_context,
            parameters=request.parameters,
        )
        return csi.ValidateVolumeCapabilitiesResponse(confirmed=confirmed)

    def ListVolumes(self, request: t.Any) -> t.Any:
        records = list(self.engine.records(VOLUME))
        try:
            found, token = requests.page(records, [r.id for r in records], request.starting_token, request.max_entries)
        except ValueError as exc:
            raise Busy(str(exc)) from exc
        entries = [csi.ListVolumesResponse.Entry(volume=self._volume(record)) for record in found]
        return csi.ListVolumesResponse(entries=entries, next_token=token)

    def ControllerGetVolume(self, request: t.Any) -> t.Any:
        record = self.engine.get(requests.need(request.volume_id, "volume_id"), VOLUME)
        response = csi.ControllerGetVolumeResponse(volume=self._volume(record))
        response.status.volume_condition.CopyFrom(condition(self.engine, self.pool, record))
        return response

    def GetCapacity(self, request: t.Any) -> t.Any:
        segments = request.accessible_topology.segments
        if segments and segments.get(TOPOLOGY_KEY, self.node) != self.node:
            return csi.GetCapacityResponse(available_capacity=0)
        kind = (
            requests.kinds_of(request.volume_capabilities) if request.volume_capabilities else requests.Kind(MOUNT, "")
        )
        available = self.pool.usage().available
        response = csi.GetCapacityResponse(available_capacity=available)
        response.maximum_volume_size.value = available
        response.minimum_volume_size.value = SMALLEST[check_kind(kind.fs) if kind.mode == MOUNT else ""]
        return response

    def ControllerExpandVolume(self, request: t.Any) -> t.Any:
        """A volume of another node is left to that node: the resizer asks one driver for all volumes, and
        NodeExpandVolume does all of it."""
        identity = requests.need(request.volume_id, "volume_id")
        wanted = request.capacity_range
        if not wanted.required_bytes and not wanted.limit_bytes:
            raise Invalid("capacity_range is missing")
        if lies_elsewhere(identity, self.node):
            size = requests.whole_size(wanted.required_bytes, wanted.limit_bytes, "")
            return csi.ControllerExpandVolumeResponse(capacity_bytes=size, node_expansion_required=True)
        record = self.engine.get(identity, VOLUME)
        size = requests.whole_size(wanted.required_bytes, wanted.limit_bytes, record.fs)
        if wanted.limit_bytes and record.size > wanted.limit_bytes:
            raise OutOfRange(f"{record.id} has {record.size} bytes already, volumes do not shrink")
        grown = self.engine.expand(identity, size, node=False)
        node = record.mode == MOUNT
        return csi.ControllerExpandVolumeResponse(capacity_bytes=grown.size, node_expansion_required=node)
