# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Builds made with the build host's own tools: a small C program, a root file system of Debian packages."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils._gobuild import (
    GoBuildError,
    host_arch,
    source_digests,
    store,
)

ROOTFS = "rootfs.tar"
_C_FLAGS = ("-static", "-Os", "-s", "-Wl,--build-id=none")


class SysBuild(t.NamedTuple):
    """`source` is the directory with the C file or with extract-hook.sh."""

    name: str
    source: str
    arch: str = "amd64"
    binaries: t.Mapping[str, str] = {}
    suite: str = ""
    packages: tuple[str, ...] = ()


def tool_version(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise GoBuildError(
            f"`{' '.join(argv)}` cannot be run ({exc}); building from source needs {argv[0]} on the build host "
            f"(Debian package {argv[0]}), or use bundle_source: upstream"
        ) from exc
    return done.stdout.strip().splitlines()[0]


def build_key(build: SysBuild, sources: dict[str, str], tool: str) -> str:
    """Like the key of a Go build; Debian's own updates come only with a new key or a removed cache."""
    inputs = {
        "schema": 1,
        "sources": sources,
        "binaries": dict(build.binaries),
        "arch": build.arch,
        "suite": build.suite,
        "packages": sorted(build.packages),
        "flags": list(_C_FLAGS) if not build.suite else [],
        "tool": tool,
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return f"{build.name}-{build.arch}-{digest[:24]}"


def key_of(build: SysBuild) -> str:
    argv = ["mmdebstrap", "--version"] if build.suite else ["gcc", "-dumpfullversion"]
    return build_key(build, source_digests(build.source), tool_version(argv))


def rootfs_command(build: SysBuild, target: str) -> list[str]:
    return [
        "mmdebstrap",
        "--quiet",
        # Unpacked only: no shell, dpkg or Perl has to be in the image to configure the packages.
        "--variant=extract",
        "--skip=output/dev",
        # It would mount the build host's own /dev/shm in there, where a mistake in a hook could remove what others use.
        "--skip=chroot/mount",
        f"--architectures={build.arch}",
        "--include=" + ",".join(sorted(build.packages)),
        "--extract-hook=" + os.path.join(build.source, "extract-hook.sh"),
        build.suite,
        target,
    ]


def parse_control(text: str) -> list[str]:
    """Name and version of one Debian control file."""
    fields = dict(re.findall(r"^(Package|Version): (\S+)$", text, re.MULTILINE))
    return [fields.get("Package", ""), fields.get("Version", "")]


def rootfs_packages(path: str) -> list[list[str]]:
    rows = []
    with tarfile.open(path) as archive:
        for info in archive:
            stream = archive.extractfile(info) if "/dpkg/status.d/" in info.name and info.isreg() else None
            if stream:
                rows.append(parse_control(stream.read().decode("utf-8", "replace")))
    return sorted(rows)


def _run(build: SysBuild, argv: list[str], **env: str) -> None:
    env = {**os.environ, "LC_ALL": "C", **env}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise GoBuildError(f"build {build.name}: `{argv[0]}` failed. It said:\n{tail}")


def build_system(cache_dir: str, build: SysBuild, key: str) -> dict[str, t.Any]:
    if build.arch != host_arch():
        raise GoBuildError(
            f"build {build.name} for {build.arch} cannot be made on a {host_arch()} host; "
            f"build on a {build.arch} host or use bundle_source: upstream"
        )

    def fill(work: str) -> dict[str, t.Any]:
        if not build.suite:
            for name, source in sorted(build.binaries.items()):
                argv = ["gcc", *_C_FLAGS, "-o", os.path.join(work, name), os.path.join(build.source, source)]
                _run(build, argv)
            return {"name": build.name}
        target = os.path.join(work, ROOTFS)
        # Every date in the tar is this one.
        _run(build, rootfs_command(build, target), SOURCE_DATE_EPOCH="0")
        return {"name": build.name, "suite": build.suite, "packages": rootfs_packages(target)}

    return store(cache_dir, key, fill)
