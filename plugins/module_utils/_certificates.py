# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Every certificate of a host: where it is, who made it, who uses it, and what is wrong with it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _x509
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import natural_key

ROOT = "/etc/kubernetes"
PKI = f"{ROOT}/pki"
KUBELET_PKI = "/var/lib/kubelet/pki"
KUBELET_CLIENT = f"{KUBELET_PKI}/kubelet-client-current.pem"
KUBELET_SERVER = f"{KUBELET_PKI}/kubelet-server-current.pem"
MIRROR = "/etc/hostplane-mirror"
MIRROR_CA = "/etc/containerd/mirror-ca.crt"
# The kubelet renews its certificates when 70 to 90 % of their life is over; one that is older failed to do so.
ROTATION_FAILED = 0.1


@dataclass(frozen=True)
class Place:
    """Where a certificate is. ca names the entry that signs it, empty when it signs itself or nobody here knows.

    manager renews it: kubeadm, kubelet, mirror, rotation (the CAs) or user. users are the programs that read it.
    """

    name: str
    path: str
    manager: str
    key: str = ""
    ca: str = ""
    purpose: str = ""
    users: tuple[str, ...] = ()
    kubeconfig: bool = False
    required: bool = False


def _kubeadm(name: str, stem: str, ca: str, purpose: str, *users: str) -> Place:
    path = f"{PKI}/{stem}"
    return Place(name, f"{path}.crt", "kubeadm", f"{path}.key", ca, purpose, users, required=True)


def _conf(name: str, *users: str, required: bool = True) -> Place:
    path = f"{ROOT}/{name}"
    return Place(name, path, "kubeadm", path, "ca", "sslclient", users, kubeconfig=True, required=required)


# The names are kubeadm's (kubeadm certs renew NAME) as far as it has any.
CONTROL_PLANE = (
    _kubeadm("apiserver", "apiserver", "ca", "sslserver", "kube-apiserver"),
    _kubeadm("apiserver-kubelet-client", "apiserver-kubelet-client", "ca", "sslclient", "kube-apiserver"),
    _kubeadm("apiserver-etcd-client", "apiserver-etcd-client", "etcd-ca", "sslclient", "kube-apiserver"),
    _kubeadm("front-proxy-client", "front-proxy-client", "front-proxy-ca", "sslclient", "kube-apiserver"),
    _kubeadm("etcd-server", "etcd/server", "etcd-ca", "sslserver", "etcd"),
    _kubeadm("etcd-peer", "etcd/peer", "etcd-ca", "sslserver", "etcd"),
    _kubeadm("etcd-healthcheck-client", "etcd/healthcheck-client", "etcd-ca", "sslclient"),
    _conf("admin.conf"),
    # Only the first control plane has one.
    _conf("super-admin.conf", required=False),
    _conf("controller-manager.conf", "kube-controller-manager"),
    _conf("scheduler.conf", "kube-scheduler"),
    Place("etcd-ca", f"{PKI}/etcd/ca.crt", "rotation", f"{PKI}/etcd/ca.key", required=True),
    Place("front-proxy-ca", f"{PKI}/front-proxy-ca.crt", "rotation", f"{PKI}/front-proxy-ca.key", required=True),
)
NODE = (
    Place("ca", f"{PKI}/ca.crt", "rotation", f"{PKI}/ca.key", required=True),
    Place("kubelet-client", KUBELET_CLIENT, "kubelet", KUBELET_CLIENT, "ca", "sslclient", ("kubelet",), required=True),
    Place("kubelet-server", KUBELET_SERVER, "kubelet", KUBELET_SERVER, "ca", "sslserver", ("kubelet",)),
    # What the kubelet signs itself when it has no serving certificate of the cluster.
    Place(
        "kubelet-server-self",
        f"{KUBELET_PKI}/kubelet.crt",
        "kubelet",
        f"{KUBELET_PKI}/kubelet.key",
        "",
        "",
        ("kubelet",),
    ),
    Place("mirror-ca", MIRROR_CA, "mirror"),
)
REGISTRY = (
    Place(
        "mirror", f"{MIRROR}/tls.crt", "mirror", f"{MIRROR}/tls.key", "mirror-ca", "sslserver", ("hostplane-mirror",)
    ),
)


