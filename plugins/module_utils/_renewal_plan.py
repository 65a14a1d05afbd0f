# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What is to be renewed on a host, who has to be restarted for it, and what nobody can renew. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import Found
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, natural_key

# They read an embedded certificate once, when they start. kube-apiserver and etcd take up changed files by themselves:
# the API server's serving, kubelet and aggregation certificates are watched (k8s.io/apiserver dynamiccertificates,
# k8s.io/client-go/transport cert_rotation), etcd and its clients read theirs at every handshake (etcd transport
# TLSInfo). kubeadm's own advice to restart everything is older than that; kubernetes/kubernetes#131298.
READ_ONCE = ("kube-controller-manager", "kube-scheduler")
# The order in which they are restarted and proven: each one needs those before it.
ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
BACKUPS = "/etc/kubernetes/backups/certificates"


@dataclass(frozen=True)
class Plan:
    """What a run does. Names are those of the inventory; reasons tells why each is renewed.

    kubelet tells how its client certificate comes back: sign (here, by kubeadm), bootstrap (with a token) or empty.
    """

    kubeadm: tuple[str, ...] = ()
    kubelet: str = ""
    serving: bool = False
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.kubeadm or self.kubelet or self.serving or self.restart)


def _reason(item: Found, authorities: dict[str, Found], days: int, now: datetime, force: bool) -> str:
    """Why it has to be renewed. One that lasts as long as its CA is not renewed: the CA is what is due then."""
    reason = item.due(days, now)
    if item.place.manager != "kubeadm" or item.broken(now):
        return reason
    ca = authorities.get(item.place.ca)
    if ca and ca.certificate and item.certificate:
        lasts = item.certificate.not_after >= ca.certificate.not_after - timedelta(days=1)
        reason = "" if lasts else reason
    return reason or ("renewal was asked for" if force else "")


def make_plan(
    found: Iterable[Found],
    days: int,
    now: datetime,
    started: dict[str, float] | None = None,
    written: dict[str, float] | None = None,
    force: bool = False,
) -> Plan:
    """Decide; started tells when the running container of a component began and written when its kubeconfig changed.

    A component that is older than its kubeconfig was not restarted by a run that was interrupted.
    """
    items = {item.place.name: item for item in found}
    authorities = {name: item for name, item in items.items() if item.place.manager == "rotation"}
    reasons = {}
    for name, item in items.items():
        if item.place.manager in ("kubeadm", "kubelet") and name != "kubelet-server":
            reason = _reason(item, authorities, days, now, force)
            if reason:
                reasons[name] = reason
    kubeadm = sorted((name for name in reasons if items[name].place.manager == "kubeadm"), key=natural_key)
    restart: set[str] = set()
    reload: set[str] = set()
    for name in kubeadm:
        for user in items[name].place.users:
            # What runs with a certificate that is no good any more may have given up, or wait for long to try again.
            (restart if user in READ_ONCE or items[name].broken(now) else reload).add(user)
    for component, at in (written or {}).items():
        begun = (started or {}).get(component)
        if begun is not None and begun < at and component not in restart:
            restart.add(component)
            reasons.setdefault(component, "it runs with a certificate that was replaced since")
    signs = authorities.get("ca")
    kubelet = ""
    if "kubelet-client" in reasons:
        kubelet = "sign" if signs and signs.key_matches else "bootstrap"
    return Plan(
        kubeadm=tuple(kubeadm),
        kubelet=kubelet,
        serving="kubelet-server-self" in reasons,
        restart=tuple(name for name in ORDER if name in restart),
        reload=tuple(name for name in ORDER if name in reload - restart),
        reasons=tuple(sorted(reasons.items(), key=lambda pair: natural_key(pair[0]))),
    )


def problems(found: Iterable[Found], days: int, now: datetime) -> list[Problem]:
    """Everything that keeps due certificates from being renewed. Nothing may be changed while there is one."""
    items = {item.place.name: item for item in found}
    told: list[Problem] = []

    def tell(code: str, item: Found, message: str, remedy: str) -> None:
        told.append(Problem(code, f"{item.place.name} ({item.place.path}) {message}", remedy, path=item.place.path))

    for item in items.values():
        reason = item.due(days, now)
        # A second CA in a file is only trusted still; it may end.
        if item.place.manager == "rotation" and item.broken(now) and "#" not in item.place.name:
            remedy = "restore it from a backup, or rotate the CA (docs/certificates.md)"
            tell("CertificateAuthority", item, item.broken(now), remedy)
        elif item.place.manager == "kubeadm" and item.certificate is None:
            remedy = f"restore it from {BACKUPS} or another backup; kubeadm copies all names from the old certificate"
            tell("CertificateUnreadable", item, item.error, remedy)
        elif item.place.manager == "kubeadm" and reason:
            ca = items.get(item.place.ca)
            if ca is not None and ca.key_matches is None:
                remedy = f"renew it where the key of {ca.place.name} is kept: kubeadm certs generate-csr"
                tell("ExternalCA", item, f"{reason}, but this host has no {ca.place.key}", remedy)
    return told + _foreign(items)


def _foreign(items: dict[str, Found]) -> list[Problem]:
    """A CA that signed none of its certificates is not this cluster's: renewing would lock everybody else out."""
    told = []
    for name, ca in items.items():
        signed = [item for item in items.values() if item.place.ca == name and item.place.manager == "kubeadm"]
        if ca.place.manager == "rotation" and len(signed) > 1 and all(item.chain for item in signed):
            told.append(
                Problem(
                    "CertificateAuthority",
                    f"{name} ({ca.place.path}) signed none of this host's {len(signed)} certificates that need it",
                    "put the cluster's own CA back; to change the CA, rotate it (docs/certificates.md)",
                    path=ca.place.path,
                )
            )
    return told
