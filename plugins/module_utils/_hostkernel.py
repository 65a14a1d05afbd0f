# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""Kernel modules and settings of a node: in force now, and again after the next boot.

Both are compared with what the kernel has, not with what was written: a run that was killed between writing a file and
applying it would otherwise leave the host wrong for good.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._hostfacts import FEATURES, feature
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System

MODULES_FILE = "/etc/modules-load.d/hostplane.conf"
# The order of names matters: the last file wins. A minimum gives way to any other file, a required value to none.
MINIMUMS_FILE = "/etc/sysctl.d/10-hostplane.conf"
SYSCTLS_FILE = "/etc/sysctl.d/99-zz-hostplane.conf"
SWAP_TARGET = "/etc/systemd/system/swap.target"
# A part of the host's settings, for which somebody else than the role host is responsible, has files of its own.
PARTS = ("underlay",)
HEADER = "# Written by hostplane.cluster; changes are overwritten.\n"


def part_of(path: str, part: str) -> str:
    """The file of a part beside the one of the host."""
    return path.replace("hostplane.conf", f"hostplane-{part}.conf") if part else path


FILES = (MODULES_FILE, MINIMUMS_FILE, SYSCTLS_FILE)
FILES_OF_PARTS = tuple(part_of(path, part) for path in FILES for part in PARTS)


class HostKernelError(Exception):
    """Settings that the host refuses; the message names all of them."""


class Change(t.NamedTuple):
    """One difference between the host and what is wanted."""

    kind: str
    name: str
    before: str
    after: str


def _key_path(key: str) -> str:
    return "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))


def _plain(key: str) -> str:
    return key[1:] if key.startswith("-") else key


def files(modules: list[str], sysctls: dict[str, str], minimums: dict[str, str], part: str = "") -> dict[str, str]:
    """The files that bring the settings back at boot; keys keep the `-` with which sysctl.d marks what may fail."""
    lines = {
        MODULES_FILE: [f"{name}\n" for name in sorted(modules)],
        MINIMUMS_FILE: [f"{key} = {value}\n" for key, value in sorted(minimums.items())],
        SYSCTLS_FILE: [f"{key} = {value}\n" for key, value in sorted(sysctls.items())],
    }
    return {part_of(path, part): HEADER + "".join(found) for path, found in lines.items() if found or not part}


def is_loaded(system: System, module: str) -> bool:
    if module in FEATURES:
        return feature(system, module)["state"] == "present"
    return system.exists(f"/sys/module/{module}") or system.modules().get(module) == "builtin"


def sysctl_changes(system: System, sysctls: dict[str, str], minimums: dict[str, str]) -> list[Change]:
    """Values to set. A key that the kernel does not have yet counts as empty, one that may fail is left out."""
    changes = []
    for wanted, least in ((sysctls, False), (minimums, True)):
        for key, value in sorted(wanted.items()):
            path = _key_path(_plain(key))
            if key.startswith("-") and not os.access(system.path(path), os.W_OK):
                continue
            before, after = " ".join(system.read(path).split()), " ".join(str(value).split())
            enough = least and before.isdigit() and after.isdigit() and int(before) >= int(after)
            if before != after and not enough:
                changes.append(Change("sysctl", key, before, after))
    return changes


def plan(
    system: System,
    modules: list[str],
    sysctls: dict[str, str],
    minimums: dict[str, str],
    disable_swap: bool = False,
    part: str = "",
) -> list[Change]:
    """Everything that differs, in the order in which it has to be put right."""
    changes = []
    for path, text in files(modules, sysctls, minimums, part).items():
        if system.read(path) != text:
            changes.append(Change("file", path, system.read(path), text))
    changes += [Change("module", name, "", "loaded") for name in modules if not is_loaded(system, name)]
    changes += sysctl_changes(system, sysctls, minimums)
    if disable_swap:
        # Masking the target is what keeps swap off at boot whoever turns it on: fstab, GPT or zram generator.
        if os.path.realpath(system.path(SWAP_TARGET)) != "/dev/null":
            changes.append(Change("swap", SWAP_TARGET, "", "masked"))
        areas = [line.split()[0] for line in system.read("/proc/swaps").splitlines()[1:]]
        changes += [Change("swap", area, "on", "off") for area in areas]
    return changes


def _run(*argv: str) -> str:
    """Empty, or what the program said when it failed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"


def _keys(text: str) -> set[str]:
    return {line.partition("=")[0].strip() for line in text.splitlines() if "=" in line and not line.startswith("#")}


def put_back(system: System, text: str, after: str = "") -> None:
    """Give interfaces that a part's file set, and does not set any more, what the kernel gives a new interface.

    Without it a host would answer for addresses on its LAN until it is started anew.
    """
    for key in sorted(_keys(text) - _keys(after)):
        pieces = key.split("/")
        if len(pieces) == 5 and pieces[:2] == ["net", "ipv4"] and pieces[3] not in ("all", "default"):
            usual = system.read(_key_path("/".join([*pieces[:3], "default", pieces[4]]))).strip()
            with contextlib.suppress(OSError):
                if usual and system.read(_key_path(key)).strip() != usual:
                    with open(system.path(_key_path(key)), "w", encoding="ascii") as handle:
                        handle.write(usual)


def _apply(system: System, change: Change) -> str:
    """Put one difference right; empty, or why it can't be."""
    if change.kind == "file":
        if change.name in FILES_OF_PARTS:
            put_back(system, change.before, change.after)
        os.makedirs(os.path.dirname(system.path(change.name)), exist_ok=True)
        atomic_write(system.path(change.name), change.after.encode(), 0o644)
        return ""
    if change.kind == "module":
        return _run("modprobe", change.name)
    if change.kind == "swap":
        return _run("swapoff", change.name) if change.after == "off" else _run("systemctl", "mask", "swap.target")
    try:
        with open(system.path(_key_path(_plain(change.name))), "w", encoding="ascii") as handle:
            handle.write(change.after)
    except OSError as error:
        return "" if change.name.startswith("-") else f"{error.strerror}, it stays at {change.before or 'nothing'}"
    return ""


def apply(system: System, changes: list[Change]) -> None:
    """Apply all changes; raises HostKernelError with everything that failed."""
    failed = []
    for change in changes:
        reason = _apply(system, change)
        if reason:
            failed.append(f"{change.kind} {change.name}: {reason}")
    if failed:
        raise HostKernelError("the host refuses kernel settings:\n" + "\n".join(failed))


def as_text(changes: list[Change], side: str) -> str:
    """One side of a diff."""
    lines = []
    for change in changes:
        value = change.before if side == "before" else change.after
        lines.append(
            f"{change.name}:\n{value}" if change.kind == "file" else f"{change.kind} {change.name} = {value}\n"
        )
    return "".join(lines)
