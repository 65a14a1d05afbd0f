# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""A kubelet's certificates from a new CA, asked for as the kubelet itself does; the key never leaves the host."""

from __future__ import annotations

import base64
import contextlib
import glob
import http.client
import json
import os
import re
import ssl
import time
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_host, _x509
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import (
    KUBELET_CLIENT,
    KUBELET_PKI,
    ROOT,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_files import link

KUBELET_CONF = f"{ROOT}/kubelet.conf"
KUBELET_SERVER = f"{KUBELET_PKI}/kubelet-server-current.pem"
KEY = f"{KUBELET_PKI}/hostplane-client.key"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
# What the kubelet reads only when it starts.
READS = (KUBELET_CONF, KUBELET_CLIENT)
NODE = re.compile(r"(?:^|[,+])CN=system:node:([^,+]+)")
POLL_SECONDS = 0.3
PROPERTIES = ("--property=ActiveEnterTimestampMonotonic", "--property=ActiveState")
ASK_AGAIN_SECONDS = 20.0


class KubeletError(Exception):
    """The kubelet has no new certificate; the message says why."""


def started() -> float:
    """When the kubelet was started, in seconds since the epoch; 0 when it does not run."""
    said = _renewal_host.command(["systemctl", "show", "kubelet", *PROPERTIES])
    values = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if values.get("ActiveState") != "active":
        return 0.0
    boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    return boot + int(values.get("ActiveEnterTimestampMonotonic") or 0) / 1e6


def forget_server() -> None:
    """Let the kubelet ask for another serving certificate: it does when it starts and finds none."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(KUBELET_SERVER)


def server_forgotten() -> bool:
    """Whether the kubelet has had serving certificates and now none: a killed run may not have restarted it."""
    return bool(glob.glob(f"{KUBELET_PKI}/kubelet-server-*.pem")) and not os.path.lexists(KUBELET_SERVER)


def renew_client(new_ca: str, deadline: float) -> None:
    """Ask the API, as the node that this host is, for a client certificate and give it to the kubelet.

    Waiting for the kubelet's own renewal would take months; with a bootstrap token it would be nobody for a moment.
    new_ca is the CA (PEM) that must have signed it.
    """
    with open(KUBELET_CLIENT, encoding="utf-8") as handle:
        subject = _x509.parse(_x509.certificates_in(handle.read())[0]).subject
    found = NODE.search(subject)
    if not found:
        raise KubeletError(f"{KUBELET_CLIENT} is not a node's certificate but {subject}")
    name = found[1]
    request = _make_request(name)
    try:
        while True:
            certificate = _ask(request, name, deadline)
            if certificate and not _x509.verify([certificate], new_ca)[0]:
                break
            if time.monotonic() > deadline:
                raise KubeletError(
                    f"the cluster did not sign {name}'s certificate with its new CA; see the controller manager's log"
                )
            time.sleep(POLL_SECONDS)
        with open(KEY, encoding="utf-8") as handle:
            pair = certificate + handle.read()
        path = f"{KUBELET_PKI}/kubelet-client-{datetime.now(timezone.utc):%Y-%m-%d-%H-%M-%S}.pem"
        atomic_write(path, pair.encode(), 0o600)
        link(path, KUBELET_CLIENT)
    finally:
        for left in glob.glob(f"{KEY}*"):
            os.unlink(left)


def _make_request(name: str) -> str:
    """A signing request (PEM) for a new key, which is kept in a file that only root can read."""
    mask = os.umask(0o077)
    try:
        options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", KEY]
        said = _x509.run(["req", "-new", *options, "-subj", f"/O=system:nodes/CN=system:node:{name}"])
    finally:
        os.umask(mask)
    begin, end = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"
    return begin + said.partition(begin)[2].partition(end)[0] + end + "\n"


def _ask(request: str, name: str, deadline: float) -> str:
    """Send the request and wait for the certificate (PEM); empty when it is time to ask anew."""
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": {
            "request": base64.b64encode(request.encode()).decode(),
            "signerName": CLIENT_SIGNER,
            "usages": ["digital signature", "client auth"],
        },
    }
    try:
        made = call("POST", REQUESTS, body)
        until = min(deadline, time.monotonic() + ASK_AGAIN_SECONDS)
        while time.monotonic() < until:
            status = call("GET", f"{REQUESTS}/{made['metadata']['name']}").get("status") or {}
            if status.get("certificate"):
                return base64.b64decode(status["certificate"]).decode()
            refused = [one for one in status.get("conditions") or [] if one["type"] in ("Denied", "Failed")]
            if refused:
                reason = refused[0].get("message") or refused[0]["type"]
                raise KubeletError(f"the request of {name} was refused: {reason}")
            time.sleep(POLL_SECONDS)
    except (OSError, http.client.HTTPException) as exc:
        if time.monotonic() > deadline:
            raise KubeletError(f"the API does not answer {name}: {exc}") from exc
    return ""


def call(method: str, path: str, body: Any = None) -> Any:
    """One request to the API as the node; raises OSError when it is not answered or refused."""
    with open(KUBELET_CONF, encoding="utf-8") as handle:
        config = _x509.read_kubeconfig(handle.read())
    url = urlsplit(config.server)
    context = ssl.create_default_context(cadata=config.ca)
    context.load_cert_chain(config.certificate_file or KUBELET_CLIENT, config.key_file or KUBELET_CLIENT)
    connection = http.client.HTTPSConnection(url.hostname or "", url.port or 443, timeout=10, context=context)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, body=text, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read() or b"{}")
    except ValueError as exc:
        raise OSError(f"the answer is no JSON: {exc}") from exc
    finally:
        connection.close()
    if answer.status >= 400:
        raise OSError(f"{answer.status}: {said.get('message') or answer.reason}")
    return said
