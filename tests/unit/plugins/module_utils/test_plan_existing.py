# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._plan_existing import compare_existing


@pytest.mark.parametrize(
    ("current", "wanted", "code"),
    [
        ("1.35.4", "1.35.4", ""),
        ("v1.35.4", "1.36.3", ""),
        ("1.35.4", "1.35.9", ""),
        ("1.36.3", "1.36.1", "version_downgrade"),
        ("1.36.3", "1.35.9", "version_downgrade"),
        ("1.34.9", "1.36.3", "version_skipped"),
        ("1.36.3", "2.0.0", "version_skipped"),
        ("1.36.3", "newest", "version_differs"),
    ],
)
def test_which_versions_an_upgrade_may_lead_to(current: str, wanted: str, code: str) -> None:
    plan = {
        "cluster": {"version": wanted, "cni": "", "dns_domain": "", "endpoint": "", "node_port_range": ""},
        "networks": {"pod_cidr": "", "service_cidr": "", "node_mask": ""},
        "pod_network": {"identity": ""},
    }
    assert [problem.code for problem in compare_existing(plan, {"version": current}, upgrade=True)] == [code] * bool(
        code
    )
    other = [problem.code for problem in compare_existing(plan, {"version": current})]
    assert other == ["version_differs"] * (current.lstrip("v") != wanted)
