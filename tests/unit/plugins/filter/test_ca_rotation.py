# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter around the comparison of all hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.filter.ca_rotation import FilterModule

ROTATION = FilterModule().filters()["ca_rotation"]
CA = {
    "bundle": ["aa"], "made": "2026-11-21T12:00:00Z", "not_after": "2999-01-01T00:00:00Z",
    "key": True, "next": "", "next_key": False, "not_signed": [],
}  # fmt: skip
HOSTVARS: dict[str, Any] = {"cp1": {"ca_info": {"control_plane": True, "authorities": {"cluster": CA, "etcd": CA}}}}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, []),
        ({"before": "2026-11-21T12:00:00Z"}, []),
        ({"before": "2026-11-21T12:00:01Z"}, ["cluster", "etcd"]),
        ({"before": "2026-11-21T14:00:01+02:00"}, ["cluster", "etcd"]),
        ({"before": "2026-11-22", "chosen": ["etcd"]}, ["etcd"]),
        ({"days": 999999}, ["cluster", "etcd"]),
    ],
    ids=str,
)
def test_what_is_to_be_rotated(options: dict[str, Any], wanted: list[str]) -> None:
    chosen = options.pop("chosen", ["cluster", "etcd"])
    assert ROTATION(HOSTVARS, ["cp1"], chosen, **options)["authorities"] == wanted


def test_a_host_that_did_not_answer_is_a_problem() -> None:
    hostvars = {**HOSTVARS, "w1": {"ca_info": {"unreachable": True}}, "w2": {}}
    found = ROTATION(hostvars, ["cp1", "w1", "w2"], ["cluster"], "2026-11-22")
    assert [problem["host"] for problem in found["problems"]] == ["w1", "w2"]


def test_a_node_outside_the_inventory_is_a_problem() -> None:
    found = ROTATION(HOSTVARS, ["cp1"], ["cluster"], "2026-11-22", unknown=["w9"])
    assert [problem["code"] for problem in found["problems"]] == ["rotation_unknown_node"]
    assert "w9" in found["problems"][0]["message"]


@pytest.mark.parametrize("options", [{"before": "soon"}, {"chosen": ["root"]}], ids=str)
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError):
        ROTATION(HOSTVARS, ["cp1"], **options)
