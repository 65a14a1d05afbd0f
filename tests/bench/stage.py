# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""stage.py BUNDLE STAGE: lay out links to what by-hand.sh copies: programs where they belong, one OCI layout for each kind of node."""

from __future__ import annotations

import json
import sys
from pathlib import Path

CONTROL_PLANE_ONLY = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PROGRAMS = ("containerd", "containerd-shim-runc-v2", "crictl", "ctr", "kubeadm", "kubectl", "kubelet", "runc")
# Asked for by name, so that the manifest beside this file fits every release.
FLANNEL = {"@FLANNEL@": "ghcr.io/flannel-io/flannel:", "@FLANNEL_CNI@": "ghcr.io/flannel-io/flannel-cni-plugin:"}


def link(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def programs(bundle: Path, lock: dict[str, dict[str, dict[str, str]]], root: Path) -> None:
    """The programs, executable, under their path on a node."""
    for name, entry in lock["files"].items():
        blob = bundle / "blobs/sha256" / entry["sha256"]
        if name in PROGRAMS:
            target = root / "usr/local/bin" / name
        elif name.startswith("cni-"):
            target = root / "opt/cni/bin" / name[len("cni-") :]
        else:
            continue
        # A link would bring the mode of the blob; the copy on the same disk is a hard link and costs nothing.
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"") if not blob.exists() else None
        link(target, blob)


def main() -> None:
    bundle, stage = (Path(argument).resolve() for argument in sys.argv[1:])


if __name__ == "__main__":
    main()
