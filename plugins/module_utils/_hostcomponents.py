# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""Which programs and images of a release a member has, and which of them are others in the bundle of today.

create works on all hosts at once. On a host that is a member it must not exchange what runs there; upgrade does that,
host by host. A program that is missing or damaged is another matter: nothing is known of it, and create puts it right.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hostplane.cluster.plugins.module_utils._files import CACHE, DigestCache
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System
from ansible_collections.hostplane.cluster.plugins.module_utils._snapshot_tools import image_of

# Their pods are made anew with another image; all others kubeadm or the API server exchanges.
BALANCERS = ("haproxy", "keepalived")


def installed(system: System) -> dict[str, dict[str, str]]:
    """By path the digests of programs that are as they were installed, and the images of the balancer's pods."""
    cache = DigestCache(system.path(CACHE))
    files = {path: cache.known(path, system.path(path)) for path in sorted(cache.entries)}
    images = {name: image_of(system.read(f"/etc/kubernetes/manifests/{name}.yaml")) for name in BALANCERS}
    return {
        "files": {path: digest for path, digest in files.items() if digest},
        "images": {name: image for name, image in images.items() if image},
    }


def others(components: t.Mapping[str, t.Mapping[str, str]], plan: t.Mapping[str, t.Any], arch: str) -> list[str]:
    """Names of what the host has and the plan has another one of, sorted."""
    files = [entry for purpose in (plan.get("files") or {}).get(arch, {}).values() for entry in purpose]
    found = [
        entry["name"]
        for entry in files
        if entry["sha256"] and components["files"].get(entry["path"], entry["sha256"]) != entry["sha256"]
    ]
    images = plan.get("images") or {}
    digests = (images.get("digests") or {}).get(arch, {})
    for name, image in components["images"].items():
        digest = digests.get(images.get(name))
        if digest and image.partition("@")[2] not in ("", digest):
            found.append(name)
    return sorted(found)
