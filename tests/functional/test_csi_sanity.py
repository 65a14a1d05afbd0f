# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of csi-sanity against the CSI driver, with real loop devices and mounts."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _gobuild
from local_driver import MIB, NOTHING, Driver

MODULE = Path(__file__).resolve().parents[2] / "csi" / "sanity"
# What the driver does not offer, so there is nothing to test; docs/local-volumes.md says why of each.
SKIPPED = {
    "Controller Publish, UnpublishVolume not supported",
    "ControllerGetVolumeHealth not supported",
    "ControllerListVolumeHealth not supported",
    "ControllerModifyVolume not supported",
    "ControllerPublishVolume not supported",
    "ControllerUnpublishVolume not supported",
    "GroupControllerService not supported",
    "Modify Volume not supported",
    "Modify volume not supported",
    "NodeGetStorageHealth not supported",
    "NodeGetVolumeHealth not supported",
    "SNAPSHOT_ACCESSIBILITY_CONSTRAINTS not supported",
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")


@pytest.fixture(scope="module")
def program() -> Path:
    """csi-sanity, built once for each content of its go.mod and go.sum."""
    build = _gobuild.GoBuild(
        name="csi-sanity",
        gomod=str(MODULE),
        binaries={"csi-sanity": "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"},
        arch=_gobuild.host_arch(),
        cgo=False,
        tags=(),
        ldflags="",
    )
    cache = os.path.expanduser("~/.cache/hostplane/build")
    builder = _gobuild.GoBuilder(cache)
    version = builder.version()
    key = _gobuild.build_key(build, _gobuild.source_digests(build.gomod), version)
    builder.build(build, key, version)
    return Path(cache, key, "csi-sanity")


@pytest.fixture
def driver(tmp_path: Path) -> t.Iterator[Driver]:
    driver = Driver(tmp_path)
    driver.start()
    yield driver
    driver.clear()


@pytest.mark.parametrize("access", ["mount", "block"])
def test_csi_sanity(access: str, program: Path, driver: Driver) -> None:
    result = driver.folder / "junit.xml"
    done = subprocess.run(
        [
            str(program),
            f"--csi.endpoint=unix://{driver.socket}",
            f"--csi.mountdir={driver.folder}/mount",
            f"--csi.stagingdir={driver.folder}/staging",
            f"--csi.testvolumesize={64 * MIB}",
            f"--csi.testvolumeexpandsize={96 * MIB}",
            f"--csi.testvolumeaccesstype={access}",
            f"--ginkgo.junit-report={result}",
            "--ginkgo.no-color",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    reasons = set()
    passed = 0
    for case in ElementTree.parse(result).iter("testcase"):
        status, skipped = case.get("status"), case.find("skipped")
        passed += status == "passed"
        if status in ("skipped", "pending"):
            reason = str(skipped.get("message") if skipped is not None else "").partition(" - ")[2]
            print(f"{status}: {case.get('name')}: {reason}")
            # The one that is pending is switched off in csi-sanity itself.
            reasons |= {reason} - {""}
    print(f"csi-sanity, {access}: {passed} passed")
    assert done.returncode == 0, done.stdout[-4000:]
    assert passed >= 71
    assert reasons == SKIPPED
    driver.stop()
    assert driver.left() == NOTHING
