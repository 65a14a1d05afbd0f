# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""oci_push against the registry program that the mirror role installs."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _oci
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MODULE = "ansible_collections.hostplane.cluster.plugins.modules.oci_push"
PASSWORD = "a password that must not be seen"
# Its bcrypt hash, cost 5.
HTPASSWD = "hostplane:$2y$05$uADfZW3ZLpwrgDuoT9GGGOSSO6MG9gJtRciT5dSksXvZGFEUH5tPW\n"


def find_registry() -> str | None:
    """Return the registry program: of a bundle that was made on this machine, or named by the environment."""
    if os.environ.get("HOSTPLANE_REGISTRY"):
        return os.environ["HOSTPLANE_REGISTRY"]
    for lock in sorted(Path("~/.cache/hostplane/bundle").expanduser().glob("*/lock.json")):
        entry = json.loads(lock.read_text())["files"].get("registry")
        blob = lock.parent / "blobs/sha256" / entry["sha256"] if entry else None
        if blob and blob.is_file() and json.loads(lock.read_text())["arch"] == "amd64":
            return str(blob)
    return None


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = find_registry()
    if not found:
        pytest.skip("no registry program: make a bundle first, or set HOSTPLANE_REGISTRY")
    # A blob has no execute permission.
    copy = tmp_path_factory.mktemp("bin") / "registry"
    copy.write_bytes(Path(found).read_bytes())
    copy.chmod(0o755)
    return str(copy)


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture
def registry(program: str, tmp_path: Path) -> t.Iterator[dict[str, str]]:
    """A registry with TLS and a password, as the options of the module that reach it."""
    folder = tmp_path / "registry"
    folder.mkdir()
    make_certificate(folder)
    (folder / "htpasswd").write_text(HTPASSWD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"accesslog": {"disabled": True}, "level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
        "http": {"addr": address, "tls": {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=log, stderr=log, env={"OTEL_TRACES_EXPORTER": "none"}
        )
    yield {
        "registry": address,
        "ca_file": str(folder / "tls.crt"),
        "username": "hostplane",
        "password": PASSWORD,
    }
    process.terminate()
    process.wait(10)


def make_layout(path: Path, arch: str = "amd64", more: bytes = b"") -> None:
    layout = _oci.Layout(str(path))
    layout.init()
    entries = []
    for name in ("registry.k8s.io/kube-apiserver:v1.36.3", "ghcr.io/flannel-io/flannel:v0.28.4"):
        layers = [
            layout.put_layer([_oci.LayerFile("/base", content=b"shared by both")]),
            layout.put_layer([_oci.LayerFile("/program", content=f"{name} {arch}".encode() * 100000 + more)]),
        ]
        diff_ids = [layer["digest"] for layer in layers]
        config = layout.put(_oci.canonical_json(_oci.image_config(arch, diff_ids, {})), _oci.MEDIA_CONFIG)
        manifest = _oci.canonical_json(_oci.image_manifest(config, layers))
        entries.append(layout.put(manifest, _oci.MEDIA_MANIFEST, annotations={_oci.REF_NAME: name}))
    layout.put(b"{}", _oci.MEDIA_EMPTY)
    for kind in ("files", "lock"):
        blob = layout.put(f"{kind} {arch}".encode() + more, "application/octet-stream", annotations={_oci.TITLE: kind})
        manifest = _oci.canonical_json(_oci.artifact_manifest(f"application/vnd.hostplane.{kind}.v1", [blob]))
        name = {_oci.REF_NAME: f"{kind}:1.36.3-{arch}"}
        entries.append(layout.put(manifest, _oci.MEDIA_MANIFEST, annotations=name))
    layout.write_index(entries)


@pytest.fixture
def layout(tmp_path: Path) -> str:
    make_layout(tmp_path / "amd64")
    return str(tmp_path / "amd64")


def run(options: dict[str, str], check: bool = False, **more: t.Any) -> dict[str, t.Any]:
    arguments = {"wait": 10, **options, **more, "_ansible_check_mode": check, "_ansible_diff": True}
    done = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_check_push_again_and_only_the_difference(registry: dict[str, str], layout: str, tmp_path: Path) -> None:
    ready = run(registry, layouts=[layout], prefix="p/", wait=10)
    assert ready["changed"], ready
    assert [item["repository"] for item in ready["pushed"]] == [
        "p/hostplane/files",
        "p/ghcr.io/flannel-io/flannel",
        "p/hostplane/lock",
        "p/registry.k8s.io/kube-apiserver",
    ]
    again = run(registry, layouts=[layout], prefix="p/")
    assert not again["changed"] and again["present"] == 4 and again["bytes_sent"] == 0
    assert again["diff"]["before"] == again["diff"]["after"]

    planned = run(registry, check=True, layouts=[layout], prefix="q/")
    assert planned["changed"] and len(planned["pushed"]) == 4 and planned["diff"]["before"] == ""
    assert run(registry, check=True, layouts=[layout], prefix="q/")["changed"], "check mode pushed nothing"

    make_layout(tmp_path / "amd64", more=b"!")
    changed = run(registry, layouts=[layout], prefix="p/")
    assert changed["present"] == 0
    # The shared base layer is there already.
    assert 0 < changed["bytes_sent"] < 2 * 100000 * 60


def test_layers_are_sent_once_and_mounted(registry: dict[str, str], layout: str) -> None:
    result = run(registry, layouts=[layout])
    unique = {e["digest"]: e["size"] for e in _oci.Layout(layout).walk(_oci.Layout(layout).index())}
    manifests = {e["digest"] for e in _oci.Layout(layout).index()}
    assert result["bytes_sent"] == sum(size for digest, size in unique.items() if digest not in manifests)


def test_two_architectures_become_one_index(registry: dict[str, str], layout: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "arm64", "arm64")
    both = [str(tmp_path / "arm64"), layout]
    result = run(registry, layouts=both)
    names = [item["name"] for item in result["pushed"]]
    assert len(names) == 6 and names.count("registry.k8s.io/kube-apiserver:v1.36.3") == 1
    assert not run(registry, layouts=list(reversed(both)))["changed"]


def test_wrong_password_is_one_problem(registry: dict[str, str], layout: str) -> None:
    failed = run({**registry, "password": "wrong"}, layouts=[layout])
    assert len(failed["problems"]) == 1 and "mirror_password" in failed["msg"] and "'hostplane'" in failed["msg"]


def test_untrusted_certificate(registry: dict[str, str], layout: str, tmp_path: Path) -> None:
    run(registry, layouts=[layout])
    other = tmp_path / "other"
    other.mkdir()
    make_certificate(other)
    failed = run({**registry, "ca_file": str(other / "tls.crt")}, layouts=[layout])
    assert "is not trusted" in failed["msg"] and "mirror_ca_file" in failed["msg"]
    failed = run({**registry, "registry": registry["registry"].replace("127.0.0.1", "localhost")}, layouts=[layout])
    assert "is not trusted" in failed["msg"] and "localhost" in failed["msg"]


def test_nobody_there(layout: str, tmp_path: Path) -> None:
    nowhere = {"registry": "127.0.0.1:1", "ca_file": str(tmp_path / "none.crt")}
    assert "none.crt" in run(nowhere, layouts=[layout], wait=0)["msg"]
    started = time.monotonic()
    assert "refuses connections" in run({"registry": "127.0.0.1:1"}, layouts=[layout], wait=1)["msg"]
    assert time.monotonic() - started > 1
    planned = run(nowhere, check=True, layouts=[layout])
    assert planned["changed"] and len(planned["pushed"]) == 4 and "counts as empty" in str(planned["warnings"])


def test_incomplete_bundle_names_every_missing_blob(layout: str) -> None:
    blobs = sorted(Path(layout, "blobs/sha256").iterdir(), key=lambda path: -path.stat().st_size)
    blobs[0].unlink()
    blobs[1].write_bytes(b"short")
    failed = run({"registry": "127.0.0.1:1"}, layouts=[layout])
    assert [any(blob.name in problem for problem in failed["problems"]) for blob in blobs[:2]] == [True, True]
    assert "make it first" in run({"registry": "127.0.0.1:1"}, layouts=["/nonexistent"])["msg"]
