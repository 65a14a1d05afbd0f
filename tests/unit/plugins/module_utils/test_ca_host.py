# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A phase on one host, with files in memory and components that are only counted."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca, _ca_host
from selfsigned import make_certificate

CLUSTER = _ca.AUTHORITIES["cluster"]


class Machine:
    """The files of a host, each with the time of its writing, and its containers."""

    def __init__(self, patch: pytest.MonkeyPatch, control_plane: bool) -> None:
        self.files: dict[str, str] = {}
        self.written: dict[str, float] = {}
        self.started = dict.fromkeys(_ca.ORDER, 0.5)
        self.kubelet, self.clock, self.dies_after = 0.5, 1.0, -1
        self.unsigned: list[str] = []
        self.log: list[str] = []
        patch.setattr(_ca_host, "read", lambda path: self.files.get(path, ""))
        patch.setattr(_ca_host, "atomic_write", self.write)
        patch.setattr(_ca_host, "is_control_plane", lambda: control_plane)
        patch.setattr(_ca_host, "not_signed_by", lambda dummy, places: self._unsigned(places))
        patch.setattr(_ca_host, "certificate_of", lambda place: self.files[CLUSTER.path])
        patch.setattr(_ca_host, "Backup", lambda paths, keep: type("Copy", (), {"path": "/backup"}))
        patch.setattr(_ca_host, "etcd_complaint", lambda: "")
        patch.setattr(_ca_host.os.path, "exists", lambda path: not path.endswith("haproxy.yaml"))
        patch.setattr(_ca_host.os.path, "getmtime", lambda path: self.written.get(path, 0.0))
        patch.setattr(_ca_host.host, "containers", self.containers)
        patch.setattr(_ca_host.host, "restart_container", self.restart)
        patch.setattr(_ca_host.host, "restart_kubelet", lambda: self.restart("kubelet"))
        patch.setattr(_ca_host.host, "api_complaint", lambda: "")
        patch.setattr(_ca_host.host, "component_complaint", lambda name: "")
        patch.setattr(_ca_host.host, "accepted", lambda path: "")
        patch.setattr(_ca_host.host, "renew", lambda place, certificate, days: self.sign(place.name))
        patch.setattr(_ca_host._ca_kubelet, "started", lambda: self.kubelet)
        patch.setattr(_ca_host._ca_kubelet, "server_forgotten", lambda: False)
        patch.setattr(_ca_host._ca_kubelet, "renew_client", lambda new, deadline: self.sign("kubelet-client"))
        patch.setattr(_ca_host._ca_kubelet, "forget_server", lambda: self.sign("kubelet-server"))
        patch.setattr(_ca_host, "MANIFEST_SECONDS", 0.0)

    def _unsigned(self, places: Any) -> list[str]:
        names = [place.name for place in places]
        return [name for name in self.unsigned if name in names]

    def _step(self, what: str) -> float:
        if self.dies_after == 0:
            raise KeyboardInterrupt
        self.dies_after -= 1
        self.log.append(what)
        self.clock += 1
        return self.clock

    def write(self, path: str, data: bytes, mode: int) -> None:
        assert mode == 0o600 or path.endswith(".crt")
        self.written[path] = self._step(path)
        self.files[path] = data.decode()

    def sign(self, name: str) -> None:
        self._step(f"sign {name}")
        self.unsigned.remove(name)

    def containers(self) -> dict[str, list[dict[str, Any]]]:
        return {name: [{"running": True, "created": when}] for name, when in self.started.items()}

    def restart(self, name: str) -> None:
        when = self._step(f"restart {name}")
        if name == "kubelet":
            self.kubelet = when
        else:
            self.started[name] = when


@pytest.fixture
def cas(tmp_path: Path) -> tuple[str, str]:
    return make_certificate(tmp_path, "old.test")[1], make_certificate(tmp_path, "new.test")[1]


def kubeconfig(ca: str) -> str:
    return f"    certificate-authority-data: {base64.b64encode(ca.encode()).decode()}\n"


