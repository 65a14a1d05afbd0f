# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for all unit tests: a module run in this process, a real TLS mirror, a host with a played kubeadm."""

from __future__ import annotations

import hashlib
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible.module_utils import basic
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeadm
from hypothesis import HealthCheck, settings
from selfsigned import make_certificate

# A busy machine is slow and still right.
settings.register_profile("hostplane", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hostplane")


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run a module in this process, as Ansible would with these arguments; returns its result."""

    def run(module: Any, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        # ansible-core 2.19 wants to know how the arguments are encoded; older ones have no such name.
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        # Where ansible-core keeps them depends on its version and on what else was imported.
        warnings: list[str] = []
        monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, text: warnings.append(text))
        with pytest.raises(SystemExit) as end:
            module.main()
        result: dict[str, Any] = {"warnings": warnings, **json.loads(capsys.readouterr().out)}
        assert bool(end.value.code) == bool(result.get("failed"))
        return result

    return run


@dataclass
class Asked:
    """One request that a server got."""

    path: str
    authorization: str
    method: str = "GET"


@dataclass
class Answer:
    """What a server answers for a path; a part of the body can be kept back, as when a server dies."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    chunked: bool = False


@dataclass
class Site:
    """A TLS server: fixed answers by path, or whatever a function says for a request; and what was asked of it."""

    ca: str
    address: str = ""
    answers: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    Answer: ClassVar[type[Answer]] = Answer

    @property
    def options(self) -> dict[str, Any]:
        """The module option C(mirror) for this server."""
        return {
            "address": self.address,
            "prefix": "",
            "username": "hostplane",
            "password": "open-sesame",
            "ca": self.ca,
        }

    def add_blob(self, repository: str, data: bytes) -> str:
        """Serve a blob; returns its sha256 (hex)."""
        digest = hashlib.sha256(data).hexdigest()
        self.answers[f"/v2/{repository}/blobs/sha256:{digest}"] = Answer(body=data)
        return digest

    def add_artifact(self, repository: str, tag: str, data: bytes) -> str:
        """Serve an artifact of one layer, by its tag and by its digest, which is returned."""
        manifest = {"layers": [{"digest": "sha256:" + self.add_blob(repository, data)}]}
        body = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        for reference in (tag, digest):
            self.answers[f"/v2/{repository}/manifests/{reference}"] = Answer(body=body)
        return digest


class _Handler(http.server.BaseHTTPRequestHandler):
    site: Site
    # Buffered: head and body in two packets would each wait for the other side's acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        asked = Asked(self.path, self.headers.get("Authorization", ""), self.command)
        self.site.asked.append(asked)
        answer = self.site.answers.get(self.path.partition("?")[0], Answer(404))
        if not isinstance(answer, Answer):
            answer = answer(asked)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            # Announces more than it sends and never the end.
            self.wfile.write(b"%x\r\n" % (len(answer.body) + 1) + answer.body)
        else:
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start TLS servers on 127.0.0.1; the certificate can be for another name, to be refused."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(name: str = "127.0.0.1") -> Site:
        path, pem = make_certificate(tmp_path, name)
        site = Site(ca=pem)
        handler = type("Handler", (_Handler,), {"site": site, "protocol_version": "HTTP/1.1", "timeout": 1})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        # The handshake belongs to the connection's own thread, or a client that refuses it would end the server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *dummy: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        site.address = f"127.0.0.1:{server.server_address[1]}"
        return site

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A mirror with a good certificate."""
    return make_site()


@dataclass
class Host:
    """Where kubeadm and its files are during a test, instead of on this machine."""

    base: Path
    root: Path
    run: Path

    def kubeadm(self, script: str) -> None:
        """Make a program that plays kubeadm: it notes arguments and configuration, then does what the script says."""
        program = self.base / "kubeadm"
        program.write_text(
            f'#!/bin/bash\ncd {self.base}\necho "$*" >> calls\n'
            f'[ "$2" != --config ] || {{ stat -c %a "$3" > config-mode; cp "$3" config; }}\n{script}\n'
        )
        program.chmod(0o755)

    def calls(self) -> list[str]:
        """The command lines with which kubeadm was called."""
        path = self.base / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def put(self, name: str, text: str = "x") -> Path:
        """Make a file below kubeadm's directory."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def settings(self) -> dict[str, str]:
        """The constants of _kubeadm for this host."""
        return {
            "ROOT": str(self.root),
            "MARKER": str(self.root / "hostplane.json"),
            "KUBEADM": str(self.base / "kubeadm"),
            "RUN": str(self.run),
            "LOCK": str(self.run / "kubeadm.lock"),
            "ETCD_DATA": str(self.base / "etcd" / "member"),
            "KUBELET_CONF": str(self.root / "kubelet.conf"),
            "KUBELET_CLIENT": str(self.base / "kubelet-client.pem"),
        }


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which only a played kubeadm runs."""
    made = Host(tmp_path, tmp_path / "kubernetes", tmp_path / "run")
    made.run.mkdir()
    for name, value in made.settings().items():
        monkeypatch.setattr(_kubeadm, name, value)
    made.kubeadm("")
    return made
