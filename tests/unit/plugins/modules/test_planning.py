# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.hostplane.cluster.plugins.doc_fragments import (
    cluster_inventory,
    cluster_settings,
    endpoint,
    networks,
)
from ansible_collections.hostplane.cluster.plugins.modules import cluster_plan, plan_report


class Runner:
    """Runs a module in this process, as Ansible would with these arguments, and returns its result."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, module: Any, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        data = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        self._monkeypatch.setattr(basic, "_ANSIBLE_ARGS", data)
        # ansible-core 2.19 wants to know how the arguments are encoded; older ones have no such name.
        self._monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit) as end:
            module.main()
        result: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        assert bool(end.value.code) == bool(result.get("failed"))
        return result


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(monkeypatch, capsys)


CLUSTER: dict[str, Any] = {
    "name": "lab",
    "kubernetes_version": "1.36.3",
    "mirror_address": "10.9.0.5:5000",
    "hosts": [
        {"inventory_hostname": "cp-1", "role": "control_plane", "node_address": "10.9.0.11"},
        {"inventory_hostname": "node-1", "role": "worker", "node_address": "10.9.0.21"},
    ],
}


@pytest.mark.parametrize("check", [False, True])
def test_cluster_plan_is_the_same_in_check_mode_and_changes_nothing(run: Runner, check: bool) -> None:
    result = run(cluster_plan, check=check, **CLUSTER)
    assert result["changed"] is False
    assert result["problems"] == []
    assert "diff" not in result
    assert result["plan"]["order"] == {"control_plane": ["cp-1"], "worker": ["node-1"]}


def test_cluster_plan_shows_a_new_plan_in_check_mode(run: Runner) -> None:
    result = run(cluster_plan, check=True, diff=True, previous={}, **CLUSTER)
    assert result["changed"] is True
    assert result["diff"]["before"] == ""
    assert "endpoint: 10.9.0.11:6443\n" in result["diff"]["after"]


def test_cluster_plan_is_never_changed_outside_of_check_mode(run: Runner) -> None:
    result = run(cluster_plan, diff=True, previous={}, **CLUSTER)
    assert result["changed"] is False
    assert result["diff"]["after"]


def test_cluster_plan_shows_nothing_when_the_plan_is_as_before(run: Runner) -> None:
    previous = run(cluster_plan, **CLUSTER)["plan"]
    result = run(cluster_plan, check=True, diff=True, previous=previous, **CLUSTER)
    assert result["changed"] is False
    assert "diff" not in result


def test_cluster_plan_shows_only_the_difference(run: Runner) -> None:
    previous = run(cluster_plan, **CLUSTER)["plan"]
    result = run(cluster_plan, check=True, diff=True, previous=previous, **{**CLUSTER, "name": "prod"})
    before, after = (result["diff"][side].splitlines() for side in ("before", "after"))
    assert [line for line in after if line not in before] == ["  name: prod"]


def test_cluster_plan_reports_or_returns_its_problems(run: Runner) -> None:
    options = {**CLUSTER, "releases": ["1.35.4"], "cni": "none"}
    result = run(cluster_plan, **options)
    assert result["failed"] and "plan" not in result
    assert "2 problems found in the cluster's settings:" in result["msg"]
    returned = run(cluster_plan, fail_on_problems=False, **options)
    assert [problem["code"] for problem in returned["problems"]] == ["cni_unsupported", "version_unknown"]
    assert returned["problems"] == result["problems"]


def test_cluster_plan_uses_what_is_known_of_the_hosts(run: Runner) -> None:
    facts = {"node-1": {"cpus": 32, "memory_mb": 262144, "kernel": "6.12"}, "node-9": {}}
    hosts = run(cluster_plan, facts=facts, **CLUSTER)["plan"]["hosts"]
    assert hosts["node-1"]["kubelet_config"]["kubeReserved"] == {"cpu": "800m", "memory": "12165Mi"}
    assert hosts["cp-1"]["kubelet_config"] == {"maxPods": 110}


def test_cluster_plan_passes_all_options_of_the_balancer_on(run: Runner) -> None:
    options = {**CLUSTER, "balancer": "managed", "vip": "10.9.0.100", "balancer_port": 9443, "vrrp_id": 7}
    plan = run(cluster_plan, **options)["plan"]
    assert plan["cluster"]["endpoint"] == "10.9.0.100:9443"
    assert plan["balancer"]["virtual_router_id"] == 7


FINDINGS = [
    {"code": "swap_on", "host": "node-2", "message": "Swap is on.", "remedy": "Turn swap off."},
    {"code": "cni_unsupported", "host": "", "message": "No such plugin.", "remedy": "Use flannel.", "path": "cni"},
]


def test_plan_report_fails_with_everything_that_remains(run: Runner) -> None:
    result = run(plan_report, problems=FINDINGS)
    assert result["failed"] and "2 problems found in the cluster's settings and on 1 host:" in result["msg"]
    assert result["accepted"] == []


def test_plan_report_turns_accepted_findings_into_warnings(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    result = run(plan_report, check=True, problems=FINDINGS, accepted=["swap_on", "CNI_unsupported"])
    assert not result.get("failed") and not result["changed"]
    assert [finding["code"] for finding in result["accepted"]] == ["cni_unsupported", "swap_on"]
    assert warnings == ["Accepted cni_unsupported: No such plugin.", "Accepted swap_on: node-2: Swap is on."]


def test_plan_report_shows_advice_that_was_not_accepted(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    result = run(plan_report, advice=FINDINGS, accepted=["swap_on"])
    assert not result.get("failed") and result["problems"] == result["accepted"] == []
    assert warnings == ["Advice cni_unsupported: No such plugin. Use flannel."]


def test_plan_report_without_findings(run: Runner) -> None:
    assert run(plan_report)["problems"] == []


@pytest.mark.parametrize("module", [cluster_plan, plan_report])
def test_every_option_is_in_the_documentation(module: Any) -> None:
    fragments = (cluster_inventory, cluster_settings, endpoint, networks)
    texts = [module.DOCUMENTATION, *(fragment.ModuleDocFragment.DOCUMENTATION for fragment in fragments)]
    for option in module.argument_spec():
        assert any(f"\n  {option}:\n" in text for text in texts)
