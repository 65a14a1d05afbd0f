# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import sys
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.filter import registry_files as plugin
from hypothesis import given
from hypothesis import strategies as st

registry_files = plugin.FilterModule().filters()["registry_files"]
MIRROR = {"address": "mirror:5000", "prefix": "project/", "username": "hostplane", "password": "s3cret", "ca": "PEM"}


def parse(text: str) -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib") if sys.version_info >= (3, 11) else pytest.importorskip("tomli")
    parsed: dict[str, Any] = tomllib.loads(text)
    return parsed


def test_one_file_per_registry() -> None:
    files = registry_files(["registry.k8s.io", "ghcr.io", "ghcr.io"], MIRROR)
    assert list(files) == [
        "/etc/containerd/certs.d/ghcr.io/hosts.toml",
        "/etc/containerd/certs.d/registry.k8s.io/hosts.toml",
    ]


def test_content_names_only_the_mirror() -> None:
    url = "https://mirror:5000/v2/project/registry.k8s.io"
    (text,) = registry_files(["registry.k8s.io"], MIRROR).values()
    assert parse(text) == {
        # The last resort is the mirror as well: no image ever comes from the internet.
        "server": url,
        "host": {
            url: {
                "capabilities": ["pull", "resolve"],
                "override_path": True,
                "ca": plugin.CA_PATH,
                "header": {"authorization": "Basic " + base64.b64encode(b"hostplane:s3cret").decode()},
            }
        },
    }


def test_a_public_mirror_needs_neither_ca_nor_credentials() -> None:
    (text,) = registry_files(["ghcr.io"], {"address": "mirror"}).values()
    assert parse(text)["host"] == {
        "https://mirror/v2/ghcr.io": {"capabilities": ["pull", "resolve"], "override_path": True}
    }


@given(st.text(min_size=1), st.text())
def test_any_credentials_make_valid_toml(username: str, password: str) -> None:
    (text,) = registry_files(["ghcr.io"], {**MIRROR, "username": username, "password": password}).values()
    (host,) = parse(text)["host"].values()
    decoded = base64.b64decode(host["header"]["authorization"].removeprefix("Basic ")).decode()
    assert decoded == f"{username}:{password}"