@pytest.fixture
def control_plane(monkeypatch: pytest.MonkeyPatch, cas: tuple[str, str]) -> Machine:
    machine = Machine(monkeypatch, control_plane=True)
    machine.files = {
        CLUSTER.path: cas[0],
        CLUSTER.key: "old key",
        CLUSTER.next_path: cas[1],
        CLUSTER.next_key: "new key",
        _ca_host.MANIFEST: f"{_ca.SIGNING_FLAG}{CLUSTER.path}\n",
        **{path: kubeconfig(cas[0]) for path in [*_ca_host.KUBECONFIGS, _ca_host.KUBELET_CONF]},
    }
    return machine


def phase(name: str, cas: tuple[str, str], check: bool = False) -> _ca_host.Phase:
    return _ca_host.Phase(name, {"cluster": cas[1]}, 5, check)


def test_trust_leaves_the_old_ca_signing_with_a_file_of_one_certificate(
    control_plane: Machine, cas: tuple[str, str]
) -> None:
    result = phase("trust", cas).run_control_plane()
    files = control_plane.files
    assert files[CLUSTER.path] == "".join(cas) and files[CLUSTER.key] == "old key"
    assert files[_ca.SIGNING] == cas[0] and files[_ca_host.MANIFEST] == f"{_ca.SIGNING_FLAG}{_ca.SIGNING}\n"
    assert all(files[path] == kubeconfig("".join(cas)) for path in _ca_host.KUBECONFIGS)
    # The manifest is first: with a bundle the controller manager would not sign.
    assert result.paths.index(_ca_host.MANIFEST) < result.paths.index(CLUSTER.path)
    assert result.restarted == ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert result.backup == "/backup"


def test_issue_turns_the_signer_round_and_renews_what_the_old_one_signed(
    control_plane: Machine, cas: tuple[str, str]
) -> None:
    phase("trust", cas).run_control_plane()
    control_plane.unsigned = ["apiserver", "admin.conf", "kubelet-client", "kubelet-server"]
    result = phase("issue", cas).run_control_plane()
    files = control_plane.files
    assert files[CLUSTER.path] == cas[1] + cas[0] and files[CLUSTER.key] == "new key"
    assert result.paths.index(CLUSTER.key) < result.paths.index(CLUSTER.path)
    assert files[_ca.SIGNING] == cas[1] and result.issued == ["apiserver", "admin.conf"]
    node = phase("issue", cas).run_node()
    assert node.issued == ["kubelet-client", "kubelet-server"] and node.restarted == ["kubelet"]


def test_drop_is_refused_while_the_old_ca_is_needed(control_plane: Machine, cas: tuple[str, str]) -> None:
    control_plane.unsigned = ["kubelet-server"]
    for run in (phase("drop", cas).run_control_plane, phase("drop", cas).run_node):
        with pytest.raises(_ca_host.CaError, match="kubelet-server are not signed by the new CA"):
            run()
    assert control_plane.log == []


def test_drop_puts_everything_back_to_one_ca(control_plane: Machine, cas: tuple[str, str]) -> None:
    for name in _ca.PHASES:
        phase(name, cas).run_control_plane()
        phase(name, cas).run_node()
    files = control_plane.files
    assert files[CLUSTER.path] == cas[1] and files[_ca_host.MANIFEST] == f"{_ca.SIGNING_FLAG}{CLUSTER.path}\n"
    confs = [*_ca_host.KUBECONFIGS, _ca_host.KUBELET_CONF]
    assert all(files[path] == kubeconfig(cas[1]) for path in confs)


def test_every_phase_again_changes_nothing(control_plane: Machine, cas: tuple[str, str]) -> None:
    for name in _ca.PHASES:
        phase(name, cas).run_control_plane()
        phase(name, cas).run_node()
        control_plane.log = []
        for again in _ca.PHASES[: _ca.PHASES.index(name) + 1]:
            assert not phase(again, cas).run_control_plane().changed
            assert not phase(again, cas).run_node().changed
        assert control_plane.log == []


