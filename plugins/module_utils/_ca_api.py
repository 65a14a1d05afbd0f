# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The names in the API server's certificate: kubeadm decides which they are, and only a difference is taken up."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_host as host
from ansible_collections.hostplane.cluster.plugins.module_utils import _x509
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import PKI, ROOT
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_files import Backup

CERTIFICATE = f"{PKI}/apiserver.crt"
KEY = f"{PKI}/apiserver.key"
# The API server looks at its file when it changes, and once a minute in case it missed that.
RELOAD_SECONDS = 15.0
BACKUPS_KEPT = 20


class ApiNamesError(Exception):
    """The certificate was not replaced; the message says why."""


@dataclass(frozen=True)
class Names:
    """What the certificate is for now and what it is to be for, as kind:value, sorted."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    reloaded: bool = False
    backup: str = ""


def documents(cluster: Mapping[str, Any], node: str, address: str, directory: str = PKI) -> str:
    """kubeadm's configuration; JSON is YAML too, and hosts have no library for more."""
    init = {
        "apiVersion": cluster["apiVersion"],
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": address},
        "nodeRegistration": {"name": node, "criSocket": "unix:///run/containerd/containerd.sock"},
    }
    return f"{json.dumps(init)}\n---\n{json.dumps({**cluster, 'certificatesDir': directory})}\n"


def update(cluster: Mapping[str, Any], node: str, address: str, check: bool) -> Names:
    """Replace the certificate when kubeadm would put other names into it than it has."""
    with open(CERTIFICATE, encoding="utf-8") as handle:
        before = _x509.parse(_x509.certificates_in(handle.read())[0]).sans
    made = tempfile.mkdtemp(prefix="hostplane-api-", dir="/run")
    try:
        for name in ("ca.crt", "ca.key"):
            os.symlink(f"{PKI}/{name}", f"{made}/{name}")
        atomic_write(f"{made}/config.yaml", documents(cluster, node, address, made).encode(), 0o600)
        host.command(["kubeadm", "init", "phase", "certs", "apiserver", "--config", f"{made}/config.yaml"])
        with open(f"{made}/apiserver.crt", encoding="utf-8") as handle:
            certificate = handle.read()
        with open(f"{made}/apiserver.key", encoding="utf-8") as handle:
            key = handle.read()
    finally:
        shutil.rmtree(made)
    new = _x509.parse(certificate)
    if new.sans == before or check:
        return Names(before, new.sans)
    backup = Backup([CERTIFICATE, KEY], BACKUPS_KEPT)
    atomic_write(KEY, key.encode(), 0o600)
    atomic_write(CERTIFICATE, certificate.encode(), 0o644)
    return Names(before, new.sans, _take_up(backup, new.fingerprint), backup.path)


def _take_up(backup: Backup, fingerprint: str) -> bool:
    """Wait until the API server shows the new certificate; whether it did so without a restart."""
    address = ("127.0.0.1", host.api_port())

    def not_shown() -> str:
        return "" if host.served(address, "") == fingerprint else "the API server does not show its new certificate"

    reloaded = not host.wait_for(not_shown, RELOAD_SECONDS)
    if not reloaded:
        host.restart_container("kube-apiserver")
    complaint = host.wait_for(not_shown, 60.0) or host.wait_for(host.api_complaint, 60.0)
    if complaint:
        backup.restore()
        host.restart_container("kube-apiserver")
        raise ApiNamesError(f"{complaint}. The certificate of before was put back from {backup.path}")
    return reloaded


def upload(cluster: Mapping[str, Any], node: str, address: str) -> None:
    """Let kubeadm keep the configuration in the cluster, for control planes that join and for upgrades."""
    descriptor, path = tempfile.mkstemp(prefix="hostplane-api-", suffix=".yaml", dir="/run")
    os.close(descriptor)
    try:
        atomic_write(path, documents(cluster, node, address).encode(), 0o600)
        command = ["kubeadm", "init", "phase", "upload-config", "kubeadm", "--config", path]
        host.command([*command, "--kubeconfig", f"{ROOT}/admin.conf"])
    finally:
        os.unlink(path)
