# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No secret in what Ansible prints with -vvv --diff, in the nodes' journals or in any process list."""

from __future__ import annotations

import base64
import re

import pytest
from conftest import Cluster
from lab import ADDRESSES, MEMBERS, Lab, Run

TOKEN = re.compile(r"(?<![a-z0-9.])[a-z0-9]{6}\.[a-z0-9]{16}(?![a-z0-9.])")
KEYS = "cat /etc/kubernetes/pki/*.key /etc/kubernetes/pki/etcd/*.key /var/lib/kubelet/pki/*.pem 2>/dev/null || true"
MARKS = {
    "any private key": "PRIVATE KEY",
    "any RSA key in base64": "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt",
    "any EC key in base64": "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS",
    "any kubeconfig's key": "client-key-data",
}


def key_lines(text: str) -> set[str]:
    """One line out of the middle of each private key; the first ones are the same in all keys of a kind."""
    found = re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", text, re.S)
    return {key.split()[1] for key in found}


@pytest.fixture(scope="module")
def secrets(cluster: Cluster) -> dict[str, str]:
    """Everything that must not be seen, by what it is."""
    lab, known = cluster.lab, dict(MARKS)
    known["the mirror's password"] = lab.password
    for text in (lab.password, f"hostplane:{lab.password}"):
        # Wherever it may begin in a longer text: the middle of its base64 stays.
        known[f"base64 of {text[:9]}..."] = base64.b64encode(text.encode()).decode().rstrip("=")[:-1]
    for secret in (
        lab.api().list_namespaced_secret("kube-system", field_selector="type=bootstrap.kubernetes.io/token").items
    ):
        token = {name: base64.b64decode(value).decode() for name, value in secret.data.items()}
        known[f"token {token['token-id']}"] = token["token-secret"]
    for node in MEMBERS:
        for number, line in enumerate(sorted(key_lines(lab.sh(node, KEYS)))):
            known[f"key {number} of {node}"] = line
    admin = re.search(r"client-key-data: (\S+)", (lab.directory / "admin.conf").read_text())
    assert admin
    known["the administrator's key in base64"] = admin[1][200:260]
    # The tokens of init and of each join, and the keys of a control plane.
    assert sum(name.startswith("token ") for name in known) >= 2
    assert sum(name.startswith("key ") for name in known) >= 12
    return known


def found(secrets: dict[str, str], text: str) -> list[str]:
    """Name of each secret in the text, and what comes before it."""
    hits = [(name, text.find(secret)) for name, secret in secrets.items()]
    hits += [("something like a token", match.start()) for match in TOKEN.finditer(text)]
    return [f"{name} after {text[max(0, start - 200) : start]!r}" for name, start in hits if start >= 0]


def test_in_the_logs(cluster: Cluster, mirror: tuple[Run, frozenset[str]], secrets: dict[str, str]) -> None:
    for run, words in (
        (mirror[0], ("hostplane-mirror/htpasswd", "oci_push")),
        (cluster.first, ("kubeadm_node", "join_token", "certs.d", "admin.conf")),
        (cluster.second, ("kubeadm_node", "join_token")),
    ):
        # That the log is as verbose as it is meant to be.
        for word in ("SSH: EXEC", "module_args", *words):
            assert word in run.log, word
        assert found(secrets, run.log) == []


def test_in_process_lists(cluster: Cluster, mirror: tuple[Run, frozenset[str]], secrets: dict[str, str]) -> None:
    lines = "\n".join(cluster.command_lines | mirror[1])
    for word in ("kubeadm init", "kubeadm join", "hostplane-registry", "crictl"):
        assert word in lines, word
    # Others on this machine may well speak of private keys.
    assert found({name: secret for name, secret in secrets.items() if name not in MARKS}, lines) == []


def test_in_journals(cluster: Cluster, secrets: dict[str, str]) -> None:
    for node in ADDRESSES:
        journal = cluster.lab.sh(node, "journalctl --no-pager --output=cat --all")
        # This is how Ansible logs the arguments of modules.
        assert "Invoked with" in journal
        assert found(secrets, journal) == []


def test_in_files_that_others_can_read(cluster: Cluster, secrets: dict[str, str]) -> None:
    lab: Lab = cluster.lab
    assert lab.directory.joinpath("admin.conf").stat().st_mode & 0o077 == 0
    places = "/etc /tmp /var/log /var/lib/kubelet /var/lib/hostplane-mirror"
    script = f"find {places} -xdev -type f -perm /044 -size -1M -print0 2>/dev/null || true"
    named = {name: secret for name, secret in secrets.items() if name not in MARKS}
    for node in ADDRESSES:
        assert found(named, lab.sh(node, f"{{ {script}; }} | xargs -0 --no-run-if-empty cat")) == []
        assert lab.sh(node, "ls /run/hostplane-kubeadm-*.yaml 2>/dev/null || true") == ""
