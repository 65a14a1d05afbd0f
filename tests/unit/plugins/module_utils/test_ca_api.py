# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New names for the API server: kubeadm is played, the files are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca_api
from selfsigned import make_certificate

CLUSTER = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "apiServer": {"certSANs": ["a"]}}


class Host:
    """kubeadm makes a certificate for the given name; the API server shows what it is told to."""

    def __init__(self, tmp_path: Path, patch: pytest.MonkeyPatch, name: str) -> None:
        self.tmp_path, self.name, self.restarted, self.shows = tmp_path, name, 0, True
        self.config: list[dict[str, Any]] = []
        self.pki = tmp_path / "pki"
        self.pki.mkdir()
        make = _ca_api.tempfile.mkdtemp
        patch.setattr(_ca_api.tempfile, "mkdtemp", lambda **options: make(**{**options, "dir": tmp_path}))
        for constant, file in (("CERTIFICATE", "apiserver.crt"), ("KEY", "apiserver.key")):
            patch.setattr(_ca_api, constant, str(self.pki / file))
        (self.pki / "apiserver.crt").write_text(make_certificate(tmp_path, "before.test")[1])
        (self.pki / "apiserver.key").write_text("old key")
        real = _ca_api.Backup
        patch.setattr(_ca_api, "Backup", lambda paths, keep: real(paths, keep, str(tmp_path / "backups")))
        patch.setattr(_ca_api.host, "command", self.command)
        patch.setattr(_ca_api.host, "api_port", lambda: 6443)
        patch.setattr(_ca_api.host, "served", self.served)
        patch.setattr(_ca_api.host, "wait_for", lambda check, seconds: check())
        patch.setattr(_ca_api.host, "api_complaint", lambda: "")
        patch.setattr(_ca_api.host, "restart_container", self.restart)

    def command(self, words: list[str]) -> str:
        path = Path(words[words.index("--config") + 1])
        self.config = [json.loads(part) for part in path.read_text().split("---\n")]
        made = Path(self.config[1]["certificatesDir"])
        assert (made / "ca.key").is_symlink() and path.stat().st_mode & 0o777 == 0o600
        (made / "apiserver.crt").write_text(make_certificate(self.tmp_path, self.name)[1])
        (made / "apiserver.key").write_text("new key")
        return ""

    def served(self, address: tuple[str, int], client: str) -> str:
        text = (self.pki / "apiserver.crt").read_text()
        return str(_ca_api._x509.parse(text).fingerprint) if self.shows else ""

    def restart(self, name: str) -> None:
        assert name == "kube-apiserver"
        self.restarted += 1


def left(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("hostplane-api-*"))


def test_the_same_names_leave_the_certificate_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, "before.test")
    before = (host.pki / "apiserver.crt").read_text()
    names = _ca_api.update(CLUSTER, "cp1", "10.0.0.11", check=False)
    assert names.before == names.after and (host.pki / "apiserver.crt").read_text() == before
    assert host.config[0]["nodeRegistration"]["name"] == "cp1" and not left(tmp_path)


def test_other_names_are_taken_up_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, "after.test")
    names = _ca_api.update(CLUSTER, "cp1", "10.0.0.11", check=False)
    assert names.after == ("DNS:after.test",) and names.reloaded and not host.restarted
    assert (host.pki / "apiserver.key").read_text() == "new key"
    assert (host.pki / "apiserver.key").stat().st_mode & 0o777 == 0o600
    assert not left(tmp_path) and names.backup


def test_check_mode_tells_the_names_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, "after.test")
    assert _ca_api.update(CLUSTER, "cp1", "10.0.0.11", check=True).after == ("DNS:after.test",)
    assert (host.pki / "apiserver.key").read_text() == "old key" and not left(tmp_path)


def test_an_api_server_that_does_not_take_it_up_gets_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path, monkeypatch, "after.test")
    host.shows = False
    with pytest.raises(_ca_api.ApiNamesError, match="put back"):
        _ca_api.update(CLUSTER, "cp1", "10.0.0.11", check=False)
    assert (host.pki / "apiserver.key").read_text() == "old key" and host.restarted == 2


def test_the_configuration_is_uploaded_from_a_file_that_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def command(words: list[str]) -> str:
        path = Path(words[words.index("--config") + 1])
        seen.append((words[:5], path, path.read_text()))
        return ""

    monkeypatch.setattr(_ca_api.host, "command", command)
    make = _ca_api.tempfile.mkstemp
    monkeypatch.setattr(_ca_api.tempfile, "mkstemp", lambda **options: make(**{**options, "dir": tmp_path}))
    _ca_api.upload(CLUSTER, "cp1", "10.0.0.11")
    words, path, text = seen[0]
    assert words == ["kubeadm", "init", "phase", "upload-config", "kubeadm"]
    assert json.loads(text.split("---\n")[1])["certificatesDir"] == "/etc/kubernetes/pki" and not path.exists()
