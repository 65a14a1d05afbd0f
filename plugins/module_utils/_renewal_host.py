# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What renewal does to a host: kubeadm signs, containers and the kubelet start again, and each is asked how it is."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.hostplane.cluster.plugins.module_utils import _x509
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import PKI, ROOT, Place
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import environment

PROGRAMS = "/usr/local/bin"
CONFIG = "/run/hostplane-certificates.yaml"
MANIFESTS = f"{ROOT}/manifests"
# On the file system of the certificates, and not among them.
STAGING = f"{ROOT}/renewal-"
HEALTH_PORTS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
KUBECONFIGS = {"kube-controller-manager": "controller-manager.conf", "kube-scheduler": "scheduler.conf"}
ALGORITHMS = {
    ("RSA", 2048): "RSA-2048",
    ("RSA", 3072): "RSA-3072",
    ("RSA", 4096): "RSA-4096",
    ("EC", 256): "ECDSA-P256",
    ("EC", 384): "ECDSA-P384",
}
STOP_SECONDS = 30
# Its own two seconds are too few for a containerd that is busy.
CRICTL = ("crictl", "--timeout", "30s")
# The kubelet starts a stopped container within about two seconds, unless it waits after earlier failures.
START_SECONDS = 10.0
POLL_SECONDS = 0.2


class HostError(Exception):
    """A command failed or a component does not come back; the message says which and what it said."""


