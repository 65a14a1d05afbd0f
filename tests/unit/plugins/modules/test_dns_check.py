# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against a server on this machine that answers, refuses, is silent or is not there."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.modules import dns_check

Run = Callable[..., dict[str, Any]]
NAME = "kubernetes.default.svc.cluster.local"


def answer(asked: bytes, code: int) -> bytes:
    records = b"" if code else b"\xc0\x0c" + struct.pack("!HHIH4B", 1, 1, 30, 4, 10, 96, 0, 1)
    return asked[:2] + struct.pack("!5H", 0x8180 | code, 1, 0 if code else 1, 0, 0) + asked[12:] + records


class Server:
    """code None is silence; the first `silent` questions are not answered either."""

    def __init__(self) -> None:
        self.code: int | None = 0
        self.silent = 0
        outer = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, stream = self.request
                reply = outer.reply(data)
                if reply:
                    stream.sendto(reply, self.client_address)

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                length = struct.unpack("!H", self.request.recv(2))[0]
                reply = outer.reply(self.request.recv(length))
                if reply:
                    self.request.sendall(struct.pack("!H", len(reply)) + reply)

        self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
        self.port = self.tcp.server_address[1]
        self.udp = socketserver.ThreadingUDPServer(("127.0.0.1", self.port), Udp)
        for server in (self.tcp, self.udp):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def reply(self, asked: bytes) -> bytes:
        self.silent -= 1
        return b"" if self.silent >= 0 or self.code is None else answer(asked, self.code)

    def stop(self) -> None:
        for server in (self.tcp, self.udp):
            server.shutdown()
            server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def options(port: int, **more: Any) -> dict[str, Any]:
    return {"servers": {"cache": "127.0.0.1"}, "names": [NAME], "port": port, "timeout": 0.3, "wait": 0, **more}


@pytest.mark.parametrize("check", [False, True])
def test_answers_by_both_protocols(run_module: Run, server: Server, check: bool) -> None:
    result = run_module(dns_check, check=check, **options(server.port))
    assert result["changed"] is False
    assert [(one["protocol"], one["code"], one["addresses"]) for one in result["answers"]] == [
        ("tcp", "NOERROR", ["10.96.0.1"]),
        ("udp", "NOERROR", ["10.96.0.1"]),
    ]


def test_what_was_lost_is_asked_again(run_module: Run, server: Server) -> None:
    server.silent = 2
    assert all(one["addresses"] for one in run_module(dns_check, **options(server.port, wait=20))["answers"])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (2, "SERVFAIL; the server got no answer from the one that it asks itself"),
        (3, "NXDOMAIN; the server says that there is no such name"),
        (5, "REFUSED; the server answers for other domains"),
        (None, "nothing came back"),
    ],
)
def test_each_failure_has_its_cause(run_module: Run, server: Server, code: int | None, expected: str) -> None:
    server.code = code
    result = run_module(dns_check, **options(server.port))
    assert expected in result["msg"] and "cache (127.0.0.1) does not resolve" in result["msg"]
    assert len(result["answers"]) == 2


def test_nothing_listens(run_module: Run) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    result = run_module(dns_check, **options(port))
    assert result["msg"].count("CLOSED; nothing listens there") == 2


def test_a_name_that_is_none(run_module: Run, server: Server) -> None:
    assert "cannot ask" in run_module(dns_check, **options(server.port, names=["a..b"]))["msg"]
