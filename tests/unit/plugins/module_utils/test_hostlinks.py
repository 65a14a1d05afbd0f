# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which interface carries the pod network, on hosts that are laid out in a directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostlinks
from ansible_collections.hostplane.cluster.plugins.module_utils._hostsystem import System


def put(host: System, path: str, text: str) -> None:
    target = Path(host.root) / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


@pytest.fixture
def host(tmp_path: Path) -> System:
    return System(str(tmp_path))


def own(*addresses: str) -> str:
    """The kernel's table of a host's own addresses."""
    return "Local:\n" + "".join(f"     |-- {address}\n        /32 host LOCAL\n" for address in addresses)


def test_addresses(host: System) -> None:
    put(
        host,
        "/proc/net/fib_trie",
        "Local:\n  +-- 10.9.0.0/24 2 0 2\n     |-- 10.9.0.0\n        /24 link UNICAST\n     |-- 10.9.0.11\n"
        "        /32 host LOCAL\n     |-- 10.9.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n"
        "        /32 host LOCAL\n",
    )
    put(
        host,
        "/proc/net/if_inet6",
        "fd000000000000000000000000000002 02 40 00 80     eth0\nfe80000000000000fcfffffffeffffff 02 40 20 80     eth0\n"
        "00000000000000000000000000000001 01 80 10 80       lo\n",
    )
    assert _hostlinks.address_facts(host) == ["10.9.0.11", "fd00::2"]


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\tFE00000A\t0003\t0\t0\t200\t00000000\t0\t0\t0
wide\t00000000\tFD00000A\t0003\t0\t0\t50\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
wide\t0000000A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
veth1\t8300000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""


def test_the_interface_of_an_address_is_that_of_the_narrowest_network(host: System) -> None:
    put(host, "/proc/net/route", ROUTES)
    put(host, "/sys/class/net/eth0/mtu", "1500\n")
    put(host, "/proc/net/fib_trie", own("10.0.0.3", "10.0.0.7"))
    link = {
        "interface": "eth0",
        "network": "10.0.0.0/24",
        "address": "10.0.0.7",
        "mtu": 1500,
        "gateway": "10.0.0.1",
    }
    assert _hostlinks.link_facts(host, "10.0.0.7") == link
    for nowhere in ("192.168.1.1", "node-1", ""):
        assert _hostlinks.link_facts(host, nowhere) == {}


OTHER_CARD = (
    ROUTES
    + """lan0\t0009000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
lan0\t0063000A\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0
lan0\t00000000\tFE09000A\t0003\t0\t0\t300\t00000000\t0\t0\t0
"""
)


def test_a_named_interface_is_told_by_its_own_network(host: System) -> None:
    put(host, "/proc/net/route", OTHER_CARD)
    put(host, "/proc/net/fib_trie", own("10.0.0.7", "10.0.9.4"))
    put(host, "/sys/class/net/lan0/mtu", "9000\n")
    link = {
        "interface": "lan0",
        "network": "10.0.9.0/24",
        "address": "10.0.9.4",
        "mtu": 9000,
        "gateway": "10.0.9.254",
    }
    assert _hostlinks.link_facts(host, "10.0.0.7", "lan0") == link
    assert _hostlinks.link_facts(host, "10.0.0.7", "lan1") == {}


def test_a_named_interface_without_an_address_has_its_mtu_and_way_out(host: System) -> None:
    put(host, "/proc/net/route", OTHER_CARD)
    put(host, "/proc/net/fib_trie", own("10.0.0.7"))
    put(host, "/sys/class/net/lan0/mtu", "9000\n")
    link = {"interface": "lan0", "network": "", "address": "", "mtu": 9000, "gateway": "10.0.9.254"}
    assert _hostlinks.link_facts(host, "10.0.0.7", "lan0") == link
