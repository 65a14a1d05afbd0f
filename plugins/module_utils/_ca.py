# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""How far the rotation of a CA has come, read from nothing but the bundle in its file, and the texts on the way."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import CONTROL_PLANE, NODE, PKI, Place

# The new CAs and their keys, laid out as kubeadm lays out PKI; there from the beginning of a rotation to its end.
NEXT = f"{PKI}/next"
# The controller manager signs only with a file that holds one certificate, see pkg/controller/certificates/signer.
SIGNING = f"{NEXT}/signing.crt"
SIGNING_FLAG = "--cluster-signing-cert-file="
PHASES = ("trust", "issue", "drop")
STAGES = ("untouched", *PHASES)
CA_DATA = re.compile(r"(certificate-authority-data: *)(\S+)")


@dataclass(frozen=True)
class Authority:
    """A CA that kubeadm makes. users are the static pods that read its file or what it signed only when they start."""

    name: str
    entry: str
    stem: str
    reads: Mapping[str, tuple[str, ...]]

    @property
    def path(self) -> str:
        return f"{PKI}/{self.stem}.crt"

    @property
    def key(self) -> str:
        return f"{PKI}/{self.stem}.key"

    @property
    def next_path(self) -> str:
        return f"{NEXT}/{self.stem}.crt"

    @property
    def next_key(self) -> str:
        return f"{NEXT}/{self.stem}.key"

    def leaves(self) -> list[Place]:
        """What it signs on a control plane by way of kubeadm, in the order of renewal.

        Kubeconfigs are last: kubeadm itself needs one, and puts only one CA into what it has renewed.
        """
        return sorted(
            (place for place in CONTROL_PLANE if place.ca == self.entry and place.manager == "kubeadm"),
            key=lambda place: place.kubeconfig,
        )


AUTHORITIES = {
    authority.name: authority
    for authority in (
        Authority(
            "cluster",
            "ca",
            "ca",
            {
                "kube-apiserver": (f"{PKI}/ca.crt", f"{PKI}/apiserver-kubelet-client.crt"),
                "kube-controller-manager": (
                    f"{PKI}/ca.crt",
                    "/etc/kubernetes/controller-manager.conf",
                    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
                ),
                "kube-scheduler": ("/etc/kubernetes/scheduler.conf",),
                "haproxy": (f"{PKI}/ca.crt",),
            },
        ),
        Authority(
            "etcd",
            "etcd-ca",
            "etcd/ca",
            {
                "etcd": (f"{PKI}/etcd/ca.crt", f"{PKI}/etcd/server.crt", f"{PKI}/etcd/peer.crt"),
                "kube-apiserver": (f"{PKI}/etcd/ca.crt", f"{PKI}/apiserver-etcd-client.crt"),
            },
        ),
        Authority(
            "front_proxy",
            "front-proxy-ca",
            "front-proxy-ca",
            {
                "kube-apiserver": (f"{PKI}/front-proxy-ca.crt", f"{PKI}/front-proxy-client.crt"),
                "kube-controller-manager": (f"{PKI}/front-proxy-ca.crt",),
            },
        ),
    )
}
KUBELET_LEAVES = [place for place in NODE if place.name in ("kubelet-client", "kubelet-server")]
# One after the other, since each needs the one before.
ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "haproxy")


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate in lower hex."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip() + "\n")).hexdigest()


def stage(bundle: Sequence[str], new: str) -> str:
    """How far a CA's file has come on the way to the new CA; bundle and new are fingerprints."""
    if not new or new not in bundle:
        return "untouched"
    if list(bundle) == [new]:
        return "drop"
    return "issue" if bundle[0] == new else "trust"


def wanted_bundle(phase: str, current: Sequence[str], new: str) -> list[str]:
    """The certificates (PEM) that the CA's file holds in a phase; whoever signs is the first one.

    A host never goes back: what has come further stays as it is.
    """
    mark = fingerprint(new)
    now = stage([fingerprint(pem) for pem in current], mark)
    if STAGES.index(now) >= STAGES.index(phase):
        return list(current)
    old = [pem for pem in current if fingerprint(pem) != mark]
    return {"trust": [*old, new], "issue": [new, *old], "drop": [new]}[phase]


def trust_id(bundle: Sequence[str]) -> str:
    """A short name of a set of trusted CAs, whatever their order."""
    return hashlib.sha256("\n".join(sorted(map(fingerprint, bundle))).encode()).hexdigest()[:16]


def with_ca_data(text: str, bundle: str) -> str:
    """A kubeconfig with another embedded CA bundle; the same text when it is the one that it has."""
    found = CA_DATA.search(text)
    if found is None:
        return text
    data = base64.b64encode(bundle.encode()).decode()
    return text if found[2] == data else CA_DATA.sub(lambda match: match[1] + data, text)


def with_signing_file(manifest: str, path: str) -> str:
    """The controller manager's manifest with another file of the CA that signs."""
    return re.sub(rf"({re.escape(SIGNING_FLAG)})\S+", lambda match: match[1] + path, manifest)


def complete(*pems: str) -> str:
    """Certificates as one bundle."""
    return "".join(pem.strip() + "\n" for pem in pems)
