# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pod network an inventory asks for, and what is refused with which reason."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_cni import PodNetwork
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_request import ClusterRequest

ZONES = [{"name": "lan", "pod_subnets": ["10.9.1.0/24"]}]
LINKS = {
    "a": {"link": {"interface": "eth0", "network": "10.9.0.0/24", "mtu": 1500}},
    "b": {"link": {"interface": "eth0", "network": "10.9.0.0/24", "mtu": 1500}},
}
BOTH = {"pod_cidr_ipv6": "fd00:1::/56", "service_cidr_ipv6": "fd00:2::/112"}
FAR = {**LINKS, "c": {"link": {"interface": "eth1", "network": "10.8.0.0/24", "mtu": 9000}}}


def network(**options: Any) -> PodNetwork:
    return PodNetwork(ClusterRequest(name="lab", kubernetes_version="1.36.3", **options))


def codes(**options: Any) -> list[str]:
    return sorted(problem.code for problem in network(**options).problems)


def test_flannel_as_it_comes() -> None:
    found = network(facts=LINKS)
    assert not found.problems
    assert found.to_plan() == {
        "backend": {"Type": "vxlan", "VNI": 1, "Port": 8472},
        "identity": "vxlan 1 8472",
        "interface": "",
        "mtu": 1450,
        "nftables": True,
        "policy": "none",
        "workloads": ["daemonset/kube-flannel/kube-flannel-ds"],
    }
    assert found.kube_proxy() == {}


def test_flannel_with_settings_as_an_ini_inventory_gives_them() -> None:
    found = network(flannel={"direct_routing": "yes", "port": "4789", "vni": 7, "mtu": "1400", "nftables": "false"})
    assert not found.problems
    # flanneld takes 50 off the MTU that it is given.
    assert found.backend() == {"Type": "vxlan", "VNI": 7, "Port": 4789, "DirectRouting": True, "MTU": 1450}
    assert found.to_plan()["nftables"] is False and found.identity() == "vxlan 7 4789"
    assert found.to_plan()["mtu"] == 1400


def test_packets_carried_by_ipv6_leave_less_room() -> None:
    found = network(facts=LINKS, **BOTH)
    assert not found.problems
    assert (found.to_plan()["mtu"], found.backend()["MTU"]) == (1430, 1480)
    assert "MTU" not in network(**BOTH).backend()
    assert network(facts=LINKS, flannel={"backend": "host-gw"}, **BOTH).to_plan()["mtu"] == 1500


def test_host_gw_adds_nothing_to_packets() -> None:
    found = network(flannel={"backend": "host-gw"}, facts=LINKS)
    assert not found.problems
    assert found.backend() == {"Type": "host-gw"} and found.to_plan()["mtu"] == 1500


