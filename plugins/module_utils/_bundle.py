# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Release catalogue + files + images -> the bundle: one OCI layout with its lock and bill of materials."""

from __future__ import annotations

import functools
import gzip
import json
import os
import shutil
import tarfile
import typing as t
import uuid

from ansible_collections.hostplane.cluster.plugins.module_utils import _oci

JSON = dict[str, t.Any]

# Part of the key of every image: raise it when the same inputs shall give another image.
_SCHEMA = 1
INPUTS = "io.hostplane.inputs"
ROOTFS = "rootfs.tar"
MEDIA_LOCK = "application/vnd.hostplane.lock.v1+json"
MEDIA_FILE = "application/octet-stream"
_NAMESPACE = uuid.UUID("6f2b9b0c-6f0c-5c39-9b55-8d0c6a1f2f3e")
# What a program that brings everything itself still looks for.
_STATIC = (
    _oci.LayerFile("/etc/group", content=b"root:x:0:\nnonroot:x:65532:\n", mode=0o644),
    _oci.LayerFile("/etc/nsswitch.conf", content=b"hosts: files dns\n", mode=0o644),
    _oci.LayerFile(
        "/etc/passwd",
        content=b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
        mode=0o644,
    ),
    _oci.LayerFile("/tmp", mode=0o1777),
)


class BundleError(Exception):
    """Why there is no bundle; the text names what is missing."""


class Program(t.NamedTuple):
    """A file that is at hand: made by a build or downloaded."""

    path: str
    sha256: str
    size: int

    @property
    def entry(self) -> JSON:
        return _oci.descriptor(MEDIA_FILE, f"sha256:{self.sha256}", self.size)


def programs_of(directory: str, manifest: JSON) -> dict[str, Program]:
    """The files of one finished build."""
    return {
        name: Program(os.path.join(directory, name), entry["sha256"], entry["size"])
        for name, entry in manifest["files"].items()
    }


def downloaded(directory: str, names: t.Iterable[str]) -> dict[str, Program]:
    found = {}
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            digest = _oci.file_digest(path).partition(":")[2]
            found[name] = Program(path, digest, os.path.getsize(path))
    return found


def image_inputs(recipe: JSON, arch: str, programs: t.Mapping[str, Program], base: Program | None) -> str:
    """One digest of everything that goes into an image: the same inputs need no new image."""
    inputs = {
        "schema": _SCHEMA,
        "arch": arch,
        "recipe": recipe,
        "files": {target: programs[source].sha256 for target, source in recipe["files"].items()},
        "base": base.sha256 if base else recipe.get("base", ""),
    }
    return _oci.digest_of(_oci.canonical_json(inputs))


def image_names(release: JSON, source: str) -> list[str]:
    """The images that a bundle can have: without a recipe none is built, and what is not published is only built."""
    key = "published" if source == "upstream" else "recipe"
    return sorted(name for name, entry in release["images"].items() if entry.get(key, source == "upstream"))


def missing_programs(release: JSON, programs: t.Mapping[str, Program], bases: t.Mapping[str, Program]) -> list[str]:
    """What the recipes of source mode name and nobody has."""
    missing = {name for name in release["files"] if name not in programs}
    for name in image_names(release, "source"):
        image = release["images"][name]
        missing |= set(image["recipe"]["files"].values()) - set(programs)
        base = image["recipe"].get("base", "")
        if base not in ("", "static") and base not in bases:
            missing.add(base)
    return sorted(missing)


def config_settings(recipe: JSON) -> JSON:
    return {
        "Env": [f"{key}={value}" for key, value in sorted(recipe.get("env", {}).items())],
        "Entrypoint": list(recipe.get("entrypoint", [])),
        "Cmd": list(recipe.get("cmd", [])),
        "User": recipe.get("user", ""),
        "WorkingDir": "/",
    }


def make_image(
    layout: _oci.Layout,
    name: str,
    recipe: JSON,
    arch: str,
    programs: t.Mapping[str, Program],
    base: Program | None,
) -> JSON:
    """Put one image into the layout; the answer is its entry in the index."""
    layers = []
    if base:
        layers.append(_oci.descriptor(_oci.MEDIA_LAYER, f"sha256:{base.sha256}", base.size))
        layout.take_file(base.path, layers[0])
    elif recipe.get("base") == "static":
        layers.append(layout.put_layer(_STATIC))
    if recipe["files"]:
        files = [_oci.LayerFile(target, programs[source].path) for target, source in recipe["files"].items()]
        layers.append(layout.put_layer(files))
    config = _oci.image_config(arch, [layer["digest"] for layer in layers], config_settings(recipe))
    entry = layout.put(_oci.canonical_json(config), _oci.MEDIA_CONFIG)
    manifest = _oci.image_manifest(entry, layers)
    annotations = {_oci.REF_NAME: name, INPUTS: image_inputs(recipe, arch, programs, base)}
    return layout.put(
        _oci.canonical_json(manifest),
        _oci.MEDIA_MANIFEST,
        annotations=annotations,
        platform={"architecture": arch, "os": "linux"},
    )


