# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Controller service does with sources, other nodes and room; the images are real, but nothing is mounted."""

from __future__ import annotations

import typing as t
from pathlib import Path

import grpc
import pytest
from hostplane_local import TOPOLOGY_KEY, server, wire
from hostplane_local.controller import Controller
from hostplane_local.engine import Engine
from hostplane_local.errors import Busy, Exists, Full, Invalid, NotFound, OutOfRange, VolumeError
from hostplane_local.filesystems import MIB
from hostplane_local.host import Host
from hostplane_local.identity import Identity
from hostplane_local.pool import Pool
from hostplane_local.record import Record, Store, make_id
from hostplane_local.wire import csi

MODES = csi.VolumeCapability.AccessMode
MOUNT = {"mount": {}, "access_mode": {"mode": MODES.SINGLE_NODE_WRITER}}
BLOCK = {"block": {}, "access_mode": {"mode": MODES.SINGLE_NODE_WRITER}}


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    pool = Pool(Store(tmp_path), 1, limit=256 * MIB)
    return Controller(Engine(Host(pool.store, pool)), pool, "node-1")


def create(controller: Controller, name: str, size: int = 16 * MIB, **fields: t.Any) -> t.Any:
    fields.setdefault("volume_capabilities", [MOUNT])
    return controller.CreateVolume(
        csi.CreateVolumeRequest(name=name, capacity_range={"required_bytes": size}, **fields)
    ).volume


def on(node: str) -> t.Any:
    return {"requisite": [{"segments": {TOPOLOGY_KEY: node}}]}


def test_a_volume_of_another_node_is_left_to_it(controller: Controller) -> None:
    elsewhere = make_id("pvc-1", "node-2")
    assert create(controller, "a", accessibility_requirements=on("node-1")).accessible_topology[0].segments == {
        TOPOLOGY_KEY: "node-1"
    }
    with pytest.raises(Full, match="other nodes than node-1"):
        create(controller, "b", accessibility_requirements=on("node-2"))
    with pytest.raises(Full, match="on another node"):
        create(controller, "b", volume_content_source={"volume": {"volume_id": elsewhere}})
    with pytest.raises(NotFound, match="--node-deployment"):
        controller.CreateSnapshot(csi.CreateSnapshotRequest(name="s", source_volume_id=elsewhere))
    more = {"required_bytes": 32 * MIB}
    grown = controller.ControllerExpandVolume(
        csi.ControllerExpandVolumeRequest(volume_id=elsewhere, capacity_range=more)
    )
    assert grown.node_expansion_required and grown.capacity_bytes == 32 * MIB
    there = csi.GetCapacityRequest(accessible_topology={"segments": {TOPOLOGY_KEY: "node-2"}})
    assert controller.GetCapacity(there).available_capacity == 0


def test_copies_are_of_the_same_kind_and_not_smaller(controller: Controller) -> None:
    source = {"volume": {"volume_id": create(controller, "a", 32 * MIB).volume_id}}
    with pytest.raises(Invalid, match="is a mount volume"):
        create(controller, "b", volume_content_source=source, volume_capabilities=[BLOCK])
    with pytest.raises(Invalid, match="holds ext4"):
        fs = {**MOUNT, "mount": {"fs_type": "xfs"}}
        create(controller, "b", 300 * MIB, volume_content_source=source, volume_capabilities=[fs])
    with pytest.raises(OutOfRange, match="33554432 bytes"):
        create(controller, "b", 16 * MIB, volume_content_source=source)
    assert create(controller, "b", 0, volume_content_source=source).capacity_bytes == 32 * MIB
    with pytest.raises(NotFound):
        create(controller, "c", 0, volume_content_source={"volume": {"volume_id": "unknown"}})


def test_the_same_name_again(controller: Controller) -> None:
    first = create(controller, "a")
    assert create(controller, "a") == first
    for other in ({"size": 64 * MIB}, {"parameters": {"thin": "true"}}, {"volume_capabilities": [BLOCK]}):
        with pytest.raises(Exists):
            create(controller, "a", **other)


def test_room_and_what_takes_it(controller: Controller) -> None:
    assert controller.GetCapacity(csi.GetCapacityRequest()).available_capacity == 256 * MIB
    volume = create(controller, "a", 192 * MIB)
    left = controller.GetCapacity(csi.GetCapacityRequest(volume_capabilities=[{**MOUNT, "mount": {"fs_type": "xfs"}}]))
    assert (left.available_capacity, left.minimum_volume_size.value) == (64 * MIB, 300 * MIB)
    with pytest.raises(Full, match="64"):
        create(controller, "b", 65 * MIB)
    grow = csi.ControllerExpandVolumeRequest(volume_id=volume.volume_id, capacity_range={"required_bytes": 512 * MIB})
    with pytest.raises(Full):
        controller.ControllerExpandVolume(grow)
    controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=volume.volume_id))
    assert controller.GetCapacity(csi.GetCapacityRequest()).available_capacity == 256 * MIB