def test_underlay() -> None:
    found = network(cni="underlay", underlay={"zones": ZONES, "interface": "bond0"}, facts=LINKS)
    assert not found.problems
    assert found.to_plan() == {
        "identity": "ptp",
        "interface": "bond0",
        "mode": "ptp",
        "mtu": 1500,
        "policy": "none",
        "workloads": [],
    }
    # Neither a range nor a block of the node tells pods from others; the interface they come from does.
    assert found.kube_proxy()["detectLocal"] == {"interfaceNamePrefix": "veth"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"cni": "calico"}, ["cni_unsupported"]),
        ({"flannel": {"backend": "udp"}}, ["backend_unsupported"]),
        ({"flannel": {"backend": "host-gw"}, "facts": FAR}, ["host_gw_routed", "mtu_differs"]),
        ({"facts": FAR}, ["mtu_differs"]),
        ({"facts": FAR, "flannel": {"mtu": 1450}}, []),
        ({"facts": FAR, "flannel": {"mtu": 1451}}, ["mtu_range"]),
        ({"flannel": {"mtu": 500}}, ["mtu_range"]),
        ({**BOTH, "facts": LINKS, "flannel": {"mtu": 1430}}, []),
        ({**BOTH, "facts": LINKS, "flannel": {"mtu": 1431}}, ["mtu_range"]),
        ({"flannel": {"backend": "host-gw", "direct_routing": True, "mtu": 1400}, "facts": LINKS}, ["setting_unused"]),
        ({"flannel": {"backend": "host-gw", "port": 4789}}, ["setting_unused"]),
        ({"flannel": {"backend": "host-gw", "vni": 1, "port": 8472, "nftables": False}}, []),
        ({"flannel": {"interface": "eth9"}, "facts": {**LINKS, "c": {"link": {}}}}, ["interface_unknown"]),
        ({"facts": {**LINKS, "c": {"link": {}}}}, []),
        ({"flannel": {"port": 0, "vni": 1 << 24}}, ["setting_invalid", "setting_invalid"]),
        ({"flannel": {"port": "many", "mtu": True, "backend": 1}}, ["setting_invalid"] * 3),
        ({"flannel": {"Backend": "vxlan"}}, ["setting_unknown"]),
        ({"flannel": [1]}, ["setting_invalid"]),
        ({"underlay": {"zones": ZONES}}, ["setting_unused"]),
        ({"pod_cidr_ipv6": "fd00:1::/56"}, ["dual_stack_half"]),
        ({**BOTH, "flannel": {"mtu": 1279}}, ["mtu_range"]),
        ({"cni": "underlay"}, ["zone_missing"]),
        ({"cni": "underlay", "underlay": {"zones": [{"name": "lan"}]}}, ["zone_incomplete"]),
        ({"cni": "underlay", "underlay": {"zones": "lan"}}, ["setting_invalid", "zone_missing"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "macvlan"}}, []),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "macvlan"}, "network_policy": "kube-router"},
         ["policy_past_host"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "macvlan"},
          "load_balancer": {"pools": [{"name": "a", "addresses": ["10.9.0.200/29"]}]}}, ["macvlan_load_balancer"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "macvlan"}, "load_balancer": {"pools": []}}, []),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "macvlan"},
          "kube_proxy_config": {"iptables": {"masqueradeAll": False}}}, ["setting_owned"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES}, "kube_proxy_config": {"iptables": {"masqueradeAll": False}}},
         []),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "ipvlan"}}, ["underlay_mode"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "exclusive"}, "network_policy": "kube-router"},
         ["policy_past_host", "underlay_mode"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "mode": "x"}}, ["underlay_mode"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES}, "pod_cidr_ipv6": "fd00:1::/56"}, ["dual_stack_underlay"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "addresses_per_pod": 3}}, ["setting_invalid"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES}, "flannel": {"mtu": 1400}}, ["setting_unused"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES}, "facts": {"a": {"link": {}}}}, ["interface_unknown"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "interface": "e"}, "facts": {"a": {"link": {}}}},
         ["interface_unknown"]),
        ({"cni": "underlay", "underlay": {"zones": ZONES, "interface": "e"},
          "facts": {"a": {"link": {"interface": "e", "network": "", "mtu": 1500}}}}, ["interface_bare"]),
        ({"flannel": {"interface": "e"}, "facts": {"a": {"link": {"interface": "e", "network": "", "mtu": 1500}}}}, []),
        ({"cni": "underlay", "underlay": {"zones": ZONES}, "facts": {"a": {"cpus": 2}}}, []),
        ({"network_policy": "calico"}, ["policy_unsupported"]),
        ({"network_policy": "kube-router"}, []),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any], expected: list[str]) -> None:
    assert codes(**options) == expected


def test_every_reason_has_a_remedy() -> None:
    found = network(cni="underlay", underlay={"mode": "ipvlan", "zones": ZONES})
    (problem,) = found.problems
    assert "macvlan" in problem.message and "ptp" in problem.remedy


def test_services_of_pods_past_the_host_translate_every_client() -> None:
    own = {"mode": "nftables", "nftables": {"minSyncPeriod": "1s"}, "iptables": {"masqueradeAll": True}}
    found = network(cni="underlay", underlay={"zones": ZONES, "mode": "macvlan"}, kube_proxy_config=own)
    assert not found.problems and found.identity() == found.to_plan()["mode"] == "macvlan"
    assert found.kube_proxy() == {
        "detectLocalMode": "InterfaceNamePrefix",
        "detectLocal": {"interfaceNamePrefix": "hostplane-lan"},
        "iptables": {"masqueradeAll": True},
        "nftables": {"masqueradeAll": True, "minSyncPeriod": "1s"},
    }