@dataclass(frozen=True)
class Found:
    """One certificate as it is. certificate is None when it is missing or can't be read; then error says why."""

    place: Place
    certificate: _x509.Certificate | None = None
    # Why its CA did not sign it; None when there is no CA to check it against.
    chain: str | None = None
    key_matches: bool | None = None
    modes: dict[str, str] = field(default_factory=dict)
    error: str = ""
    # The certificate with its intermediates, and what a kubeconfig itself trusts.
    pem: str = ""
    trusts: str = ""

    def days_left(self, now: datetime) -> int | None:
        return self.certificate.days_left(now) if self.certificate else None

    def broken(self, now: datetime) -> str:
        """Why it can't serve now, whatever its date says later; empty when it can."""
        if self.certificate is None:
            return self.error
        if self.certificate.not_after <= now:
            return f"expired on {self.certificate.not_after:%Y-%m-%d}"
        if self.certificate.not_before > now:
            return f"is not valid before {self.certificate.not_before:%Y-%m-%d %H:%M} UTC"
        if self.key_matches is False:
            return self.error or "its private key belongs to another certificate"
        return f"is not signed by {self.place.ca or 'its CA'}: {self.chain}" if self.chain else ""

    def due(self, days: int, now: datetime) -> str:
        """Why it has to be renewed; empty when it need not be. The kubelet's own ones only when it failed to."""
        reason = self.broken(now)
        if reason or self.certificate is None:
            return reason
        left = self.certificate.days_left(now)
        if self.place.name in ("kubelet-client", "kubelet-server"):
            failed = self.certificate.life_left(now) < ROTATION_FAILED
            return f"expires in {left} days and the kubelet has not renewed it" if failed else ""
        return f"expires in {left} days" if left < days else ""

    def findings(self) -> list[str]:
        """What is unsafe although it works, sorted."""
        return sorted(
            f"{path} has mode {mode}; nobody but root may read a private key, so make it 0600"
            for path, mode in self.modes.items()
            if int(mode, 8) & 0o077
        )

    def public(self, days: int, now: datetime) -> dict[str, Any]:
        """The certificate as modules return it; never its key."""
        cert = self.certificate
        return {
            "name": self.place.name,
            "path": self.place.path,
            "managed_by": self.place.manager,
            "used_by": list(self.place.users),
            "subject": cert.subject if cert else "",
            "issuer": cert.issuer if cert else "",
            "serial": cert.serial if cert else "",
            "fingerprint": cert.fingerprint if cert else "",
            "not_before": f"{cert.not_before:%Y-%m-%dT%H:%M:%SZ}" if cert else "",
            "not_after": f"{cert.not_after:%Y-%m-%dT%H:%M:%SZ}" if cert else "",
            "days_left": self.days_left(now),
            "sans": list(cert.sans) if cert else [],
            "usages": list(cert.usages) if cert else [],
            "key_type": cert.key_type if cert else "",
            "key_bits": cert.key_bits if cert else 0,
            "key_matches": self.key_matches,
            "chain": "unchecked" if self.chain is None else self.chain or "ok",
            "modes": self.modes,
            "findings": self.findings(),
            "broken": self.broken(now),
            "due": self.due(days, now),
        }


def is_control_plane(root: str = "/") -> bool:
    """Whether kubeadm made this host a control plane; also one whose API server is down."""
    return os.path.exists(under(root, f"{ROOT}/manifests/kube-apiserver.yaml"))


def under(root: str, path: str) -> str:
    """A path below another root than /, for tests."""
    return os.path.join(root, path.lstrip("/"))


def places(root: str = "/") -> list[Place]:
    """Where this host has certificates: what must be there, and what is there of the rest."""
    wanted: list[Place] = list(REGISTRY)
    if os.path.exists(under(root, f"{ROOT}/kubelet.conf")):
        wanted += NODE
    if is_control_plane(root):
        wanted += CONTROL_PLANE
    return [_embedded(place, root) for place in wanted if place.required or os.path.exists(under(root, place.path))]


def _embedded(place: Place, root: str) -> Place:
    """kubelet.conf normally names the kubelet's own file; where it holds a certificate itself, that one counts."""
    if place.name != "kubelet-client":
        return place
    path = f"{ROOT}/kubelet.conf"
    holds = bool(_x509.read_kubeconfig(_read(under(root, path))).certificate)
    return replace(place, path=path, key=path, kubeconfig=True) if holds else place


