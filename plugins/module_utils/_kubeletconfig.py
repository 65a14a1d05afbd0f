# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The kubelet's configuration: what kubeadm would write now, how that differs, and what the change asks of the node."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import environment

ROOT = "/var/lib/kubelet"
CONFIG = f"{ROOT}/config.yaml"
# A part of the configuration that kubeadm keeps per host; it takes it from where it writes to.
INSTANCE = "instance-config.yaml"
PATCHES = "/etc/kubernetes/patches"
PATCH = "kubeletconfiguration0+merge.json"
# Where kubeadm keeps what it has replaced.
BACKUPS = "/etc/kubernetes/tmp/kubeadm-kubelet-config*"
KUBEADM = "/usr/local/bin/kubeadm"
PHASE = [KUBEADM, "upgrade", "node", "phase", "kubelet-config"]
KUBEADM_SECONDS = 60
RUN = "/run"
# The managers of the kubelet that keep a checkpoint: file, setting of the policy, its default, the policy that pins.
MANAGERS = {
    "cpu": ("cpu_manager_state", "cpuManagerPolicy", "none", "static"),
    "memory": ("memory_manager_state", "memoryManagerPolicy", "None", "Static"),
}
RESERVATIONS = ("kubeReserved", "systemReserved")
# What else, under a policy that pins, makes the kubelet refuse its own checkpoint.
PINNED = {
    "cpu": ("cpuManagerPolicyOptions", "reservedSystemCPUs"),
    "memory": ("reservedMemory", "evictionHard"),
}
TOPOLOGY = ("topologyManagerPolicy", "topologyManagerPolicyOptions", "topologyManagerScope")
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9]*):[ \t]*(.*)")


class KubeletConfigError(Exception):
    """The settings can't be computed, must not be applied like this or did not work; the message says what to do."""


@dataclass(frozen=True)
class Change:
    """What there is, what kubeadm makes of the wanted settings, and what getting there takes."""

    before: str
    after: str
    # The process is older than the configuration: a run was killed before it restarted the kubelet.
    stale: bool
    # Checkpoints that the kubelet would refuse together with the new settings.
    drop: tuple[str, ...]
    drain: tuple[str, ...]

    @property
    def needed(self) -> bool:
        return self.before != self.after or self.stale or bool(self.drop)

    @property
    def keys(self) -> list[str]:
        """Settings that differ, sorted."""
        return changed_keys(blocks(self.before), blocks(self.after))


def blocks(text: str) -> dict[str, str]:
    """Top-level keys of the YAML that kubeadm writes, each with its text.

    Only to tell what differs: hosts have no YAML parser, and kubeadm's own output has one form, in which each key
    begins a line and lists and mappings follow it.
    """
    found: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        start = _KEY.match(line)
        if start:
            key = start[1]
            found[key] = start[2]
        elif key:
            found[key] += f"\n{line}"
    return found


def scalar(parts: Mapping[str, str], key: str, default: str = "") -> str:
    """A setting that is a word or a number."""
    return parts.get(key, "").strip().strip("\"'") or default


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Settings that differ, sorted."""
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _share(parts: Mapping[str, str], key: str, resource: str) -> str:
    """The line of a reservation that is about a resource."""
    found = re.search(rf"^\s+{resource}:.*$", parts.get(key, ""), re.M)
    return found[0] if found else ""


def disruption(before: str, after: str, policies: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Checkpoints to drop, and the settings because of which the node has to be empty for that.

    policies: which policy each checkpoint on the host was written under; that tells what a killed run has left undone,
    when the configuration alone is as wanted already.
    """
    old, new = blocks(before), blocks(after)
    changed = set(changed_keys(old, new))
    drop, reasons, pinning = [], set(), False
    for resource, (state, key, default, pins) in MANAGERS.items():
        policy = scalar(new, key, default)
        written = policies.get(resource, policy)
        pinned = pins in (policy, written)
        pinning |= pinned
        why = {key} if policy != written else set()
        if pinned:
            why |= changed & set(PINNED[resource])
            why |= {name for name in RESERVATIONS if _share(old, name, resource) != _share(new, name, resource)}
        if why:
            drop.append(state)
            reasons |= why
    if pinning:
        reasons |= changed & set(TOPOLOGY)
    return drop, sorted(reasons)


