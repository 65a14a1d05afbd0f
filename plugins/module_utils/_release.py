# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The release catalogue: one file per Kubernetes version, checked as a whole before anything uses it."""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Mapping
from urllib.parse import urlsplit

JSON = dict[str, t.Any]

ARCHES = ("amd64", "arm64")
BUILD_KINDS = ("gomod", "source")
# What an image from source can stand on besides a root file system that a build makes.
BUILTIN_BASES = ("", "static")
# Docker Hub's registry does not answer under the name that its images carry.
_REGISTRY_HOSTS = {"docker.io": "registry-1.docker.io"}
_BUILD_KEYS = {
    "addon", "component", "gomod", "source", "binaries", "cgo", "tags", "ldflags", "suite", "packages", "minutes",
}  # fmt: skip
_FILE_KEYS = {"component", "mode", "upstream", "from_image"}
_RECIPE_KEYS = {"base", "files", "env", "entrypoint", "cmd", "user"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ADDON = re.compile(r"[a-z][a-z0-9_]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_IMAGE = re.compile(r"[a-z0-9.-]+\.[a-z]+(/[a-z0-9._-]+)+:[A-Za-z0-9_][A-Za-z0-9._-]*")


class ReleaseError(Exception):
    """A catalogue that cannot be used; the text lists everything that is wrong with it."""


def natural(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def known_releases(directory: str) -> list[str]:
    """Versions that have a catalogue file, oldest first."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted((name[:-4] for name in names if _VERSION.fullmatch(name[:-4]) and name.endswith(".yml")), key=natural)


def catalogue_path(directory: str, version: str) -> str:
    """Path of a version's catalogue; a version that has none is an error that names the ones there are."""
    known = known_releases(directory)
    if version not in known:
        listed = ", ".join(known) or "none"
        raise ReleaseError(
            f"no release {version!r}; known releases: {listed}. Set cluster_kubernetes_version to one of them "
            f"or add {os.path.join(directory, str(version) + '.yml')}"
        )
    return os.path.join(directory, f"{version}.yml")


def _mapping(document: t.Any, key: str, problems: list[str]) -> dict[str, t.Any]:
    value = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(value, Mapping) or not value:
        problems.append(f"{key}: must be a mapping that is not empty")
        return {}
    wrong = [name for name, entry in value.items() if not isinstance(entry, Mapping)]
    problems += [f"{key}.{name}: must be a mapping" for name in wrong]
    return {str(name): entry for name, entry in value.items() if name not in wrong}


def _unknown_keys(where: str, entry: Mapping[str, t.Any], known: set[str]) -> list[str]:
    extra = sorted(set(map(str, entry)) - known)
    return [f"{where}: unknown key {key!r} (known: {', '.join(sorted(known))})" for key in extra]


def _check_components(components: JSON) -> list[str]:
    problems = []
    for name, entry in components.items():
        for key in ("version", "license", "purl"):
            if not isinstance(entry.get(key), str) or not entry[key]:
                problems.append(f"components.{name}.{key}: must be a text that is not empty")
    return problems


def _check_build(name: str, entry: Mapping[str, t.Any], exists: t.Callable[[str], bool]) -> list[str]:
    where = f"builds.{name}"
    problems = _unknown_keys(where, entry, _BUILD_KEYS)
    kinds = [kind for kind in BUILD_KINDS if entry.get(kind)]
    if len(kinds) != 1:
        problems.append(f"{where}: needs exactly one of {', '.join(BUILD_KINDS)}")
    elif kinds == ["gomod"]:
        for wanted in ("go.mod", "go.sum"):
            if not exists(f"gomod/{entry['gomod']}/{wanted}"):
                problems.append(f"{where}: gomod/{entry['gomod']}/{wanted} is missing; run `go mod tidy` there")
    elif not exists(str(entry["source"])):
        problems.append(f"{where}: directory {entry['source']} is missing")
    binaries = entry.get("binaries", {})
    if not isinstance(binaries, Mapping) or not (binaries or entry.get("suite")):
        problems.append(f"{where}.binaries: must be a mapping of file name to package")
    if bool(entry.get("suite")) != bool(entry.get("packages")):
        problems.append(f"{where}: suite and packages belong together")
    return problems


def _check_upstream(where: str, upstream: t.Any) -> list[str]:
    if not isinstance(upstream, Mapping):
        return [f"{where}: must be a mapping of architecture to url and sha256"]
    problems = [f"{where}.{arch}: unknown architecture" for arch in upstream if arch not in ARCHES]
    for arch, entry in upstream.items():
        if not isinstance(entry, Mapping):
            problems.append(f"{where}.{arch}: must be a mapping with url and sha256")
            continue
        if not str(entry.get("url", "")).startswith("https://"):
            problems.append(f"{where}.{arch}.url: must start with https://")
        if not _SHA256.fullmatch(str(entry.get("sha256", ""))):
            problems.append(f"{where}.{arch}.sha256: must be 64 hexadecimal digits")
        problems += _unknown_keys(f"{where}.{arch}", entry, {"url", "sha256", "member"})
    return problems


def _check_file(name: str, entry: Mapping[str, t.Any], made: set[str], images: JSON) -> list[str]:
    where = f"files.{name}"
    problems = _unknown_keys(where, entry, _FILE_KEYS)
    if not isinstance(entry.get("mode"), str) or not re.fullmatch(r"0[0-7]{3}", entry["mode"]):
        problems.append(f'{where}.mode: must be a quoted octal text such as "0755"')
    if "upstream" in entry:
        problems += _check_upstream(f"{where}.upstream", entry["upstream"])
    if "from_image" in entry:
        source = entry["from_image"]
        if not isinstance(source, Mapping) or source.get("image") not in images or not source.get("path"):
            problems.append(f"{where}.from_image: needs an image of this release and a path in it")
    if name not in made and "upstream" not in entry:
        problems.append(f"{where}: neither a build nor upstream has it")
    return problems


def _check_addon(where: str, entry: Mapping[str, t.Any], build: str, builds: JSON) -> list[str]:
    """What only one addon needs must not be the way to another one, or to what every cluster has."""
    owner = builds.get(build, {}).get("addon")
    if owner and owner != entry.get("addon"):
        return [f"{where}: build {build} is of the addon {owner}, so this needs addon: {owner}"]
    return []


def _check_image(name: str, entry: Mapping[str, t.Any], made: Mapping[str, str], builds: JSON) -> list[str]:
    where = f"images.{name}"
    problems = _unknown_keys(where, entry, {"addon", "component", "published", "recipe"})
    if entry.get("published", False) is not False:
        problems.append(f"{where}.published: can only be false; every image without it is published")
    if not _IMAGE.fullmatch(name):
        problems.append(f"{where}: must be a full name with registry and tag, such as registry.k8s.io/pause:3.10.2")
    if entry.get("addon") and "recipe" not in entry:
        return problems
    recipe = entry.get("recipe")
    if not isinstance(recipe, Mapping):
        return [*problems, f"{where}.recipe: must be a mapping with files and entrypoint"]
    problems += _unknown_keys(f"{where}.recipe", recipe, _RECIPE_KEYS)
    base = recipe.get("base", "")
    if base not in BUILTIN_BASES and not builds.get(base, {}).get("suite"):
        problems.append(f"{where}.recipe.base: {base!r} is neither a root file system build nor 'static'")
    files = recipe.get("files")
    # A root file system of packages may be all that an image needs.
    if not isinstance(files, Mapping) or (not files and base in BUILTIN_BASES):
        problems.append(f"{where}.recipe.files: must name at least one file")
        return problems
    problems += [f"{where}.recipe.files: {src} is made by no build" for src in files.values() if src not in made]
    for build in sorted({base, *(made[src] for src in files.values() if src in made)}):
        problems += _check_addon(where, entry, build, builds)
    problems += [f"{where}.recipe.files: {dst} must be an absolute path" for dst in files if not dst.startswith("/")]
    return problems


def validate(document: t.Any, version: str, exists: t.Callable[[str], bool]) -> list[str]:
    """All that is wrong with a catalogue; `exists` answers for paths relative to the releases directory."""
    problems: list[str] = []
    if not isinstance(document, Mapping):
        return ["the file must hold one mapping"]
    if document.get("version") != version:
        problems.append(f"version: is {document.get('version')!r}, the file name says {version!r}")
    problems += _unknown_keys("top level", document, {"version", "components", "builds", "files", "images"})
    components = _mapping(document, "components", problems)
    builds = _mapping(document, "builds", problems)
    files = _mapping(document, "files", problems)
    images = _mapping(document, "images", problems)
    problems += _check_components(components)
    for section, entries in (("builds", builds), ("files", files), ("images", images)):
        for name, entry in entries.items():
            if entry.get("component") not in components:
                problems.append(f"{section}.{name}.component: {entry.get('component')!r} is not among the components")
    for section, entries in (("builds", builds), ("images", images)):
        for name, entry in entries.items():
            if "addon" in entry and not (isinstance(entry["addon"], str) and _ADDON.fullmatch(entry["addon"])):
                problems.append(f"{section}.{name}.addon: must be a name such as metallb")
    made: dict[str, str] = {}
    for name, entry in builds.items():
        problems += _check_build(name, entry, exists)
        for binary in entry.get("binaries") or {}:
            if binary in made:
                problems.append(f"builds.{name}.binaries: {binary} is made by {made[binary]} already")
            made[binary] = name
    for name, entry in files.items():
        problems += _check_file(name, entry, set(made), images)
    for name, entry in images.items():
        problems += _check_image(name, entry, made, builds)
    return problems


def resolve(document: JSON, directory: str) -> JSON:
    """The catalogue with directories as absolute paths, so that it can be used from anywhere."""
    builds = {}
    for name, entry in document["builds"].items():
        builds[name] = dict(entry)
        if entry.get("gomod"):
            builds[name]["gomod"] = os.path.join(directory, "gomod", entry["gomod"])
        if entry.get("source"):
            builds[name]["source"] = os.path.join(directory, entry["source"])
    return {**document, "builds": builds}


def checked(document: t.Any, version: str, directory: str) -> JSON:
    """Validate, then resolve; all problems in one error."""
    problems = validate(document, version, lambda path: os.path.exists(os.path.join(directory, path)))
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise ReleaseError(f"{os.path.join(directory, version + '.yml')} cannot be used:\n{listed}")
    return resolve(document, directory)


def probe_urls(release: JSON, arch: str, registry_map: Mapping[str, str]) -> list[str]:
    """One address per host that upstream mode needs: a file of the release, or a registry's own root."""
    found: dict[str, str] = {}
    for _name, entry in sorted(release["files"].items()):
        url = entry.get("upstream", {}).get(arch, {}).get("url")
        if url:
            found.setdefault(t.cast(str, urlsplit(url).hostname), url)
    for name in sorted(release["images"]):
        registry = name.split("/", 1)[0]
        host = registry_map.get(registry, _REGISTRY_HOSTS.get(registry, registry)).split("/", 1)[0]
        found.setdefault(registry, f"https://{host}/v2/")
    return [found[host] for host in sorted(found)]


def missing_upstream(release: JSON, arch: str) -> list[str]:
    """Files that upstream mode cannot provide for an architecture."""
    return sorted(
        name
        for name, entry in release["files"].items()
        if arch not in entry.get("upstream", {}) and not entry.get("from_image")
    )


def choose_source(present: str, missing: list[str], silent: t.Mapping[str, str]) -> tuple[str, str]:
    """Source for bundle_source: auto, and why.

    present is the source of a bundle that is there already; silent maps addresses that did not answer to what happened.
    """
    if present in ("source", "upstream"):
        return present, f"the bundle that is there came from {present}"
    if missing:
        return "source", f"no published checksum is known for {', '.join(missing)}"
    if silent:
        listed = "; ".join(f"{urlsplit(url).hostname}: {reason}" for url, reason in sorted(silent.items()))
        return "source", f"not every download host answers ({listed})"
    return "upstream", "every download host answers"
