# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""One phase of a rotation on one host: files first, then whoever still works with older ones, one after the other."""

from __future__ import annotations

import base64
import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ansible_collections.hostplane.cluster.plugins.module_utils import _ca, _ca_kubelet, _x509
from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_host as host
from ansible_collections.hostplane.cluster.plugins.module_utils._ca import AUTHORITIES, NEXT, ORDER, SIGNING, Authority
from ansible_collections.hostplane.cluster.plugins.module_utils._ca_state import certificate_of, not_signed_by, read
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import PKI, ROOT, is_control_plane
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal import etcd_complaint
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_files import Backup

MANIFEST = f"{host.MANIFESTS}/kube-controller-manager.yaml"
KUBELET_CONF = f"{ROOT}/kubelet.conf"
KUBECONFIGS = [f"{ROOT}/{name}.conf" for name in ("admin", "super-admin", "controller-manager", "scheduler")]
PREPARE_CONFIG = "/run/hostplane-ca.yaml"
# The kubelet looks at its manifests when they change; were that notice lost, it would take it 20 seconds.
MANIFEST_SECONDS = 40.0
BACKUPS_KEPT = 20


class CaError(Exception):
    """The phase did not end; the message says what is wrong and what to do. The same phase may be run again."""


@dataclass
class Result:
    """What was (or would be) done on the host."""

    paths: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    backup: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.paths or self.issued or self.restarted)


def prepare(names: list[str], days: int, files: Mapping[str, str], check: bool) -> bool:
    """Put the new CAs beside the old ones, all of them at once; False when they are there.

    files: those of another control plane, path to Base64; without them kubeadm makes new ones.
    """
    wanted = {path for name in names for path in (AUTHORITIES[name].next_path, AUTHORITIES[name].next_key)}
    if files and set(files) != wanted:
        raise CaError(f"files must be {', '.join(sorted(wanted))}")
    if os.path.isdir(NEXT):
        return False
    if check:
        return True
    for left in glob.glob(f"{PKI}/.next-*"):
        shutil.rmtree(left)
    made = tempfile.mkdtemp(prefix=".next-", dir=PKI)
    if files:
        _write_given(made, files)
    else:
        _make(made, names, days)
    os.rename(made, NEXT)
    return True


def _write_given(made: str, files: Mapping[str, str]) -> None:
    for path, data in files.items():
        target = os.path.join(made, os.path.relpath(path, NEXT))
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        atomic_write(target, base64.b64decode(data), 0o600)


def _make(made: str, names: list[str], days: int) -> None:
    for name in names:
        authority = AUTHORITIES[name]
        now = _x509.parse(_x509.certificates_in(read(authority.path))[0])
        config = {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": host.command(["kubeadm", "version", "-o", "short"]).strip(),
            "certificatesDir": made,
            "caCertificateValidityPeriod": f"{days * 24}h",
            "encryptionAlgorithm": host.ALGORITHMS.get((now.key_type, now.key_bits), "RSA-2048"),
        }
        atomic_write(PREPARE_CONFIG, json.dumps(config).encode(), 0o600)
        try:
            host.command(["kubeadm", "init", "phase", "certs", authority.entry, "--config", PREPARE_CONFIG])
        finally:
            os.unlink(PREPARE_CONFIG)


def clean(check: bool) -> bool:
    """Remove what only the rotation needed; the new CAs are in their places by now."""
    there = os.path.isdir(NEXT)
    if check:
        return there
    for name, authority in AUTHORITIES.items():
        new = read(authority.next_path)
        if new and _ca.complete(read(authority.path)) != _ca.complete(new):
            raise CaError(f"the rotation of {name} has not ended here; run the playbook again")
    if there:
        shutil.rmtree(NEXT)
    return there