def user_places(paths: Iterable[str]) -> list[Place]:
    """Kubeconfigs that somebody keeps somewhere else; their own CA says whether they are good."""
    return [Place(os.path.basename(path), path, "user", path, kubeconfig=True, required=True) for path in paths]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def look(wanted: Iterable[Place], root: str = "/", mirror_ca: str = "") -> list[Found]:
    """Read all certificates, sorted by name; openssl runs once for each of them and its key, and once for each CA.

    mirror_ca is the mirror's CA (PEM) on a host that does not keep it itself.
    """
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda place: _read_one(place, root), wanted))
        # While a CA is rotated its file holds the other one as well.
        found += [more for extra in pool.map(_further, found) for more in extra]
    authorities = {"mirror-ca": mirror_ca, **{item.place.name: item.pem for item in found}}
    chains: dict[int, str] = {}
    groups: dict[tuple[str, str], list[int]] = {}
    for number, item in enumerate(found):
        ca = authorities.get(item.place.ca, "") if item.place.ca else item.trusts
        # A missing CA of the cluster is a broken chain; a mirror's CA may simply be the system's.
        if item.certificate and (ca or item.place.ca not in ("", "mirror-ca")):
            groups.setdefault((ca, item.place.purpose), []).append(number)
    for (ca, purpose), numbers in groups.items():
        reasons = _x509.verify([found[number].pem for number in numbers], ca, purpose)
        chains.update(zip(numbers, reasons))
    checked = [replace(item, chain=chains.get(number)) for number, item in enumerate(found)]
    return sorted(checked, key=lambda item: (natural_key(item.place.name), item.place.path))


def _read_one(place: Place, root: str) -> Found:
    path = under(root, place.path)
    try:
        mode = f"{stat.S_IMODE(os.stat(path).st_mode):04o}"
        with open(path, encoding="utf-8", errors="replace") as handle:
            text = handle.read()
    except FileNotFoundError:
        return Found(place, error="is missing")
    except OSError as exc:
        return Found(place, error=f"can't be read: {exc.strerror}")
    key, trusts = _x509.private_key_in(text), ""
    if place.kubeconfig:
        config = _x509.read_kubeconfig(text)
        if not config.certificate and not config.certificate_file:
            return Found(place, error="holds no client certificate")
        trusts = config.ca or _read(_beside(path, config.ca_file))
        text = config.certificate or _read(_beside(path, config.certificate_file))
        key = config.key or _read(_beside(path, config.key_file))
    modes = {place.path: mode} if key else {}
    # A CA's key may be kept away from here, as on all workers.
    if not key and place.key and os.path.exists(under(root, place.key)):
        key = _read(under(root, place.key))
        modes[place.key] = f"{stat.S_IMODE(os.stat(under(root, place.key)).st_mode):04o}"
    pems = _x509.certificates_in(text)
    if not pems:
        return Found(place, modes=modes, error="holds no certificate")
    try:
        # Of a bundle of CAs the first one signs.
        certificate = _x509.parse(pems[0])
    except _x509.OpensslError:
        return Found(place, modes=modes, error="holds no certificate that openssl can read")
    matches, error = None, ""
    if key:
        try:
            matches = _x509.public_key_of(key) == certificate.public_key
        except _x509.OpensslError:
            matches, error = False, "its private key can't be read"
    elif place.key and place.manager != "rotation":
        matches, error = False, "its private key is missing"
    return Found(place, certificate, key_matches=matches, modes=modes, error=error, pem="".join(pems), trusts=trusts)


def _further(item: Found) -> list[Found]:
    """The second and later CAs of a bundle."""
    if item.place.manager != "rotation":
        return []
    return [
        Found(replace(item.place, name=f"{item.place.name}#{number}", key=""), _x509.parse(pem), pem=pem)
        for number, pem in enumerate(_x509.certificates_in(item.pem)[1:], start=2)
    ]


def _beside(kubeconfig: str, path: str) -> str:
    """A path in a kubeconfig is relative to it."""
    return os.path.join(os.path.dirname(kubeconfig), path) if path else ""
