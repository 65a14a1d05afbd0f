# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What of a release goes where: images by role, programs by purpose, each with its digest when a lock is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

ARCHITECTURES = ("amd64", "arm64")

# The plan's name of an image and its public repository.
REPOSITORIES = {
    "kube_apiserver": "registry.k8s.io/kube-apiserver",
    "kube_controller_manager": "registry.k8s.io/kube-controller-manager",
    "kube_scheduler": "registry.k8s.io/kube-scheduler",
    "kube_proxy": "registry.k8s.io/kube-proxy",
    "etcd": "registry.k8s.io/etcd",
    "coredns": "registry.k8s.io/coredns/coredns",
    "pause": "registry.k8s.io/pause",
    "probe": "registry.k8s.io/e2e-test-images/agnhost",
}
CNI_REPOSITORIES = {
    "flannel": {
        "flannel": "ghcr.io/flannel-io/flannel",
        "flannel_cni": "ghcr.io/flannel-io/flannel-cni-plugin",
    },
    # The hosts' own network is made of the reference plugins alone.
    "underlay": {},
}
# Only where the cluster's settings ask for it, and pulled only by the nodes that run it.
ADDON_REPOSITORIES: dict[str, dict[str, str]] = {
    "csi": {
        "csi_provisioner": "registry.k8s.io/sig-storage/csi-provisioner",
        "csi_resizer": "registry.k8s.io/sig-storage/csi-resizer",
        "csi_snapshotter": "registry.k8s.io/sig-storage/csi-snapshotter",
        "snapshot_controller": "registry.k8s.io/sig-storage/snapshot-controller",
    },
    "local_volume": {"local_volume": "ghcr.io/hostplane/local-volume"},
    "local_path": {"local_path_provisioner": "docker.io/rancher/local-path-provisioner"},
    "metallb": {
        "metallb_controller": "quay.io/metallb/controller",
        "metallb_speaker": "quay.io/metallb/speaker",
    },
    # What enforces NetworkPolicies, whichever pod network there is.
    "kube_router": {"kube_router": "docker.io/cloudnativelabs/kube-router"},
    "nfs": {
        "csi_node_driver_registrar": "registry.k8s.io/sig-storage/csi-node-driver-registrar",
        "livenessprobe": "registry.k8s.io/sig-storage/livenessprobe",
        "nfsplugin": "registry.k8s.io/sig-storage/nfsplugin",
    },
    "traefik": {"traefik": "docker.io/library/traefik"},
}
# Only where the control planes balance the API themselves. Whoever publishes them, the last component names them.
BALANCER_IMAGES = ("haproxy", "keepalived")
# CoreDNS may be scheduled on any node that takes pods.
_EVERYWHERE = ("coredns", "kube_proxy", "pause")
_CONTROL_PLANE = ("etcd", "kube_apiserver", "kube_controller_manager", "kube_scheduler")

PROGRAMS = {
    "containerd": ("containerd", "containerd-shim-runc-v2", "crictl", "ctr", "runc"),
    "kubelet": ("kubeadm", "kubectl", "kubelet"),
    "cni": (
        "cni-bandwidth",
        "cni-bridge",
        "cni-firewall",
        "cni-host-device",
        "cni-host-local",
        "cni-loopback",
        "cni-macvlan",
        "cni-portmap",
        "cni-ptp",
        "cni-tuning",
    ),
}


def file_path(name: str) -> str:
    """Where a program of the bundle is installed."""
    if name.startswith("cni-"):
        return f"/opt/cni/bin/{name[len('cni-') :]}"
    return f"/usr/local/bin/{name}"


def _repository(image: str) -> str:
    return image.rpartition(":")[0]


