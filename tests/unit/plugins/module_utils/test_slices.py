# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims on slices: nobody loses one and no two nodes get the same, in whatever order nodes come and go."""

from __future__ import annotations

import ipaddress
from itertools import combinations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    Zone,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node
from ansible_collections.hostplane.cluster.plugins.module_utils._slices import (
    ANNOTATION,
    SliceError,
    claims,
    held,
    record_of,
)
from hypothesis import given
from hypothesis import strategies as st


def node(name: str, text: str | None) -> dict[str, object]:
    return {"metadata": {"name": name, "annotations": {} if text is None else {ANNOTATION: text}}}


def test_what_nodes_hold() -> None:
    nodes = [node("b", "10.0.0.32/27, 10.0.0.96/28"), node("a", "10.0.0.0/27"), node("c", None), node("d", " ")]
    assert held(nodes) == {"a": ["10.0.0.0/27"], "b": ["10.0.0.32/27", "10.0.0.96/28"]}
    assert held([{"metadata": {"name": "x"}}]) == {}


def test_what_is_recorded_is_held_by_that_very_node() -> None:
    nodes = [{"metadata": {"name": name, "uid": f"1-{name}"}} for name in "abc"]
    record = {
        "metadata": {"resourceVersion": "7"},
        "data": {"a": "1-a 10.0.0.0/27,10.0.0.96/28", "b": "0-b 10.0.0.32/27"},
    }
    assert held(nodes, record) == {"a": ["10.0.0.0/27", "10.0.0.96/28"]}
    written = record_of(nodes, {**held(nodes, record), "c": ["10.0.0.32/27"], "gone": ["10.0.0.64/27"]}, record)
    assert written["metadata"]["resourceVersion"] == "7"
    assert held(nodes, written) == {"a": ["10.0.0.0/27", "10.0.0.96/28"], "c": ["10.0.0.32/27"]}


def test_only_what_is_new_is_claimed() -> None:
    current = {"a": ["10.0.0.0/27"]}
    wanted = {"a": ["10.0.0.0/27"], "b": ["10.0.0.64/28", "10.0.0.32/27"]}
    assert claims(current, wanted) == {"b": ["10.0.0.32/27", "10.0.0.64/28"]}


def test_a_node_grows_and_keeps_what_it_has() -> None:
    assert claims({"a": ["10.0.0.96/28"]}, {"a": ["10.0.0.0/27", "10.0.0.96/28"]}) == {
        "a": ["10.0.0.0/27", "10.0.0.96/28"]
    }


def test_all_mistakes_are_told_at_once() -> None:
    current = {"a": ["10.0.0.0/27"], "gone": ["10.0.0.32/27"]}
    with pytest.raises(SliceError) as caught:
        claims(current, {"a": ["10.0.0.64/27"], "b": ["10.0.0.32/28"]})
    assert "node a holds 10.0.0.0/27" in str(caught.value)
    assert "10.0.0.32/28 of node b overlaps 10.0.0.32/27 of node gone" in str(caught.value)


STEPS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 7), min_size=1),
        st.dictionaries(st.integers(0, 7), st.sampled_from([10, 20, 60])),
    ),
    min_size=1,
    max_size=8,
)


@given(STEPS)
def test_nodes_come_and_go_and_grow(steps: list[tuple[set[int], dict[int, int]]]) -> None:
    cluster: dict[str, list[str]] = {}
    pods: dict[int, int] = {}
    for members, sizes in steps:
        pods.update(sizes)
        names = {f"n{number}": number for number in members}
        # As in a run of scale: first the new ones come, then the others leave.
        plan, problems = plan_addresses(
            AddressRequest(
                service_cidr="10.96.0.0/20",
                zones=[Zone("lan", ["10.0.0.0/16"], ["10.0.128.0/20"])],
                nodes=[Node(name, f"10.0.0.{number + 1}", max_pods=pods.get(number, 20))
                       for name, number in names.items()],
                max_pods=20,
                previous={
                    "blocks": {name: slices for name, slices in cluster.items() if name in names},
                    "in_use": [item for name, slices in cluster.items() if name not in names for item in slices],
                },
            )
        )  # fmt: skip
        assert not problems
        new = claims(cluster, plan["blocks"])
        after = {**cluster, **new}
        for name, slices in cluster.items():
            assert set(slices) <= set(after[name])
        networks = [ipaddress.ip_network(item) for slices in after.values() for item in slices]
        assert not any(one.overlaps(other) for one, other in combinations(networks, 2))
        for name, number in names.items():
            room = sum(ipaddress.ip_network(item).num_addresses - 3 for item in after[name])
            assert room >= pods.get(number, 20)
        cluster = {name: slices for name, slices in after.items() if name in names}


def test_the_slice_of_a_node_that_left_is_given_to_the_next_one() -> None:
    def plan(names: list[str], blocks: dict[str, list[str]], in_use: list[str]) -> dict[str, list[str]]:
        request = AddressRequest(
            service_cidr="10.96.0.0/20",
            zones=[Zone("lan", ["10.0.0.0/24"], ["10.0.0.128/26"])],
            nodes=[Node(name, f"10.0.0.{place + 1}") for place, name in enumerate(names)],
            max_pods=20,
            addresses_per_pod=1,
            previous={"blocks": blocks, "in_use": in_use},
        )
        return dict(plan_addresses(request)[0]["blocks"])

    first = plan(["a", "b"], {}, [])
    assert first == {"a": ["10.0.0.128/27"], "b": ["10.0.0.160/27"]}
    kept = {"a": first["a"]}
    # As long as b is a node, nobody else gets what is b's.
    assert plan(["a", "c"], kept, first["b"]) == kept
    assert plan(["a", "c"], kept, []) == {**kept, "c": first["b"]}