class Phase:
    """A phase on this host. following: the new CAs (PEM) by name."""

    def __init__(self, phase: str, following: Mapping[str, str], timeout: int, check: bool = False) -> None:
        self.phase, self.following, self.check = phase, dict(following), check
        self.deadline = time.monotonic() + timeout
        self.control_plane = is_control_plane()
        self.result = Result()

    def authorities(self) -> list[Authority]:
        return [AUTHORITIES[name] for name in sorted(self.following)]

    def run_control_plane(self) -> Result:
        """The control plane's part: all static pods work with the CAs and certificates of the phase afterwards."""
        if self.phase == "drop":
            self._refuse_to_drop()
        for authority in self.authorities():
            self._switch(authority)
        if self.phase == "issue":
            for authority in self.authorities():
                self._issue(authority)
        if "cluster" in self.following:
            bundle = _ca.complete(*self._bundle(AUTHORITIES["cluster"]))
            for path in KUBECONFIGS:
                self._write(path, _ca.with_ca_data(read(path), bundle), 0o600)
            self._write(MANIFEST, self._manifest(), 0o600)
        self._take_up()
        return self.result

    def run_node(self) -> Result:
        """The kubelet's part: it trusts the CAs of the phase; from issue on its own certificates are of the new one."""
        authority = AUTHORITIES["cluster"]
        if authority.name not in self.following:
            return self.result
        new = self.following[authority.name]
        if self.phase == "drop":
            self._refuse_to_drop()
        if not self.control_plane:
            self._switch(authority)
        bundle = _ca.complete(*self._bundle(authority))
        self._write(KUBELET_CONF, _ca.with_ca_data(read(KUBELET_CONF), bundle), 0o600)
        if self.phase == "issue":
            lacking = not_signed_by(new, _ca.KUBELET_LEAVES)
            lacking += ["kubelet-server"] if _ca_kubelet.server_forgotten() else []
            self.result.issued += lacking
            if lacking and not self.check:
                self._keep()
                if "kubelet-client" in lacking:
                    _ca_kubelet.renew_client(new, self.deadline)
                if "kubelet-server" in lacking:
                    _ca_kubelet.forget_server()
        if self.result.changed or _ca_kubelet.started() < max(map(os.path.getmtime, _ca_kubelet.READS)):
            self.result.restarted.append("kubelet")
            if not self.check:
                host.restart_kubelet()
        if not self.check:
            self._need(lambda: host.accepted(KUBELET_CONF))
        return self.result

    # --- files

    def _bundle(self, authority: Authority) -> list[str]:
        current = _x509.certificates_in(read(authority.path))
        if not current:
            raise CaError(f"{authority.path} holds no certificate; is this host a node?")
        return _ca.wanted_bundle(self.phase, current, self.following[authority.name])

    def _switch(self, authority: Authority) -> None:
        bundle = self._bundle(authority)
        if self.control_plane:
            signs = _ca.fingerprint(bundle[0]) == _ca.fingerprint(self.following[authority.name])
            if signs:
                # The key first: a bundle whose first certificate is the new one says that its key is in its place.
                key = read(authority.next_key) or read(authority.key)
                self._write(authority.key, key, 0o600)
            if authority.name == "cluster" and len(bundle) > 1:
                self._write(SIGNING, _ca.complete(bundle[0]), 0o644)
                # Before its file becomes a bundle, with which the controller manager would not sign.
                self._write(MANIFEST, self._manifest(), 0o600)
        self._write(authority.path, _ca.complete(*bundle), 0o644)

    def _manifest(self) -> str:
        done = len(self._bundle(AUTHORITIES["cluster"])) == 1
        return _ca.with_signing_file(read(MANIFEST), AUTHORITIES["cluster"].path if done else SIGNING)

    def _write(self, path: str, text: str, mode: int) -> None:
        if not text or read(path) == text or (self.check and path in self.result.paths):
            return
        if not self.check:
            self._keep()
            atomic_write(path, text.encode(), mode)
        self.result.paths.append(path)

    def _keep(self) -> None:
        """A copy of everything, before the first change of this run."""
        if self.result.backup:
            return
        paths = [path for pattern in (f"{PKI}/**", f"{ROOT}/*.conf") for path in glob.glob(pattern, recursive=True)]
        paths += [MANIFEST, *glob.glob("/var/lib/kubelet/pki/*.pem")]
        self.result.backup = Backup([path for path in paths if os.path.isfile(path)], keep=BACKUPS_KEPT).path

    # --- certificates

    def _issue(self, authority: Authority) -> None:
        new, places = self.following[authority.name], {place.name: place for place in authority.leaves()}
        for name in not_signed_by(new, places.values()):
            self.result.issued.append(name)
            if self.check:
                continue
            self._keep()
            old = certificate_of(places[name])
            certificate = _x509.parse(old)
            days = (certificate.not_after - certificate.not_before).days
            host.renew(places[name], certificate, max(1, days))

    def _refuse_to_drop(self) -> None:
        for authority in self.authorities():
            places = authority.leaves() if self.control_plane else []
            places += _ca.KUBELET_LEAVES if authority.name == "cluster" else []
            lacking = not_signed_by(self.following[authority.name], places)
            if lacking:
                raise CaError(
                    f"{', '.join(lacking)} are not signed by the new CA yet, so the old one can't be dropped here; "
                    "run the playbook from its beginning"
                )

    # --- who uses them

    def _take_up(self) -> None:
        for name in ORDER:
            reads = {path for authority in self.authorities() for path in authority.reads.get(name, ())}
            if not reads or not os.path.exists(f"{host.MANIFESTS}/{name}.yaml"):
                continue
            if self.check:
                if reads & set(self.result.paths) or self.result.issued:
                    self.result.restarted.append(name)
                continue
            if self._stale(name, reads):
                self.result.restarted.append(name)
                manifest = f"{host.MANIFESTS}/{name}.yaml"
                if manifest in self.result.paths:
                    # The kubelet makes the pod anew by itself.
                    host.wait_for(lambda name=name, reads=reads: self._stale(name, reads), MANIFEST_SECONDS)  # type: ignore[misc]
                if self._stale(name, reads):
                    host.restart_container(name)
            self._prove(name)

    @staticmethod
    def _stale(name: str, reads: set[str]) -> str:
        """Whether no container runs that was started after its files were written."""
        newest = max(os.path.getmtime(path) for path in reads)
        running = [one for one in host.containers().get(name, []) if one["running"]]
        return "" if any(one["created"] > newest for one in running) else f"{name} works with older files"

    def _prove(self, name: str) -> None:
        if name == "etcd":
            self._need(etcd_complaint)
        elif name == "kube-apiserver":
            self._need(host.api_complaint)
        elif name in host.HEALTH_PORTS:
            self._need(lambda: host.component_complaint(name))

    def _need(self, check: Callable[[], str]) -> None:
        complaint = host.wait_for(check, max(1.0, self.deadline - time.monotonic()))
        if complaint:
            raise CaError(f"{complaint}. The files of before are in {self.result.backup or 'the newest backup'}")
