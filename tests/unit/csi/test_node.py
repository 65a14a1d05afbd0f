# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published where, on a kernel in memory with the paths that the kubelet uses."""

from __future__ import annotations

import dataclasses
import types
import typing as t

import pytest
from hostplane_local import loops, mounts
from hostplane_local.errors import Exists, InUse
from hostplane_local.mounts import Mount
from hostplane_local.node import Node
from hostplane_local.pool import Locks
from hostplane_local.record import BLOCK, MOUNT, READY, Record
from hostplane_local.wire import csi

KUBELET = "/var/lib/kubelet"
GLOBAL = f"{KUBELET}/plugins/kubernetes.io/csi/local.hostplane.io/0a1b/globalmount"
MODES = csi.VolumeCapability.AccessMode
DEVICE, NUMBER = "/dev/loop3", "7:3"


def of_pod(pod: str) -> str:
    return f"{KUBELET}/pods/{pod}/volumes/kubernetes.io~csi/pv-1/mount"


def sub_path(pod: str) -> str:
    return f"{KUBELET}/pods/{pod}/volume-subpaths/pv-1/app/0"


def raw_of_pod(pod: str) -> str:
    return f"{KUBELET}/plugins/kubernetes.io/csi/volumeDevices/publish/pv-1/{pod}"


def raw_of_kubelet(pod: str) -> str:
    return f"{KUBELET}/plugins/kubernetes.io/csi/volumeDevices/pv-1/dev/{pod}"


class Kernel:
    """Mounts of one file system, and nodes of one device, by path; the value is whether they can be written to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mounted: dict[str, bool] = {}
        self.nodes: dict[str, bool] = {}
        monkeypatch.setattr(mounts, "listed", self.listed)
        monkeypatch.setattr(mounts, "number", lambda device: NUMBER)
        monkeypatch.setattr(mounts, "_is_node", lambda path, device: path in self.nodes)
        monkeypatch.setattr(mounts, "run", self.run)
        monkeypatch.setattr(loops, "find", lambda image: DEVICE)
        monkeypatch.setattr("os.makedirs", lambda *args, **kwargs: None)
        monkeypatch.setattr("pathlib.Path.touch", lambda *args, **kwargs: None)

    def listed(self) -> list[Mount]:
        def mount(path: str, device: str, root: str, writable: bool) -> Mount:
            return Mount(device, root, path, frozenset(["rw" if writable else "ro"]), "", frozenset())

        found = [mount(path, NUMBER, "/", writable) for path, writable in self.mounted.items()]
        return found + [mount(path, "0:5", "/loop3", writable) for path, writable in self.nodes.items()]

    def run(self, *argv: str) -> str:
        if argv[:2] == ("mount", "--bind"):
            (self.nodes if argv[2] == DEVICE else self.mounted)[argv[3]] = True
        elif argv[:3] == ("mount", "-o", "remount,bind,ro"):
            (self.nodes if argv[3] in self.nodes else self.mounted)[argv[3]] = False
        return ""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


RECORD = Record(id="pv-1", name="pv-1", kind="volume", size=1 << 24, state=READY, fs="ext4")


def publish(
    pod: str, mode: int = MODES.SINGLE_NODE_SINGLE_WRITER, read_only: bool = False, target: str = "", kind: str = MOUNT
) -> None:
    record = RECORD if kind == MOUNT else dataclasses.replace(RECORD, mode=BLOCK, fs="")
    store = types.SimpleNamespace(image=lambda identity: None)
    engine: t.Any = types.SimpleNamespace(get=lambda identity: record, locks=Locks(), store=store)
    capability = csi.VolumeCapability(access_mode=MODES(mode=mode))
    getattr(capability, kind).SetInParent()
    request = csi.NodePublishVolumeRequest(
        volume_id="pv-1",
        staging_target_path=GLOBAL,
        target_path=target or (of_pod(pod) if kind == MOUNT else raw_of_pod(pod)),
        volume_capability=capability,
        readonly=read_only,
    )
    Node(engine, t.cast("t.Any", None), "node-1", 0).NodePublishVolume(request)


def test_a_restarted_kubelet_publishes_again(kernel: Kernel) -> None:
    """A volume of one pod only, which the kubelet shows to that pod in more than one place."""
    kernel.mounted = {GLOBAL: True, of_pod("one"): True, sub_path("one"): True}
    before = dict(kernel.mounted)
    publish("one")
    assert kernel.mounted == before


def test_a_restarted_kubelet_publishes_a_raw_device_again(kernel: Kernel) -> None:
    kernel.nodes = {raw_of_pod("one"): True, raw_of_kubelet("one"): True}
    before = dict(kernel.nodes)
    publish("one", kind=BLOCK)
    assert kernel.nodes == before
    # The kubelet was killed between taking away the first and the second.
    del kernel.nodes[raw_of_pod("one")]
    publish("one", kind=BLOCK)
    assert set(kernel.nodes) == set(before)


def test_a_pod_has_its_own_again(kernel: Kernel) -> None:
    kernel.mounted = {GLOBAL: True, sub_path("one"): True}
    publish("one")
    assert kernel.mounted[of_pod("one")]


@pytest.mark.parametrize("left", [of_pod("one"), sub_path("one"), "/mnt/by-hand"])
def test_one_pod_only(kernel: Kernel, left: str) -> None:
    kernel.mounted = {GLOBAL: True, left: True}
    with pytest.raises(InUse, match="once only"):
        publish("two")
    publish("two", mode=MODES.SINGLE_NODE_MULTI_WRITER)


@pytest.mark.parametrize("left", [raw_of_pod("one"), raw_of_kubelet("one")])
def test_one_pod_only_has_a_raw_device(kernel: Kernel, left: str) -> None:
    kernel.nodes = {left: True}
    with pytest.raises(InUse, match="once only"):
        publish("two", kind=BLOCK)


def test_paths_that_are_not_the_kubelet_s_are_of_no_pod(kernel: Kernel) -> None:
    kernel.mounted = {GLOBAL: True, "/a/target": True}
    with pytest.raises(InUse):
        publish("one", target="/b/target")


def test_read_only_holds_after_a_kill_in_between(kernel: Kernel) -> None:
    kernel.mounted = {GLOBAL: True, of_pod("one"): True}
    publish("one", read_only=True)
    assert kernel.mounted == {GLOBAL: True, of_pod("one"): False}
    publish("one", read_only=True)
    with pytest.raises(Exists, match="already, but ro"):
        publish("one")


def test_something_else_at_the_target(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.mounted = {GLOBAL: True, of_pod("one"): True}
    monkeypatch.setattr(mounts, "shows", lambda path, device: path == GLOBAL)
    with pytest.raises(Exists, match="something else"):
        publish("one")
