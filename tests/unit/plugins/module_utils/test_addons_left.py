# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addons that an inventory no longer asks for: only ours, and each with its own way out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._addons_left import ADDONS, left

OURS = {"metadata": {"managedFields": [{"manager": "kube-controller-manager"}, {"manager": "hostplane"}]}}
OTHERS: dict[str, Any] = {"metadata": {"managedFields": [{"manager": "helm"}]}}


def test_all_that_is_not_wanted_any_more_is_told_at_once() -> None:
    found = left([], lambda _path: OURS)
    assert sorted(problem.path for problem in found) == [
        "cluster_dns",
        "cluster_ingress",
        "cluster_load_balancer",
        "cluster_network_policy",
    ]
    assert {problem.code for problem in found} == {"addon_left"}
    assert all("cluster_ignore_preflight" in problem.remedy for problem in found)


@pytest.mark.parametrize("name", sorted(ADDONS))
def test_what_is_wanted_is_not_even_looked_for(name: str) -> None:
    asked: list[str] = []
    left([name], asked.append)
    assert len(asked) == len(ADDONS) - 1 and ADDONS[name].path not in asked


@pytest.mark.parametrize("there", [None, {}, OTHERS, {"metadata": {"managedFields": None}}])
def test_what_is_not_there_or_somebody_elses_is_no_finding(there: Any) -> None:
    assert left([], lambda _path: there) == []
