# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.filter import upstream_files as plugin
from ansible_collections.hostplane.cluster.plugins.module_utils._download import bare_sum
from ansible_collections.hostplane.cluster.plugins.module_utils._release import missing_upstream

upstream_files = plugin.FilterModule().filters()["upstream_files"]
RELEASES = sorted((Path(__file__).resolve().parents[4] / "releases").glob("*.yml"))


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.stem)
def test_every_program_of_the_catalogue_can_be_downloaded(path: Path, arch: str) -> None:
    release = yaml.safe_load(path.read_text())
    files = release["files"]
    if missing_upstream(release, arch):
        with pytest.raises(AnsibleFilterError, match=arch):
            upstream_files(files, arch, "/d")
        return
    wanted = upstream_files(files, arch, "/d")
    assert {item["name"] for item in wanted} == {
        name for name, entry in files.items() if arch in entry.get("upstream", {})
    }
    for item in wanted:
        assert item["url"].startswith("https://") and item["dest"] == f"/d/{item['name']}" and bare_sum(item["sha256"])


def test_missing_architecture_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="riscv64 of runc"):
        upstream_files({"runc": {"upstream": {}}, "etcdctl": {"from_image": {}}}, "riscv64", "/d")
