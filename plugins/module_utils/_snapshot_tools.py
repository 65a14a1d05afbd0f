# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""etcd's own programs on a host, out of the image that its etcd runs: nothing to install, always etcd's version."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import natural_key

CTR = "/usr/local/bin/ctr"
MANIFESTS = "/etc/kubernetes/manifests"
MANIFEST = f"{MANIFESTS}/etcd.yaml"
PROGRAMS = "usr/local/bin"
START_SECONDS = 120.0
PR_SET_PDEATHSIG = 1


class SnapshotError(Exception):
    """A snapshot can't be taken, is not what it says, or can't be used; the message says why and what to do."""


def run(argv: list[str], timeout: float = 3600, **options: Any) -> str:
    """The output of a program; raises SnapshotError with what it said when it fails. timeout in seconds."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise SnapshotError(f"{argv[0]}: {exc}") from exc
    if done.returncode:
        raise SnapshotError(f"{os.path.basename(argv[0])} {argv[1]} failed: {complaint(done.stderr or done.stdout)}")
    return done.stdout


def complaint(text: str) -> str:
    """What matters of etcd's logs: its last error, without the JSON around it."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and (entry.get("level") in ("fatal", "panic") or entry.get("error")):
                return f"{entry.get('msg', '')} {entry.get('error', '')}".strip()
    return "\n".join(lines[-5:])


def die_with_parent() -> None:
    """In a child: end when whoever started it is killed, or it would hold the files of the next run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def image_of(manifest: str) -> str:
    """The image in a static pod's manifest."""
    found = re.search(r"^\s*(?:- )?image:\s*[\"']?([^\s\"']+)", manifest, re.MULTILINE)
    return found.group(1) if found else ""


def node_image(*manifests: str) -> str:
    """The image of the node's etcd, by the first manifest that is there; else the newest that containerd holds."""
    for path in manifests or (MANIFEST,):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as handle:
            image = image_of(handle.read())
            if image:
                return image
    listed = run([CTR, "--namespace", "k8s.io", "images", "list", "--quiet"], timeout=60).splitlines()
    images = sorted((name for name in listed if re.search(r"/etcd:[^@]+$", name)), key=natural_key)
    if not images:
        raise SnapshotError("containerd holds no image of etcd; run create for this host, or the pull of its images")
    return images[-1]


class Tools:
    """etcd, etcdctl and etcdutl in one directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def path(self, name: str) -> str:
        """Where a program is."""
        return os.path.join(self.directory, name)

    def ctl(self, *words: str, timeout: float = 600) -> str:
        """Run etcdctl."""
        return run([self.path("etcdctl"), *words], timeout)

    def utl(self, *words: str, timeout: float = 3600) -> str:
        """Run etcdutl."""
        return run([self.path("etcdutl"), *words], timeout)


def _unmount(target: str) -> None:
    subprocess.run(
        [CTR, "--namespace", "k8s.io", "images", "unmount", "--rm", target], capture_output=True, check=False
    )
    with contextlib.suppress(OSError):
        os.rmdir(target)


@contextlib.contextmanager
def mounted(image: str, work: str) -> Iterator[Tools]:
    """The programs in an image, mounted below work as long as they are needed."""
    # What a killed run has left.
    for left in glob.glob(os.path.join(glob.escape(work), "image-*")):
        _unmount(left)
    os.makedirs(work, mode=0o700, exist_ok=True)
    # Always another name: containerd forgets one only some time after it was unmounted, and refuses it until then.
    target = tempfile.mkdtemp(prefix="image-", dir=work)
    try:
        run([CTR, "--namespace", "k8s.io", "images", "mount", image, target], timeout=120)
        yield Tools(os.path.join(target, PROGRAMS))
    finally:
        _unmount(target)


def empty(directory: str) -> str:
    """The directory, with nothing of an earlier run in it and for root alone."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory, mode=0o700)
    return directory


class TemporaryMember:
    """An etcd of its own on a data directory; it listens on sockets that only root reaches."""

    def __init__(self, tools: Tools, data: str, work: str, *words: str) -> None:
        self.tools, self.data, self.work, self.words = tools, data, work, words
        self.endpoint = f"unix://{work}/client.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TemporaryMember:
        os.makedirs(self.work, mode=0o700, exist_ok=True)
        for name in ("client.sock", "peer.sock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.work, name))
        argv = [
            self.tools.path("etcd"),
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.endpoint}",
            # Wanted, and of no use: nobody is told of this member.
            "--advertise-client-urls=http://localhost:2379",
            f"--listen-peer-urls=unix://{self.work}/peer.sock",
            # etcd runs out of space at 2 GiB by default; the cluster's own may be larger.
            f"--quota-backend-bytes={64 << 30}",
            *self.words,
        ]
        self.log = open(os.path.join(self.work, "etcd.log"), "wb")  # noqa: SIM115 (the process writes until __exit__)
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.ctl("endpoint", "health", timeout=10)
                return
            except SnapshotError as exc:
                error = str(exc)
            if self.process is None or self.process.poll() is not None or time.monotonic() > until:
                with open(os.path.join(self.work, "etcd.log"), encoding="utf-8", errors="replace") as handle:
                    said = complaint(handle.read())
                raise SnapshotError(f"a temporary etcd on {self.data} did not start: {said or error}")
            time.sleep(0.2)

    def ctl(self, *words: str, timeout: float = 600) -> str:
        """Run etcdctl against it."""
        return self.tools.ctl(f"--endpoints={self.endpoint}", *words, timeout=timeout)

    def __exit__(self, *exc: object) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
