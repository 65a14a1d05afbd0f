# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import itertools

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _cidr
from ansible_collections.hostplane.cluster.plugins.module_utils._cidr import Range
from hypothesis import given
from hypothesis import strategies as st

KINDS = (_cidr.LAN, _cidr.NODES, _cidr.PODS, _cidr.SERVICES, *sorted(_cidr.OUTSIDE))
# Kinds that are on the same network as the hosts, and what of it may be set aside.
HOME = (_cidr.LAN, _cidr.NODES)
SHARED = (_cidr.TAKEN, _cidr.OTHER_NODES)
PART = (_cidr.BRIDGE, _cidr.OTHER_POD_SUBNET)


@st.composite
def networks(draw: st.DrawFn) -> ipaddress.IPv4Network:
    # Few distinct addresses, so that ranges meet.
    prefix = draw(st.integers(8, 32))
    address = draw(st.sampled_from([0x0A000000, 0xAC100000, 0xC0A80000])) + draw(st.integers(0, 2**12)) * 2**8
    return ipaddress.IPv4Network((address, prefix), strict=False)


def a_range(network: ipaddress.IPv4Network, kind: str = "") -> Range:
    item, problems = _cidr.read_range(str(network), kind, kind, kind)
    assert item is not None and not problems
    return item


@given(networks())
def test_a_range_reads_back_as_it_was_written(network: ipaddress.IPv4Network) -> None:
    item = a_range(network)
    assert item.cidr == str(network)
    assert item.size == network.num_addresses
    assert item.address(0) == str(network.network_address)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("10.0.0.0", "cidr_invalid"),
        ("10.0.0.0/33", "cidr_invalid"),
        ("10.0.0/8", "cidr_invalid"),
        ("10.0.0.256/8", "cidr_invalid"),
        ("10.0.0.0/255.0.0.0", "cidr_invalid"),
        ("", "cidr_invalid"),
        ("fd00::/108", "cidr_ipv6"),
    ],
)
def test_what_is_not_a_range_is_refused(text: str, code: str) -> None:
    item, problems = _cidr.read_range(text, "", "pod range", "pod_cidr")
    assert item is None
    assert [(problem.code, problem.path) for problem in problems] == [(code, "pod_cidr")]


def test_host_bits_are_reported_and_the_network_is_named() -> None:
    item, (problem,) = _cidr.read_range("10.244.1.7/16", "", "pod range", "pod_cidr")
    assert item is not None and item.cidr == "10.244.0.0/16"
    assert problem.code == "cidr_host_bits"
    assert problem.remedy.startswith("Write 10.244.0.0/16 in pod_cidr")


@given(st.lists(st.tuples(networks(), st.sampled_from(KINDS)), max_size=12))
def test_the_sweep_finds_the_pairs_that_comparing_all_finds(items: list[tuple[ipaddress.IPv4Network, str]]) -> None:
    ranges = {a_range(network, kind) for network, kind in items}
    found = {frozenset(pair) for pair in _cidr.overlapping_pairs(ranges)}
    expected = {
        frozenset((one, other))
        for one in ranges
        for other in ranges
        if one != other
        and ipaddress.IPv4Network(one.cidr).overlaps(ipaddress.IPv4Network(other.cidr))
        and not any(itertools.starmap(allowed, itertools.permutations((one, other))))
    }
    assert found == expected


def allowed(one: Range, other: Range) -> bool:
    """The rules again, as a list of what may be."""
    if one.kind in _cidr.OUTSIDE:
        return other.kind in _cidr.OUTSIDE
    part = ipaddress.IPv4Network(other.cidr)
    whole = ipaddress.IPv4Network(one.cidr)
    return one.kind in HOME and (
        other.kind in (*HOME, *SHARED)
        or (other.kind in PART and (one.kind == _cidr.LAN or (part != whole and part.subnet_of(whole))))
    )


@pytest.mark.parametrize("text", ["fd00:10:244::/48", "::1/128", "2001:db8::/32"])
def test_ipv6_ranges_are_read_where_they_may_be(text: str) -> None:
    item, problems = _cidr.read_range(text, "", "peer range", "peer_cidrs", (4, 6))
    assert item is not None and not problems
    assert (item.cidr, item.version) == (text, 6)


def test_families_never_overlap() -> None:
    assert not _cidr.block("::/0").overlaps(_cidr.block("0.0.0.0/0"))
    assert _cidr.read_address("10.0.0.1", 6) is None
    assert not _cidr.block("::/0").contains(1)


def test_an_ipv6_range_is_proposed_from_its_pool() -> None:
    pools = [_cidr.block("fd00::/8")]
    assert _cidr.free_range(48, [], "fd00:10:244::", pools) == "fd00:10:244::/48"
    assert _cidr.free_range(48, [_cidr.block("fd00:10:244::/48")], "fd00:10:244::", pools) == "fd00:10:245::/48"
    assert _cidr.free_range(48, pools, "fd00:10:244::", pools) == ""


@given(st.integers(8, 30), st.lists(networks(), max_size=12))
def test_a_suggested_range_is_private_and_free(prefix: int, taken: list[ipaddress.IPv4Network]) -> None:
    found = _cidr.free_range(prefix, [a_range(network) for network in taken], "10.244.0.0")
    if found:
        network = ipaddress.IPv4Network(found)
        assert network.prefixlen == prefix and network.is_private
        assert not any(network.overlaps(other) for other in taken)
    else:
        assert taken


def test_no_suggestion_when_everything_is_taken() -> None:
    taken = [a_range(ipaddress.IPv4Network(text)) for text in _cidr.PRIVATE]
    assert _cidr.free_range(24, taken, "10.244.0.0") == ""


@pytest.mark.parametrize("text", ["100.64.0.0/10", "100.100.0.0/16", "224.0.0.0/8", "127.0.0.0/16", "169.254.0.0/24"])
def test_reserved_ranges_are_refused(text: str) -> None:
    problem = _cidr.reserved_problem(a_range(ipaddress.IPv4Network(text)))
    assert problem is not None and problem.code == "cidr_reserved"


@pytest.mark.parametrize("text", [*_cidr.PRIVATE, "100.0.0.0/10", "203.0.113.0/24"])
def test_other_ranges_are_not_reserved(text: str) -> None:
    assert _cidr.reserved_problem(a_range(ipaddress.IPv4Network(text))) is None
