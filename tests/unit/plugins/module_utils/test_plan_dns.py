# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_dns import (
    dns_replicas,
    kubelet_dns,
    plan_dns,
    server_address,
)
from hypothesis import given
from hypothesis import strategies as st


def codes(settings: Any) -> list[str]:
    return [problem.code for problem in plan_dns(settings, "cluster.local", "10.96.0.10", 0, 3)[1]]


@pytest.mark.parametrize(
    ("cores", "nodes", "replicas"), [(4, 1, 2), (64, 16, 2), (128, 24, 3), (1600, 100, 25), (100000, 1000, 100)]
)
def test_the_documented_rule(cores: int, nodes: int, replicas: int) -> None:
    assert dns_replicas(cores, nodes) == replicas


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(0, 100), st.integers(0, 100))
def test_more_nodes_or_cores_never_mean_fewer_servers(cores: int, nodes: int, more: int, others: int) -> None:
    assert dns_replicas(cores, nodes) <= dns_replicas(cores + more, nodes + others)


def test_without_settings_dns_stays_as_kubeadm_makes_it() -> None:
    plan, problems = plan_dns({}, "cluster.local", "10.96.0.10", 0, 3)
    assert (plan, problems) == ({"managed": False, "cache": ""}, [])
    assert kubelet_dns(plan) == {}


def test_a_full_plan() -> None:
    settings = {
        "upstream": ["10.0.0.53", "10.0.0.54:5353"],
        "stub_domains": {"corp.example.com.": ["10.1.0.53"]},
        "cache": True,
    }
    plan, problems = plan_dns(settings, "cluster.local", "10.96.0.10", 200, 3)
    assert problems == []
    assert plan == {
        "managed": True,
        "address": "10.96.0.10",
        "cache": "169.254.20.10",
        "log": False,
        "replicas": 4,
        "stub_domains": {"corp.example.com": ["10.1.0.53"]},
        "upstream": ["10.0.0.53", "10.0.0.54:5353"],
    }
    assert kubelet_dns(plan) == {"clusterDNS": ["169.254.20.10", "10.96.0.10"]}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], ["dns_setting_invalid"]),
        ({"upstreams": []}, ["dns_setting_invalid"]),
        ({"cache": "yes"}, ["dns_setting_invalid"]),
        ({"replicas": -1}, ["dns_setting_invalid"]),
        ({"replicas": True}, ["dns_setting_invalid"]),
        ({"replicas": 5}, []),
        ({"upstream": "10.0.0.53"}, ["dns_servers_invalid"]),
        ({"upstream": ["dns.example.com"]}, ["dns_server_invalid"]),
        ({"upstream": ["10.0.0.53:0"]}, ["dns_server_invalid"]),
        ({"upstream": ["10.96.0.10:53"]}, ["dns_loop"]),
        ({"stub_domains": {"a.example": ["169.254.20.10"]}}, ["dns_loop"]),
        ({"stub_domains": ["a.example"]}, ["dns_servers_invalid"]),
        ({"stub_domains": {"a.example": []}}, ["dns_servers_invalid"]),
        ({"stub_domains": {".": ["10.0.0.53"]}}, ["dns_stub_invalid"]),
        ({"stub_domains": {"svc.cluster.local": ["10.0.0.53"]}}, ["dns_stub_invalid"]),
        ({"cache": 1, "upstream": ["x"], "stub_domains": {"_": ["y"]}},
         ["dns_setting_invalid", "dns_stub_invalid", "dns_server_invalid", "dns_server_invalid"]),
    ],
)  # fmt: skip
def test_mistakes(settings: Any, expected: list[str]) -> None:
    assert codes(settings) == expected


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.53", "10.0.0.53"),
        ("10.0.0.53:5353", "10.0.0.53"),
        ("fd00::53", "fd00::53"),
        ("[fd00::53]:5353", "fd00::53"),
        ("[fd00::53]5353", ""),
        ("10.0.0.53:", "10.0.0.53"),
        ("10.0.0.53:99999", ""),
        ("tls://10.0.0.53", ""),
        (53, ""),
    ],
)
def test_server_address(text: Any, address: str) -> None:
    assert server_address(text) == address
