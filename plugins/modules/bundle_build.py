#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_build
short_description: Build the programs of a release from source
version_added: "0.1.0"
description:
  - Builds what a release catalogue lists under C(builds) and keeps the result in a cache directory.
  - The name of a cache entry is a digest of everything that goes into it (go.mod, go.sum, sources, flags, toolchain
    and architecture), so what is unchanged is never built again and an interrupted build leaves nothing behind that
    looks finished.
  - Go programs are built with C(-mod=readonly -trimpath); a go.mod or go.sum that does not match fails the build and
    nothing is changed by it.
  - Runs on the build host, which needs Go, and gcc, libseccomp-dev and mmdebstrap for the few builds that are not pure
    Go.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  builds:
    description: Entries of a catalogue's C(builds), as the P(hostplane.cluster.release#lookup) lookup returns them.
    type: dict
    required: true
  names:
    description: The builds to look at; all of O(builds) when empty.
    type: list
    elements: str
    default: []
  arch:
    description: Architecture to build for.
    type: str
    choices: [amd64, arm64]
    default: amd64
  cache_dir:
    description: Directory of the cache.
    type: path
    required: true
  go:
    description: The Go command.
    type: str
    default: go
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: See what would be built
  hostplane.cluster.bundle_build:
    builds: "{{ lookup('hostplane.cluster.release', '1.36.3').builds }}"
    cache_dir: ~/.cache/hostplane/build
  check_mode: true

- name: Build runc only
  hostplane.cluster.bundle_build:
    builds: "{{ lookup('hostplane.cluster.release', '1.36.3').builds }}"
    names: [runc]
    cache_dir: ~/.cache/hostplane/build
"""

RETURN = r"""
builds:
  description: One entry per build, in the order of the catalogue.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the build.
      type: str
      sample: runc
    path:
      description: Directory with the programs and a C(manifest.json).
      type: str
    cached:
      description: Whether it was there already.
      type: bool
    minutes:
      description: How long a cold build usually takes on two cores.
      type: int
    seconds:
      description: How long the build took when it was made; V(0) when it is not there yet.
      type: float
"""

import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _gobuild, _sysbuild


def plan_go(name: str, entry: dict[str, t.Any], arch: str) -> _gobuild.GoBuild:
    return _gobuild.GoBuild(
        name=name,
        gomod=entry["gomod"],
        binaries=dict(entry["binaries"]),
        arch=arch,
        cgo=bool(entry.get("cgo", False)),
        tags=tuple(entry.get("tags", ())),
        ldflags=entry.get("ldflags", ""),
    )


def plan_system(name: str, entry: dict[str, t.Any], arch: str) -> _sysbuild.SysBuild:
    return _sysbuild.SysBuild(
        name=name,
        source=entry["source"],
        arch=arch,
        binaries=dict(entry.get("binaries", {})),
        suite=entry.get("suite", ""),
        packages=tuple(entry.get("packages", ())),
    )


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    arch, cache = params["arch"], params["cache_dir"]
    builder = _gobuild.GoBuilder(cache, params["go"])
    names = params["names"] or list(params["builds"])
    unknown = sorted(set(names) - set(params["builds"]))
    problems = [f"no build {name!r}; there are {', '.join(params['builds'])}" for name in unknown]
    known = [name for name in names if name not in unknown]
    version = builder.version() if any(params["builds"][name].get("gomod") for name in known) else ""

    work: list[tuple[dict[str, t.Any], t.Callable[[], dict[str, t.Any]]]] = []
    for name in known:
        entry = params["builds"][name]
        make: t.Callable[[], dict[str, t.Any]]
        if entry.get("gomod"):
            go = plan_go(name, entry, arch)
            found = _gobuild.validate(go) or builder.check(go, version)
            if found:
                problems += found
                continue
            key = _gobuild.build_key(go, _gobuild.source_digests(go.gomod), version)
            make = functools.partial(builder.build, go, key, version)
        else:
            system = plan_system(name, entry, arch)
            key = _sysbuild.key_of(system)
            make = functools.partial(_sysbuild.build_system, cache, system, key)
        path = os.path.join(cache, key)
        manifest = _gobuild.read_manifest(path)
        row = {
            "name": name,
            "path": path,
            "cached": manifest is not None,
            "minutes": int(entry.get("minutes", 1)),
            "seconds": manifest["seconds"] if manifest else 0.0,
        }
        work.append((row, make))
    if problems:
        raise _gobuild.GoBuildError("\n".join(problems))

    missing = [(row, make) for row, make in work if not row["cached"]]
    result: dict[str, t.Any] = {"changed": bool(missing), "builds": [row for row, make in work]}
    if module._diff and missing:
        listed = "".join(f"build {row['name']} ({row['path']})\n" for row, make in missing)
        result["diff"] = {"before": "", "after": listed}
    if not module.check_mode:
        for row, make in missing:
            row["seconds"] = make()["seconds"]
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "builds": {"type": "dict", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "arch": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
            "cache_dir": {"type": "path", "required": True},
            "go": {"type": "str", "default": "go"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (_gobuild.GoBuildError, OSError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