def copy_image(layout: _oci.Layout, source: _oci.Layout, name: str, entry: JSON) -> JSON:
    """Take an image as it is, signatures and digests included."""
    for item in source.walk([entry]):
        layout.take_file(source.blob_path(item["digest"]), item)
    return {**entry, "annotations": {_oci.REF_NAME: name}}


def extract_member(layout: _oci.Layout, entry: JSON, member: str, target: str) -> bool:
    """Take one regular file out of an image, from the last layer that has it."""
    name = member.strip("/")
    for layer in reversed(layout.read_json(entry["digest"]).get("layers", [])):
        path = layout.blob_path(layer["digest"])
        opener = gzip.open if layer["mediaType"].endswith("gzip") else open
        with opener(path, "rb") as stream, tarfile.open(fileobj=t.cast(t.BinaryIO, stream), mode="r|") as archive:
            for info in archive:
                source = archive.extractfile(info) if info.isreg() and info.name.lstrip("./") == name else None
                if source:
                    _oci.place(target, functools.partial(shutil.copyfileobj, source))
                    return True
    return False


def files_layers(release: JSON, programs: t.Mapping[str, Program]) -> list[JSON]:
    return [{**programs[name].entry, "annotations": {_oci.TITLE: name}} for name in sorted(release["files"])]


def _locked(image: JSON, entry: JSON) -> JSON:
    addon = {"addon": image["addon"]} if image.get("addon") else {}
    return {"digest": entry["digest"], "size": entry["size"], **addon}


def lock_document(
    release: JSON,
    arch: str,
    source: str,
    programs: t.Mapping[str, Program],
    images: t.Mapping[str, JSON],
    files_manifest: str,
) -> JSON:
    files = {}
    for name, entry in release["files"].items():
        program = programs[name]
        version = release["components"][entry["component"]]["version"]
        files[name] = {"version": version, "sha256": program.sha256, "size": program.size, "mode": entry["mode"]}
    return {
        "schema": 1,
        "release": release["version"],
        "arch": arch,
        "source": source,
        "files": files,
        "images": {name: _locked(release["images"][name], entry) for name, entry in images.items()},
        "files_manifest": files_manifest,
    }


def pretty(document: JSON) -> bytes:
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def _go_component(path: str, version: str, total: str) -> JSON:
    purl = f"pkg:golang/{path}@{version}"
    component: JSON = {"type": "library", "bom-ref": purl, "name": path, "version": version, "purl": purl}
    if total:
        component["properties"] = [{"name": "io.hostplane:go.sum", "value": total}]
    return component


def _debian_component(name: str, version: str, arch: str) -> JSON:
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={arch}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def sbom_document(release: JSON, lock: JSON, builds: t.Mapping[str, JSON]) -> JSON:
    """CycloneDX 1.6: the components of the catalogue, what each build really linked in, and every file by digest."""
    found: dict[str, JSON] = {}
    depends: dict[str, set[str]] = {}
    for entry in release["components"].values():
        depends[entry["purl"]] = set()
    for name, component in release["components"].items():
        found[component["purl"]] = {
            "type": "application",
            "bom-ref": component["purl"],
            "name": name,
            "version": component["version"],
            "purl": component["purl"],
            "licenses": [{"expression": component["license"]}],
        }
    for build, manifest in builds.items():
        owner = release["components"][release["builds"][build]["component"]]["purl"]
        parts = [_go_component(*row) for row in manifest.get("modules", [])]
        parts += [_debian_component(name, version, lock["arch"]) for name, version in manifest.get("packages", [])]
        for part in parts:
            found.setdefault(part["bom-ref"], part)
            if part["bom-ref"] != owner:
                depends[owner].add(part["bom-ref"])
    for name, entry in lock["files"].items():
        reference = f"file:{name}"
        found[reference] = {
            "type": "file",
            "bom-ref": reference,
            "name": name,
            "version": entry["version"],
            "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
        }
    for name, entry in lock["images"].items():
        found[f"image:{name}"] = {
            "type": "container",
            "bom-ref": f"image:{name}",
            "name": name,
            "version": entry["digest"],
            "hashes": [{"alg": "SHA-256", "content": entry["digest"].partition(":")[2]}],
        }
    identity = f"hostplane.cluster/{release['version']}-{lock['arch']}"
    components = [found[reference] for reference in sorted(found)]
    body: JSON = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "platform",
                "bom-ref": identity,
                "name": "hostplane.cluster bundle",
                "version": f"{release['version']}-{lock['arch']}",
            }
        },
        "components": components,
        "dependencies": [
            {"ref": identity, "dependsOn": sorted(entry["purl"] for entry in release["components"].values())},
            *({"ref": reference, "dependsOn": sorted(parts)} for reference, parts in sorted(depends.items())),
        ],
    }
    # Derived from the content: the same bundle has the same serial number.
    serial = uuid.uuid5(_NAMESPACE, _oci.digest_of(_oci.canonical_json(body)))
    return {**body, "serialNumber": f"urn:uuid:{serial}"}
