# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What of a rotation can be seen on one host, and what all hosts together say about it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _ca, _x509
from ansible_collections.hostplane.cluster.plugins.module_utils._ca import AUTHORITIES, STAGES, Authority
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import Place, is_control_plane, under
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

# kubeadm lets a certificate begin that much before it was made (kubeadmconstants.CertificateBackdate).
BACKDATE = timedelta(minutes=5)
TIME = "%Y-%m-%dT%H:%M:%SZ"


def read(path: str) -> str:
    """A text file; empty when there is none."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as handle:
        return handle.read()
    return ""


def certificate_of(place: Place, root: str = "/") -> str:
    """The certificate (PEM) at a place; empty when there is none."""
    text = read(under(root, place.path))
    if place.kubeconfig:
        text = _x509.read_kubeconfig(text).certificate
    return next(iter(_x509.certificates_in(text)), "")


def not_signed_by(ca: str, places: Iterable[Place], root: str = "/") -> list[str]:
    """Names of the certificates that this CA alone (PEM) does not vouch for, in the order of the places."""
    there = [(place.name, pem) for place, pem in ((place, certificate_of(place, root)) for place in places) if pem]
    reasons = _x509.verify([pem for dummy, pem in there], ca)
    return [name for (name, dummy), reason in zip(there, reasons) if reason]


def look(root: str = "/") -> dict[str, Any]:
    """The CAs of a host: what each file holds, what is staged, and what the CA that signs has not signed yet."""
    control_plane = is_control_plane(root)
    authorities = {
        name: found for name, authority in AUTHORITIES.items() if (found := _look_at(authority, control_plane, root))
    }
    return {"control_plane": control_plane, "authorities": authorities}


def _look_at(authority: Authority, control_plane: bool, root: str) -> dict[str, Any]:
    pems = _x509.certificates_in(read(under(root, authority.path)))
    if not pems:
        return {}
    signer = _x509.parse(pems[0])
    leaves = authority.leaves() if control_plane else []
    if authority.name == "cluster":
        leaves += _ca.KUBELET_LEAVES
    return {
        "bundle": [_ca.fingerprint(pem) for pem in pems],
        "made": f"{signer.not_before + BACKDATE:{TIME}}",
        "not_after": f"{signer.not_after:{TIME}}",
        "key": os.path.exists(under(root, authority.key)),
        "next": next(iter(_x509.certificates_in(read(under(root, authority.next_path)))), ""),
        "next_key": os.path.exists(under(root, authority.next_key)),
        "not_signed": not_signed_by(pems[0], leaves, root),
    }


def due(info: Mapping[str, Any], before: datetime | None, days: int, now: datetime) -> bool:
    """Whether a CA is to be replaced: it was made before that moment, or expires within so many days."""
    made = datetime.strptime(info["made"], TIME).replace(tzinfo=timezone.utc)
    not_after = datetime.strptime(info["not_after"], TIME).replace(tzinfo=timezone.utc)
    return (before is not None and made < before) or not_after - now < timedelta(days=days)


def summarize(
    infos: Mapping[str, Mapping[str, Any]],
    hosts: Iterable[str],
    chosen: Iterable[str],
    before: datetime | None,
    days: int,
    now: datetime,
    unknown: Iterable[str] = (),
) -> dict[str, Any]:
    """What is to be rotated, who holds the new CAs, how far each CA is on the host that is farthest behind.

    infos: what L(look) said on each host that answered; hosts: all that must answer; chosen: names of the CAs that may
    be rotated; unknown: nodes of the cluster that are no hosts of ours. A rotation that was begun is finished,
    whatever was chosen now.
    """
    hosts = list(hosts)
    planes = {host: info for host, info in infos.items() if info["control_plane"]}
    staged = {
        host: {name: one for name, one in info["authorities"].items() if one["next"] and one["next_key"]}
        for host, info in planes.items()
    }
    holder = max(staged, key=lambda host: len(staged[host]), default="") if any(staged.values()) else ""
    following = {name: one["next"] for name, one in staged[holder].items()} if holder else {}
    names = sorted(following) or sorted(
        name for name in chosen if any(due(info["authorities"][name], before, days, now) for info in planes.values())
    )
    stages = {name: _behind(infos, name, following.get(name, "")) for name in names}
    return {
        "active": bool(holder),
        "authorities": names,
        "holder": holder,
        "next": following,
        "stages": stages,
        "lacking": sorted(host for host in staged if holder and set(staged[host]) != set(following)),
        "not_signed": {
            host: lines
            for host, info in sorted(infos.items())
            if (lines := [leaf for name in names for leaf in info["authorities"].get(name, {}).get("not_signed", [])])
        },
        "problems": [problem.to_dict() for problem in _problems(infos, hosts, names, following, unknown)]
        if names
        else [],
    }


def _behind(infos: Mapping[str, Mapping[str, Any]], name: str, new: str) -> str:
    mark = _ca.fingerprint(new) if new else ""
    there = [info["authorities"][name] for info in infos.values() if name in info["authorities"]]
    found = [_ca.stage(one["bundle"], mark) for one in there]
    return min(found, key=STAGES.index, default="untouched")


def _problems(
    infos: Mapping[str, Mapping[str, Any]],
    hosts: Iterable[str],
    names: Iterable[str],
    following: Mapping[str, str],
    unknown: Iterable[str],
) -> list[Problem]:
    """Why no host must be touched now."""
    found = [
        Problem(
            "rotation_unknown_node",
            f"The node {node} of the cluster is not in the inventory; without the new CAs it would be locked out.",
            "Put it into the inventory, or take it out of the cluster with scale_remove.",
        )
        for node in unknown
    ]
    for host in hosts:
        if host not in infos:
            found.append(
                Problem(
                    "rotation_unreachable",
                    "This host can't be reached, and a CA that it does not learn of locks it out.",
                    "Bring it back, or take it out of the cluster with the scale playbook first.",
                    host=host,
                )
            )
    for host, info in infos.items():
        for name in names:
            one = info["authorities"].get(name)
            if one is None and (info["control_plane"] or name == "cluster"):
                found.append(
                    Problem(
                        "rotation_no_ca",
                        f"{AUTHORITIES[name].path} holds no certificate.",
                        "Join this host to the cluster with the create playbook first.",
                        host=host,
                        path=AUTHORITIES[name].path,
                    )
                )
            elif one and info["control_plane"] and not one["key"]:
                found.append(
                    Problem(
                        "rotation_external_ca",
                        f"{AUTHORITIES[name].key} is not there, so the CA is kept somewhere else.",
                        f"Rotate an external CA by hand, and leave {name} out of certificates_ca.",
                        host=host,
                        path=AUTHORITIES[name].key,
                    )
                )
            elif one and one["next"] and one["next"] != following.get(name, one["next"]):
                found.append(
                    Problem(
                        "rotation_two_cas",
                        f"{AUTHORITIES[name].next_path} is another CA than on the other control planes.",
                        f"Remove {_ca.NEXT} on the hosts where its CA is not part of {AUTHORITIES[name].path} yet.",
                        host=host,
                        path=AUTHORITIES[name].next_path,
                    )
                )
    return found
