# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Go module directory -> static programs, kept in a cache that is addressed by everything that goes into them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
import typing as t

MANIFEST = "manifest.json"
_SCHEMA = 1
_WORK = ".work-"
_MISMATCH = re.compile(
    r"updates to go\.(mod|sum) needed|missing go\.sum entry|checksum mismatch|verifying .*: |"
    r"go: inconsistent vendoring|is not in std|no required module provides package|SECURITY ERROR"
)
_NETWORK = re.compile(r"dial tcp|no such host|Forbidden|i/o timeout|TLS handshake|connection refused")


class GoBuildError(Exception):
    """Something an operator has to read; the text says what, where and what to do."""


class GoBuild(t.NamedTuple):
    """One entry of `builds` of a release catalogue, with the directory of its go.mod."""

    name: str
    gomod: str
    binaries: dict[str, str]
    arch: str = "amd64"
    cgo: bool = False
    tags: tuple[str, ...] = ()
    ldflags: str = ""


def host_arch() -> str:
    """The build host's architecture by its Go name."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def sha256_file(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def source_digests(directory: str) -> dict[str, str]:
    """Every regular file below the module directory, by relative path; not what Python made of them."""
    found: dict[str, str] = {}
    for root, dirs, names in os.walk(directory):
        dirs[:] = sorted(name for name in dirs if name != "__pycache__")
        for name in names:
            path = os.path.join(root, name)
            found[os.path.relpath(path, directory).replace(os.sep, "/")] = sha256_file(path)
    return dict(sorted(found.items()))


def build_key(build: GoBuild, sources: dict[str, str], go_version: str) -> str:
    """Name of the cache directory: readable, and different as soon as any input differs."""
    inputs = {
        "schema": _SCHEMA,
        "sources": sources,
        "binaries": build.binaries,
        "arch": build.arch,
        "cgo": build.cgo,
        "tags": sorted(build.tags),
        "ldflags": build.ldflags,
        "go": go_version,
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return f"{build.name}-{build.arch}-{digest[:24]}"


def executable_name(package: str) -> str:
    """The file name `go build -o dir/` gives to a main package (a /vN suffix of a module is not a name)."""
    parts = [part for part in package.split("/") if part]
    if len(parts) > 1 and re.fullmatch(r"v[2-9]|v[1-9][0-9]+", parts[-1]):
        parts.pop()
    return parts[-1]


def parse_go_version(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        raise GoBuildError(f"cannot read a Go version from {text!r}")
    return tuple(int(part or 0) for part in match.groups())


def required_go(gomod_text: str) -> str:
    match = re.search(r"^go\s+(\S+)", gomod_text, re.MULTILINE)
    return match.group(1) if match else "1.21"


def command_line(build: GoBuild, target: str) -> list[str]:
    """argv of the one `go build` that makes every program of this build."""
    argv = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false"]
    if build.tags:
        argv.append("-tags=" + ",".join(build.tags))
    argv.append(f"-ldflags=-s -w -buildid= {build.ldflags}".rstrip())
    argv += ["-o", target + os.sep]
    return argv + sorted(set(build.binaries.values()))


def environment(build: GoBuild, base: t.Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would leak into the result."""
    env = {key: value for key, value in base.items() if not key.startswith("CGO_") and key not in ("GOFLAGS", "GOWORK")}
    env.update(CGO_ENABLED="1" if build.cgo else "0", GOOS="linux", GOARCH=build.arch, GOFLAGS="", GOWORK="off")
    env.update(GOTOOLCHAIN=base.get("GOTOOLCHAIN", "local"), LC_ALL="C", GOAMD64="v1", GOARM64="v8.0")
    return env


def validate(build: GoBuild) -> list[str]:
    problems = []
    for name in ("go.mod", "go.sum"):
        if not os.path.isfile(os.path.join(build.gomod, name)):
            problems.append(f"{os.path.join(build.gomod, name)} is missing; run `go mod tidy` there and commit it")
    if not build.binaries:
        problems.append(f"build {build.name}: no binaries are named")
    seen: dict[str, str] = {}
    for name, package in sorted(build.binaries.items()):
        made = executable_name(package) if package != "." else name
        if package == "." and len(build.binaries) > 1:
            problems.append(f"build {build.name}: package '.' has to be the only one")
        if made in seen and seen[made] != package:
            problems.append(f"build {build.name}: packages {seen[made]} and {package} both make a file {made}")
        seen[made] = package
    return problems


