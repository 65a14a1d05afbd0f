# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""api_authentication as Ansible runs it, on a host whose API server is played by a metrics file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _authentication
from ansible_collections.hostplane.cluster.plugins.modules import api_authentication

Run = Callable[..., dict[str, Any]]
JWT = [
    {
        "issuer": {"url": "https://login.example.com", "audiences": ["kubernetes"]},
        "claimMappings": {"username": {"claim": "email", "prefix": "staff:"}},
    }
]
METRIC = "apiserver_authentication_config_controller"


class ControlPlane:
    """An API server that loads the file when it is asked, and refuses one that holds the word evil."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = base / "authentication" / "config.json"
        self.manifest, self.log = base / "kube-apiserver.yaml", base / "0.log"
        monkeypatch.setattr(api_authentication, "MANIFEST", str(self.manifest))
        monkeypatch.setattr(api_authentication, "LOGS", str(self.log))
        server = base / "server"
        server.write_text(
            "#!/bin/sh\n"
            f"if grep -q evil {self.path}; then echo '{METRIC}_automatic_reloads_total{{status=\"failure\"}} 1'\n"
            f'echo \'E x] "failed to validate authentication config" err="evil"\' > {self.log}\n'
            f"else set -- $(sha256sum {self.path})\n"
            f'echo "{METRIC}_last_config_info{{hash=\\"sha256:$1\\"}} 1"; fi\n'
        )
        server.chmod(0o755)
        self.server = server
        monkeypatch.setattr(api_authentication, "METRICS", [str(server)])

    def start(self) -> None:
        self.manifest.write_text(f"    - --authentication-config={self.path}\n")

    @property
    def text(self) -> str:
        return self.path.read_text() if self.path.exists() else ""


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    return ControlPlane(tmp_path, monkeypatch)


def test_before_there_is_an_api_server(run_module: Run, plane: ControlPlane) -> None:
    options = {"path": str(plane.path), "initial": True}
    assert run_module(api_authentication, check=True, **options)["changed"] and not plane.text
    assert run_module(api_authentication, **options)["changed"]
    assert stat.S_IMODE(plane.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(plane.path.parent.stat().st_mode) == 0o700
    assert not run_module(api_authentication, **options)["changed"]
    assert run_module(api_authentication, jwt=JWT, **options)["changed"]
    plane.start()
    assert not run_module(api_authentication, **options)["changed"]
    assert "login.example.com" in plane.text


def test_loaded_and_taken_back(run_module: Run, plane: ControlPlane) -> None:
    run_module(api_authentication, path=str(plane.path), initial=True)
    plane.start()
    checked = run_module(api_authentication, check=True, diff=True, path=str(plane.path), jwt=JWT)
    assert checked["changed"] and not checked["loaded"] and "login.example.com" in checked["diff"]["after"]
    assert "login" not in plane.text
    done = run_module(api_authentication, path=str(plane.path), jwt=JWT)
    assert (done["changed"], done["loaded"], done["issuers"]) == (True, True, ["https://login.example.com"])
    again = run_module(api_authentication, diff=True, path=str(plane.path), jwt=JWT)
    assert (again["changed"], again["loaded"]) == (False, True) and "diff" not in again
    assert run_module(api_authentication, path=str(plane.path))["changed"]
    assert plane.text == _authentication.render([])


def test_what_the_api_server_refuses_does_not_stay(run_module: Run, plane: ControlPlane) -> None:
    run_module(api_authentication, path=str(plane.path), initial=True)
    plane.start()
    before = plane.text
    evil = [{**JWT[0], "userValidationRules": [{"expression": "evil"}]}]
    result = run_module(api_authentication, path=str(plane.path), jwt=evil)
    assert result["msg"] == "the API server refused the settings: evil"
    assert plane.text == before


def test_an_api_server_that_does_not_look_is_told(run_module: Run, plane: ControlPlane) -> None:
    run_module(api_authentication, path=str(plane.path), initial=True)
    plane.start()
    before = plane.text
    plane.server.write_text(f"#!/bin/sh\necho '{METRIC}_last_config_info{{hash=\"sha256:old\"}} 1'\n")
    result = run_module(api_authentication, path=str(plane.path), jwt=JWT, timeout=0)
    assert "did not load the settings within 0 s" in result["msg"]
    assert plane.text == before
    plane.server.write_text("#!/bin/sh\necho refused >&2; exit 1\n")
    assert "does not answer: refused" in run_module(api_authentication, path=str(plane.path), jwt=JWT)["msg"]


def test_hosts_it_can_do_nothing_for(run_module: Run, plane: ControlPlane) -> None:
    assert "no API server" in run_module(api_authentication, path=str(plane.path))["msg"]
    assert not run_module(api_authentication, check=True, path=str(plane.path), jwt=JWT)["changed"]
    plane.manifest.write_text("    - --advertise-address=10.0.0.1\n")
    assert "was not set up" in run_module(api_authentication, path=str(plane.path), jwt=JWT)["msg"]
    assert not run_module(api_authentication, path=str(plane.path))["changed"]
    assert not os.path.exists(plane.path)


def test_problems_come_before_any_look(run_module: Run, plane: ControlPlane) -> None:
    wrong = [{"issuer": {"url": "http://a", "audiences": []}, "claimMappings": JWT[0]["claimMappings"]}]
    result = run_module(api_authentication, path=str(plane.path), jwt=wrong)
    assert [problem["code"] for problem in result["problems"]] == ["jwt_authenticator"] * 2
    assert "2 problems" in result["msg"]
