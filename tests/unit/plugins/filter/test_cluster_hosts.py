# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError, AnsibleUndefinedVariable
from ansible_collections.hostplane.cluster.plugins.filter.cluster_hosts import FilterModule

cluster_hosts = FilterModule().filters()["cluster_hosts"]

GROUPS = {
    "all": ["cp-1", "node-10", "node-2", "mirror-1"],
    "ungrouped": [],
    "mirror": ["mirror-1"],
    "control_plane": ["cp-1"],
    "worker": ["node-10", "node-2"],
    "gpu": ["node-2"],
    "site_a": ["cp-1", "node-2"],
}


class Variables(dict[str, Any]):
    """Evaluates its values when they are used, as Ansible does."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, Exception):
            raise value
        return value


def hostvars(**changes: Any) -> dict[str, Variables]:
    return {name: Variables({"secret": AssertionError("not to be read"), **changes}) for name in GROUPS["all"]}


def test_hosts_are_listed_by_role_and_natural_order() -> None:
    hosts = cluster_hosts(GROUPS, hostvars())
    assert hosts == [
        {"inventory_hostname": "cp-1", "role": "control_plane", "pools": []},
        {"inventory_hostname": "node-2", "role": "worker", "pools": ["gpu"]},
        {"inventory_hostname": "node-10", "role": "worker", "pools": []},
    ]


def test_only_the_variables_of_nodes_are_read() -> None:
    hosts = cluster_hosts(GROUPS, hostvars(ansible_host="10.9.0.1", node_labels={"a": "b"}, node_taints=["x"]))
    assert hosts[0]["ansible_host"] == "10.9.0.1"
    assert hosts[0]["node_labels"] == {"a": "b"}
    assert hosts[0]["node_taints"] == ["x"]


def test_the_settings_of_pools_are_read() -> None:
    settings = {
        "node_cpu_policy": "static",
        "node_kubelet_config": {"imageGCHighThresholdPercent": 70},
        "node_name_rule": {"prefix": "web-", "digits": 5},
        "node_reserved": "auto",
        "node_state": "cordoned",
    }
    assert settings.items() <= cluster_hosts(GROUPS, hostvars(**settings))[1].items()


def test_what_cannot_be_evaluated_is_left_to_the_plan() -> None:
    hosts = cluster_hosts(GROUPS, hostvars(node_address=AnsibleUndefinedVariable("'nic' is undefined")))
    assert "node_address" not in hosts[0]
    assert "nic" in hosts[0]["errors"]["node_address"]


def test_a_host_in_both_groups_is_listed_twice() -> None:
    hosts = cluster_hosts({**GROUPS, "worker": ["cp-1"], "gpu": []}, hostvars())
    assert [(host["inventory_hostname"], host["role"]) for host in hosts] == [
        ("cp-1", "control_plane"),
        ("cp-1", "worker"),
    ]


def test_groups_may_be_missing() -> None:
    assert cluster_hosts({"all": []}, {}) == []


@pytest.mark.parametrize("arguments", [(["cp-1"], {}), (GROUPS, "text")])
def test_wrong_use_is_explained(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="groups | hostplane.cluster.cluster_hosts"):
        cluster_hosts(*arguments)
