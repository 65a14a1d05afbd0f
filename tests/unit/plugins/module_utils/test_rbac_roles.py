# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_roles as roles

PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("rule", "verb", "group", "resource", "expected"),
    [
        (PODS, "get", "", "pods", True),
        (PODS, "list", "", "pods", False),
        (PODS, "get", "apps", "pods", False),
        (PODS, "get", "", "pods/log", False),
        ({**PODS, "verbs": ["*"]}, "watch", "", "pods", True),
        ({**PODS, "apiGroups": ["*"]}, "get", "apps", "pods", True),
        ({**PODS, "resources": ["*"]}, "get", "", "pods/log", True),
        ({**PODS, "resources": ["*/scale"]}, "get", "", "pods/scale", True),
        ({**PODS, "resources": ["*/scale"]}, "get", "", "pods", False),
        ({**PODS, "resourceNames": ["web"]}, "get", "", "pods", False),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, "get", "", "pods", False),
    ],
)
def test_what_a_rule_covers(rule: roles.Rule, verb: str, group: str, resource: str, expected: bool) -> None:
    assert roles.covers([rule], verb, group, resource) is expected


def test_power() -> None:
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    binder = {"apiGroups": [roles.RBAC_GROUP], "resources": ["clusterrolebindings"], "verbs": ["create"]}
    assert [roles.power([rule]) for rule in (everything, binder, PODS)] == [2, 1, 0]
    assert roles.power([{**everything, "resourceNames": ["a"]}]) == 0
    assert roles.power([{**everything, "apiGroups": ["", "apps"]}]) == 0
    assert [name for name, rules in roles.PRESETS.items() if roles.power(rules)] == ["admin"]


def test_no_preset_but_admin_can_widen_itself() -> None:
    verbs = ("create", "update", "patch", "bind", "escalate", "impersonate")
    for preset in ("ops", "developer", "restricted"):
        for verb in verbs:
            for resource in ("roles", "rolebindings", "clusterroles", "clusterrolebindings"):
                assert not roles.covers(roles.PRESETS[preset], verb, roles.RBAC_GROUP, resource)
            assert not roles.covers(roles.PRESETS[preset], verb, "", "users")
            assert not roles.covers(roles.PRESETS[preset], verb, "", "nodes")


def test_restricted_only_reads() -> None:
    verbs = {verb for rule in roles.PRESETS["restricted"] for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}


def test_rules_for_people() -> None:
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"], "resourceNames": ["web"]}
    assert roles.describe([rule, {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]) == [
        "get,list deployments.apps named web",
        "get /metrics",
    ]
