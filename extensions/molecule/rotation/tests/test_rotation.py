# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubelets' serving certificates, new names for the API, and new CAs while runs are killed, in this order."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes import client, config
from plays import Run, changes, play

PKI = "/etc/kubernetes/pki"
SERVING = "kubernetes.io/kubelet-serving"
NEW_NAME = "api.rotation.test"
CAS = ("ca", "etcd/ca", "front-proxy-ca")


def kill_at(run: Run, title: str, occurrence: int, seconds: float) -> None:
    """Kill a run so many seconds after a play has begun for the given time."""
    run.kill_when(lambda log: log.count(f"PLAY [{title}]") >= occurrence, after=seconds)


def digests(host: Any) -> dict[str, str]:
    """The digest of every certificate file of a control plane."""
    listed = host.check_output(f"find {PKI} -name '*.crt' -exec sha256sum {{}} +")
    return {path: digest for digest, path in (line.split() for line in listed.splitlines())}


def bundle(host: Any, name: str) -> list[str]:
    text = host.file(f"{PKI}/{name}.crt").content_string
    return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.S)


def csr(node: str, group: str, *names: x509.GeneralName) -> str:
    """A signing request as a kubelet sends it, in Base64."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def api_client(path: Path) -> client.ApiClient:
    return config.new_client_from_config(str(path))


@pytest.fixture
def cp1(hosts: dict[str, Any]) -> Any:
    return hosts["cp1"]


def test_kubelets_serve_with_certificates_of_the_cluster(hosts: dict[str, Any], api: client.CoreV1Api) -> None:
    for name, host in hosts.items():
        path = "/var/lib/kubelet/pki/kubelet-server-current.pem"
        assert host.run(f"openssl verify -CAfile {PKI}/ca.crt {path}").rc == 0, name
    flag = f"--kubelet-certificate-authority={PKI}/ca.crt"
    assert flag in hosts["cp1"].file("/etc/kubernetes/manifests/kube-apiserver.yaml").content_string
    # The API server verifies the kubelet now, so a log comes only with the right certificate.
    pod = api.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-proxy").items[0]
    assert api.read_namespaced_pod_log(pod.metadata.name, "kube-system", tail_lines=1)


def test_a_request_for_somebody_elses_address_stays_pending(cp1: Any, lab_dir: Path) -> None:
    """A node that asks for an address of another host is not approved, and the run tells why."""
    manifest = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "stranger"},
        "spec": {
            "request": csr("cp1", "system:nodes", x509.DNSName("cp1"), x509.DNSName("kubernetes.default.svc")),
            "signerName": SERVING,
            "usages": ["digital signature", "server auth"],
        },
    }
    quoted = json.dumps(manifest).replace("'", "")
    # As the node itself, for the requestor is who sends it.
    cp1.check_output(f"echo '{quoted}' | kubectl --kubeconfig /etc/kubernetes/kubelet.conf create -f -")
    try:
        log = play("create")
        assert "kubernetes.default.svc, which the inventory doesn't give to cp1" in log
        certificates = client.CertificatesV1Api(api_client(lab_dir / "admin.conf"))
        assert not certificates.read_certificate_signing_request("stranger").status.conditions
    finally:
        cp1.check_output("kubectl --kubeconfig /etc/kubernetes/admin.conf delete csr stranger")


def test_a_new_name_replaces_only_the_apis_certificate(cp1: Any) -> None:
    before = digests(cp1)
    container = cp1.check_output("crictl ps -q --name kube-apiserver")
    wanted = {"cluster_api_sans": [NEW_NAME]}
    assert changes(play("api_names", "--check", **wanted)) == 2
    assert digests(cp1) == before
    assert changes(play("api_names", **wanted)) == 2
    after = digests(cp1)
    assert [path for path in before if after[path] != before[path]] == [f"{PKI}/apiserver.crt"]
    assert cp1.check_output("crictl ps -q --name kube-apiserver") == container
    shown = cp1.check_output(
        "openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName"
    )
    assert f"DNS:{NEW_NAME}" in shown
    kept = cp1.check_output(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get configmap kubeadm-config -o yaml"
    )
    assert NEW_NAME in kept
    assert changes(play("api_names", **wanted)) == 0


def test_a_host_that_cannot_be_reached_keeps_the_cas_as_they_are(cp1: Any, inventory: dict[str, Any]) -> None:
    before = digests(cp1)
    worker = f"{inventory['vars']['lab_name']}-worker1"
    subprocess.run(["podman", "pause", worker], check=True)
    try:
        log = play("rotate_ca", code=2, certificates_ca_before=f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}")
    finally:
        subprocess.run(["podman", "unpause", worker], check=True)
    assert "rotation_unreachable" in log
    assert digests(cp1) == before


def test_new_cas_survive_kills_and_lock_nobody_out(
    hosts: dict[str, Any], cp1: Any, lab_dir: Path, tmp_path: Path, inventory: dict[str, Any]
) -> None:
    old_kubeconfig = tmp_path / "old.conf"
    old_kubeconfig.write_text((lab_dir / "admin.conf").read_text())
    old_kubeconfig.chmod(0o600)
    old = {name: bundle(cp1, name) for name in CAS}
    token = cp1.check_output("kubectl --kubeconfig /etc/kubernetes/admin.conf create token default --duration 4h")
    wanted = {"certificates_ca_before": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"}
    log = play("rotate_ca", "--check", **wanted)
    assert changes(log) == 1 and bundle(cp1, "ca") == old["ca"]

    switch, kubelet = "Control planes, one at a time", "Kubelets"
    # Within trust, between trust and issue, within issue, while kubelets ask for certificates, within drop.
    kill_at(Run("rotate_ca", **wanted), switch, 1, 5)
    kill_at(Run("rotate_ca", **wanted), switch, 2, 0)
    assert set(old["ca"]) < set(bundle(cp1, "ca"))
    assert len(client.CoreV1Api(api_client(old_kubeconfig)).list_node().items) == len(hosts)
    kill_at(Run("rotate_ca", **wanted), switch, 2, 8)
    kill_at(Run("rotate_ca", **wanted), kubelet, 2, 4)
    # The API server shows a certificate of the new CA now; who trusts that one is let in with an old certificate.
    both = tmp_path / "both.crt"
    both.write_text("\n".join(bundle(cp1, "ca")))
    loaded = client.Configuration()
    config.load_kube_config(str(old_kubeconfig), client_configuration=loaded)
    loaded.ssl_ca_cert = str(both)
    assert len(client.CoreV1Api(client.ApiClient(loaded)).list_node().items) == len(hosts)
    kill_at(Run("rotate_ca", **wanted), switch, 3, 6)
    play("rotate_ca", **wanted)

    for name in CAS:
        new = bundle(cp1, name)
        assert len(new) == 1 and new[0] not in old[name]
    assert changes(play("rotate_ca", **wanted)) == 0
    assert changes(play("create", cluster_api_sans=[NEW_NAME])) == 0
    for name, host in hosts.items():
        assert bundle(host, "ca") == bundle(cp1, "ca"), name
        assert not host.file(f"{PKI}/next").exists
        conf = host.file("/etc/kubernetes/kubelet.conf").content_string
        data = re.search(r"certificate-authority-data: (\S+)", conf)
        assert data and base64.b64decode(data[1]).decode().strip() == bundle(cp1, "ca")[0]
        for entry in ("client", "server"):
            path = f"/var/lib/kubelet/pki/kubelet-{entry}-current.pem"
            assert host.run(f"openssl verify -CAfile {PKI}/ca.crt {path}").rc == 0, f"{name} {entry}"

    # The service accounts' key is the old one, and so the tokens of before are good.
    address = inventory["groups"]["control_plane"]["cp1"]["ansible_host"]
    who = cp1.check_output(
        f"curl -sS --cacert {PKI}/ca.crt -H 'Authorization: Bearer {token}' https://{address}:6443/api"
    )
    assert json.loads(who)["kind"] == "APIVersions"
    # Even if it trusted the new CA, the old certificate is nobody's now.
    loaded.verify_ssl = False
    with pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(client.ApiClient(loaded)).list_node()
    assert refused.value.status == 401
    roots = client.CoreV1Api(api_client(lab_dir / "admin.conf")).list_config_map_for_all_namespaces(
        field_selector="metadata.name=kube-root-ca.crt"
    )
    assert {item.data["ca.crt"].strip() for item in roots.items} == {bundle(cp1, "ca")[0]}
