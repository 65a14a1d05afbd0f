# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.filter import membership as plugin
from hypothesis import given
from hypothesis import strategies as st

membership = plugin.FilterModule().filters()["membership"]
SETTINGS = {"pod_cidr": "10.244.0.0/16"}
HOSTS = ["cp-1", "cp-2", "node-1", "node-2"]
STATES = ["empty", "installed", "begun", "member", "foreign"]


def result(state: str, name: str = "", findings: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What host_check returns, as far as the filter looks at it."""
    marker = {"cluster": "shop", "phase": "join-done", "settings": SETTINGS} if state == "member" else {}
    facts = {"cluster": {"state": state, "marker": marker}, "hostname": name, "machine_id": name, "product_uuid": name}
    facts["cpus"] = 2
    return {"host_check": {"facts": facts, "findings": findings or []}}


def put_together(states: dict[str, str | None], **options: Any) -> dict[str, Any]:
    hostvars = {host: result(state, host) if state else {} for host, state in states.items()}
    hosts = sorted(states)
    found: dict[str, Any] = membership(hostvars, hosts, [host for host in hosts if host.startswith("cp")], **options)
    return found


def test_before_there_is_a_cluster() -> None:
    found = put_together({"cp-1": "empty", "cp-2": "empty", "node-1": "installed"})
    assert found == {
        "members": [],
        "newcomers": ["cp-1", "cp-2", "node-1"],
        "fresh": ["cp-1", "cp-2", "node-1"],
        "actor": "cp-1",
        "exists": False,
        "existing": {},
        "sizes": {"cp-1": {"cpus": 2}, "cp-2": {"cpus": 2}, "node-1": {"cpus": 2}},
        "problems": [],
    }


def test_a_cluster_that_grows() -> None:
    found = put_together({"cp-1": "member", "node-1": "member", "node-2": "begun"})
    assert (found["members"], found["newcomers"]) == (["cp-1", "node-1"], ["node-2"])
    assert found["fresh"] == []
    assert (found["actor"], found["exists"], found["existing"]) == ("cp-1", True, SETTINGS)
    assert found["problems"] == []


def test_the_actor_is_a_member_before_a_newcomer() -> None:
    found = put_together({"cp-1": "empty", "cp-2": "member", "node-1": "empty"})
    assert found["actor"] == "cp-2"


def test_hosts_without_a_result_are_left_out() -> None:
    found = put_together({"cp-1": "member", "node-1": None, "node-2": "empty"})
    assert found["newcomers"] == ["node-2"]
    hostvars = {"cp-1": result("member", "cp-1"), "node-1": {"host_check": {"unreachable": True, "msg": "no route"}}}
    assert membership(hostvars, ["cp-1", "node-1"], ["cp-1"])["newcomers"] == []


def test_no_control_plane_can_be_reached() -> None:
    found = put_together({"cp-1": None, "cp-2": None, "node-1": "member"})
    assert [problem["code"] for problem in found["problems"]] == ["NoControlPlane"]
    assert "cp-1, cp-2" in found["problems"][0]["message"]
    assert (found["actor"], found["exists"]) == ("cp-1", False)


def test_the_cluster_has_lost_its_control_plane() -> None:
    found = put_together({"cp-1": "empty", "node-1": "member", "node-2": "member"})
    assert [problem["code"] for problem in found["problems"]] == ["LostControlPlane"]
    assert found["problems"][0]["message"].startswith("node-1, node-2 belong to the cluster")
    assert found["exists"] is False


def test_findings_get_their_host() -> None:
    finding = {"code": "Swap", "message": "Swap is on.", "remedy": "Turn it off."}
    hostvars = {"cp-1": result("empty", "cp-1"), "node-1": result("empty", "node-1", [finding])}
    found = membership(hostvars, ["cp-1", "node-1"], ["cp-1"])
    assert found["problems"] == [{"host": "node-1", "path": "", **finding}]


def test_what_only_shows_when_hosts_are_compared() -> None:
    hostvars = {"cp-1": result("empty", "same"), "node-1": result("empty", "same")}
    problems = membership(hostvars, ["cp-1", "node-1"], ["cp-1"])["problems"]
    assert [(problem["code"], problem["host"]) for problem in problems if problem["code"] == "HostnameClash"] == [
        ("HostnameClash", "cp-1"),
        ("HostnameClash", "node-1"),
    ]


def test_another_variable() -> None:
    hostvars = {"cp-1": {"checked": result("member", "cp-1")["host_check"]}}
    assert membership(hostvars, ["cp-1"], ["cp-1"], "checked")["members"] == ["cp-1"]
    assert membership(hostvars, ["cp-1"], ["cp-1"])["members"] == []


def test_nothing_at_all() -> None:
    assert membership({}, [], [])["actor"] == ""


@given(st.dictionaries(st.sampled_from(HOSTS), st.sampled_from([*STATES, None]), min_size=1))
def test_every_reachable_host_is_either_member_or_newcomer(states: dict[str, str | None]) -> None:
    found = put_together(states)
    reachable = sorted(host for host, state in states.items() if state)
    assert sorted(found["members"] + found["newcomers"]) == reachable
    planes = [host for host in states if host.startswith("cp")]
    assert (found["actor"] in planes) if planes else found["actor"] == ""
    assert found["exists"] == any(states[host] == "member" for host in planes)
    if found["exists"]:
        assert found["actor"] in found["members"]


@pytest.mark.parametrize("name", ["members", "newcomers", "actor", "exists", "existing", "problems"])
def test_what_is_returned_is_documented(name: str) -> None:
    assert f"\n    {name}:\n" in plugin.RETURN


def test_each_hosts_variables_are_put_together_once() -> None:
    asked: list[str] = []

    class HostVars(dict[str, Any]):
        def __getitem__(self, host: str) -> Any:
            asked.append(host)
            return super().__getitem__(host)

    membership(HostVars({host: result("member", host) for host in HOSTS}), HOSTS, ["cp-1", "cp-2"])
    assert asked == HOSTS


def test_an_upgrade_that_was_not_finished() -> None:
    def at(**settings: str) -> dict[str, Any]:
        found = result("member")
        found["host_check"]["facts"]["cluster"]["marker"] = {"settings": settings}
        return found

    hostvars = {
        "cp-1": at(version="1.36.3"),
        "cp-2": at(version="1.35.4", upgrading_to="1.36.3"),
        "node-1": at(version="1.35.4"),
    }
    problems = membership(hostvars, sorted(hostvars), ["cp-1", "cp-2"])["problems"]
    assert [(found["code"], found["host"]) for found in problems] == [
        ("UpgradeUnfinished", "cp-2"),
        ("UpgradeUnfinished", "node-1"),
    ]
    assert all("cluster_kubernetes_version 1.36.3" in found["remedy"] for found in problems)
    begun = {"cp-1": at(version="1.9.0", upgrading_to="1.10.0"), "node-1": at(version="1.9.0")}
    assert len(membership(begun, sorted(begun), ["cp-1"])["problems"]) == 2
