# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""A host's own files: what /proc, /sys and /etc say, below a root that tests can choose."""

from __future__ import annotations

import glob
import gzip
import os
import re
import typing as t

# Written before kubeadm changes anything, so that it tells whose the host is even after a run that was killed.
MARKER = "/etc/kubernetes/hostplane.json"
PROGRAM_DIR = "/usr/local/bin"


def environment() -> dict[str, str]:
    """The caller's environment, with our programs before all others: kubeadm calls kubelet and crictl by their names,
    and the PATH that sudo gives may lack their directory."""
    return {**os.environ, "PATH": f"{PROGRAM_DIR}:{os.environ.get('PATH', os.defpath)}"}


class System:
    """A host's files; another root than / lets tests lay out a host in a directory."""

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self.release = self.read("/proc/sys/kernel/osrelease").strip() or os.uname().release
        self._kernel_config: dict[str, str] | None = None
        self._modules: dict[str, str] | None = None

    def path(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def read(self, path: str) -> str:
        try:
            with open(self.path(path), encoding="utf-8", errors="replace") as handle:
                return handle.read()
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.path(path))

    def glob(self, pattern: str) -> list[str]:
        cut = len(self.root.rstrip("/"))
        return sorted(found[cut:] for found in glob.glob(self.path(pattern)))

    def kernel_config(self) -> dict[str, str]:
        """CONFIG_ symbols of the running kernel, empty when it does not tell."""
        if self._kernel_config is None:
            text = ""
            try:
                with gzip.open(self.path("/proc/config.gz"), "rt") as handle:
                    text = handle.read()
            except (OSError, EOFError):
                for path in (f"/boot/config-{self.release}", f"/lib/modules/{self.release}/config"):
                    text = text or self.read(path)
            self._kernel_config = dict(re.findall(r"^CONFIG_(\w+)=([ym])$", text, re.M))
        return self._kernel_config

    def modules(self) -> dict[str, str]:
        """Kernel modules known for the running kernel: name -> builtin | loadable."""
        if self._modules is None:
            found: dict[str, str] = {}
            for name, state in (("modules.dep", "loadable"), ("modules.builtin", "builtin")):
                text = self.read(f"/lib/modules/{self.release}/{name}")
                for module in re.findall(r"^(?:\S*/)?([\w-]+)\.ko", text, re.M):
                    found[module.replace("-", "_")] = state
            self._modules = found
        return self._modules

    def disabled_in(self, module: str) -> str:
        """The file that makes modprobe refuse a module (`install x /bin/false`), as hardening guides do."""
        line = re.compile(rf"^\s*install\s+{module}\s+/\S*/(?:true|false)\b", re.M)
        for folder in ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d"):
            for path in self.glob(f"{folder}/*.conf"):
                if line.search(self.read(path)):
                    return path
        return ""

    def same_namespace(self, pid: int) -> bool:
        """False for what runs inside a container: a container engine in a pod is the pod's affair."""
        try:
            return os.readlink(self.path(f"/proc/{pid}/ns/pid")) == os.readlink(self.path("/proc/self/ns/pid"))
        except OSError:
            return True

    def processes(self) -> t.Iterator[tuple[int, str, str]]:
        """(pid, name, executable); the executable is empty for kernel threads."""
        for entry in os.listdir(self.path("/proc")):
            if entry.isdigit():
                try:
                    exe = os.readlink(self.path(f"/proc/{entry}/exe"))
                except OSError:
                    exe = ""
                name = self.read(f"/proc/{entry}/comm").strip()
                if name:
                    yield int(entry), name, exe.split(" (deleted)")[0]
