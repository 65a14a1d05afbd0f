# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest

MODULE = "ansible_collections.hostplane.cluster.plugins.modules.bundle_download"
DATA = b"kubectl program"
SUM = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: t.Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[str]:
    root = tmp_path / "site"
    root.mkdir()
    (root / "kubectl").write_bytes(DATA)
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def run(check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    """Run the module as Ansible does, in a process of its own with its arguments on standard input."""
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    done = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def wanted(site: str, dest: Path, **changed: str) -> list[dict[str, str]]:
    return [{"name": "kubectl", "url": f"{site}/kubectl", "sha256": SUM, "dest": str(dest), "mode": "0755", **changed}]


def test_check_then_real_then_again(site: str, tmp_path: Path) -> None:
    dest = tmp_path / "files" / "kubectl"
    files = wanted(site, dest)
    planned = run(check=True, files=files)
    assert planned["changed"] and planned["downloaded"] == ["kubectl"] and not dest.parent.exists()
    assert (planned["diff"]["before"], planned["diff"]["after"]) == ("", "kubectl\n")
    assert run(files=files)["changed"] and dest.read_bytes() == DATA
    again = run(files=files, verify=True)
    assert not again["changed"] and again["present"] == 1 and again["diff"]["before"] == again["diff"]["after"]
    dest.chmod(0o600)
    assert run(files=files)["downloaded"] == [] and dest.stat().st_mode & 0o777 == 0o755


def test_file_put_there_by_hand_is_accepted(tmp_path: Path) -> None:
    dest = tmp_path / "kubectl"
    dest.write_bytes(DATA)
    dest.chmod(0o755)
    assert not run(files=wanted("http://127.0.0.1:1", dest))["changed"]


def test_failures_name_file_address_and_remedy(site: str, tmp_path: Path) -> None:
    files = wanted(site, tmp_path / "a", url="https://dl.example/none")
    failed = run(files=files, url_map={"https://dl.example": site}, retries=0)
    assert failed["failed"] and "1 of 1 downloads failed" in failed["msg"]
    assert f"kubectl ({site}/none): HTTP 404" in failed["problems"][0]


def test_wrong_list_is_refused_before_anything_is_asked(site: str, tmp_path: Path) -> None:
    files = wanted(site, tmp_path / "a", sha256="abc") + wanted(site, tmp_path / "b") + wanted(site, tmp_path / "b")
    failed = run(files=files)
    assert len(failed["problems"]) == 2 and "not a SHA-256 sum" in failed["msg"] and "more than one" in failed["msg"]
    assert not (tmp_path / "b").exists()
