# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.doc_fragments import networks
from ansible_collections.hostplane.cluster.plugins.modules import cidr_plan

Run = Callable[..., dict[str, Any]]
STOCK: dict[str, Any] = {"pod_cidr": "172.20.0.0/16", "service_cidr": "172.21.0.0/20"}


@pytest.mark.parametrize("check", [False, True])
def test_the_numbers_are_returned(run_module: Run, check: bool) -> None:
    result = run_module(cidr_plan, check=check, node_cidrs=["192.168.0.0/16"],
                        nodes=[{"name": "node-1", "address": "192.168.0.1"}], **STOCK)  # fmt: skip
    assert not result["changed"] and result["problems"] == [] and result["advice"] == []
    assert result["plan"]["api_address"] == "172.21.0.1"
    assert result["plan"]["growth"] == 255


def test_all_problems_are_reported_at_once(run_module: Run) -> None:
    options = {**STOCK, "peer_cidrs": ["172.16.0.0/12"], "max_pods": 9}
    result = run_module(cidr_plan, check=True, **options)
    assert result["failed"] and result["msg"].startswith("The address plan cannot be used. 3 problems found")
    returned = run_module(cidr_plan, fail_on_problems=False, **options)
    assert not returned.get("failed")
    assert returned["problems"] == result["problems"]
    assert ["172.20.0.0/16", "172.16.0.0/12"] in [problem["witness"] for problem in returned["problems"]]


def test_the_bridge_of_docker_is_in_the_way_unless_there_is_none(run_module: Run) -> None:
    options = {**STOCK, "service_cidr": "172.17.0.0/20"}
    result = run_module(cidr_plan, **options)
    assert result["failed"] and "leave bridge_cidrs empty" in result["msg"]
    assert not run_module(cidr_plan, bridge_cidrs=[], **options).get("failed")


def test_a_proposal_is_extended_by_giving_it_back(run_module: Run) -> None:
    options: dict[str, Any] = {
        "propose": True,
        "lan_cidrs": ["192.168.0.0/16"],
        "zones": [{"name": "i", "node_cidrs": ["192.168.0.0/19"]}],
    }
    hosts = [{"name": "node-2", "address": "192.168.0.2"}]
    before = run_module(cidr_plan, nodes=hosts, **options)["plan"]
    assert before["blocks"] == {"node-2": ["192.168.32.0/24"]}
    hosts.append({"name": "node-1", "address": "192.168.0.1", "max_pods": 200})
    after = run_module(cidr_plan, nodes=hosts, previous=before, **options)["plan"]
    assert after["blocks"] == {"node-1": ["192.168.34.0/23"], "node-2": ["192.168.32.0/24"]}


def test_every_option_and_default_is_in_the_documentation() -> None:
    fragment = networks.ModuleDocFragment
    documented: dict[str, Any] = {}
    for text in (fragment.DOCUMENTATION, fragment.PLANNER, cidr_plan.DOCUMENTATION):
        documented.update(yaml.safe_load(text)["options"])

    def compare(spec: dict[str, Any], options: dict[str, Any]) -> None:
        assert set(spec) == set(options)
        for name, option in spec.items():
            assert all(options[name].get(key) == option.get(key) for key in ("type", "default", "required", "choices"))
            compare(option.get("options", {}), options[name].get("suboptions", {}))

    compare(cidr_plan.argument_spec(), documented)


def test_the_sample_has_all_that_is_returned(run_module: Run) -> None:
    returned = yaml.safe_load(cidr_plan.RETURN)["plan"]
    plan = run_module(cidr_plan, **STOCK)["plan"]
    assert set(returned["sample"]) == set(returned["contains"]) == set(plan)
