# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Node service: devices and mounts of this host."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t
from pathlib import Path

from . import TOPOLOGY_KEY, filesystems, loops, mounts, requests
from .condition import condition
from .engine import Engine
from .errors import Exists, Full, InUse, Invalid, NotFound
from .host import Place
from .pool import Pool
from .record import BLOCK, EPHEMERAL, MOUNT, Record, is_file_name
from .wire import csi

_CAPABILITIES = (
    "STAGE_UNSTAGE_VOLUME", "GET_VOLUME_STATS", "EXPAND_VOLUME", "VOLUME_CONDITION", "SINGLE_NODE_MULTI_WRITER",
)  # fmt: skip


class Node:
    def __init__(self, engine: Engine, pool: Pool, node: str, most_volumes: int) -> None:
        self.engine = engine
        self.pool = pool
        self.node = node
        self.most_volumes = most_volumes

    def NodeGetCapabilities(self, request: t.Any) -> t.Any:
        rpc = csi.NodeServiceCapability.RPC
        kinds = [csi.NodeServiceCapability(rpc=rpc(type=rpc.Type.Value(name))) for name in _CAPABILITIES]
        return csi.NodeGetCapabilitiesResponse(capabilities=kinds)

    def NodeGetInfo(self, request: t.Any) -> t.Any:
        return csi.NodeGetInfoResponse(
            node_id=self.node,
            max_volumes_per_node=self.most_volumes,
            accessible_topology=csi.Topology(segments={TOPOLOGY_KEY: self.node}),
        )

    def NodeStageVolume(self, request: t.Any) -> t.Any:
        requests.need(request.volume_id, "volume_id")
        path = requests.absolute(request.staging_target_path, "staging_target_path")
        record, kind = self._kind(request)
        place = Place(path, self._flags(request.volume_capability, kind))
        if record.mode == MOUNT:
            self._free_for(path, record)
        self.engine.stage(record.id, place)
        return csi.NodeStageVolumeResponse()

    def _kind(self, request: t.Any) -> tuple[Record, requests.Kind]:
        if not request.HasField("volume_capability"):
            raise Invalid("volume_capability is missing")
        record = self.engine.get(request.volume_id)
        kind = requests.kind_of(request.volume_capability)
        if kind.mode != record.mode or (kind.fs and kind.fs != record.fs):
            raise Invalid(f"{record.id} is a {record.fs or BLOCK} volume, not {kind.fs or kind.mode}")
        return record, kind

    @staticmethod
    def _flags(capability: t.Any, kind: requests.Kind) -> tuple[str, ...]:
        reader = capability.access_mode.mode == csi.VolumeCapability.AccessMode.SINGLE_NODE_READER_ONLY
        return (*kind.flags, "ro") if reader and "ro" not in kind.flags else kind.flags

    def _free_for(self, path: str, record: Record) -> None:
        """Exists when something else is mounted there."""
        device = loops.find(self.engine.store.image(record.id))
        if mounts.at(path) is not None and not (device and mounts.shows(path, device)):
            raise Exists(f"something else is mounted at {path}")

    def NodeUnstageVolume(self, request: t.Any) -> t.Any:
        identity = requests.need(request.volume_id, "volume_id")
        path = requests.absolute(request.staging_target_path, "staging_target_path")
        if is_file_name(identity):
            self.engine.unstage(identity, Place(path), lambda: None)
        if mounts.at(path):
            raise InUse(f"{path} is still mounted, and the pool knows no volume {identity}: it is of another pool")
        return csi.NodeUnstageVolumeResponse()

    def NodePublishVolume(self, request: t.Any) -> t.Any:
        requests.need(request.volume_id, "volume_id")
        target = requests.absolute(request.target_path, "target_path")
        if not request.HasField("volume_capability"):
            raise Invalid("volume_capability is missing")
        if requests.is_inline(request.volume_context):
            self._publish_inline(request, target)
            return csi.NodePublishVolumeResponse()
        record, _kind = self._kind(request)
        requests.absolute(request.staging_target_path, "staging_target_path")
        with self.engine.locks.hold(record.id):
            device = loops.find(self.engine.store.image(record.id))
            if not device:
                raise InUse(f"{record.id} is not staged on this node")
            self._bind(request, record, device, target)
        return csi.NodePublishVolumeResponse()

    def _bind(self, request: t.Any, record: Record, device: str, target: str) -> None:
        staged = request.staging_target_path
        if record.mode == MOUNT and not mounts.shows(staged, device):
            raise InUse(f"{record.id} is not staged at {staged}")
        if self._is_bound(request, record, device, target):
            return
        if request.volume_capability.access_mode.mode == requests.SINGLE_WRITER:
            used = mounts.of(device) if record.mode == MOUNT else mounts.bound_nodes(device)
            others = mounts.of_others(used, os.path.realpath(staged), os.path.realpath(target))
            if others:
                raise InUse(f"{record.id} may be mounted once only and is at {others[0]}")
        if record.mode == MOUNT:
            os.makedirs(target, mode=0o750, exist_ok=True)
            mounts.bind(staged, target, self._read_only(request))
        else:
            os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)
            Path(target).touch(mode=0o600)
            mounts.bind(device, target, request.readonly)

    def _is_bound(self, request: t.Any, record: Record, device: str, target: str) -> bool:
        """Whether the volume is at the target; Exists for something else, or for a mount that may be written to less
        than is asked for."""
        found = mounts.at(target)
        if found is None:
            return False
        if not mounts.shows(target, device):
            raise Exists(f"something else is mounted at {target}")
        if record.mode != MOUNT or ("ro" in found.options) == self._read_only(request):
            return True
        if "ro" in found.options:
            raise Exists(f"{record.id} is at {target} already, but ro")
        # The driver may have been killed between the bind and what makes it read-only.
        mounts.make_read_only(target)
        return True

    @staticmethod
    def _read_only(request: t.Any) -> bool:
        reader = csi.VolumeCapability.AccessMode.SINGLE_NODE_READER_ONLY
        return bool(request.readonly) or request.volume_capability.access_mode.mode == reader

    def _publish_inline(self, request: t.Any, target: str) -> None:
        kind = requests.kind_of(request.volume_capability)
        if kind.mode != MOUNT:
            raise Invalid("an inline volume is always a file system")
        if not is_file_name(request.volume_id):
            raise Invalid(f"{request.volume_id!r} can't be the id of a volume")
        fs = filesystems.check_kind(kind.fs)
        size, thin = requests.inline_attributes(request.volume_context, fs)
        wanted = Record(
            id=request.volume_id,
            name=request.volume_id,
            kind=EPHEMERAL,
            size=size,
            thin=thin,
            fs=fs,
            created=int(time.time()),
        )
        self._free_for(target, wanted)
        flags = (*kind.flags, "ro") if request.readonly else kind.flags
        self.engine.publish_ephemeral(wanted, Place(target, flags))

    def NodeUnpublishVolume(self, request: t.Any) -> t.Any:
        identity = requests.need(request.volume_id, "volume_id")
        target = requests.absolute(request.target_path, "target_path")

        def clear() -> None:
            mounts.unmount(target)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(target) if os.path.isdir(target) else os.unlink(target)

        if is_file_name(identity):
            self.engine.unpublish(identity, clear)
        return csi.NodeUnpublishVolumeResponse()

    def NodeGetVolumeStats(self, request: t.Any) -> t.Any:
        requests.need(request.volume_id, "volume_id")
        path = requests.need(request.volume_path, "volume_path")
        record = self.engine.get(request.volume_id)
        self._shown(record, path)
        response = csi.NodeGetVolumeStatsResponse(volume_condition=condition(self.engine, self.pool, record))
        if record.mode == BLOCK:
            response.usage.add(unit=csi.VolumeUsage.BYTES, total=record.size)
            return response
        found = os.statvfs(path)
        response.usage.add(
            unit=csi.VolumeUsage.BYTES,
            total=found.f_blocks * found.f_frsize,
            available=found.f_bavail * found.f_frsize,
            used=(found.f_blocks - found.f_bfree) * found.f_frsize,
        )
        response.usage.add(
            unit=csi.VolumeUsage.INODES,
            total=found.f_files,
            available=found.f_favail,
            used=found.f_files - found.f_ffree,
        )
        return response

    def _shown(self, record: Record, path: str) -> None:
        device = loops.find(self.engine.store.image(record.id))
        if not device or not mounts.shows(path, device):
            raise NotFound(f"{record.id} is not at {path}")

    def NodeExpandVolume(self, request: t.Any) -> t.Any:
        requests.need(request.volume_id, "volume_id")
        path = requests.need(request.volume_path, "volume_path")
        record = self.engine.get(request.volume_id)
        if record.mode == MOUNT:
            self._shown(record, path)
        wanted = request.capacity_range
        size = requests.whole_size(wanted.required_bytes, wanted.limit_bytes, record.fs, default=record.size)
        try:
            grown = self.engine.expand(record.id, size)
        except Full as exc:
            # The only answer with which the kubelet mounts the volume all the same, and the pod can start.
            raise InUse(str(exc)) from exc
        return csi.NodeExpandVolumeResponse(capacity_bytes=grown.size)
