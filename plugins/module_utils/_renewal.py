# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Renewing a host's certificates: kept, renewed, taken up, proven, and put back when a component fails with them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _certificates, _etcd, _x509
from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_host as host
from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal_plan as planning
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import KUBELET_CLIENT, ROOT, Found
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import read_marker
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_files import Backup, link
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_gap import Gap

BOOTSTRAP = f"{ROOT}/bootstrap-kubelet.conf"
KUBELET_CONF = f"{ROOT}/kubelet.conf"
# A certificate file that changed is taken up at once; only where the kernel's notice is lost it takes a minute.
RELOAD_SECONDS = 15.0
NODE = re.compile(r"""system:node:([^\s"'@,}]+)""")


class RenewalError(Exception):
    """Something was not renewed; the message says what, what was put back and what to do."""


def now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class Result:
    """What a run did."""

    renewed: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    backup: str = ""
    gap: float | None = None
    recovering: bool = False


def stale(control_plane: bool) -> tuple[dict[str, float], dict[str, float]]:
    """When the components that read a kubeconfig once were started, and when it was written."""
    if not control_plane:
        return {}, {}
    running = host.containers()
    started = {name: running[name][0]["created"] for name in planning.READ_ONCE if running.get(name)}
    paths = {name: f"{ROOT}/{host.KUBECONFIGS[name]}" for name in planning.READ_ONCE}
    return started, {name: os.path.getmtime(path) for name, path in paths.items() if os.path.exists(path)}


