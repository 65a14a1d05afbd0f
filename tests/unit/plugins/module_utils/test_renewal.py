# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a run and what happens when a step fails; the host itself is played."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import (
    _certificates,
    _renewal,
    _renewal_files,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_plan import Plan
from ansible_collections.hostplane.cluster.plugins.module_utils._x509 import Certificate

OPTIONS = {"days": 90, "validity_days": 365, "keep": 3, "timeout": 0, "others": False, "bootstrap_token": ""}
FULL = Plan(
    kubeadm=("apiserver", "scheduler.conf"), restart=("kube-scheduler",), reload=("etcd", "kube-apiserver"),
)  # fmt: skip


class Played:
    """A host whose steps are written down; what fails is said by the name of the step."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.steps, self.ill = root, [], {}
        self.up = ""
        self.etcd = ""
        monkeypatch.setattr(_renewal_files, "BACKUPS", str(root / "backups"))
        monkeypatch.setattr(_renewal, "ROOT", str(root))
        monkeypatch.setattr(_renewal, "KUBELET_CONF", str(root / "kubelet.conf"))
        monkeypatch.setattr(_renewal, "KUBELET_CLIENT", str(root / "kubelet-client-current.pem"))
        monkeypatch.setattr(_renewal, "BOOTSTRAP", str(root / "bootstrap-kubelet.conf"))
        monkeypatch.setattr(_renewal, "RELOAD_SECONDS", 0)
        monkeypatch.setattr(_renewal, "etcd_complaint", lambda: self.etcd)
        monkeypatch.setattr(_certificates, "is_control_plane", lambda: True)
        for name in ("restart_container", "component_complaint", "accepted"):
            monkeypatch.setattr(
                _renewal.host, name, lambda what, name=name: self.step(f"{name} {os.path.basename(what)}")
            )
        monkeypatch.setattr(_renewal.host, "restart_kubelet", lambda: self.step("restart_kubelet"))
        monkeypatch.setattr(_renewal.host, "api_complaint", lambda: self.up)
        monkeypatch.setattr(_renewal.host, "renew", self.renew)
        monkeypatch.setattr(_renewal.host, "sign_kubelet", lambda node, cert, days: f"{node} {days}".encode())
        monkeypatch.setattr(_renewal.Renewal, "_serves", lambda run, name: lambda: self.step(f"serves {name}"))
        monkeypatch.setattr(_renewal, "Gap", lambda: self)

    def start(self) -> None:
        self.steps.append("gap")

    def stop(self) -> float:
        return 0.5

    def step(self, name: str) -> str:
        self.steps.append(name)
        said = self.ill.get(name, "")
        if isinstance(said, Exception):
            raise said
        return str(said)

    def renew(self, place: _certificates.Place, certificate: Certificate | None, days: int) -> None:
        self.step(f"renew {place.name} {days}")
        Path(place.path).write_text("new")

    def item(self, name: str, left: float = 10) -> _certificates.Found:
        places = {place.name: place for place in (*_certificates.CONTROL_PLANE, *_certificates.NODE)}
        path = self.root / name
        path.write_text("old")
        end = _renewal.now() + timedelta(days=left)
        cert = Certificate("", "", "", "", end - timedelta(days=365), end, "", "RSA", 2048, "")
        return _certificates.Found(replace(places[name], path=str(path), key=str(path)), cert, key_matches=True)

    def run(self, plan: Plan, **options: Any) -> _renewal.Result:
        names = [*plan.kubeadm, "kubelet-client", "kubelet-server-self"]
        found = [*(self.item(name) for name in names), self.item("ca", 200.5)]
        return _renewal.Renewal(found, plan, {**OPTIONS, **options}).run()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(tmp_path, monkeypatch)


def test_the_order_of_a_run(host: Played) -> None:
    result = host.run(FULL)
    assert host.steps == [
        "gap",
        # No longer than the CA.
        "renew apiserver 200",
        "renew scheduler.conf 200",
        "restart_container kube-scheduler",
        "component_complaint kube-scheduler",
        "serves etcd",
        "serves etcd",
        "serves kube-apiserver",
        "serves kube-apiserver",
    ]
    assert (result.restarted, result.reloaded) == (["kube-scheduler"], ["etcd", "kube-apiserver"])
    assert (result.renewed, result.gap, result.recovering) == (["apiserver", "scheduler.conf"], 0.5, False)
    assert Path(result.backup, str(host.root / "apiserver").lstrip("/")).read_text() == "old"


def test_who_does_not_take_it_up_is_restarted(host: Played) -> None:
    said = iter(["no", "", "", ""])
    host.step = lambda name: (host.steps.append(name), next(said) if name == "serves etcd" else "")[1]  # type: ignore[method-assign]
    result = host.run(replace(FULL, restart=(), reload=("etcd",)))
    assert result.restarted == ["etcd"] and result.reloaded == []


@pytest.mark.parametrize("step", ["component_complaint kube-scheduler", "restart_container kube-scheduler"])
def test_who_fails_gets_the_old_files_back(host: Played, step: str) -> None:
    host.ill[step] = "ill" if step.startswith("component") else _renewal.host.HostError("ill")
    with pytest.raises(_renewal.RenewalError, match=r"^ill. The old certificates were put back .* still not well: ill"):
        host.run(FULL)
    assert (host.root / "apiserver").read_text() == "old"
    assert host.steps.count("restart_container kube-scheduler") == 2
    assert "restart_container etcd" not in host.steps


def test_what_kubeadm_refuses_is_undone_before_anybody_is_restarted(host: Played) -> None:
    host.ill["renew scheduler.conf 200"] = _renewal.host.HostError("no disk")
    with pytest.raises(_renewal.RenewalError, match="no disk.*well again"):
        host.run(FULL)
    assert (host.root / "apiserver").read_text() == "old"
    assert [step for step in host.steps if "restart" in step] == []


def test_a_cluster_that_was_down_is_not_put_back(host: Played) -> None:
    host.up = "down"
    host.ill["component_complaint kube-scheduler"] = "ill"
    with pytest.raises(_renewal.RenewalError, match="The API was down before, so nothing was put back"):
        host.run(FULL)
    assert (host.root / "apiserver").read_text() == "new"


@pytest.mark.usefixtures("kubelet_is_good")
def test_one_of_several_that_are_down_waits_for_nobody(host: Played) -> None:
    host.up = "down"
    (host.root / "kubelet.conf").write_text("- name: system:node:cp1\n")
    result = host.run(replace(FULL, restart=("etcd", "kube-apiserver"), reload=(), kubelet="sign"), others=True)
    assert result.recovering and result.restarted == ["kubelet", "etcd", "kube-apiserver"]
    assert [step for step in host.steps if "serves" in step or "accepted" in step] == []


def test_a_restart_never_costs_the_quorum(host: Played) -> None:
    host.etcd = "etcd member cp2: it does not answer"
    with pytest.raises(_renewal.RenewalError, match="cp2: it does not answer; bring it back first"):
        host.run(replace(FULL, restart=("etcd",)))
    assert host.steps == [] and not (host.root / "backups").exists()
    host.run(FULL)


@pytest.fixture
def kubelet_is_good(monkeypatch: pytest.MonkeyPatch, host: Played) -> None:
    monkeypatch.setattr(_certificates, "look", lambda places: [replace(host.item("kubelet-client", 300), chain="")])
    monkeypatch.setattr(_certificates, "places", lambda: [])


@pytest.mark.usefixtures("kubelet_is_good")
def test_a_control_plane_signs_its_kubelets_own(host: Played) -> None:
    (host.root / "kubelet.conf").write_text("- name: system:node:cp1\n")
    result = host.run(Plan(kubelet="sign"))
    assert (result.renewed, result.restarted) == (["kubelet-client"], ["kubelet"])
    current = host.root / "kubelet-client-current.pem"
    assert current.is_symlink() and os.stat(current).st_mode & 0o777 == 0o600
    assert host.steps[-2:] == ["restart_kubelet", "accepted kubelet.conf"]


@pytest.mark.usefixtures("kubelet_is_good")
def test_a_node_that_joined_is_named_by_its_certificate_only(host: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.root / "kubelet.conf").write_text("- name: default-auth\n")
    with pytest.raises(_renewal.RenewalError, match="no file here tells the node's name"):
        host.run(Plan(kubelet="sign"))
    named = host.item("kubelet-client")
    assert named.certificate
    named = replace(named, certificate=replace(named.certificate, subject="CN=system:node:cp2,O=system:nodes"))
    monkeypatch.setattr(host, "item", lambda name, left=10: named)
    signed: list[str] = []
    monkeypatch.setattr(_renewal.host, "sign_kubelet", lambda node, cert, days: signed.append(node) or b"")
    host.run(Plan(kubelet="sign"))
    assert signed == ["cp2"]


@pytest.mark.usefixtures("kubelet_is_good")
def test_a_worker_asks_with_a_token_that_does_not_stay(host: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_certificates, "is_control_plane", lambda: False)
    (host.root / "kubelet.conf").write_text("    server: https://10.0.0.100:8443\n")
    seen: list[Any] = []
    bootstrap = host.root / "bootstrap-kubelet.conf"
    monkeypatch.setattr(
        _renewal.host,
        "restart_kubelet",
        lambda: seen.append((json.loads(bootstrap.read_text()), bootstrap.stat().st_mode & 0o777)),
    )
    result = host.run(Plan(kubelet="bootstrap"), bootstrap_token="abcdef.0123456789abcdef")
    ((config, mode),) = seen
    assert config["users"][0]["user"]["token"] == "abcdef.0123456789abcdef" and mode == 0o600
    assert config["clusters"][0]["cluster"]["server"] == "https://10.0.0.100:8443"
    assert not bootstrap.exists()
    assert (result.renewed, result.gap) == (["kubelet-client"], None)


def test_without_a_token_nothing_is_lost(host: Played) -> None:
    (host.root / "kubelet.conf").write_text("")
    current = host.root / "kubelet-client-current.pem"
    current.write_text("old")
    with pytest.raises(_renewal.RenewalError, match="give a join token"):
        host.run(Plan(kubelet="bootstrap"))
    assert current.read_text() == "old"


@pytest.mark.usefixtures("kubelet_is_good")
def test_a_kubelet_makes_its_own_serving_pair_anew(host: Played) -> None:
    result = host.run(Plan(serving=True))
    assert (result.renewed, result.restarted) == (["kubelet-server-self"], ["kubelet"])
    assert not (host.root / "kubelet-server-self").exists()


def test_who_started_before_its_kubeconfig_was_written(host: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = [{"id": "b", "running": True, "created": 50.0}, {"id": "a", "running": False, "created": 10.0}]
    monkeypatch.setattr(_renewal.host, "containers", lambda: {"kube-scheduler": newest, "etcd": newest})
    (host.root / "scheduler.conf").write_text("")
    os.utime(host.root / "scheduler.conf", (60, 60))
    assert _renewal.stale(True) == ({"kube-scheduler": 50.0}, {"kube-scheduler": 60.0})
    assert _renewal.stale(False) == ({}, {})


def test_an_unfinished_member_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_renewal, "read_marker", lambda: type("Marker", (), {"phase": "join-started"}))
    (problem,) = _renewal.refusals([], 90)
    assert problem.code == "UnfinishedMember"
    monkeypatch.setattr(_renewal, "read_marker", lambda: type("Marker", (), {"phase": ""}))
    assert _renewal.refusals([], 90) == []
