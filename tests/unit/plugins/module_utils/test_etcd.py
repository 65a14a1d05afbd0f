# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _etcd
from ansible_collections.hostplane.cluster.plugins.module_utils._etcd import Member
from hypothesis import given
from hypothesis import strategies as st


def member(number: int, healthy: bool = True, learner: bool = False, applied: int = 0, leader: bool = False) -> Member:
    peers, clients = [f"https://10.9.0.{number}:2380"], [f"https://10.9.0.{number}:2379"]
    return Member(
        number, f"cp{number}", peers, clients, learner=learner, healthy=healthy, applied=applied, leader=leader
    )


def cluster(voters: str, learners: str = "") -> list[Member]:
    """Members from letters: h is healthy, s is sick."""
    made = [member(index + 1, letter == "h") for index, letter in enumerate(voters)]
    return made + [member(index + 50, letter == "h", learner=True) for index, letter in enumerate(learners)]


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_quorum(voters: int, needed: int) -> None:
    assert _etcd.quorum(voters) == needed


@pytest.mark.parametrize(
    ("voters", "index", "why"),
    [
        ("h", 0, "is the last etcd member"),
        ("hh", 0, ""),
        ("hs", 1, "lost its quorum: 1 of 2"),
        ("hhh", 0, ""),
        ("hhs", 2, ""),
        (
            "hhs",
            0,
            "without cp1 only 1 of 2 etcd voters would be healthy, 2 are needed; bring back or remove cp3 first",
        ),
        ("hss", 1, "lost its quorum: 1 of 3"),
        ("hhhss", 4, ""),
        ("hhhss", 0, "bring back or remove cp4, cp5 first"),
        ("hhhhs", 0, ""),
    ],
)
def test_refusal(voters: str, index: int, why: str) -> None:
    members = cluster(voters)
    said = _etcd.refusal(members, members[index])
    assert (why in said) if why else (said == "")


def test_a_learner_has_no_vote() -> None:
    members = cluster("h", "s")
    assert _etcd.refusal(members, members[1]) == ""
    assert "last etcd member" in _etcd.refusal(members, members[0])
    assert "lost its quorum" in _etcd.refusal(cluster("hs", "h"), members[1])


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.lists(st.booleans(), max_size=2), st.data())
def test_what_is_allowed_keeps_the_quorum(voters: list[bool], learners: list[bool], data: st.DataObject) -> None:
    letters = ["".join("h" if well else "s" for well in group) for group in (voters, learners)]
    members = cluster(*letters)
    target = data.draw(st.sampled_from(members))
    left = [one for one in members if one is not target]
    if not _etcd.refusal(members, target):
        assert _etcd.summary(members)["has_quorum"] and _etcd.summary(left)["has_quorum"]
        assert _etcd.summary(left)["voters"] >= 1
        # Who does it, and who would lead.
        assert any(one.healthy for one in left)
        assert _etcd.successor(members, target) is not None
    elif _etcd.summary(members)["has_quorum"]:
        assert not _etcd.summary(left)["has_quorum"] or not _etcd.summary(left)["voters"]


def test_summary() -> None:
    assert _etcd.summary(cluster("hhs", "s")) == {
        "voters": 3,
        "healthy": 2,
        "quorum": 2,
        "has_quorum": True,
        "tolerates": 0,
    }
    assert _etcd.summary(cluster("hhhhh"))["tolerates"] == 2
    assert _etcd.summary(cluster("hss"))["tolerates"] == 0


def test_find() -> None:
    members = [*cluster("hhh"), Member(9, "", ["https://10.9.0.9:2380"]), Member(10, "", ["https://[fd00::9]:2380"])]

    def number(name: str, address: str) -> int:
        found = _etcd.find(members, name, address)
        return found.id if found else 0

    assert (number("cp2", ""), number("", "10.9.0.2"), number("cp2", "10.9.0.2")) == (2, 2, 2)
    assert (number("new", "10.9.0.9"), number("", "fd00::9"), number("new", "10.9.0.99"), number("", "")) == (
        9,
        10,
        0,
        0,
    )
    with pytest.raises(_etcd.EtcdError, match=r"more than one .* cp1 \(1\) at https://10.9.0.1:2380; cp2"):
        _etcd.find(members, "cp1", "10.9.0.2")


def test_successor_is_the_furthest() -> None:
    members = [
        member(1, applied=9, leader=True),
        member(2, applied=5),
        member(3, applied=7),
        member(4, False, applied=8),
    ]
    found = _etcd.successor(members, members[0])
    assert found is not None and found.name == "cp3"
    assert _etcd.successor(cluster("h", "h"), member(1)) is None


def test_parse() -> None:
    entry = {
        "ID": "3420929696581089811",
        "name": "cp1",
        "peerURLs": ["https://a:2380"],
        "clientURLs": ["https://a:2379"],
    }
    learner, one = _etcd.parse_members(
        {"members": [entry, {"ID": "7", "peerURLs": ["https://b:2380"], "isLearner": True}]}
    )
    assert (one.name, one.title, one.public()["id"]) == ("cp1", "cp1", "2f79956f264cfa13")
    assert (learner.name, learner.title, learner.learner) == ("", "https://b:2380", True)
    status = {
        "header": {"revision": "12"},
        "version": "3.6.8",
        "dbSize": "20",
        "dbSizeInUse": "10",
        "raftAppliedIndex": "5",
    }
    led = _etcd.with_status(one, {**status, "leader": "3420929696581089811"})
    assert (led.leader, led.healthy, led.db_size, led.db_in_use, led.revision) == (True, True, 20, 10, 12)
    lost = _etcd.with_status(one, status)
    assert (lost.leader, lost.healthy, lost.error) == (False, False, "it knows no leader")
    assert "applied" not in led.public()
    alarms = {"alarms": [{"memberID": str(led.id), "alarm": "NOSPACE"}, {"memberID": "7", "alarm": "CORRUPT"}]}
    full, corrupt = _etcd.with_alarms([led, _etcd.with_status(learner, {"leader": "1"})], alarms)
    assert (full.alarms, full.healthy) == (["NOSPACE"], True)
    assert (corrupt.alarms, corrupt.healthy, corrupt.error) == (["CORRUPT"], False, "its data is corrupt")
