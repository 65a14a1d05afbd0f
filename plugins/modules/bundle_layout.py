#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_layout
short_description: Put the files and images of a release into one OCI layout
version_added: "0.1.0"
description:
  - Makes a directory with an OCI image layout that holds all images and host files of a release, C(lock.json) with the
    digest of each, and C(sbom.cdx.json), a CycloneDX bill of materials.
  - Images from source are made reproducibly. An image whose inputs did not change is not made again, and a layout that
    is right is not touched.
  - The index is written last and what nothing refers to any more is removed after that, so an interrupted run leaves
    the previous bundle or a complete new one.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  path:
    description: Directory of the layout.
    type: path
    required: true
  release:
    description: A release catalogue, as the P(hostplane.cluster.release#lookup) lookup returns it.
    type: dict
    required: true
  arch:
    description: Architecture of the files and images.
    type: str
    choices: [amd64, arm64]
    default: amd64
  builds:
    description:
      - Directory of each finished build by its name, as M(hostplane.cluster.bundle_build) returns them.
      - Files and images are made of these. Give either this or O(download).
    type: dict
  download:
    description:
      - Directory with downloaded C(files/) and an OCI layout C(images/); images are copied as they are.
    type: path
  verify:
    description: Read every blob back and compare it with its digest.
    type: bool
    default: false
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Make the bundle of what was built
  hostplane.cluster.bundle_layout:
    path: ~/.cache/hostplane/bundle/1.36.3-amd64
    release: "{{ lookup('hostplane.cluster.release', '1.36.3') }}"
    builds: "{{ dict(built.builds | map(attribute='name') | zip(built.builds | map(attribute='path'))) }}"

- name: Make the bundle of what was downloaded and read it back
  hostplane.cluster.bundle_layout:
    path: ~/.cache/hostplane/bundle/1.36.3-amd64
    release: "{{ lookup('hostplane.cluster.release', '1.36.3') }}"
    download: ~/.cache/hostplane/download/1.36.3-amd64
    verify: true
"""

RETURN = r"""
lock:
  description: What is in the bundle; the content of C(lock.json).
  returned: always
  type: dict
made:
  description: Images that were (or would be) made or copied, sorted.
  returned: always
  type: list
  elements: str
removed:
  description: Blobs that nothing refers to any more, sorted.
  returned: always
  type: list
  elements: str
size:
  description: Bytes of the whole bundle; V(0) in check mode when it would change.
  returned: always
  type: int
"""

import fcntl
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _bundle, _gobuild, _oci


class Sources(t.NamedTuple):
    """Where the bundle's parts come from."""

    programs: dict[str, _bundle.Program]
    bases: dict[str, _bundle.Program]
    manifests: dict[str, dict[str, t.Any]]
    images: _oci.Layout | None


def from_builds(builds: dict[str, str]) -> Sources:
    programs: dict[str, _bundle.Program] = {}
    bases: dict[str, _bundle.Program] = {}
    manifests = {}
    for name, path in builds.items():
        manifest = _gobuild.read_manifest(path)
        if manifest is None:
            raise _bundle.BundleError(f"build {name}: {path} is not a finished build; build it first")
        manifests[name] = manifest
        found = _bundle.programs_of(path, manifest)
        if _bundle.ROOTFS in found:
            bases[name] = found.pop(_bundle.ROOTFS)
        programs.update(found)
    return Sources(programs, bases, manifests, None)


def from_download(path: str, release: dict[str, t.Any]) -> Sources:
    images = _oci.Layout(os.path.join(path, "images"))
    absent = sorted(set(_bundle.image_names(release, "upstream")) - set(images.by_name()))
    files = os.path.join(path, "files")
    for name, entry in release["files"].items():
        target = os.path.join(files, name)
        source = entry.get("from_image")
        if source and source["image"] not in absent and not os.path.exists(target):
            os.makedirs(files, exist_ok=True)
            image = images.by_name()[source["image"]]
            if not _bundle.extract_member(images, image, source["path"], target):
                raise _bundle.BundleError(
                    f"{source['image']} has no file {source['path']}; correct files.{name}.from_image"
                )
    programs = _bundle.downloaded(files, release["files"])
    missing = sorted(set(release["files"]) - set(programs)) + absent
    if missing:
        raise _bundle.BundleError(f"{path} is not complete, download these first: {', '.join(missing)}")
    return Sources(programs, {}, {}, images)


def image_entry(
    layout: _oci.Layout, params: dict[str, t.Any], sources: Sources, name: str, make: bool
) -> tuple[bool, t.Any]:
    """Whether an image is new, and its entry in the index (None when it would have to be made first)."""
    present = layout.by_name().get(name)
    if sources.images:
        wanted = sources.images.by_name()[name]
        if present and present["digest"] == wanted["digest"] and layout.complete(present):
            return False, present
        return True, _bundle.copy_image(layout, sources.images, name, wanted) if make else None
    recipe = params["release"]["images"][name]["recipe"]
    base = sources.bases.get(recipe.get("base", ""))
    inputs = _bundle.image_inputs(recipe, params["arch"], sources.programs, base)
    if present and present.get("annotations", {}).get(_bundle.INPUTS) == inputs and layout.complete(present):
        return False, present
    if not make:
        return True, None
    return True, _bundle.make_image(layout, name, recipe, params["arch"], sources.programs, base)


def artifact(layout: _oci.Layout, kind: str, layers: list[dict[str, t.Any]], name: str) -> dict[str, t.Any]:
    data = _oci.canonical_json(_oci.artifact_manifest(kind, layers))
    layout.put(b"{}", _oci.MEDIA_EMPTY)
    return layout.put(data, _oci.MEDIA_MANIFEST, artifactType=kind, annotations={_oci.REF_NAME: name})


def fill(layout: _oci.Layout, params: dict[str, t.Any], sources: Sources) -> dict[str, t.Any]:
    """Bring the layout to what it has to be; index last."""
    release, arch = params["release"], params["arch"]
    tag = f"{release['version']}-{arch}"
    layout.init()
    kind = "upstream" if sources.images else "source"
    entries, made = {}, []
    for name in _bundle.image_names(release, kind):
        new, entries[name] = image_entry(layout, params, sources, name, True)
        made += [name] if new else []
    layers = _bundle.files_layers(release, sources.programs)
    for layer in layers:
        layout.take_file(sources.programs[layer["annotations"][_oci.TITLE]].path, layer)
    files = artifact(layout, _oci.ARTIFACT_FILES, layers, f"files:{tag}")
    lock = _bundle.lock_document(release, arch, kind, sources.programs, entries, files["digest"])
    data = _bundle.pretty(lock)
    layer = layout.put(data, _bundle.MEDIA_LOCK, annotations={_oci.TITLE: "lock.json"})
    pointer = artifact(layout, _oci.ARTIFACT_LOCK, [layer], f"lock:{tag}")
    layout.write("lock.json", data)
    layout.write("sbom.cdx.json", _bundle.pretty(_bundle.sbom_document(release, lock, sources.manifests)))
    layout.write_index([*entries.values(), files, pointer])
    removed = layout.prune()
    size = layout.size()
    return {"changed": bool(layout.changes or removed), "lock": lock, "made": made, "removed": removed, "size": size}


def predict(layout: _oci.Layout, params: dict[str, t.Any], sources: Sources) -> dict[str, t.Any]:
    """What fill() would do, without doing it."""
    release = params["release"]
    kind = "upstream" if sources.images else "source"
    names = _bundle.image_names(release, kind)
    found = {name: image_entry(layout, params, sources, name, False) for name in names}
    made = [name for name, (new, entry) in found.items() if new]
    layers = _bundle.files_layers(release, sources.programs)
    manifest = _oci.digest_of(_oci.canonical_json(_oci.artifact_manifest(_oci.ARTIFACT_FILES, layers)))
    entries = {name: entry for name, (new, entry) in found.items() if entry}
    lock = _bundle.lock_document(release, params["arch"], kind, sources.programs, entries, manifest)
    texts = {"lock.json": lock, "sbom.cdx.json": _bundle.sbom_document(release, lock, sources.manifests)}
    changed = (
        bool(made)
        or any(read_text(layout, name) != _bundle.pretty(document).decode() for name, document in texts.items())
        or not layout.index()
        or not all(layout.complete(entry) for entry in layout.index())
        or bool(layout.stale())
    )
    return {"changed": changed, "lock": lock, "made": made, "removed": [], "size": 0 if changed else layout.size()}


def read_text(layout: _oci.Layout, name: str) -> str:
    try:
        with open(os.path.join(layout.path, name), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    release, path = params["release"], params["path"]
    sources = from_download(params["download"], release) if params["download"] else from_builds(params["builds"])
    missing = [] if sources.images else _bundle.missing_programs(release, sources.programs, sources.bases)
    if missing:
        raise _bundle.BundleError(f"release {release['version']}: no build makes {', '.join(missing)}")
    layout = _oci.Layout(path)
    before = read_text(layout, "lock.json")
    if module.check_mode:
        result = predict(layout, params, sources)
    else:
        os.makedirs(path, exist_ok=True)
        handle = os.open(path, os.O_RDONLY)
        try:
            # Two runs at once would remove each other's blobs.
            fcntl.flock(handle, fcntl.LOCK_EX)
            result = fill(layout, params, sources)
        finally:
            os.close(handle)
        problems = layout.verify() if params["verify"] else []
        if problems:
            raise _bundle.BundleError("the bundle is damaged; remove it and make it again:\n" + "\n".join(problems))
    if module._diff and result["changed"]:
        result["diff"] = {
            "before_header": f"{path}/lock.json",
            "after_header": f"{path}/lock.json",
            "before": before,
            "after": _bundle.pretty(result["lock"]).decode(),
        }
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "release": {"type": "dict", "required": True},
            "arch": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
            "builds": {"type": "dict"},
            "download": {"type": "path"},
            "verify": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("builds", "download")],
        required_one_of=[("builds", "download")],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (_bundle.BundleError, _oci.OciError, OSError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