class BundlePlan:
    """Reads the catalogue entry of the release and the lock of every architecture that is needed.

    The catalogue says what the release consists of, the lock which bytes were made of it. Without a lock the plan can
    be shown, but nothing can be installed.
    """

    def __init__(
        self,
        version: str,
        cni: str,
        architectures: Iterable[str],
        release: Mapping[str, Any],
        lock: Mapping[str, Mapping[str, Any]],
        balancer: bool = False,
        addons: Iterable[str] = (),
    ) -> None:
        self.version = version
        self.architectures = sorted(architectures)
        self.release = release
        self.lock = {arch: lock[arch] for arch in self.architectures if lock.get(arch)}
        # No lock at all means that there is no bundle yet; a lock for some architectures only that one was forgotten.
        self.locked = bool(lock) and any(lock.values())
        self.addons = {key: addon for addon in sorted(set(addons)) for key in ADDON_REPOSITORIES.get(addon, {})}
        self.repositories = {**REPOSITORIES, **CNI_REPOSITORIES.get(cni, {})}
        for key, addon in self.addons.items():
            self.repositories[key] = ADDON_REPOSITORIES[addon][key]
        self.balancer = BALANCER_IMAGES if balancer else ()
        self.names = self._image_names()

    def _image_names(self) -> dict[str, str]:
        known = set(self.release.get("images") or ())
        if not known:
            known = {image for lock in self.lock.values() for image in lock.get("images") or ()}
        newest: dict[str, str] = {}
        for image in sorted(known, key=natural_key):
            newest[_repository(image)] = image
        for repo in sorted(newest):
            if repo.rpartition("/")[2] in self.balancer:
                self.repositories.setdefault(repo.rpartition("/")[2], repo)
        for key in self.balancer:
            self.repositories.setdefault(key, key)
        return {key: newest[repo] for key, repo in sorted(self.repositories.items()) if repo in newest}

    def images(self) -> dict[str, Any]:
        others = {*REPOSITORIES, *BALANCER_IMAGES, *self.addons}
        cni = [key for key in self.names if key not in others]
        roles = {"control_plane": [*_CONTROL_PLANE, *_EVERYWHERE, *cni, *self.balancer], "worker": [*_EVERYWHERE, *cni]}
        return {
            **self.names,
            **{role: sorted(self.names[key] for key in keys if key in self.names) for role, keys in roles.items()},
            "digests": {
                arch: {
                    name: str((lock.get("images") or {})[name].get("digest", ""))
                    for name in sorted(self.names.values())
                    if name in (lock.get("images") or {})
                }
                for arch, lock in sorted(self.lock.items())
            },
        }

    def files(self) -> dict[str, Any]:
        return {
            arch: {purpose: [self._file(arch, name) for name in names] for purpose, names in PROGRAMS.items()}
            for arch in self.architectures
        }

    def _file(self, arch: str, name: str) -> dict[str, Any]:
        entry = (self.lock.get(arch, {}).get("files") or {}).get(name) or {}
        return {
            "name": name,
            "path": file_path(name),
            "sha256": str(entry.get("sha256", "")),
            "size": int(entry.get("size", 0)),
            "mode": str(entry.get("mode", "0755")),
        }

    def manifests(self) -> dict[str, str]:
        """The artifact that holds the programs of each architecture, for whoever wants to verify it."""
        return {arch: str(lock.get("files_manifest", "")) for arch, lock in sorted(self.lock.items())}

    def problems(self) -> list[Problem]:
        if not self.locked:
            return []
        problems = []
        for arch in self.architectures:
            remedy = f"Run the bundle playbook for {self.version} and {arch} again, then the mirror playbook."

            def add(code: str, message: str, remedy: str = remedy) -> None:
                problems.append(Problem(code, message, remedy, path="lock"))

            if arch not in self.lock:
                add("lock_arch_missing", f"There is no bundle for {arch}, but hosts of that architecture are listed.")
                continue
            lock = self.lock[arch]
            found = str(lock.get("release", ""))
            if found != self.version or str(lock.get("arch", arch)) != arch:
                add("lock_other_release", f"The bundle for {arch} is of {found} {lock.get('arch', arch)}.")
                continue
            images, files = lock.get("images") or {}, lock.get("files") or {}
            for key, repository in sorted(self.repositories.items()):
                name = self.names.get(key, repository)
                if not (images.get(name) or {}).get("digest"):
                    if key in self.addons:
                        add("addon_missing",
                            f"The mirror has no image {name} for {arch}, which the addon {self.addons[key]} needs.",
                            f"Run the bundle playbook for {self.version} and {arch} again, then the mirror playbook "
                            f"with {self.addons[key]} in mirror_addons. What can't be built from source is only in "
                            "a bundle with bundle_source: upstream, what is not published only in one with "
                            "bundle_source: source.")  # fmt: skip
                        continue
                    add("lock_image_missing", f"The bundle for {arch} lacks the image {name}.")
            for name in sorted(name for names in PROGRAMS.values() for name in names):
                if not (files.get(name) or {}).get("sha256"):
                    add("lock_file_missing", f"The bundle for {arch} lacks the program {name}.")
        return problems
