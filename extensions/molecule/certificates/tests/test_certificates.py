# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates near and past their end, in this order; and what a renewal refuses, undoes and finishes."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from aging import KUBELET_CLIENT, PKI, PLACES, age
from kubernetes import client, config
from plays import Run, changes, play
from poller import Poller

LONGEST_GAP = 15.0
CRICTL = "crictl --timeout 60s"


def report(tmp_path: Path, **variables: Any) -> dict[str, dict[str, Any]]:
    """What the playbook says of each certificate, by host and name, without renewing any."""
    path = tmp_path / "report.json"
    play("certificates", certificates_report=str(path), certificates_renew=False, **variables)
    return {f"{entry['host']} {entry['name']}": entry for entry in json.loads(path.read_text())["certificates"]}


def containers(host: Any) -> dict[str, str]:
    """The number of each running container of the control plane."""
    listed = json.loads(host.check_output(f"{CRICTL} ps --label io.kubernetes.pod.namespace=kube-system -o json"))
    return {entry["metadata"]["name"]: entry["id"] for entry in listed["containers"]}


def restarted(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name in before if after.get(name) != before[name])


@pytest.fixture
def cp1(hosts: dict[str, Any]) -> Any:
    return hosts["cp1"]


def test_every_certificate_is_reported_and_good(tmp_path: Path, hosts: dict[str, Any]) -> None:
    found = report(tmp_path)
    assert {f"cp1 {name}" for name in PLACES} <= set(found)
    authorities = {"cp1 ca", "cp1 etcd-ca", "cp1 front-proxy-ca", "worker1 ca"}
    others = {"worker1 kubelet-client", "mirror1 mirror", "worker1 mirror-ca", "localhost admin.conf"}
    serving = {"cp1 kubelet-server", "worker1 kubelet-server"}
    assert authorities | others | serving <= set(found)
    for title, entry in found.items():
        assert entry["due"] == "" and entry["findings"] == [], title
        assert entry["chain"] == "ok" or entry["name"] in ("ca", "etcd-ca", "front-proxy-ca", "mirror-ca"), title
        assert entry["days_left"] > 360
    on_disk = hosts["cp1"].check_output(f"find {PKI} /var/lib/kubelet/pki -name '*.crt' -o -name '*-current.pem'")
    assert set(on_disk.split()) <= {entry["path"] for entry in found.values()}


