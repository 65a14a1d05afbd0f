# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _certificates, _renewal, _x509
from ansible_collections.hostplane.cluster.plugins.modules import certificate_info

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller: nothing of a cluster is here, whatever machine the tests run on."""
    monkeypatch.setattr(_certificates, "places", list)
    monkeypatch.setattr(_certificates, "is_control_plane", lambda: False)


def test_an_empty_host_has_none(run_module: Run) -> None:
    result = run_module(certificate_info, wait=5)
    assert (result["certificates"], result["due"], result["kubelet"], result["problems"]) == ([], [], "", [])
    assert result["changed"] is False


def test_kubeconfigs_that_people_keep(run_module: Run, tmp_path: Path, make_site: Any) -> None:
    ca = make_site("10.0.0.1").ca
    # The key of the one certificate that is there lies beside it.
    pem = next(tmp_path.glob("10.0.0.1-*.pem"))
    data = base64.b64encode(ca.encode()).decode()
    config = tmp_path / "admin.conf"
    config.write_text(
        f"certificate-authority-data: {data}\nclient-certificate-data: {data}\nclient-key: {pem.name}\nserver: https://a\n"
    )
    lost = str(tmp_path / "lost.conf")
    result = run_module(certificate_info, kubeconfigs=[str(config), lost], days=1)
    good, missing = result["certificates"]
    assert (good["name"], good["managed_by"], good["chain"], good["key_matches"]) == ("admin.conf", "user", "ok", True)
    assert (good["due"], good["broken"], good["sans"]) == ("expires in 0 days", "", ["IP:10.0.0.1"])
    assert (missing["broken"], missing["days_left"]) == ("is missing", None)
    assert result["due"] == ["admin.conf", "lost.conf"]
    assert "PRIVATE" not in str(result)


def test_a_host_without_openssl(run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_x509, "OPENSSL", "/nowhere/openssl")
    (tmp_path / "a.conf").write_text(
        "client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=\n"
    )
    result = run_module(certificate_info, kubeconfigs=[str(tmp_path / "a.conf")])
    assert "install the package openssl" in result["msg"]


def test_a_control_plane_that_does_not_come_up(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_certificates, "is_control_plane", lambda: True)
    monkeypatch.setattr(_renewal, "wait_whole", lambda seconds: f"etcd is ill for {seconds} s")
    assert "etcd is ill for 7 s" in run_module(certificate_info, wait=7)["msg"]
    assert "msg" not in run_module(certificate_info)