def read_policies() -> dict[str, str]:
    """Resource to the policy of its checkpoint; one that is not there or can't be understood binds nobody."""
    found = {}
    for resource, (state, _key, default, _pins) in MANAGERS.items():
        try:
            with open(os.path.join(ROOT, state), encoding="utf-8") as handle:
                found[resource] = str(json.load(handle).get("policyName") or default)
        except (OSError, ValueError, AttributeError):
            continue
    return found


def patch_text(patch: Mapping[str, Any]) -> str:
    """The patch file as the role writes it."""
    return json.dumps(patch, indent=4, sort_keys=True) + "\n"


@contextmanager
def _workplace(patch: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Directories for kubeadm to work in: the patches as they shall be, and a place for what it writes."""
    place = tempfile.mkdtemp(prefix="hostplane-kubelet-", dir=RUN)
    try:
        wanted, output = os.path.join(place, "patches"), os.path.join(place, "out")
        if os.path.isdir(PATCHES):
            # Other patches are the operator's and hold as well.
            shutil.copytree(PATCHES, wanted)
        else:
            os.mkdir(wanted)
        os.mkdir(output)
        with open(os.path.join(wanted, PATCH), "w", encoding="utf-8") as handle:
            handle.write(patch_text(patch))
        if os.path.exists(os.path.join(ROOT, INSTANCE)):
            shutil.copy(os.path.join(ROOT, INSTANCE), output)
        yield wanted, output
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_phase(patches: str, dry_run_dir: str = "") -> None:
    """Let kubeadm write the kubelet's configuration; with a directory it writes there instead.

    Raises KubeletConfigError.
    """
    command = [*PHASE, "--patches", patches] + (["--dry-run"] if dry_run_dir else [])
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=KUBEADM_SECONDS,
            check=False,
            env={**environment(), **({"KUBEADM_UPGRADE_DRYRUN_DIR": dry_run_dir} if dry_run_dir else {})},
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise KubeletConfigError(f"kubeadm can't compute the kubelet's configuration: {exc}") from exc
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("W")]
        raise KubeletConfigError("kubeadm can't compute the kubelet's configuration:\n" + "\n".join(said[-10:]))


def wanted_text(patch: Mapping[str, Any]) -> str:
    """What kubeadm would write to the kubelet's configuration with these settings of the host.

    Raises KubeletConfigError.
    """
    with _workplace(patch) as (directory, output):
        run_phase(directory, output)
        try:
            with open(os.path.join(output, "config.yaml"), encoding="utf-8") as handle:
                return handle.read()
        except OSError as exc:
            raise KubeletConfigError(f"kubeadm has not written a configuration: {exc}") from exc


def write(before: str, after: str) -> None:
    """Let kubeadm write the kubelet's configuration from the patches on the host; anything else than after is undone.

    Raises KubeletConfigError.
    """
    known = set(glob.glob(BACKUPS))
    run_phase(PATCHES)
    for path in set(glob.glob(BACKUPS)) - known:
        # One more directory per change, which nobody removes; what is in it comes back by itself when it is needed.
        shutil.rmtree(path, ignore_errors=True)
    with open(CONFIG, encoding="utf-8") as handle:
        written = handle.read()
    if written != after:
        atomic_write(CONFIG, before.encode(), 0o644)
        raise KubeletConfigError(
            f"kubeadm wrote {', '.join(changed_keys(blocks(written), blocks(after)))} otherwise than with the wanted"
            f" settings; {os.path.join(PATCHES, PATCH)} is not what it shall be. Nothing was changed."
        )


def kubelet_errors(journal: str, lines: int = 3) -> str:
    """The last things a kubelet has complained about, without what klog puts before them."""
    said: list[str] = []
    for line in journal.splitlines():
        text = re.sub(r"^[EF]\d{4} \S+ +\d+ \S+\] ", "", line.strip())
        if (text != line.strip() or "rror" in text) and text not in said:
            said.append(text)
    return "\n".join(said[-lines:])
