# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks more than one host would mount."""

from __future__ import annotations

from typing import Any

from ansible_collections.hostplane.cluster.plugins.filter.shared_disks import FilterModule

SHARED = FilterModule().filters()["shared_disks"]


def looked(*wwns: str) -> dict[str, Any]:
    disks = [{"device": f"/dev/sd{chr(98 + index)}", "serial": "s", "wwn": wwn} for index, wwn in enumerate(wwns)]
    return {"host_storage_look": {"disks": disks}}


def test_a_lun_that_two_hosts_see_is_named_with_both() -> None:
    (found,) = SHARED({"w1": looked("0x1", "0x2"), "w2": looked("0x2"), "w3": looked("0x3")}, ["w1", "w2", "w3"])
    assert found["code"] == "storage_disk_shared"
    assert "/dev/sdb on w2, /dev/sdc on w1 are one disk (0x2)" in found["message"]


def test_serials_prove_nothing_and_other_hosts_do_not_count() -> None:
    hosts = {"w1": looked("", ""), "w2": looked("", "0x2"), "w3": {}, "w4": looked("0x2")}
    hosts["w5"] = {"host_storage_look": {}}
    assert SHARED(hosts, ["w1", "w2", "w3", "w5"]) == []
