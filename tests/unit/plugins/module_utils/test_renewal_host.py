# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs are played by scripts that write down how they were called."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_host as host
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import Place
from ansible_collections.hostplane.cluster.plugins.module_utils._x509 import Certificate

Play = Callable[[str, str], None]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setattr(host, "PROGRAMS", str(tmp_path))
    monkeypatch.setattr(host, "CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(host, "PKI", str(tmp_path / "pki"))
    monkeypatch.setattr(host, "STAGING", str(tmp_path / "renewal-"))
    monkeypatch.setattr(host, "START_SECONDS", 0.3)
    monkeypatch.setattr(host, "POLL_SECONDS", 0.01)

    def play(name: str, script: str) -> None:
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $@" >> {tmp_path}/calls\n{script}\n')
        program.chmod(0o755)

    return play


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def certificate(kind: str, bits: int) -> Certificate:
    from datetime import datetime, timezone

    day = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return Certificate("", "", "", "", day, day, "", kind, bits, "")


KUBECONFIG = Place("scheduler.conf", "/nowhere/scheduler.conf", "kubeadm", kubeconfig=True)


@pytest.mark.parametrize(
    ("kind", "bits", "algorithm"),
    [("RSA", 3072, "RSA-3072"), ("EC", 256, "ECDSA-P256"), ("ED25519", 256, "RSA-2048")],
)
def test_kubeadm_renews_without_the_api(played: Play, tmp_path: Path, kind: str, bits: int, algorithm: str) -> None:
    played("kubeadm", f"[ $1 = version ] && echo v1.36.3 || cp -p {tmp_path}/config {tmp_path}/seen")
    host.renew(KUBECONFIG, certificate(kind, bits), 400)
    seen = json.loads((tmp_path / "seen").read_text())
    assert (seen["kubernetesVersion"], seen["certificateValidityPeriod"]) == ("v1.36.3", "9600h")
    assert (seen["encryptionAlgorithm"], seen["certificatesDir"]) == (algorithm, str(tmp_path / "pki"))
    assert (tmp_path / "seen").stat().st_mode & 0o777 == 0o600
    assert calls(tmp_path)[-1] == f"kubeadm certs renew scheduler.conf --config {tmp_path}/config"
    assert not (tmp_path / "config").exists()


@pytest.fixture
def peer(tmp_path: Path) -> Place:
    (tmp_path / "pki/etcd").mkdir(parents=True)
    for name in ("peer.crt", "peer.key", "ca.crt", "ca.key"):
        (tmp_path / "pki/etcd" / name).write_text(f"old {name}")
    stem = str(tmp_path / "pki/etcd/peer")
    return Place("etcd-peer", f"{stem}.crt", "kubeadm", f"{stem}.key", "etcd-ca")


WORK = """[ $1 = version ] && echo v1.36.3 && exit
cd "$(sed 's/.*certificatesDir": "\\([^"]*\\).*/\\1/' config)/etcd"
grep -q 'old peer.crt' peer.crt && grep -q 'old ca.key' ca.key && [ ! -e peer.key ] || exit 1
echo new > peer.key
"""


def test_a_pair_changes_places_at_once(
    played: Play, tmp_path: Path, peer: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "renewal-left"
    left.mkdir()
    monkeypatch.chdir(tmp_path)
    played("kubeadm", WORK + "echo new > peer.crt")
    host.renew(peer, None, 365)
    assert [Path(path).read_text() for path in (peer.path, peer.key)] == ["new\n", "new\n"]
    assert (tmp_path / "pki/etcd/ca.key").read_text() == "old ca.key"
    assert list(tmp_path.glob("renewal-*")) == []


def test_a_failing_kubeadm_is_quoted_and_leaves_nothing(
    played: Play, tmp_path: Path, peer: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    played("kubeadm", WORK + "echo no disk >&2; exit 1")
    with pytest.raises(host.HostError, match="kubeadm certs renew etcd-peer.* failed: no disk"):
        host.renew(peer, None, 365)
    assert [Path(path).read_text() for path in (peer.path, peer.key)] == ["old peer.crt", "old peer.key"]
    assert not (tmp_path / "config").exists() and list(tmp_path.glob("renewal-*")) == []


def test_a_nodes_certificate_is_signed_here(played: Play, tmp_path: Path) -> None:
    crt, key = (base64.b64encode(text).decode() for text in (b"CRT\n", b"KEY\n"))
    made = f"client-certificate-data: {crt}\nclient-key-data: {key}"
    played("kubeadm", f"[ $1 = version ] && echo v1.36.3 || printf '%s\\n' '{made}'")
    assert host.sign_kubelet("w1", None, 10) == b"CRT\nKEY\n"
    assert "--validity-period 240h --org system:nodes --client-name system:node:w1" in calls(tmp_path)[-1]


def container(number: str, state: str, created: int, name: str = "etcd") -> dict[str, Any]:
    return {"id": number, "state": f"CONTAINER_{state}", "createdAt": str(created * 10**9), "metadata": {"name": name}}


def crictl(tmp_path: Path, *ones: dict[str, Any]) -> None:
    (tmp_path / "containers.json").write_text(json.dumps({"containers": list(ones)}))


def test_exactly_one_container_is_stopped_and_its_past_forgotten(played: Play, tmp_path: Path) -> None:
    old = [container("a", "EXITED", 1), container("b", "RUNNING", 2)]
    other = container("x", "RUNNING", 1, "kube-proxy")
    crictl(tmp_path, *old, other)
    after = json.dumps({"containers": [container("c", "RUNNING", 3), other]})
    played(
        "crictl",
        f"case \"$3\" in ps) cat {tmp_path}/containers.json;; stop) echo '{after}' > {tmp_path}/containers.json;; esac",
    )
    host.restart_container("etcd")
    done = [call.split("30s ", 1)[1] for call in calls(tmp_path) if " ps " not in call]
    assert done == ["stop --timeout 30 b", "rm b", "rm a"]


def test_a_kubelet_that_waits_is_restarted(played: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crictl(tmp_path, container("a", "EXITED", 1))
    played("crictl", f'[ "$3" != ps ] || cat {tmp_path}/containers.json')
    restarts: list[str] = []
    monkeypatch.setattr(host, "restart_kubelet", lambda: restarts.append("kubelet"))
    host.restart_container("etcd")
    assert restarts == ["kubelet"]


def test_programs_find_each_other(played: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    played("kubeadm", 'echo "$PATH"')
    assert host.command(["kubeadm"]) == "/usr/local/bin:/bin\n"


def test_a_missing_program_is_named(played: Play) -> None:
    with pytest.raises(host.HostError, match="crictl is not there; is this host a node"):
        host.containers()


def test_ports_come_from_the_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "MANIFESTS", str(tmp_path))
    assert (host.api_port(), host.peer_address()) == (6443, ("127.0.0.1", 2380))
    (tmp_path / "kube-apiserver.yaml").write_text("    - --secure-port=7443\n")
    (tmp_path / "etcd.yaml").write_text("    - --listen-peer-urls=https://[fd00::1]:2390,https://10.0.0.1:2380\n")
    assert (host.api_port(), host.peer_address()) == (7443, ("fd00::1", 2390))


def test_what_a_server_shows(site: Any, tmp_path: Path) -> None:
    import ssl

    address, port = site.address.split(":")
    found = host.served((address, int(port)), str(tmp_path / "none"))
    import hashlib

    assert found == hashlib.sha256(ssl.PEM_cert_to_DER_cert(site.ca)).hexdigest()
    assert host.served(("127.0.0.1", 1), "") == ""


def test_waiting_ends_with_the_last_complaint() -> None:
    said = iter(["a", "b", ""])
    assert host.wait_for(lambda: next(said), 5) == ""
    assert host.wait_for(lambda: "no", 0) == "no"
