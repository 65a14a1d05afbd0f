# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a packet of a pod may be, and what is wrong with the hosts' interfaces."""

from __future__ import annotations

from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._plan_links import Links
from hypothesis import given
from hypothesis import strategies as st


def link(mtu: int = 1500, network: str = "10.9.0.0/24") -> dict[str, Any]:
    return {"link": {"interface": "eth0", "network": network, "mtu": mtu}}


def links(interface: str = "", **facts: Any) -> Links:
    return Links(facts, interface, "flannel")


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1400, 9000), min_size=1), st.integers(0, 9000))
def test_no_accepted_mtu_is_too_large_for_any_host(mtus: dict[str, int], wanted: int) -> None:
    found = links(**{host: link(mtu) for host, mtu in mtus.items()})
    if not found.mtu_problems(wanted, 70, 6):
        assert 1280 <= found.mtu(wanted, 70) <= min(mtus.values()) - 70


def test_without_a_look_at_a_host_there_is_no_mtu_but_that_which_is_given() -> None:
    assert (links(a={"cpus": 2}).mtu(0, 50), links().mtu(1400, 50)) == (0, 1400)
    assert links().mtu_problems(0, 50, 4) == []


def test_the_remedy_for_different_mtus_is_only_told_where_it_exists() -> None:
    both = links(a=link(1500), b=link(9000))
    (changeable,), (fixed,) = (both.mtu_problems(0, 50, 4, changeable) for changeable in (True, False))
    assert changeable.remedy == "Make them equal, or set mtu in cluster_flannel to 1450."
    assert fixed.remedy == "Make them equal."
    assert "1500 (a), 9000 (b)" in fixed.message


def test_an_interface_without_a_network_says_nothing_about_routers() -> None:
    assert links(a=link(), b=link(network="")).routed() == []
    (problem,) = links(a=link(), b=link(network="10.8.0.0/24")).routed()
    assert "10.9.0.0/24 (a), 10.8.0.0/24 (b)" in problem.message


def test_every_host_without_the_interface_is_named() -> None:
    facts = {"a": link(), "b10": {"link": {}}, "b9": {"link": {}}, "c": {"cpus": 2}}
    (named,), (found,) = links("eth9", **facts).unknown(), links(**facts).unknown()
    assert named.message == "There is no interface eth9 on b9, b10." and named.path == "cluster_flannel"
    assert "network of the host's address on b9, b10" in found.message
