# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module upgrade_check: one report, what is accepted, and when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _upgrade
from ansible_collections.hostplane.cluster.plugins.modules import upgrade_check

Run = Callable[..., dict[str, Any]]
HOSTS = {"cp1": {"name": "cp1", "role": "control_plane"}}
FACTS = [{"host": "cp1", "programs": {"kubectl": "1.35.4"}}]
CORDONED = {
    "metadata": {"name": "cp1"},
    "spec": {"unschedulable": True},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.35.4"}},
}
LONELY = {
    "metadata": {"namespace": "shop", "name": "lonely", "uid": "1"},
    "spec": {"nodeName": "cp1"},
    "status": {"phase": "Running"},
}


class Api:
    """Answers nothing but versions; the lists are played by read."""

    def __init__(self, kubeconfig: str) -> None:
        if kubeconfig != "/admin.conf":
            raise _kubeapi.KubeApiError(f"{kubeconfig} can't be used")

    def pages(self, path: str, query: Any = None) -> list[dict[str, Any]]:
        return []


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = _upgrade.Cluster(version="v1.35.4", nodes=[CORDONED], pods=[LONELY])
    monkeypatch.setattr(_kubeapi, "KubeApi", Api)
    monkeypatch.setattr(_upgrade, "read", lambda _api: cluster)


def run(run_module: Run, **more: Any) -> dict[str, Any]:
    options = {"kubeconfig": "/admin.conf", "version": "1.36.3", "hosts": HOSTS, "facts": FACTS, **more}
    return run_module(upgrade_check, **options)


def codes(result: dict[str, Any]) -> list[str]:
    return [item["code"] for item in result["findings"]]


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_error_fails_with_the_whole_report(run_module: Run, check_mode: bool) -> None:
    result = run(run_module, check=check_mode)
    assert result["failed"] and codes(result) == ["pod_unmanaged", "node_cordoned"]
    assert (result["changed"], result["errors"]) == (False, 1)
    assert "shop/lonely" in result["msg"] and "The node is cordoned" in result["msg"]
    assert "1 blocks the upgrade, 1 to know" in result["msg"]


def test_accepted_findings_are_still_told(run_module: Run) -> None:
    result = run(run_module, accept=["Pod_Unmanaged"])
    assert not result.get("failed") and codes(result) == ["node_cordoned"]
    assert [item["code"] for item in result["accepted"]] == ["pod_unmanaged"]
    assert any("shop/lonely" in line for line in result["report"])


def test_pods_that_may_be_deleted_only_inform(run_module: Run) -> None:
    result = run(run_module, unmanaged_pods="delete")
    assert not result.get("failed") and result["errors"] == 0


def test_skipping_a_minor_can_not_be_accepted(run_module: Run) -> None:
    result = run(run_module, version="1.37.0", accept=["version_skipped", "pod_unmanaged"])
    assert result["failed"] and codes(result)[0] == "version_skipped"


def test_settings_are_judged_with_everything_else(run_module: Run) -> None:
    wrong = {"max_unavailable": "two", "pools": ["web"], "pause": "5m"}
    result = run(run_module, rollout=wrong, backup_key=False, accept=["setting_invalid", "pod_unmanaged"])
    found = {(item["code"], item["path"]) for item in result["findings"] if item["severity"] == "error"}
    assert found == {("backup_key_missing", "backup_key_file")} | {
        ("setting_invalid", f"upgrade_{name}") for name in wrong
    }
    result = run(run_module, version="1.35.4", facts=[{"host": "cp1", "version": "1.35.4"}], backup_key=False)
    assert ("backup_key_missing", "warning") in [(item["code"], item["severity"]) for item in result["findings"]]


@pytest.mark.parametrize(
    ("pools", "judged"), [(["web"], True), (["db"], False), ([], False), (["wbe"], True), ("web", True)]
)
def test_a_mistake_in_the_pools_hides_nothing(run_module: Run, pools: Any, judged: bool) -> None:
    hosts = {name: {"name": name, "role": "worker", "pool": pool} for name, pool in (("cp1", "web"), ("w2", "db"))}
    result = run(run_module, hosts=hosts, rollout={"pools": pools})
    assert ("pod_unmanaged" in codes(result)) == judged


def test_findings_of_others_come_along(run_module: Run) -> None:
    problem = {"code": "MirrorLock", "message": "gone", "remedy": "push", "path": "mirror_address"}
    result = run(run_module, problems=[problem], fail_on_errors=False)
    assert not result.get("failed") and result["errors"] == 2
    assert codes(result)[0] == "MirrorLock"


def test_an_api_that_can_not_be_used_is_one_finding_among_others(run_module: Run) -> None:
    result = run(run_module, kubeconfig="/none", facts=[])
    assert sorted(codes(result)) == ["api_silent", "host_unreachable"]


def test_an_api_that_does_not_answer_is_told(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_api: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr(_upgrade, "read", read)
    assert "no route" in run(run_module)["msg"]


def test_the_mirror_is_asked_for_the_plans_images(run_module: Run, site: Any) -> None:
    images = {"digests": {"amd64": {"registry.k8s.io/pause:3.10": "sha256:x"}}}
    result = run(run_module, mirror=site.options, images=images)
    assert codes(result) == ["mirror_image_missing", "pod_unmanaged", "node_cordoned"]
    result = run(run_module, mirror={**site.options, "ca": "no PEM"})
    assert "mirror_silent" in codes(result)


def test_a_version_that_is_none_is_refused(run_module: Run) -> None:
    assert "such as 1.36.3" in run(run_module, version="newest")["msg"]
