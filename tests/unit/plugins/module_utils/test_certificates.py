# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a host that is laid out in a directory, with certificates that openssl makes."""

from __future__ import annotations

import base64
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _certificates as inventory

# Later than whatever the tests sign.
NOW = datetime.now(timezone.utc) + timedelta(minutes=30)
PKI = "etc/kubernetes/pki"


def openssl(*words: str, text: str = "") -> str:
    return subprocess.run(["openssl", *words], input=text, check=True, capture_output=True, text=True).stdout


class Host:
    """A host's files, and two CAs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, name: str, text: str, mode: int = 0o600) -> None:
        self.path(name).write_text(text)
        self.path(name).chmod(mode)

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def ca(self, stem: str) -> None:
        crt, key = self.path(f"{stem}.crt"), self.path(f"{stem}.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                "-subj", f"/CN={Path(stem).name}", "-keyout", str(key), "-out", str(crt))  # fmt: skip

    def sign(self, ca: str, subject: str, usage: str, days: int = 365) -> tuple[str, str]:
        """Certificate and key."""
        key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        request = openssl("req", "-new", "-key", "/dev/stdin", "-subj", subject, text=key)
        extension = self.path("extension")
        extension.write_text(f"extendedKeyUsage={usage}\n")
        signed = openssl("x509", "-req", "-CA", str(self.root / f"{ca}.crt"), "-CAkey", str(self.root / f"{ca}.key"),
                         "-CAserial", str(self.root / "serial"), "-CAcreateserial", "-days", str(days),
                         "-extfile", str(extension), text=request)  # fmt: skip
        return signed, key

    def pair(self, stem: str, ca: str, usage: str, days: int = 365) -> None:
        crt, key = self.sign(ca, f"/CN={Path(stem).name}", usage, days)
        self.put(f"{stem}.crt", crt, 0o644)
        self.put(f"{stem}.key", key)

    def found(self, **options: str) -> dict[str, inventory.Found]:
        items = inventory.look(inventory.places(str(self.root)), str(self.root), **options)
        return {item.place.name: item for item in items}


def conf(crt: str, key: str, ca: str) -> str:
    crt, key, ca = (base64.b64encode(text.encode()).decode() for text in (crt, key, ca))
    return f"""clusters:
- cluster:
    certificate-authority-data: {ca}
    server: https://10.0.0.1:6443
users:
- name: me
  user:
    client-certificate-data: {crt}
    client-key-data: {key}
