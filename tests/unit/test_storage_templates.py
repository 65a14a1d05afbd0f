# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drivers' manifests: whole objects, the plan's images and nothing else, every account bound to what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_bundle import ADDON_REPOSITORIES
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_storage import ADDONS, PROVISIONERS, WORKLOADS

TEMPLATES = Path(__file__).parents[2] / "roles/storage/templates"
FILES = {"local_path": ["local_path"], "nfs": ["nfs", "snapshot_controller"]}
IMAGES = {key: f"{name}:v1" for part in ADDON_REPOSITORIES.values() for key, name in part.items()}


def objects(kind: str) -> list[dict[str, Any]]:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    wanted = {
        "storage_images": {key: IMAGES[key] for addon in ADDONS[kind] for key in ADDON_REPOSITORIES[addon]},
        "storage_local_path": {"directory": "/srv/a"},
    }
    texts = [(TEMPLATES / f"{name}.yaml.j2").read_text() for name in FILES[kind]]
    return [item for text in texts for item in yaml.safe_load_all(environment.from_string(text).render(wanted))]


@pytest.mark.parametrize("kind", FILES)
def test_manifests(kind: str) -> None:
    found = objects(kind)
    there = {
        f"{item['kind'].lower()}/{item['metadata'].get('namespace', '')}/{item['metadata']['name']}" for item in found
    }
    assert len(there) == len(found) and set(WORKLOADS[kind]) <= there
    accounts = {item["metadata"]["name"] for item in found if item["kind"] == "ServiceAccount"}
    for item in found:
        pod = item.get("spec", {}).get("template", {}).get("spec", {}) if item["kind"] != "CSIDriver" else {}
        if not pod:
            continue
        assert pod["serviceAccountName"] in accounts
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            assert container["image"] in IMAGES.values() and container["imagePullPolicy"] == "IfNotPresent"
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            assert container["resources"]["requests"]
            assert all(isinstance(item, str) for item in container.get("args", []))


def test_the_csi_driver_is_the_one_that_is_waited_for() -> None:
    (driver,) = [item for item in objects("nfs") if item["kind"] == "CSIDriver"]
    assert driver["metadata"]["name"] == PROVISIONERS["nfs"]
