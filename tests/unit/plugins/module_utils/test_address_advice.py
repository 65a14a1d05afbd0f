# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._address_advice import advise_addresses
from ansible_collections.hostplane.cluster.plugins.module_utils._address_plan import (
    AddressRequest,
    Zone,
    plan_addresses,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._node_addresses import Node

TWINS = {"pod_cidr_ipv6": "fd00:1::/48"}
NODE = [Node("node-1", "192.168.0.1")]


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, []),
        ({"pod_cidr": "10.244.0.0/24", "nodes": NODE}, ["no_growth"]),
        ({"pod_cidr": "10.244.0.0/24"}, []),
        ({"pod_cidr": "11.0.0.0/16"}, ["range_public"]),
        ({"pod_cidr": "", "zones": [Zone("i", [], ["192.168.32.0/19"])]}, []),
        ({"pod_cidr": "", "zones": [Zone("i", [], ["192.168.32.0/20"])]}, ["pod_subnet_small"]),
        ({"pod_cidr": "", "zones": [Zone("i", [], ["192.168.32.0/24"])], "nodes": NODE},
         ["no_growth", "pod_subnet_small"]),
        ({**TWINS, "service_cidr_ipv6": "fd00:2::/116"}, []),
        ({**TWINS, "service_cidr_ipv6": "fd00:2::/112"}, ["services_differ"]),
    ],
)  # fmt: skip
def test_advice_names_what_cannot_be_repaired_later(options: dict[str, Any], codes: list[str]) -> None:
    plan, problems = plan_addresses(
        AddressRequest(**{"pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/20", **options})
    )
    assert not problems
    assert sorted(item.code for item in advise_addresses(plan)) == codes
