# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, with a played crane; the pulling itself is tested in test_pull."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _oci
from ansible_collections.hostplane.cluster.plugins.modules import image_download

Run = Callable[..., dict[str, Any]]
PAUSE = "registry.k8s.io/pause:3.10.2"


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    remote = _oci.Layout(str(tmp_path / "remote"))
    remote.init()
    layer = remote.put_layer([_oci.LayerFile("/pause", content=b"pause")])
    config = remote.put(_oci.canonical_json(_oci.image_config("amd64", [layer["digest"]], {})), _oci.MEDIA_CONFIG)
    manifest = remote.put(_oci.canonical_json(_oci.image_manifest(config, [layer])), _oci.MEDIA_MANIFEST)
    remote.write_index([{**manifest, "annotations": {_oci.REF_NAME: PAUSE}}])
    crane = tmp_path / "crane"
    crane.write_text(f'#!/bin/sh\necho call >> {tmp_path}/calls\ncp -r {tmp_path}/remote/. "$(eval echo \\$$#)"\n')
    crane.chmod(0o755)
    return {
        "images": [PAUSE, PAUSE],
        "layout": str(tmp_path / "images"),
        "record": str(tmp_path / "images.json"),
        "crane": str(crane),
        "retries": 0,
    }


def test_once_and_the_same_in_check_mode(run_module: Run, options: dict[str, Any], tmp_path: Path) -> None:
    told = run_module(image_download, check=True, diff=True, **options)
    assert not (tmp_path / "calls").exists() and not (tmp_path / "images").exists()
    done = run_module(image_download, diff=True, **options)
    assert (done["changed"], done["downloaded"], done["present"]) == (True, [PAUSE], 0)
    assert (told["changed"], told["downloaded"], told["diff"]) == (True, [PAUSE], done["diff"])
    assert (done["diff"]["before"], done["diff"]["after"]) == ("", f"{PAUSE}\n")
    for check in (True, False):
        again = run_module(image_download, check=check, diff=True, **options)
        assert (again["changed"], again["downloaded"], again["present"]) == (False, [], 1)
        assert again["diff"]["before"] == again["diff"]["after"]
    assert (tmp_path / "calls").read_text() == "call\n"


def test_what_could_not_be_had_is_named(run_module: Run, options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "crane").write_text("#!/bin/sh\necho 'Error: MANIFEST_UNKNOWN: manifest unknown' >&2; exit 1\n")
    result = run_module(image_download, **options)
    assert result["failed"] and result["msg"].startswith("1 of 1 images could not be downloaded:\n")
    assert PAUSE in result["problems"][0]


def test_an_image_with_another_digest(run_module: Run, options: dict[str, Any]) -> None:
    run_module(image_download, **options)
    result = run_module(image_download, digests={PAUSE: "sha256:" + "0" * 64}, **options)
    assert result["failed"] and PAUSE in result["msg"]