def command(arguments: Sequence[str], seconds: float = 60) -> str:
    """Run a program of the collection (or systemctl); returns its output, raises HostError with what it said."""
    program = arguments[0] if arguments[0] == "systemctl" else f"{PROGRAMS}/{arguments[0]}"
    title = " ".join(word for word in arguments[:5] if not word.startswith("-"))
    try:
        done = subprocess.run(
            [program, *arguments[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=environment(),
        )
    except FileNotFoundError as exc:
        raise HostError(f"{program} is not there; is this host a node of a cluster of this collection?") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise HostError(f"{title} did not finish: {exc}") from exc
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise HostError(f"{title} failed: {' '.join(said[-3:]) or f'exit code {done.returncode}'}")
    return done.stdout


def wait_for(check: Callable[[], str], seconds: float) -> str:
    """Ask until the check has no complaint; returns its last one, empty when all is well."""
    deadline = time.monotonic() + seconds
    while True:
        complaint = check()
        if not complaint or time.monotonic() > deadline:
            return complaint
        time.sleep(POLL_SECONDS)


def _write_config(certificate: _x509.Certificate | None, days: int, pki: str) -> None:
    """With a file kubeadm needs no API; the key stays of the kind that it was."""
    kind = (certificate.key_type, certificate.key_bits) if certificate else ("RSA", 2048)
    cluster = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        # Without a version kubeadm would ask the internet for the newest one.
        "kubernetesVersion": command(["kubeadm", "version", "-o", "short"]).strip(),
        "certificatesDir": pki,
        "certificateValidityPeriod": f"{days * 24}h",
        "encryptionAlgorithm": ALGORITHMS.get(kind, "RSA-2048"),
    }
    atomic_write(CONFIG, json.dumps(cluster).encode(), 0o600)


def renew(place: Place, certificate: _x509.Certificate | None, days: int) -> None:
    """Let kubeadm sign a new certificate with a new key; all names and usages are those of the old one.

    kubeadm writes one file after the other, and who reads them at that moment gets half a pair. So it works in a
    directory beside, and both files then change places at once. A kubeconfig is one file.
    """
    for left in glob.glob(f"{STAGING}*"):
        shutil.rmtree(left)
    pki = PKI if place.kubeconfig else tempfile.mkdtemp(prefix=os.path.basename(STAGING), dir=os.path.dirname(STAGING))
    try:
        if not place.kubeconfig:
            _stage(place, pki)
        _write_config(certificate, days, pki)
        command(["kubeadm", "certs", "renew", place.name, "--config", CONFIG])
        if not place.kubeconfig:
            for path in (place.key, place.path):
                os.replace(os.path.join(pki, os.path.relpath(path, PKI)), path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(CONFIG)
        if pki != PKI:
            shutil.rmtree(pki)


def _stage(place: Place, pki: str) -> None:
    """What kubeadm reads: the old certificate, and links to the CAs, whose keys stay where they are."""
    os.mkdir(os.path.join(pki, "etcd"), 0o700)
    for name in ("ca", "front-proxy-ca", "etcd/ca"):
        for suffix in (".crt", ".key"):
            os.symlink(f"{PKI}/{name}{suffix}", os.path.join(pki, name + suffix))
    shutil.copy2(place.path, os.path.join(pki, os.path.relpath(place.path, PKI)))


def sign_kubelet(node: str, certificate: _x509.Certificate | None, days: int) -> bytes:
    """A client certificate of a node with its key, as the kubelet stores them; only where the CA's key is."""
    _write_config(certificate, days, PKI)
    arguments = ["kubeadm", "kubeconfig", "user", "--config", CONFIG, "--validity-period", f"{days * 24}h"]
    try:
        made = command([*arguments, "--org", "system:nodes", "--client-name", f"system:node:{node}"])
    finally:
        os.unlink(CONFIG)
    config = _x509.read_kubeconfig(made)
    if not config.certificate or not config.key:
        raise HostError("kubeadm kubeconfig user made no certificate")
    return (config.certificate + config.key).encode()


def containers() -> dict[str, list[dict[str, Any]]]:
    """The control plane's containers by name, the newest first; created is in seconds since the epoch."""
    listed = json.loads(
        command([*CRICTL, "ps", "-a", "--label", "io.kubernetes.pod.namespace=kube-system", "-o", "json"])
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in listed.get("containers") or []:
        created = int(entry.get("createdAt") or 0) / 1e9
        running = entry.get("state") == "CONTAINER_RUNNING"
        name = entry["metadata"]["name"]
        found.setdefault(name, []).append({"id": entry["id"], "running": running, "created": created})
    return {name: sorted(ones, key=lambda one: -one["created"]) for name, ones in found.items()}


def restart_container(name: str) -> None:
    """Stop a static pod's container, and nothing else of the pod; the kubelet starts it again.

    The manifest stays as it is: taking it away would make the whole pod anew and takes the kubelet twice as long, and
    changing it would leave a trace. Without the stopped containers the kubelet has no failures to wait for.
    """
    old = containers().get(name, [])
    for container in old:
        if container["running"]:
            command([*CRICTL, "stop", "--timeout", str(STOP_SECONDS), container["id"]], STOP_SECONDS * 2)
    for container in old:
        # The kubelet may have been faster.
        with contextlib.suppress(HostError):
            command([*CRICTL, "rm", container["id"]])
    gone = {container["id"] for container in old}

    def started() -> str:
        running = any(one["running"] and one["id"] not in gone for one in containers().get(name, []))
        return "" if running else f"{name} is not started by the kubelet"

    if wait_for(started, START_SECONDS):
        # A kubelet that forgets its failures starts it at once.
        restart_kubelet()


def restart_kubelet() -> None:
    """Its pods go on running."""
    command(["systemctl", "restart", "kubelet"])


def _manifest_value(component: str, flag: str, default: str) -> str:
    try:
        with open(f"{MANIFESTS}/{component}.yaml", encoding="utf-8") as handle:
            found = re.search(rf"--{flag}=(\S+)", handle.read())
    except OSError:
        return default
    return found[1] if found else default


def api_port() -> int:
    """The port of this host's own API server."""
    return int(_manifest_value("kube-apiserver", "secure-port", "6443"))


def peer_address() -> tuple[str, int]:
    """Where this host's etcd listens for the other ones."""
    url = urlsplit(_manifest_value("etcd", "listen-peer-urls", "https://127.0.0.1:2380").split(",")[0])
    return url.hostname or "127.0.0.1", url.port or 2380


def served(address: tuple[str, int], client: str) -> str:
    """Fingerprint (SHA-256) of the certificate that a server shows; client is the stem of our own one's files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Only which certificate it is matters; whether it is a good one was checked in its file.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError):
        context.load_cert_chain(f"{client}.crt", f"{client}.key")
    try:
        with socket.create_connection(address, timeout=2) as raw, context.wrap_socket(raw) as connection:
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError:
        return ""


def api_complaint(seconds: float = 2) -> str:
    """What is wrong with this host's API server; empty when it is ready."""
    try:
        context = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
        complaint = _ask("kubernetes", api_port(), "/readyz", context, seconds)
        if "answers 401" in complaint or "answers 403" in complaint:
            # Anonymous requests are not allowed here.
            context.load_cert_chain(f"{PKI}/apiserver-kubelet-client.crt", f"{PKI}/apiserver-kubelet-client.key")
            complaint = _ask("kubernetes", api_port(), "/readyz", context, seconds)
        return complaint and f"the API server: {complaint}"
    except OSError as exc:
        return f"the API server does not answer: {exc}"


def fetch(name: str, port: int, path: str, context: ssl.SSLContext, seconds: float) -> tuple[int, str]:
    """Status and text of a server on this host that is known by a name of its certificate."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds, context=context)
    try:
        # http.client has no way to ask an address for a name.
        connection.sock = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=seconds), server_hostname=name
        )
        connection.request("GET", path, headers={"Host": name})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def _ask(name: str, port: int, path: str, context: ssl.SSLContext, seconds: float) -> str:
    try:
        status, said = fetch(name, port, path, context, seconds)
    except (OSError, http.client.HTTPException) as exc:
        return f"{path} at port {port} does not answer: {exc}"
    return "" if status == 200 else f"{path} answers {status}: {said.strip()[-300:]}"


def component_complaint(name: str) -> str:
    """What is wrong with the controller manager or the scheduler: that it is ill, or who it is to the API."""
    # It signs its own certificate at every start, so there is nothing to verify it with.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ill = _ask(name, HEALTH_PORTS[name], "/healthz", context, 2)
    return f"{name}: {ill}" if ill else accepted(f"{ROOT}/{KUBECONFIGS[name]}")


def accepted(kubeconfig: str) -> str:
    """Why the API does not accept who a kubeconfig says it is; empty when it does."""
    try:
        command(["kubectl", "--kubeconfig", kubeconfig, "--request-timeout", "5s", "auth", "whoami"], 10)
    except HostError as exc:
        return f"the API does not accept {os.path.basename(kubeconfig)}: {exc}"
    return ""
