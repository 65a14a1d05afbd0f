# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members are refused since the mirror has another bundle of their release."""

from __future__ import annotations

from typing import Any

from ansible_collections.hostplane.cluster.plugins.filter.component_problems import FilterModule

PROBLEMS = FilterModule().filters()["component_problems"]
PATH = "/usr/local/bin/containerd"


def plan(digest: str, version: str = "1.36.3") -> dict[str, Any]:
    file = {"name": "containerd", "path": PATH, "sha256": digest}
    hosts = {host: {"arch": "amd64"} for host in ("cp1", "w1")}
    return {"cluster": {"version": version}, "hosts": hosts, "files": {"amd64": {"containerd": [file]}}}


def facts(digest: str) -> dict[str, Any]:
    marker = {"settings": {"version": "1.36.3"}}
    files = {PATH: digest} if digest else {}
    return {"host_check": {"facts": {"cluster": {"marker": marker}, "components": {"files": files, "images": {}}}}}


HOSTVARS = {"cp1": facts("old"), "w1": facts("new"), "w2": {}}


def test_members_with_another_build_are_named_with_the_way_out() -> None:
    (found,) = PROBLEMS(HOSTVARS, ["cp1", "w1"], plan("new"))
    assert (found["code"], found["host"]) == ("ComponentsDiffer", "cp1")
    assert "containerd" in found["message"] and "upgrade" in found["remedy"] and "1.36.3" in found["remedy"]


def test_who_is_no_member_may_get_anything() -> None:
    assert PROBLEMS(HOSTVARS, [], plan("new")) == []
    assert PROBLEMS({"cp1": facts("")}, ["cp1"], plan("new")) == []


def test_another_version_and_a_plan_that_failed_are_refused_elsewhere() -> None:
    assert PROBLEMS(HOSTVARS, ["cp1"], plan("new", "1.37.0")) == []
    assert PROBLEMS(HOSTVARS, ["cp1"], {}) == []
