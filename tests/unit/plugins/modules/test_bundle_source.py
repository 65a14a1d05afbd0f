# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _release
from ansible_collections.hostplane.cluster.plugins.modules import bundle_source


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_HEAD(self) -> None:
        status = {"/ok/runc": 200, "/registry/v2/": 401, "/blocked/runc": 403}.get(self.path, 404)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


RELEASE = {
    "version": "1.36.3",
    "files": {"runc": {"upstream": {"amd64": {"url": "https://files.example.org/runc", "sha256": "0" * 64}}}},
    "images": {"registry.example.org/pause:1": {}},
}


def run(path: Path, site: str, files: str = "ok", **params: Any) -> dict[str, Any]:
    mapping = {"https://files.example.org": f"{site}/{files}", "https://registry.example.org": f"{site}/registry"}
    values = {
        "source": "auto",
        "release": RELEASE,
        "arch": "amd64",
        "path": str(path),
        "url_map": mapping,
        "registry_map": {},
        "timeout": 2,
    }
    return bundle_source.run({**values, **params})


def test_upstream_when_every_host_answers(tmp_path: Path, site: str) -> None:
    assert run(tmp_path, site) == {"source": "upstream", "reason": "every download host answers"}


@pytest.mark.parametrize(("files", "status"), [("gone", 404), ("blocked", 403)])
def test_source_when_one_does_not(tmp_path: Path, site: str, files: str, status: int) -> None:
    answer = run(tmp_path, site, files)
    assert answer["source"] == "source"
    assert f"HTTP {status}" in answer["reason"]


def test_source_when_the_name_is_unknown(tmp_path: Path) -> None:
    answer = run(tmp_path, "", url_map={"https://": "http://127.0.0.1:1/"})
    assert answer["source"] == "source"
    assert "files.example.org" in answer["reason"] or "127.0.0.1" in answer["reason"]


def test_a_bundle_keeps_its_source_and_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text(json.dumps({"source": "upstream"}))
    assert bundle_source.present_source(str(tmp_path)) == ""
    (tmp_path / "index.json").write_text("{}")
    assert run(tmp_path, "http://127.0.0.1:1")["source"] == "upstream"
    (tmp_path / "lock.json").write_text("{")
    assert bundle_source.present_source(str(tmp_path)) == ""


def test_the_operator_decides(tmp_path: Path) -> None:
    assert run(tmp_path, "http://127.0.0.1:1", source="source")["source"] == "source"
    assert run(tmp_path, "http://127.0.0.1:1", source="upstream")["source"] == "upstream"


def test_upstream_without_checksums_is_refused(tmp_path: Path) -> None:
    with pytest.raises(_release.ReleaseError, match="known checksum of runc for arm64"):
        run(tmp_path, "", source="upstream", arch="arm64")
    assert run(tmp_path, "", arch="arm64")["source"] == "source"