@pytest.mark.parametrize("name", _ca.PHASES)
def test_a_phase_that_dies_anywhere_is_finished_by_the_next_run(
    control_plane: Machine, cas: tuple[str, str], name: str
) -> None:
    for before in _ca.PHASES[: _ca.PHASES.index(name)]:
        phase(before, cas).run_control_plane()
        phase(before, cas).run_node()
    start = json.dumps([control_plane.files, control_plane.written, control_plane.started, control_plane.kubelet])
    ends = set()
    for steps in range(40):
        restored = json.loads(start)
        control_plane.files, control_plane.written, control_plane.started, control_plane.kubelet = restored
        control_plane.unsigned = ["apiserver", "admin.conf", "kubelet-client"] if name == "issue" else []
        control_plane.dies_after = steps
        died = False
        for _run in range(2):
            try:
                phase(name, cas).run_control_plane()
                phase(name, cas).run_node()
            except KeyboardInterrupt:
                died, control_plane.dies_after = True, -1
        ends.add(json.dumps(sorted(control_plane.files.items())))
        newest = max(control_plane.written[path] for path in (CLUSTER.path, _ca_host.KUBECONFIGS[-1]))
        assert control_plane.unsigned == [] and control_plane.kubelet > control_plane.written[_ca_host.KUBELET_CONF]
        assert control_plane.started["kube-scheduler"] > control_plane.written[_ca_host.KUBECONFIGS[-1]]
        assert control_plane.started["kube-controller-manager"] > newest - 1
        if not died:
            break
    assert len(ends) == 1 and not died


def test_check_mode_predicts_and_writes_nothing(control_plane: Machine, cas: tuple[str, str]) -> None:
    predicted = phase("trust", cas, check=True).run_control_plane()
    assert control_plane.log == []
    done = phase("trust", cas).run_control_plane()
    assert set(predicted.paths) == set(done.paths) and predicted.restarted == done.restarted


def test_a_worker_takes_its_ca_from_the_new_one(monkeypatch: pytest.MonkeyPatch, cas: tuple[str, str]) -> None:
    worker = Machine(monkeypatch, control_plane=False)
    worker.files = {CLUSTER.path: cas[0], _ca_host.KUBELET_CONF: kubeconfig(cas[0])}
    result = phase("trust", cas).run_node()
    assert worker.files[CLUSTER.path] == "".join(cas) and result.restarted == ["kubelet"]
    assert CLUSTER.key not in worker.files


def test_other_cas_leave_kubelets_alone(control_plane: Machine, cas: tuple[str, str]) -> None:
    assert not _ca_host.Phase("trust", {"etcd": cas[1]}, 5).run_node().changed


def test_the_new_cas_of_another_control_plane_appear_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_ca_host, "PKI", str(tmp_path))
    monkeypatch.setattr(_ca_host, "NEXT", str(tmp_path / "next"))
    etcd = _ca.AUTHORITIES["etcd"]
    monkeypatch.setattr(_ca_host, "AUTHORITIES", {"etcd": etcd})
    monkeypatch.setattr(_ca, "NEXT", str(tmp_path / "next"))
    files = {path: base64.b64encode(path.encode()).decode() for path in (etcd.next_path, etcd.next_key)}
    assert _ca_host.prepare(["etcd"], 1, files, check=True) and not (tmp_path / "next").exists()
    assert _ca_host.prepare(["etcd"], 1, files, check=False)
    assert (tmp_path / "next/etcd/ca.key").read_text() == etcd.next_key
    assert (tmp_path / "next/etcd/ca.key").stat().st_mode & 0o777 == 0o600
    assert not _ca_host.prepare(["etcd"], 1, files, check=False)
    with pytest.raises(_ca_host.CaError, match="files must be"):
        _ca_host.prepare(["etcd"], 1, {"/etc/passwd": ""}, check=False)
