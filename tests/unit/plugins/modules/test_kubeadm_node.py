# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it; only kubeadm itself is played."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import RESUME_IGNORES
from ansible_collections.hostplane.cluster.plugins.modules import kubeadm_node

Run = Callable[..., dict[str, Any]]
Host = Any
SECRET = "token: abcdef.0123456789abcdef"
INIT = {"action": "init", "cluster": "shop", "config": SECRET, "settings": {"pod_cidr": "10.244.0.0/16"}}
JOIN = {**INIT, "action": "join"}


def marker(host: Host) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((host.root / "hostplane.json").read_text())
    return loaded


def put_marker(host: Host, phase: str, cluster: str = "shop") -> None:
    host.put("hostplane.json", json.dumps({"cluster": cluster, "phase": phase, "settings": {}}))


@pytest.mark.parametrize("options", [INIT, JOIN])
def test_once_and_never_again(run_module: Run, host: Host, options: dict[str, Any]) -> None:
    action = options["action"]
    first = run_module(kubeadm_node, diff=True, **options)
    assert (first["changed"], first["resumed"], first["removed"]) == (True, False, [])
    assert first["diff"] == {"before": "", "after": f"{action} cluster shop\n"}
    assert marker(host) == {"cluster": "shop", "phase": f"{action}-done", "settings": options["settings"]}
    for check in (True, False):
        again = run_module(kubeadm_node, check=check, diff=True, **{**options, "config": ""})
        assert (again["changed"], again["resumed"]) == (False, False)
        assert "diff" not in again
    assert len(host.calls()) == 1


def test_check_mode_tells_and_touches_nothing(run_module: Run, host: Host) -> None:
    result = run_module(kubeadm_node, check=True, diff=True, **INIT)
    assert result["changed"] is True
    assert result["diff"]["after"] == "init cluster shop\n"
    assert host.calls() == [] and os.listdir(host.run) == [] and not host.root.exists()


@pytest.mark.parametrize("check", [True, False])
def test_a_foreign_host_is_refused(run_module: Run, host: Host, check: bool) -> None:
    put_marker(host, "join-done", "bank")
    assert "belongs to cluster 'bank'" in run_module(kubeadm_node, check=check, **JOIN)["msg"]
    (host.root / "hostplane.json").unlink()
    host.put("kubelet.conf")
    assert "not made by this collection" in run_module(kubeadm_node, check=check, **JOIN)["msg"]
    assert host.calls() == []


def test_the_marker_is_there_before_kubeadm(run_module: Run, host: Host) -> None:
    host.kubeadm("cp kubernetes/hostplane.json seen; exit 1")
    result = run_module(kubeadm_node, **INIT)
    assert result["failed"] and "kubeadm init failed with exit code 1" in result["msg"]
    assert json.loads((host.base / "seen").read_text())["phase"] == "init-started"
    assert marker(host)["phase"] == "init-started"


def test_a_failed_init_is_resumed(run_module: Run, host: Host) -> None:
    host.kubeadm("mkdir -p kubernetes/pki; echo key > kubernetes/pki/ca.key; touch kubernetes/pki/ca.crt; exit 1")
    run_module(kubeadm_node, ignore_preflight=["Swap"], **INIT)
    told = run_module(kubeadm_node, check=True, **INIT)
    assert (told["changed"], told["resumed"]) == (True, True)
    host.kubeadm("[ ! -e kubernetes/pki/ca.key ]")
    result = run_module(kubeadm_node, ignore_preflight=["Swap"], **INIT)
    assert (result["changed"], result["resumed"]) == (True, True)
    assert result["removed"] == [f"{host.root}/pki/ca.crt", f"{host.root}/pki/ca.key"]
    ignored = [call.partition("--ignore-preflight-errors=")[2].split(",") for call in host.calls()]
    assert ignored == [["Swap"], sorted({*RESUME_IGNORES, "Swap"})]


def test_a_join_that_got_its_certificate_is_finished_without_kubeadm(run_module: Run, host: Host) -> None:
    put_marker(host, "join-started")
    host.put("kubelet.conf")
    (host.base / "kubelet-client.pem").touch()
    left = host.run / "hostplane-kubeadm-join.yaml"
    left.write_text(SECRET)
    result = run_module(kubeadm_node, **JOIN)
    assert (result["changed"], result["resumed"]) == (True, True)
    assert host.calls() == [] and marker(host)["phase"] == "join-done"
    assert not left.exists(), "it holds a token"


def test_a_join_that_was_killed_early_runs_again(run_module: Run, host: Host) -> None:
    put_marker(host, "join-started")
    host.put("bootstrap-kubelet.conf")
    assert run_module(kubeadm_node, **JOIN)["resumed"] is True
    (call,) = host.calls()
    assert "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf" in call
    # Nothing of a join is half-written: only an init makes certificates.
    assert (host.root / "bootstrap-kubelet.conf").exists()


KILLED = """
import json, sys
from ansible.module_utils import basic
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeadm
from ansible_collections.hostplane.cluster.plugins.modules import kubeadm_node
settings, arguments = json.load(sys.stdin)
vars(_kubeadm).update(settings)
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode(), "legacy"
kubeadm_node.main()
"""


def appears(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_a_second_run_waits_for_the_kubeadm_of_a_killed_one(run_module: Run, host: Host) -> None:
    host.kubeadm("touch started; while [ ! -e finish ]; do sleep 0.02; done; touch finished")
    first = subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert first.stdin
    first.stdin.write(json.dumps([host.settings(), INIT]).encode())
    first.stdin.close()
    appears(host.base / "started")
    first.kill()
    assert first.wait() == -9

    refused = run_module(kubeadm_node, timeout=0, **INIT)
    assert "another kubeadm has been working here" in refused["msg"]
    assert len(host.calls()) == 1

    host.kubeadm("[ -e finished ] || exit 9")
    # It ends a moment after the second run has begun to wait.
    helper = subprocess.Popen(["sh", "-c", "sleep 0.3; touch finish"], cwd=host.base)
    result = run_module(kubeadm_node, timeout=20, **INIT)
    helper.wait()
    assert (result["changed"], result["resumed"]) == (True, True)
    assert (host.base / "finished").exists() and len(host.calls()) == 2
    assert marker(host)["phase"] == "init-done"


def test_the_configuration_is_never_returned(run_module: Run, host: Host) -> None:
    assert SECRET not in json.dumps(run_module(kubeadm_node, diff=True, **INIT))
    assert SECRET not in (host.root / "hostplane.json").read_text()
    assert all(SECRET.split()[1] not in call for call in host.calls())
