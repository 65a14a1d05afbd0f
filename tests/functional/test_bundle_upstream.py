# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role bundle in upstream mode against a web server and a registry that are laid out like the public ones."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import os
import platform
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import typing as t
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _oci

IMAGES = ("registry.k8s.io/pause:3.10.2", "registry.k8s.io/etcd:3.6.8-0", "ghcr.io/flannel-io/flannel:v0.28.4")
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
CONTAINERD = "github.com/containerd/containerd/releases/download/v2.3.4/containerd-2.3.4-linux.tar.gz"


def find(name: str) -> str | None:
    """Return a program of a bundle that was made on this machine, or one named by the environment."""
    if os.environ.get(f"HOSTPLANE_{name.upper()}"):
        return os.environ[f"HOSTPLANE_{name.upper()}"]
    for path in sorted(Path("~/.cache/hostplane/bundle").expanduser().glob(f"*-{ARCH}/lock.json")):
        entry = json.loads(path.read_text())["files"].get(name)
        blob = path.parent / "blobs/sha256" / entry["sha256"] if entry else None
        if blob and blob.is_file():
            return str(blob)
    return None


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bin")
    for name in ("crane", "registry"):
        found = find(name)
        if not found:
            pytest.skip(f"no {name} program: make a bundle first, or set HOSTPLANE_{name.upper()}")
        shutil.copyfile(found, folder / name)
        (folder / name).chmod(0o755)
    return {name: str(folder / name) for name in ("crane", "registry")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tar_gz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"bin/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: t.Any) -> None:
        pass


@pytest.fixture
def hosts(programs: dict[str, str], tmp_path: Path) -> t.Iterator[dict[str, t.Any]]:
    """The download hosts; what the files of the web server are stands in "site"."""
    site = tmp_path / "site"
    files = {
        "dl.k8s.io/release/v1.36.3/bin/linux/kubelet": b"kubelet program" * 1000,
        CONTAINERD: tar_gz(containerd=b"containerd program", ctr=b"ctr program"),
        "github.com/google/go-containerregistry/crane.tar.gz": tar_gz(crane=Path(programs["crane"]).read_bytes()),
    }
    for name, data in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    with (tmp_path / "registry.log").open("w") as log:
        process = subprocess.Popen(
            [programs["registry"], "serve", str(tmp_path / "registry.yml")], stdout=log, stderr=log, env=environment
        )
    for _attempt in range(100):
        try:
            urllib.request.urlopen(f"http://{address}/v2/").close()
            break
        except OSError:
            time.sleep(0.05)
    for name in IMAGES:
        layout = _oci.Layout(str(tmp_path / "image"))
        layout.init()
        layer = layout.put_layer([_oci.LayerFile("/usr/local/bin/etcdctl", content=name.encode())])
        config_ = layout.put(_oci.canonical_json(_oci.image_config(ARCH, [layer["digest"]], {})), _oci.MEDIA_CONFIG)
        layout.write_index(
            [layout.put(_oci.canonical_json(_oci.image_manifest(config_, [layer])), _oci.MEDIA_MANIFEST)]
        )
        subprocess.run([programs["crane"], "push", layout.path, f"{address}/{name}"], check=True, capture_output=True)
    yield {"site": site, "url": f"http://127.0.0.1:{server.server_address[1]}", "registry": address}
    server.shutdown()
    server.server_close()
    process.terminate()
    process.wait(10)


def catalogue(site: Path) -> dict[str, t.Any]:
    def program(component: str, path: str, member: str | None = None) -> dict[str, t.Any]:
        upstream = {"url": f"https://{path}", "sha256": hashlib.sha256((site / path).read_bytes()).hexdigest()}
        if member:
            upstream["member"] = member
        return {"component": component, "mode": "0755", "upstream": {ARCH: upstream}}

    names = ("kubernetes", "containerd", "etcd", "crane", "pause", "flannel")
    recipe = {"base": "", "files": {}}
    return {
        "version": "1.36.3",
        "components": {
            n: {"version": "1.0.0", "license": "Apache-2.0", "purl": f"pkg:generic/{n}@1.0.0"} for n in names
        },
        "builds": {},
        "files": {
            "kubelet": program("kubernetes", "dl.k8s.io/release/v1.36.3/bin/linux/kubelet"),
            "containerd": program("containerd", CONTAINERD, "bin/containerd"),
            "ctr": program("containerd", CONTAINERD, "bin/ctr"),
            "crane": program("crane", "github.com/google/go-containerregistry/crane.tar.gz", "bin/crane"),
            "etcdctl": {
                "component": "etcd",
                "mode": "0755",
                "from_image": {"image": IMAGES[1], "path": "/usr/local/bin/etcdctl"},
            },
        },
        "images": {
            IMAGES[0]: {"component": "pause", "recipe": recipe},
            IMAGES[1]: {"component": "etcd", "recipe": recipe},
            IMAGES[2]: {"component": "flannel", "recipe": recipe},
        },
    }


@pytest.fixture
def play(hosts: dict[str, t.Any], tmp_path: Path) -> t.Callable[..., tuple[int, str]]:
    variables = {
        "bundle_catalogue": catalogue(hosts["site"]),
        "bundle_source": "upstream",
        "bundle_arch": ARCH,
        "bundle_cache_dir": str(tmp_path / "cache"),
        "bundle_url_map": {f"https://{name}": f"{hosts['url']}/{name}" for name in ("dl.k8s.io", "github.com")},
        "bundle_registry_map": {name: f"{hosts['registry']}/{name}" for name in ("registry.k8s.io", "ghcr.io")},
    }
    (tmp_path / "variables.json").write_text(json.dumps(variables))

    def run(*arguments: str) -> tuple[int, str]:
        program = shutil.which("ansible-playbook")
        assert program, "ansible-playbook is not on PATH"
        done = subprocess.run(
            [program, "hostplane.cluster.bundle", "-e", f"@{tmp_path}/variables.json", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0"},
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_check_download_and_again(play: t.Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, output = play("--check", "--diff")
    assert code == 0, output
    assert "+kubelet" in output and f"+{IMAGES[0]}" in output and not (tmp_path / "cache/download").exists()
    code, output = play()
    assert code == 0, output
    bundle = next((tmp_path / "cache/bundle").iterdir())
    lock = json.loads((bundle / "lock.json").read_text())
    assert lock["source"] == "upstream" and sorted(lock["images"]) == sorted(IMAGES)
    assert sorted(lock["files"]) == ["containerd", "crane", "ctr", "etcdctl", "kubelet"]
    assert _oci.Layout(str(bundle)).verify() == []
    code, output = play()
    assert code == 0 and "changed=0" in output, output


def test_all_problems_of_the_hosts_are_named(
    play: t.Callable[..., tuple[int, str]], hosts: dict[str, t.Any], tmp_path: Path
) -> None:
    (hosts["site"] / CONTAINERD).write_bytes(b"not what was published")
    (hosts["site"] / "dl.k8s.io/release/v1.36.3/bin/linux/kubelet").unlink()
    code, output = play()
    assert code != 0
    assert "2 of 3 downloads failed" in output and "corrupted: expected sha256" in output and "HTTP 404" in output
    assert "containerd, ctr" in output


def test_image_that_is_not_there(play: t.Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    path = tmp_path / "variables.json"
    variables = json.loads(path.read_text())
    variables["bundle_catalogue"]["images"]["registry.k8s.io/none:v1"] = {"component": "pause", "recipe": {"files": {}}}
    path.write_text(json.dumps(variables))
    code, output = play()
    assert code != 0 and "registry.k8s.io/none:v1" in output and "1 of 4 images" in output
