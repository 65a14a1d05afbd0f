# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pod's limits of bandwidth hold on Flannel."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
import traffic
from kubernetes import client, config, utils


def test_the_limits_of_a_pod_hold(
    api: client.CoreV1Api, hosts: dict[str, Any], inventory: dict[str, Any], lab_dir: Path
) -> None:
    here = str(ipaddress.ip_network(inventory["vars"]["lab_network"])[1])
    limits = {"kubernetes.io/egress-bandwidth": "8M", "kubernetes.io/ingress-bandwidth": "16M"}
    limited = traffic.pod("limited", "worker1", **limits)
    utils.create_from_dict(config.new_client_from_config(str(lab_dir / "admin.conf")), limited)
    try:
        traffic.address(api, "limited")
        assert traffic.sent_per_second(hosts["worker1"], "limited", here) == pytest.approx(1_000_000, rel=0.2)
        assert traffic.received_per_second(hosts["worker1"], "limited", here) == pytest.approx(2_000_000, rel=0.2)
    finally:
        api.delete_namespaced_pod("limited", "default")
