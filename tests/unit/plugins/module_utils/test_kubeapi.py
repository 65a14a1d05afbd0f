# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi


class Handler(http.server.BaseHTTPRequestHandler):
    """Hangs up on so many requests, as a balancer does when its API server ends."""

    hang_up: list[str]
    asked: list[str]

    def serve(self) -> None:
        self.asked.append(self.command)
        if self.hang_up:
            self.hang_up.pop()
            self.close_connection = True
            return
        answer = json.dumps({"items": [{"kind": "Node"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PATCH = serve

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path) -> Iterator[_kubeapi.KubeApi]:
    Handler.hang_up, Handler.asked = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        path = tmp_path / "admin.conf"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        users = [{"name": "u", "user": {}}]
        text = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"}
        path.write_text(json.dumps(text))
        yield _kubeapi.KubeApi(str(path))
        server.shutdown()


def test_a_question_without_an_answer_is_asked_again(api: _kubeapi.KubeApi) -> None:
    Handler.hang_up = ["once", "twice"]
    assert api.items("/api/v1/nodes") == [{"kind": "Node"}]
    assert Handler.asked == ["GET"] * 3


def test_a_change_without_an_answer_is_not_made_again(api: _kubeapi.KubeApi) -> None:
    Handler.hang_up = ["once"]
    with pytest.raises(_kubeapi.API_ERRORS):
        api.patch("/api/v1/nodes/worker1", {})
    assert Handler.asked == ["PATCH"]
