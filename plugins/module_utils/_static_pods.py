# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whether the static pods that run on a control plane are those that its kubelet wants.

A kubelet names a static pod by a hash of what it has read. With another minor version of the kubelet the hash differs,
so it ends all static pods some seconds after its start and starts them anew.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_host as host
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import PKI

KUBELET_PORT = 10250
SOURCE = "kubernetes.io/config.source"
UID = "io.kubernetes.pod.uid"


def strangers(pods: Sequence[Mapping[str, Any]], containers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Static pods of the kubelet (its C(/pods)) of which no container runs (crictl's list), sorted."""
    running = {entry["labels"].get(UID) for entry in containers if entry.get("state") == "CONTAINER_RUNNING"}
    return sorted(
        str(pod["metadata"]["name"])
        for pod in pods
        if (pod["metadata"].get("annotations") or {}).get(SOURCE) == "file" and pod["metadata"]["uid"] not in running
    )


def complaint() -> str:
    """What keeps the static pods from being the kubelet's own; empty when nothing does."""
    # Its certificate may be one that it has signed itself, and nobody else listens on this host's own port.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.load_cert_chain(f"{PKI}/apiserver-kubelet-client.crt", f"{PKI}/apiserver-kubelet-client.key")
        status, said = host.fetch("localhost", KUBELET_PORT, "/pods", context, 5)
        if status != 200:
            return f"the kubelet does not tell its pods: {status} {said.strip()[-200:]}"
        pods = json.loads(said).get("items") or []
        containers = json.loads(host.command([*host.CRICTL, "ps", "-o", "json"])).get("containers") or []
    except (OSError, ValueError, http.client.HTTPException, host.HostError) as exc:
        return f"the kubelet does not tell its pods: {exc}"
    late = strangers(pods, containers)
    return f"the kubelet has not started {', '.join(late)} yet" if late else ""