"""


@pytest.fixture(scope="module")
def made_worker(tmp_path_factory: pytest.TempPathFactory) -> Host:
    host = Host(tmp_path_factory.mktemp("worker"))
    host.ca(f"{PKI}/ca")
    host.put("etc/kubernetes/kubelet.conf", f"client-certificate: {inventory.KUBELET_CLIENT}\n")
    crt, key = host.sign(f"{PKI}/ca", "/O=system:nodes/CN=system:node:w1", "clientAuth")
    host.put(inventory.KUBELET_CLIENT.lstrip("/"), crt + key)
    (host.root / f"{PKI}/ca.key").rename(host.root / "ca.key")
    return host


@pytest.fixture(scope="module")
def made_control_plane(tmp_path_factory: pytest.TempPathFactory, made_worker: Host) -> Host:
    worker = Host(shutil.copytree(made_worker.root, tmp_path_factory.mktemp("control_plane"), dirs_exist_ok=True))
    (worker.root / "ca.key").rename(worker.root / f"{PKI}/ca.key")
    worker.put("etc/kubernetes/manifests/kube-apiserver.yaml", "")
    for stem in ("front-proxy-ca", "etcd/ca"):
        worker.ca(f"{PKI}/{stem}")
    for place in inventory.CONTROL_PLANE:
        ca = {"ca": "ca", "etcd-ca": "etcd/ca", "front-proxy-ca": "front-proxy-ca"}.get(place.ca)
        usage = "serverAuth,clientAuth" if place.purpose == "sslserver" else "clientAuth"
        if place.kubeconfig:
            crt, key = worker.sign(f"{PKI}/{ca}", "/CN=somebody", usage)
            worker.put(place.path.lstrip("/"), conf(crt, key, worker.read(f"{PKI}/ca.crt")))
        elif ca:
            worker.pair(place.path.lstrip("/")[:-4], f"{PKI}/{ca}", usage)
    return worker


@pytest.fixture
def worker(tmp_path: Path, made_worker: Host) -> Host:
    return Host(shutil.copytree(made_worker.root, tmp_path / "host"))


@pytest.fixture
def control_plane(tmp_path: Path, made_control_plane: Host) -> Host:
    return Host(shutil.copytree(made_control_plane.root, tmp_path / "host"))


def test_a_worker_without_a_ca_key(worker: Host) -> None:
    found = worker.found()
    assert sorted(found) == ["ca", "kubelet-client"]
    assert found["ca"].key_matches is None
    client = found["kubelet-client"]
    assert (client.chain, client.key_matches, client.due(90, NOW)) == ("", True, "")


def test_every_certificate_of_a_control_plane_is_good(control_plane: Host) -> None:
    found = control_plane.found()
    assert {place.name for place in inventory.CONTROL_PLANE} <= set(found)
    for name, item in found.items():
        assert (item.due(90, NOW), item.findings(), item.key_matches) == ("", [], True), name
        assert item.chain == ("" if item.place.ca else None), name
    shown = found["apiserver"].public(90, NOW)
    assert (shown["subject"], shown["chain"], shown["days_left"]) == ("CN=apiserver", "ok", 364)
    assert "PRIVATE" not in str([item.public(90, NOW) for item in found.values()])


def test_an_empty_host_and_a_missing_optional_one(tmp_path: Path, control_plane: Host) -> None:
    (control_plane.root / "etc/kubernetes/super-admin.conf").unlink()
    assert "super-admin.conf" not in control_plane.found()
    assert inventory.places(str(tmp_path / "nowhere")) == []


def test_what_is_wrong_is_told(control_plane: Host) -> None:
    control_plane.pair(f"{PKI}/apiserver", f"{PKI}/etcd/ca", "serverAuth")
    control_plane.pair(f"{PKI}/etcd/server", f"{PKI}/etcd/ca", "clientAuth")
    control_plane.put(f"{PKI}/front-proxy-client.key", control_plane.read(f"{PKI}/etcd/peer.key"), 0o640)
    control_plane.put(f"{PKI}/etcd/peer.key", "scribble")
    control_plane.put(f"{PKI}/etcd/healthcheck-client.crt", "scribble")
    (control_plane.root / f"{PKI}/apiserver-etcd-client.crt").unlink()
    (control_plane.root / f"{PKI}/apiserver-kubelet-client.key").unlink()
    control_plane.put("etc/kubernetes/scheduler.conf", "users: []")
    found = control_plane.found()
    told = {name: item.broken(NOW) for name, item in found.items() if item.broken(NOW)}
    assert told.pop("apiserver").startswith("is not signed by ca: ")
    assert "purpose" in told.pop("etcd-server")
    assert told == {
        "front-proxy-client": "its private key belongs to another certificate",
        "etcd-peer": "its private key can't be read",
        "etcd-healthcheck-client": "holds no certificate",
        "apiserver-etcd-client": "is missing",
        "apiserver-kubelet-client": "its private key is missing",
        "scheduler.conf": "holds no client certificate",
    }
    (finding,) = found["front-proxy-client"].findings()
    assert "front-proxy-client.key has mode 0640" in finding
    assert found["apiserver-etcd-client"].public(90, NOW)["days_left"] is None


def test_what_a_kubeconfig_itself_trusts(worker: Host) -> None:
    worker.ca("other")
    (worker.root / "ca.key").rename(worker.root / f"{PKI}/ca.key")
    crt, key = worker.sign(f"{PKI}/ca", "/CN=me", "clientAuth", days=30)
    paths = []
    for number, ca in enumerate((worker.read(f"{PKI}/ca.crt"), worker.read("other.crt"))):
        worker.put(f"{number}.conf", conf(crt, key, ca))
        paths.append(str(worker.root / f"{number}.conf"))
    good, bad = inventory.look(inventory.user_places(paths))
    assert (good.chain, good.due(31, NOW), good.due(20, NOW)) == ("", "expires in 29 days", "")
    assert bad.chain and bad.place.manager == "user"


@pytest.mark.parametrize(("left", "due"), [(109, ""), (37, ""), (36, "has not renewed it"), (-1, "expired on")])
def test_the_kubelet_is_given_time_to_renew_its_own(worker: Host, left: int, due: str) -> None:
    client = worker.found()["kubelet-client"]
    at = NOW + timedelta(days=365 - left)
    assert due in client.due(90, at) if due else client.due(90, at) == ""


def test_both_cas_of_a_rotation_count(control_plane: Host) -> None:
    old = control_plane.read(f"{PKI}/ca.crt")
    control_plane.ca(f"{PKI}/ca")
    control_plane.pair(f"{PKI}/apiserver", f"{PKI}/ca", "serverAuth")
    control_plane.put(f"{PKI}/ca.crt", control_plane.read(f"{PKI}/ca.crt") + old, 0o644)
    found = control_plane.found()
    assert {name: item.broken(NOW) for name, item in found.items() if item.broken(NOW)} == {}
    assert found["ca#2"].certificate and found["ca#2"].place.path == "/etc/kubernetes/pki/ca.crt"


def test_a_mirror_is_checked_with_the_ca_that_is_given(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.ca("mirror")
    host.ca("other")
    host.pair("etc/hostplane-mirror/tls", "mirror", "serverAuth")
    assert host.found()["mirror"].public(90, NOW)["chain"] == "unchecked"
    assert host.found(mirror_ca=host.read("mirror.crt"))["mirror"].chain == ""
    assert host.found(mirror_ca=host.read("other.crt"))["mirror"].broken(NOW)