def test_a_snapshot_outlives_its_volume(controller: Controller) -> None:
    volume = create(controller, "a").volume_id
    request = csi.CreateSnapshotRequest(name="a", source_volume_id=volume)
    snapshot = controller.CreateSnapshot(request).snapshot
    controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=volume))
    assert controller.CreateSnapshot(request).snapshot == snapshot
    restored = create(controller, "b", 0, volume_content_source={"snapshot": {"snapshot_id": snapshot.snapshot_id}})
    assert restored.content_source.snapshot.snapshot_id == snapshot.snapshot_id
    # Neither kind can be removed by the other's call.
    controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=snapshot.snapshot_id))
    controller.DeleteSnapshot(csi.DeleteSnapshotRequest(snapshot_id=restored.volume_id))
    assert controller.GetSnapshot(csi.GetSnapshotRequest(snapshot_id=snapshot.snapshot_id)).snapshot == snapshot
    assert len(controller.ListVolumes(csi.ListVolumesRequest()).entries) == 1


def test_a_record_that_cannot_be_read_stops_every_call_about_it(controller: Controller, tmp_path: Path) -> None:
    volume = create(controller, "a").volume_id
    (tmp_path / f"{volume}.json").write_text("{}")
    for call in (
        lambda: create(controller, "a"),
        lambda: controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=volume)),
        lambda: controller.ControllerGetVolume(csi.ControllerGetVolumeRequest(volume_id=volume)),
    ):
        with pytest.raises(VolumeError, match="nothing is done with it"):
            call()
    assert (tmp_path / f"{volume}.img").stat().st_size == 16 * MIB


def test_wrong_tokens_and_capabilities(controller: Controller) -> None:
    with pytest.raises(Busy):
        controller.ListVolumes(csi.ListVolumesRequest(starting_token="x"))
    with pytest.raises(Busy):
        controller.ListSnapshots(csi.ListSnapshotsRequest(starting_token="x"))
    volume = create(controller, "a").volume_id
    for wrong in (BLOCK, {"mount": {}, "access_mode": {"mode": MODES.MULTI_NODE_MULTI_WRITER}}):
        asked = csi.ValidateVolumeCapabilitiesRequest(volume_id=volume, volume_capabilities=[wrong])
        answer = controller.ValidateVolumeCapabilities(asked)
        assert answer.message and not answer.HasField("confirmed")
    with pytest.raises(Invalid):
        create(controller, "m", mutable_parameters={"a": "b"})


def test_what_a_killed_driver_left_is_taken_back(controller: Controller, tmp_path: Path) -> None:
    store = controller.engine.store
    store.write(Record(id="half", name="half", kind="volume", size=16 * MIB))
    store.part("half").write_bytes(b"x")
    store.write(Record(id="gone", name="gone", kind="volume", size=4, state="deleting"))
    store.image("gone").write_bytes(b"x")
    grown = create(controller, "grown")
    store.write(Record(**{**vars(store.read(grown.volume_id)), "target": 32 * MIB}))
    with store.image(grown.volume_id).open("r+b") as image:
        image.truncate(20 * MIB)
    assert controller.engine.recover() == []
    assert store.names() == [f"{grown.volume_id}.img", f"{grown.volume_id}.json"]
    assert store.image(grown.volume_id).stat().st_size == 16 * MIB


def test_errors_have_their_status_on_the_wire(controller: Controller, tmp_path: Path) -> None:
    path = str(tmp_path / "sockets" / "csi.sock")
    running = server.listen(
        path,
        wire.handler(csi, "Controller", controller),
        wire.handler(csi, "Identity", Identity(lambda: False)),
    )
    try:
        with grpc.insecure_channel(f"unix://{path}") as channel:
            assert not wire.stub(channel, csi, "Identity", "Probe")(csi.ProbeRequest()).ready.value
            for method, request, status in (
                ("CreateVolume", csi.CreateVolumeRequest(), "INVALID_ARGUMENT"),
                ("GetSnapshot", csi.GetSnapshotRequest(snapshot_id="x"), "NOT_FOUND"),
                ("ControllerPublishVolume", csi.ControllerPublishVolumeRequest(), "UNIMPLEMENTED"),
            ):
                with pytest.raises(grpc.RpcError) as caught:
                    wire.stub(channel, csi, "Controller", method)(request)
                assert caught.value.code().name == status
    finally:
        running.stop(0).wait()
