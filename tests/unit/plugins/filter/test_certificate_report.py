# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.hostplane.cluster.plugins.filter.certificate_report import FilterModule

report = FilterModule().filters()["certificate_report"]


def entry(name: str, not_after: str, **fields: Any) -> dict[str, Any]:
    shown = {"name": name, "not_after": not_after, "days_left": 100, "key_type": "EC", "key_bits": 256}
    return {**shown, "managed_by": "kubeadm", "due": "", "findings": [], **fields}


LATE, SOON = entry("apiserver", "2030-01-01T00:00:00Z"), entry("admin.conf", "2027-05-01T00:00:00Z", due="expires")
LOST = entry("etcd-peer", "", days_left=None, key_type="", key_bits=0, due="is missing", findings=["mode"])
HOSTVARS = {
    "cp2": {"certificates_before": {"certificates": [LATE, SOON], "problems": []}},
    "cp10": {"certificates_before": {"certificates": [LATE, LOST], "problems": [{"code": "A", "message": "m"}]}},
    "down": {},
}


def test_what_is_missing_or_ends_first_comes_first() -> None:
    made = report(HOSTVARS, ["cp10", "cp2", "down"])
    order = [(one["host"], one["name"]) for one in made["certificates"]]
    assert order == [("cp10", "etcd-peer"), ("cp2", "admin.conf"), ("cp2", "apiserver"), ("cp10", "apiserver")]
    assert (made["due"], made["first_expiry"], made["unreachable"]) == (2, "2027-05-01T00:00:00Z", ["down"])
    assert made["problems"] == [{"code": "A", "message": "m", "host": "cp10"}]


def test_the_table_is_aligned() -> None:
    made = report(HOSTVARS, ["cp10", "cp2"])["table"]
    assert made == [
        "HOST  CERTIFICATE  DAYS  EXPIRES     KEY     RENEWED BY  STATE",
        "cp10  etcd-peer    -     -           -       kubeadm     is missing; mode",
        "cp2   admin.conf   100   2027-05-01  EC 256  kubeadm     expires",
        "cp2   apiserver    100   2030-01-01  EC 256  kubeadm     ok",
        "cp10  apiserver    100   2030-01-01  EC 256  kubeadm     ok",
    ]


def test_the_last_result_counts_and_a_skipped_task_has_none() -> None:
    after = {"certificates_before": {"certificates": [SOON]}, "certificates_after": {"certificates": [LATE]}}
    assert report({"a": after}, ["a"])["due"] == 0
    assert report({"a": after}, ["a"], ["certificates_before"])["due"] == 1
    assert report({"a": {**after, "certificates_after": {"changed": False}}}, ["a"])["due"] == 1
    assert report({}, [])["first_expiry"] == ""