class Renewal:
    """One run on one host."""

    def __init__(self, found: list[Found], plan: planning.Plan, options: dict[str, Any]) -> None:
        self.items = {item.place.name: item for item in found}
        self.plan, self.options = plan, options
        self.timeout = float(options["timeout"])
        self.control_plane = _certificates.is_control_plane()
        self.result = Result()
        self.later = False
        self.etcd_before = ""

    def days(self, ca: str) -> int:
        """How long a new certificate is valid: never longer than its CA."""
        authority = self.items[ca].days_left(now()) if ca in self.items else None
        wanted = int(self.options["validity_days"])
        return wanted if authority is None else max(1, min(wanted, authority))

    def run(self) -> Result:
        """Renew and prove it; raises RenewalError when something was put back or is still not well."""
        self._look_before()
        names = [*self.plan.kubeadm, *(["kubelet-client"] if self.plan.kubelet else [])]
        names += ["kubelet-server-self"] if self.plan.serving else []
        paths = [path for name in names for path in (self.items[name].place.path, self.items[name].place.key)]
        backup = Backup(paths, self.options["keep"]) if paths else None
        self.result.backup = backup.path if backup else ""
        gap = Gap()
        if self.control_plane:
            gap.start()
        try:
            self._renew()
            self._take_up()
        except (host.HostError, _x509.X509Error, OSError) as exc:
            raise RenewalError(self._undo(backup, str(exc))) from exc
        finally:
            self.result.gap = gap.stop() if self.control_plane else None
        return self.result

    def _look_before(self) -> None:
        """A cluster that is down is recovered; one that is up must not lose its quorum."""
        if not self.control_plane:
            return
        self.result.recovering = bool(host.api_complaint())
        # One control plane alone can't bring a larger cluster back: when all are renewed, the last step waits for them.
        self.later = self.result.recovering and bool(self.options["others"])
        if not self.result.recovering:
            self.etcd_before = etcd_complaint()
            if self.etcd_before and "etcd" in self.plan.restart:
                raise RenewalError(f"etcd has to be restarted here, but {self.etcd_before}; bring it back first")

    def _renew(self) -> None:
        for name in self.plan.kubeadm:
            item = self.items[name]
            host.renew(item.place, item.certificate, self.days(item.place.ca))
            self.result.renewed.append(name)
        if self.plan.serving:
            place = self.items["kubelet-server-self"].place
            # The kubelet makes another pair when it starts and finds none.
            for path in (place.path, place.key):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            self.result.renewed.append("kubelet-server-self")
        if self.plan.kubelet == "sign":
            self._sign_kubelet()
        elif self.plan.kubelet == "bootstrap":
            self._write_bootstrap()

    def _sign_kubelet(self) -> None:
        """On a control plane the API may be down because of this very kubelet, so nobody can be asked to sign."""
        item = self.items["kubelet-client"]
        with open(KUBELET_CONF, encoding="utf-8") as handle:
            # In the kubeconfig of a node that has joined the user has another name.
            named = (item.certificate.subject if item.certificate else "", handle.read())
        found = next((match for match in map(NODE.search, named) if match), None)
        if not found:
            raise host.HostError("no file here tells the node's name any more; reset this host and join it again")
        made = host.sign_kubelet(found[1], item.certificate, self.days("ca"))
        path = os.path.join(os.path.dirname(KUBELET_CLIENT), f"kubelet-client-{now():%Y-%m-%d-%H-%M-%S}.pem")
        atomic_write(path, made, 0o600)
        link(path, KUBELET_CLIENT)
        self.result.renewed.append("kubelet-client")

    def _write_bootstrap(self) -> None:
        """With an expired certificate and this file the kubelet asks for a new one, as when the host joined."""
        with open(KUBELET_CONF, encoding="utf-8") as handle:
            server = _x509.read_kubeconfig(handle.read()).server
        token = self.options["bootstrap_token"]
        if not token:
            raise host.HostError("the kubelet's certificate is no good and bootstrap_token is empty: give a join token")
        cluster = {"server": server, "certificate-authority": f"{ROOT}/pki/ca.crt"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": "bootstrap", "user": {"token": token}}],
            "contexts": [{"name": "bootstrap", "context": {"cluster": "cluster", "user": "bootstrap"}}],
            "current-context": "bootstrap",
        }
        atomic_write(BOOTSTRAP, json.dumps(config).encode(), 0o600)
        # A certificate that only broke (another key, another CA) would still be taken for a valid one.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(KUBELET_CLIENT)

    def _take_up(self) -> None:
        if self.plan.kubelet or self.plan.serving:
            host.restart_kubelet()
            self.result.restarted.append("kubelet")
        for name in self.plan.restart:
            self.result.restarted.append(name)
            host.restart_container(name)
            self._prove(name)
        for name in self.plan.reload:
            if host.wait_for(self._serves(name), RELOAD_SECONDS):
                self.result.restarted.append(name)
                host.restart_container(name)
            else:
                self.result.reloaded.append(name)
            self._prove(name)
        for name in ("admin.conf", "super-admin.conf"):
            if name in self.result.renewed and not self.later:
                self._need(lambda name=name: host.accepted(f"{ROOT}/{name}"))  # type: ignore[misc]
        if self.plan.kubelet:
            self._prove_kubelet()

    def _need(self, check: Callable[[], str]) -> None:
        complaint = host.wait_for(check, self.timeout)
        if complaint:
            raise host.HostError(complaint)

    def _serves(self, name: str) -> Callable[[], str]:
        """Whether a server shows the certificate that is in its file."""
        pairs = {
            "etcd": [
                ("etcd-server", ("127.0.0.1", 2379), f"{_certificates.PKI}/etcd/healthcheck-client"),
                ("etcd-peer", host.peer_address(), f"{_certificates.PKI}/etcd/peer"),
            ],
            "kube-apiserver": [("apiserver", ("127.0.0.1", host.api_port()), "")],
        }.get(name, [])

        def check() -> str:
            for entry, address, client in pairs:
                with open(self.items[entry].place.path, encoding="utf-8") as handle:
                    wanted = _x509.parse(handle.read()).fingerprint
                if host.served(address, client) != wanted:
                    return f"{name} does not show its new certificate {entry} at port {address[1]}"
            return ""

        return check

    def _prove(self, name: str) -> None:
        """Wait until the component works with what is in its files."""
        if self.later:
            return
        if name in ("etcd", "kube-apiserver"):
            self._need(self._serves(name))
        if name == "etcd":
            # A member that was ill before is not made better by new certificates here.
            self._need(lambda: "" if etcd_complaint() == self.etcd_before else etcd_complaint())
        elif name == "kube-apiserver":
            self._need(host.api_complaint)
        else:
            self._need(lambda: host.component_complaint(name))

    def _prove_kubelet(self) -> None:
        def check() -> str:
            found = _certificates.look([p for p in _certificates.places() if p.name in ("ca", "kubelet-client")])
            item = next(item for item in found if item.place.name == "kubelet-client")
            return item.broken(now()) and f"the kubelet's certificate {item.broken(now())}"

        self._need(check)
        if self.plan.kubelet == "bootstrap":
            self.result.renewed.append("kubelet-client")
            drop_bootstrap()
        if not self.later:
            self._need(lambda: host.accepted(KUBELET_CONF))

    def _undo(self, backup: Backup | None, reason: str) -> str:
        """Put the old files back where that can help; returns what to tell."""
        drop_bootstrap()
        if backup is None or self.result.recovering:
            kept = f"The old files are in {backup.path}. " if backup else ""
            return f"{reason}. {kept}The API was down before, so nothing was put back; correct this and run it again"
        backup.restore()
        if "kubelet" in self.result.restarted:
            host.restart_kubelet()
        told = []
        for name in [name for name in self.result.restarted if name != "kubelet"]:
            try:
                host.restart_container(name)
                self._prove(name)
            except (host.HostError, _x509.X509Error, OSError) as exc:
                told.append(str(exc))
        state = f"still not well: {'; '.join(told)}" if told else "well again"
        return f"{reason}. The old certificates were put back and the host is {state}. Copies: {backup.path}"


def etcd_complaint() -> str:
    """What is wrong with etcd's members; empty when all of them are healthy."""
    try:
        members = _etcd.Etcd(["https://127.0.0.1:2379"]).look()
    except _etcd.EtcdError as exc:
        return str(exc)
    return "; ".join(f"etcd member {member.title}: {member.error}" for member in members if not member.healthy)


def drop_bootstrap() -> None:
    """Remove the file with the token."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(BOOTSTRAP)


def refusals(found: list[Found], days: int) -> list[Problem]:
    """Why nothing may be renewed here, all at once; empty when it may."""
    phase = read_marker().phase
    if phase and not phase.endswith("-done"):
        message = f"kubeadm was interrupted on this host ({phase}), so it has only some of its certificates"
        return [Problem("UnfinishedMember", message, "finish it with the playbook create or scale")]
    return planning.problems(found, days, now())


def look_and_plan(days: int, force: bool) -> tuple[list[Found], planning.Plan]:
    """The host's certificates and what has to be done about them."""
    found = _certificates.look(_certificates.places())
    return found, planning.make_plan(found, days, now(), *stale(_certificates.is_control_plane()), force=force)


def wait_whole(seconds: int) -> str:
    """Wait until this control plane's etcd and API server are well; what is not, empty when all is."""
    deadline = time.monotonic() + seconds
    return host.wait_for(etcd_complaint, seconds) or host.wait_for(host.api_complaint, deadline - time.monotonic())
