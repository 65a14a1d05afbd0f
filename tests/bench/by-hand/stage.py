# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""stage.py BUNDLE STAGE: lay out links to what by-hand.sh copies, as an operator would have it in directories."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

PROGRAMS = ("containerd", "containerd-shim-runc-v2", "crictl", "ctr", "kubeadm", "kubectl", "kubelet", "runc")
CONTROL_PLANE_ONLY = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# The lookup at the end is made from a worker.
WORKER_ONLY = ("agnhost",)
FLANNEL = {"@FLANNEL_CNI@": "/flannel-cni-plugin:", "@FLANNEL@": "/flannel:"}


def link(path: Path, target: Path) -> None:
    """Make a symbolic link, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def stage_programs(blobs: Path, files: dict[str, Any], root: Path) -> None:
    """The programs under the paths that they have on a node."""
    for name, entry in files.items():
        if name in PROGRAMS:
            link(root / "usr/local/bin" / name, blobs / entry["sha256"])
        elif name.startswith("cni-"):
            link(root / "opt/cni/bin" / name[len("cni-") :], blobs / entry["sha256"])


def stage_images(blobs: Path, names: dict[str, Any], layout: Path) -> None:
    """An OCI layout of some images, with the annotation that ctr takes names from."""
    index = []
    wanted = set()
    for name, entry in names.items():
        digest = entry["digest"]
        data = (blobs / digest[len("sha256:") :]).read_bytes()
        manifest = json.loads(data)
        index.append(
            {
                "mediaType": manifest["mediaType"],
                "digest": digest,
                "size": len(data),
                "annotations": {"io.containerd.image.name": name},
            }
        )
        wanted |= {digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    for digest in wanted:
        link(layout / "blobs/sha256" / digest[len("sha256:") :], blobs / digest[len("sha256:") :])
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": index}))


def main() -> None:
    """Read the lock, write the directories."""
    bundle, stage = (Path(argument).resolve() for argument in sys.argv[1:])
    lock = json.loads((bundle / "lock.json").read_text())
    blobs = bundle / "blobs/sha256"
    stage_programs(blobs, lock["files"], stage / "programs")

    def short(name: str) -> str:
        return name.rpartition("/")[2].partition(":")[0]

    # What no cluster has unless it is asked for stays where it is.
    images = {name: entry for name, entry in lock["images"].items() if "addon" not in entry}
    for role, others in (("control_plane", WORKER_ONLY), ("worker", CONTROL_PLANE_ONLY)):
        stage_images(blobs, {name: images[name] for name in images if short(name) not in others}, stage / role)

    manifest = Path(__file__).with_name("flannel.yaml").read_text()
    for placeholder, part in FLANNEL.items():
        name = next(name for name in images if part in name)
        manifest = manifest.replace(placeholder, name)
    (stage / "flannel.yaml").write_text(manifest)
    shutil.copytree(Path(__file__).with_name("root"), stage / "root")
    config = stage / "root/etc/containerd/config.toml"
    config.write_text(config.read_text().replace("@PAUSE@", next(name for name in images if "/pause:" in name)))
    (stage / "lookup-image").write_text(next(name for name in images if "/agnhost:" in name))


if __name__ == "__main__":
    main()