def read_manifest(directory: str) -> dict[str, t.Any] | None:
    """The manifest of a finished build, or None when the directory is absent or not one (sizes are looked at)."""
    try:
        with open(os.path.join(directory, MANIFEST), encoding="utf-8") as stream:
            manifest: dict[str, t.Any] = json.load(stream)
        for name, entry in manifest["files"].items():
            if os.stat(os.path.join(directory, name)).st_size != entry["size"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest


def store(cache_dir: str, key: str, fill: t.Callable[[str], dict[str, t.Any]]) -> dict[str, t.Any]:
    """Fill a temporary sibling and rename it: a killed run never leaves something that looks finished."""
    os.makedirs(cache_dir, exist_ok=True)
    target = os.path.join(cache_dir, key)
    handle = os.open(cache_dir, os.O_RDONLY)
    work = ""
    try:
        # One build at a time: each uses every core, and who waits for the same thing finds it done.
        fcntl.flock(handle, fcntl.LOCK_EX)
        found = read_manifest(target)
        if found:
            return found
        for name in os.listdir(cache_dir):
            if name.startswith(_WORK):
                shutil.rmtree(os.path.join(cache_dir, name), ignore_errors=True)
        work = tempfile.mkdtemp(prefix=_WORK, dir=cache_dir)
        started = time.monotonic()
        extra = fill(work)
        files = {}
        for name in sorted(os.listdir(work)):
            path = os.path.join(work, name)
            os.chmod(path, 0o755)
            files[name] = {"sha256": sha256_file(path), "size": os.path.getsize(path)}
        manifest = {"key": key, "files": files, "seconds": round(time.monotonic() - started, 1), **extra}
        with open(os.path.join(work, MANIFEST), "w", encoding="utf-8") as stream:
            json.dump(manifest, stream, indent=1, sort_keys=True)
            stream.write("\n")
        os.chmod(work, 0o755)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(work, target)
    finally:
        os.close(handle)
        if work:
            shutil.rmtree(work, ignore_errors=True)
    return manifest


class GoBuilder:
    """Runs `go`; the only part of this file that needs a toolchain."""

    def __init__(self, cache_dir: str, go: str = "go") -> None:
        self.cache_dir = cache_dir
        self.go = go

    def version(self) -> str:
        try:
            done = subprocess.run([self.go, "env", "GOVERSION"], capture_output=True, text=True, check=True)
        except OSError as exc:
            raise GoBuildError(
                f"the Go toolchain {self.go!r} cannot be run ({exc.strerror}); building from source needs Go on the "
                "build host: install it from https://go.dev/dl or use bundle_source: upstream"
            ) from exc
        except subprocess.CalledProcessError as exc:
            raise GoBuildError(f"`{self.go} env GOVERSION` failed: {exc.stderr.strip()}") from exc
        return done.stdout.strip()

    def check(self, build: GoBuild, version: str) -> list[str]:
        """What keeps this build from starting on this host."""
        problems = []
        with open(os.path.join(build.gomod, "go.mod"), encoding="utf-8") as stream:
            wanted = required_go(stream.read())
        if parse_go_version(version) < parse_go_version(wanted):
            problems.append(
                f"build {build.name} needs Go {wanted} or newer, {self.go!r} is {version}; "
                "install a newer Go or use bundle_source: upstream"
            )
        if build.cgo and build.arch != host_arch():
            problems.append(
                f"build {build.name} contains C: it cannot be made for {build.arch} on a {host_arch()} host; "
                f"build on a {build.arch} host or use bundle_source: upstream"
            )
        return problems

    def build(self, build: GoBuild, key: str, version: str) -> dict[str, t.Any]:
        def fill(work: str) -> dict[str, t.Any]:
            self._compile(build, work)
            return {"name": build.name, "go": version, "modules": self._modules(work)}

        return store(self.cache_dir, key, fill)

    def _compile(self, build: GoBuild, work: str) -> None:
        out = os.path.join(work, "out")
        os.mkdir(out)
        argv = [self.go, *command_line(build, out)[1:]]
        env = environment(build, os.environ)
        done = subprocess.run(argv, cwd=build.gomod, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise GoBuildError(self._explain(build, done.stderr))
        for name, package in build.binaries.items():
            made = os.listdir(out)[0] if package == "." else executable_name(package)
            shutil.copyfile(os.path.join(out, made), os.path.join(work, name))
        shutil.rmtree(out)

    def _modules(self, work: str) -> list[list[str]]:
        """What is really linked in, from the programs themselves: module path, version, sum."""
        names = sorted(os.listdir(work))
        done = subprocess.run([self.go, "version", "-m", *names], cwd=work, capture_output=True, text=True, check=True)
        return parse_modules(done.stdout)

    @staticmethod
    def _explain(build: GoBuild, stderr: str) -> str:
        tail = "\n".join(stderr.strip().splitlines()[-15:])
        if _MISMATCH.search(stderr):
            return (
                f"build {build.name}: go.mod and go.sum in {build.gomod} do not match what is to be built. Nothing is "
                f"changed by a build; run `go mod tidy` there, review the difference and commit it. Go said:\n{tail}"
            )
        hint = " (is the module proxy reachable? see `go env GOPROXY`)" if _NETWORK.search(stderr) else ""
        return f"build {build.name} failed{hint}. Go said:\n{tail}"


def parse_modules(text: str) -> list[list[str]]:
    """Rows (path, version, sum) of `go version -m`, replaced modules by what replaces them."""
    rows: dict[str, list[str]] = {}
    last = ""
    for line in text.splitlines():
        fields = line.strip().split("\t")
        if fields[0] == "dep" and len(fields) >= 3:
            last = fields[1]
            rows[last] = [fields[1], fields[2], fields[3] if len(fields) > 3 else ""]
        elif fields[0] == "=>" and last and len(fields) >= 3:
            rows[last] = [fields[1], fields[2], fields[3] if len(fields) > 3 else ""]
    return [rows[path] for path in sorted(rows)]