def test_only_what_is_due_is_renewed_and_only_its_users_restarted(cp1: Any, tmp_path: Path, lab_dir: Path) -> None:
    due = ["apiserver", "etcd-peer", "scheduler.conf"]
    age(cp1, cp1, 10, *due)
    before, old = containers(cp1), report(tmp_path)
    told = play("certificates", "--check", "--diff")
    assert [name for name in PLACES if f"-{name} (" in told] == due
    assert {key: entry["serial"] for key, entry in report(tmp_path).items()} == {k: e["serial"] for k, e in old.items()}
    poller = Poller.of_api(lab_dir / "admin.conf")
    poller.start()
    log = play("certificates")
    gap = poller.stop()
    new = report(tmp_path)
    assert sorted(key for key in new if new[key]["serial"] != old[key]["serial"]) == [f"cp1 {name}" for name in due]
    assert [new[f"cp1 {name}"]["sans"] for name in due] == [old[f"cp1 {name}"]["sans"] for name in due]
    assert restarted(before, containers(cp1)) == ["kube-scheduler"]
    shown = cp1.check_output(
        "openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    )
    assert shown.partition("=")[2].lower() == new["cp1 apiserver"]["serial"]
    assert re.search(r"did not answer: [\d.]+ s", log)
    assert gap <= LONGEST_GAP
    assert changes(play("certificates")) == 0


def test_copies_are_roots_alone_and_few(cp1: Any) -> None:
    base = "/etc/kubernetes/backups/certificates"
    (kept,) = cp1.check_output(f"ls {base}").split()
    assert cp1.file(base).mode == 0o700 and cp1.file(f"{base}/{kept}").mode == 0o700
    assert cp1.file(f"{base}/{kept}{PKI}/apiserver.key").mode == 0o600
    assert not cp1.file(f"{base}/{kept}{PKI}/etcd/server.key").exists
    assert not cp1.file("/run/hostplane-certificates.yaml").exists


def test_a_key_of_another_certificate_is_replaced(cp1: Any, tmp_path: Path) -> None:
    before = containers(cp1)
    cp1.check_output(f"cp -a {PKI}/apiserver.key {PKI}/front-proxy-client.key")
    assert "its private key belongs to another" in report(tmp_path)["cp1 front-proxy-client"]["due"]
    play("certificates")
    assert report(tmp_path)["cp1 front-proxy-client"]["due"] == ""
    found = set(restarted(before, containers(cp1)))
    # Without the only API server the other two may lose their leases, and end by themselves.
    assert {"kube-apiserver"} <= found <= {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}


def test_a_component_that_does_not_come_back_gets_its_old_certificate(cp1: Any) -> None:
    age(cp1, cp1, 10, "scheduler.conf", "apiserver")
    # The new kubeconfig leads nowhere: what a wrong endpoint, a broken disk or a new release could do.
    broken = (
        '#!/bin/sh\n/usr/local/bin/kubeadm.real "$@" || exit\n'
        '[ "$3" != scheduler.conf ] || '
        'sed -i "s#server: .*#server: https://127.0.0.1:1#" /etc/kubernetes/scheduler.conf\n'
    )
    cp1.check_output("mv /usr/local/bin/kubeadm /usr/local/bin/kubeadm.real")
    cp1.check_output("printf %%s %s > /usr/local/bin/kubeadm && chmod 755 /usr/local/bin/kubeadm", broken)
    files = f"sha256sum /etc/kubernetes/*.conf {PKI}/*.crt {PKI}/*.key"
    old = cp1.check_output(files)
    try:
        log = play("certificates", code=2, certificates_timeout=5)
    finally:
        cp1.check_output("mv /usr/local/bin/kubeadm.real /usr/local/bin/kubeadm")
    assert "the API does not accept scheduler.conf" in log
    assert "The old certificates were put back and the host is well again" in log
    assert cp1.check_output(files) == old
    play("certificates")
    assert changes(play("certificates")) == 0


def test_a_killed_run_is_finished_by_the_next_one(cp1: Any, tmp_path: Path) -> None:
    age(cp1, cp1, 10, "controller-manager.conf", "apiserver-etcd-client")
    before = containers(cp1)
    serial = report(tmp_path)["cp1 controller-manager.conf"]["serial"]
    read = "sed -n 's/.*client-certificate-data: //p' /etc/kubernetes/controller-manager.conf"
    show = f"{read} | base64 -d | openssl x509 -noout -serial"
    Run("certificates").kill_when(lambda _log: serial not in cp1.check_output(show).lower())
    # The module itself; it would go on without Ansible.
    cp1.run("pkill -9 -x python3")
    play("certificates")
    assert "kube-controller-manager" in restarted(before, containers(cp1))
    assert [key for key, entry in report(tmp_path).items() if entry["due"]] == []
    assert changes(play("certificates")) == 0


def test_what_nobody_can_renew_is_refused_before_anything_is_changed(cp1: Any, tmp_path: Path) -> None:
    age(cp1, cp1, 10, "apiserver", "front-proxy-client")
    serial = report(tmp_path)["cp1 apiserver"]["serial"]
    cp1.check_output(f"mv {PKI}/front-proxy-ca.key /root/ && mv {PKI}/etcd/peer.crt /root/")
    try:
        log = play("certificates", code=2)
    finally:
        cp1.check_output(f"mv /root/front-proxy-ca.key {PKI}/ && mv /root/peer.crt {PKI}/etcd/")
    assert "this host has no /etc/kubernetes/pki/front-proxy-ca.key" in log
    assert "etcd-peer (/etc/kubernetes/pki/etcd/peer.crt) is missing" in log
    assert report(tmp_path)["cp1 apiserver"]["serial"] == serial
    log = play("certificates", code=2, certificates_days=400)
    assert "validity_days must be more than days" in log


def test_an_expired_cluster_comes_back(
    cp1: Any, hosts: dict[str, Any], tmp_path: Path, lab_dir: Path, api: client.CoreV1Api
) -> None:
    worker = hosts["worker1"]
    uid = {node.metadata.name: node.metadata.uid for node in api.list_node().items}
    age(worker, cp1, -5, "kubelet-client")
    age(cp1, cp1, -5)
    admin = cp1.file("/etc/kubernetes/admin.conf").content
    (lab_dir / "admin.conf").write_bytes(admin)
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        # Some end by themselves when the API server is gone.
        cp1.check_output(f"{CRICTL} ps -q --name '^{name}$' | xargs -r {CRICTL} stop")
    for host in (worker, cp1):
        host.check_output("systemctl restart kubelet")
    found = report(tmp_path)
    assert all("expired on" in found[f"cp1 {name}"]["due"] for name in PLACES)
    assert "expired on" in found["worker1 kubelet-client"]["due"] and "expired" in found["localhost admin.conf"]["due"]
    assert "would become a copy of the new admin.conf" in play("certificates", "--check")
    play("certificates")
    again = config.new_client_from_config(str(lab_dir / "admin.conf"))
    nodes = client.CoreV1Api(again)
    deadline = time.monotonic() + 90
    while not all(
        entry.status == "True"
        for node in nodes.list_node().items
        for entry in node.status.conditions
        if entry.type == "Ready"
    ):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert {node.metadata.name: node.metadata.uid for node in nodes.list_node().items} == uid
    assert [key for key, entry in report(tmp_path).items() if entry["due"]] == []
    assert not worker.file("/etc/kubernetes/bootstrap-kubelet.conf").exists
    assert worker.file(KUBELET_CLIENT).mode == 0o600
    assert changes(play("certificates")) == 0
