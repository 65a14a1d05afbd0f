# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.modules import join_token

Run = Callable[..., dict[str, Any]]
TOKEN = "abcdef.0123456789abcdef"
HASH = "sha256:" + "0a" * 32
PRINTED = f"kubeadm join 10.9.0.11:6443 --token {TOKEN} --discovery-token-ca-cert-hash {HASH} "


@pytest.fixture(autouse=True)
def kubeadm(host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(join_token, "KUBEADM", str(host.base / "kubeadm"))
    host.kubeadm(f"echo W0101 no internet >&2; echo '{PRINTED}'")
    kubectl = host.base / "kubectl"
    # The signature is there at the second look.
    kubectl.write_text(
        "#!/bin/sh\necho \"$*\" >> $0.calls; [ $(wc -l < $0.calls) = 1 ] && echo '{}' && exit\n"
        """echo '{"data": {"jws-kubeconfig-abcdef": "x"}}'\n"""
    )
    kubectl.chmod(0o755)
    monkeypatch.setattr(join_token, "KUBECTL", str(kubectl))
    return host


def test_waits_for_the_signature(run_module: Run, host: Any) -> None:
    run_module(join_token)
    calls = (host.base / "kubectl.calls").read_text().splitlines()
    assert len(calls) == 2 and "configmap cluster-info" in calls[0]
    assert "abcdef" not in calls[0]


def test_a_missing_signature_is_no_failure(run_module: Run, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_token, "SIGNING_TIMEOUT", 0)
    assert run_module(join_token)["token"] == TOKEN


def test_token(run_module: Run, host: Any) -> None:
    result = run_module(join_token, ttl=7, description="for two words")
    assert (result["changed"], result["token"], result["ca_hash"]) == (True, TOKEN, HASH)
    (call,) = host.calls()
    assert call == (
        "token create --kubeconfig /etc/kubernetes/admin.conf --print-join-command --ttl 7m --description for two words"
    )
    assert TOKEN not in call


def test_check_mode_makes_none(run_module: Run, host: Any) -> None:
    result = run_module(join_token, check=True, diff=True)
    assert (result["changed"], result["token"], result["ca_hash"]) == (True, "", "")
    assert host.calls() == []


def test_failure_tells_what_kubeadm_said(run_module: Run, host: Any) -> None:
    host.kubeadm("echo 'error: no admin.conf' >&2; exit 1")
    assert run_module(join_token)["msg"] == "kubeadm token create failed: error: no admin.conf"


@pytest.mark.parametrize("text", ["", f"--token {TOKEN}", f"--token SHORT --discovery-token-ca-cert-hash {HASH}"])
def test_an_unexpected_answer(run_module: Run, host: Any, text: str) -> None:
    host.kubeadm(f"echo '{text}'")
    result = run_module(join_token)
    assert result["failed"] and "has no token and CA hash in it" in result["msg"]
    assert TOKEN not in str(result)
