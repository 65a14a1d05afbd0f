# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _upgrade_node as upgrade
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import KubeadmError, Marker, read_marker

NEW, OLD = "1.36.3", "1.35.4"
IMAGES = {
    "etcd": "registry.k8s.io/etcd:3.6.8-0",
    "kube-apiserver": f"registry.k8s.io/kube-apiserver:v{NEW}",
    "kube-controller-manager": f"registry.k8s.io/kube-controller-manager:v{NEW}",
}
MARKER = Marker("shop", "init-done", {"version": OLD, "pod_cidr": "10.244.0.0/16"})


def manifest(image: str) -> str:
    return f"spec:\n  containers:\n  - name: x\n    image: {image}\n    imagePullPolicy: IfNotPresent\n"


@pytest.fixture
def place(host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A control plane of the old version that is well, and what of it can be asked."""
    host.manifests = host.root / "manifests"
    host.manifests.mkdir(parents=True)
    for component in IMAGES:
        (host.manifests / f"{component}.yaml").write_text(manifest(f"registry.k8s.io/{component}:v{OLD}"))
    host.kept, host.complaints, host.cluster = host.base / "kept", [], OLD
    for name, value in {
        "ROOT": str(host.root),
        "MANIFESTS": str(host.manifests),
        "KEPT": str(host.kept),
        "KUBEADM": str(host.base / "kubeadm"),
    }.items():
        monkeypatch.setattr(upgrade, name, value)
    monkeypatch.setattr(upgrade, "complaint", lambda: host.complaints.pop(0) if host.complaints else "")
    monkeypatch.setattr(upgrade, "cluster_version", lambda: host.cluster)
    monkeypatch.setattr(upgrade, "endpoint_complaint", lambda: "")
    monkeypatch.setattr(upgrade._static_pods, "complaint", lambda: "")
    monkeypatch.setattr(upgrade, "restarted", lambda components, since: "")
    return host


def params(host: Any, **others: Any) -> dict[str, Any]:
    program = (host.base / "kubeadm").read_bytes()
    return {
        "version": NEW,
        "timeout": 1,
        "staging": str(host.base / "staging"),
        "ignore_preflight": ["Swap"],
        "kubeadm_sha256": hashlib.sha256(program).hexdigest(),
        **others,
    }


def run(host: Any, marker: Marker = MARKER) -> str:
    with open(host.base / "lock", "w") as lock:
        return upgrade.upgrade(marker, upgrade.look(marker, NEW, IMAGES), params(host), lock.fileno())


def test_what_is_due(place: Any) -> None:
    due = upgrade.look(MARKER, NEW, IMAGES)
    assert (due.needed, due.before, due.resumed, due.components) == (True, OLD, False, tuple(sorted(IMAGES)))
    done = Marker("shop", "init-done", {"version": NEW})
    assert (
        upgrade.look(done, NEW, {"etcd": f"registry.k8s.io/etcd:v{OLD}", "kube-scheduler": "not here"}).needed is False
    )
    assert upgrade.look(done, NEW, IMAGES).needed
    between = Marker("shop", "init-done", {"version": NEW, upgrade.UPGRADING: NEW})
    assert upgrade.look(between, NEW, {}).resumed


@pytest.mark.parametrize("text", ['    image: "a/b:1"\n', "    image: a/b:1\n", "    image: 'a/b:1'\n"])
def test_an_image_is_found_however_it_is_written(place: Any, text: str) -> None:
    (place.manifests / "etcd.yaml").write_text(text)
    assert upgrade.outdated({"etcd": "a/b:1"}) == ()
    assert upgrade.outdated({"etcd": "a/b:2"}) == ("etcd",)


@pytest.mark.parametrize(("cluster", "way"), [(OLD, "apply"), (NEW, "node")])
def test_the_cluster_says_which_way(place: Any, cluster: str, way: str) -> None:
    place.cluster = cluster
    place.kubeadm(f'cp "$4" config; cp {place.root}/hostplane.json seen')
    assert run(place) == way
    (call,) = place.calls()
    assert call.startswith(f"upgrade {way} --config ") and ("--yes" in call) == (way == "apply")
    config = json.loads((place.base / "config").read_text())
    assert config["apply"]["kubernetesVersion"] == f"v{NEW}"
    assert config["apply"]["patches"] == config["node"]["patches"] == {"directory": "/etc/kubernetes/patches"}
    assert config["timeouts"] == {"upgradeManifests": "1s"}
    # The host says that it is between two versions before kubeadm begins.
    assert json.loads((place.base / "seen").read_text())["settings"][upgrade.UPGRADING] == NEW


def test_a_worker_needs_no_health_and_keeps_nothing(place: Any) -> None:
    for path in place.manifests.iterdir():
        path.unlink()
    place.complaints = ["no etcd here"]
    assert run(place) == "node"
    assert not place.kept.exists() and place.complaints


def test_an_ill_control_plane_is_not_begun(place: Any) -> None:
    place.complaints = ["etcd is ill"] * 20
    with pytest.raises(KubeadmError, match="nothing was begun: etcd is ill"):
        run(place)
    assert place.calls() == [] and read_marker() == MARKER


@pytest.mark.parametrize("cluster", [OLD, NEW])
def test_what_kubeadm_breaks_is_put_back_on_the_first_control_plane_and_on_others(place: Any, cluster: str) -> None:
    place.cluster = cluster
    new = manifest(IMAGES["kube-apiserver"])
    place.kubeadm(
        f"printf '{new}' > {place.manifests}/kube-apiserver.yaml; echo broken > {place.manifests}/etcd.yaml; exit 1"
    )
    with pytest.raises(KubeadmError, match="exit code 1") as error:
        run(place)
    assert "was rolled back" in str(error.value)
    assert f"v{OLD}" in (place.manifests / "kube-apiserver.yaml").read_text()
    # What a newer etcd did to its data can't be undone by its manifest; that is kubeadm's.
    assert (place.manifests / "etcd.yaml").read_text() == "broken\n"
    # Where the cluster has the new version, this host is still on its way there.
    assert read_marker().settings == {**MARKER.settings, **({upgrade.UPGRADING: NEW} if cluster == NEW else {})}


def test_a_control_plane_that_is_ill_afterwards_is_put_back(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place.complaints = ["", *["the scheduler is ill"] * 6]
    versions = iter([OLD, NEW])
    monkeypatch.setattr(upgrade, "cluster_version", lambda: next(versions))
    with pytest.raises(KubeadmError, match=f"with {NEW} the scheduler is ill") as error:
        run(place)
    assert "was rolled back" in str(error.value) and "only upgrade goes on" in str(error.value)
    # Backups are of the new version by now, and restore has to know that this host is on its way there.
    assert read_marker().settings[upgrade.UPGRADING] == NEW


def test_a_component_that_does_not_come_up_leaves_no_upgrade_behind(place: Any) -> None:
    place.kubeadm("exit 1")
    place.cluster = NEW
    marker = Marker("shop", "init-done", {"version": NEW})
    with pytest.raises(KubeadmError, match="was rolled back"):
        run(place, marker)
    assert read_marker() == marker


def test_what_does_not_come_back_is_told(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "ROLLBACK_SECONDS", 1)
    place.kubeadm("exit 1")
    place.complaints = ["", *["the API server is ill"] * 50]
    with pytest.raises(KubeadmError, match="is not well: the API server is ill") as error:
        run(place)
    assert "restore" in str(error.value) and str(place.kept) in str(error.value)
    assert read_marker().settings[upgrade.UPGRADING] == NEW


def test_the_manifests_from_before_survive_a_killed_run_and_no_other_upgrade(place: Any) -> None:
    def keep(resumed: bool, before: str = OLD) -> Path:
        return Path(upgrade.keep_manifests(upgrade.Due(before, resumed, (), True), NEW))

    kept = keep(resumed=False)
    (place.manifests / "kube-apiserver.yaml").write_text("half of the new one")
    assert keep(resumed=True) == kept
    assert f"v{OLD}" in (kept / "kube-apiserver.yaml").read_text()
    # The same versions again, and meanwhile somebody has changed settings.
    assert (keep(resumed=False) / "kube-apiserver.yaml").read_text() == "half of the new one"
    assert (keep(resumed=True, before=NEW) / "kube-apiserver.yaml").read_text() == "half of the new one"
    assert not kept.exists()


def test_copies_are_there_as_long_as_they_are_of_use(place: Any) -> None:
    run(place)
    assert place.kept.exists()
    assert upgrade.finish(read_marker(), NEW, 1) and not place.kept.exists()
    place.kubeadm("exit 1")
    with pytest.raises(KubeadmError, match="was rolled back"):
        run(place)
    assert not place.kept.exists()


def test_an_api_server_that_a_killed_run_has_left_down_is_taken_back(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(place)
    (place.manifests / "kube-apiserver.yaml").write_text(manifest(IMAGES["kube-apiserver"]))

    def refused() -> str:
        raise upgrade.host.HostError("connection refused")

    monkeypatch.setattr(upgrade, "cluster_version", refused)
    place.complaints = ["the API server is ill"] * 6
    with pytest.raises(KubeadmError, match="connection refused") as error:
        run(place, read_marker())
    assert "was rolled back" in str(error.value) and len(place.calls()) == 1
    assert f"v{OLD}" in (place.manifests / "kube-apiserver.yaml").read_text()
    # Who can't be asked may have the new version.
    assert read_marker().settings[upgrade.UPGRADING] == NEW


def test_kubeadm_is_the_one_that_was_fetched(place: Any) -> None:
    staged = place.base / "staging"
    staged.mkdir()
    digest = hashlib.sha256(b"new").hexdigest()
    (staged / digest).write_bytes(b"new")
    assert upgrade.program(digest, str(staged)) == str(staged / digest)
    (staged / digest).write_bytes(b"damaged")
    with pytest.raises(KubeadmError, match="fetch it first"):
        upgrade.program(digest, str(staged))


def test_finishing_is_remembered_once(place: Any) -> None:
    between = Marker("shop", "init-done", {**MARKER.settings, upgrade.UPGRADING: NEW})
    assert upgrade.finish(between, NEW, 1) is True
    assert read_marker() == Marker("shop", "init-done", {"version": NEW, "pod_cidr": "10.244.0.0/16"})
    assert upgrade.finish(read_marker(), NEW, 1) is False


def test_a_control_plane_that_is_ill_with_the_new_kubelet_is_not_finished(place: Any) -> None:
    place.complaints = ["etcd is ill"] * 50
    with pytest.raises(KubeadmError, match="with the new kubelet this control plane is not well: etcd is ill"):
        upgrade.finish(MARKER, NEW, 1)
    assert upgrade.finish(Marker("shop", "init-done", {"version": NEW}), NEW, 1) is False


def test_a_worker_waits_for_the_api(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in place.manifests.iterdir():
        path.unlink()
    answers = ["refused", ""]
    monkeypatch.setattr(upgrade, "endpoint_complaint", lambda: answers.pop(0))
    assert run(place) == "node" and answers == []
    monkeypatch.setattr(upgrade, "endpoint_complaint", lambda: "refused")
    with pytest.raises(KubeadmError, match="can't be reached from here: refused"):
        run(place)


def test_who_was_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {
        "kube-apiserver": [{"running": True, "created": 10.0}],
        "kube-scheduler": [{"running": True, "created": 1.0}],
    }
    monkeypatch.setattr(upgrade.host, "containers", lambda: listed)
    assert upgrade.restarted(["kube-apiserver"], 5.0) == ""
    assert "kube-scheduler" in upgrade.restarted(["kube-apiserver", "kube-scheduler"], 5.0)


def test_the_version_that_kubeadm_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade.host, "command", lambda *_args: f"apiServer: {{}}\nkubernetesVersion: v{OLD}\n")
    assert upgrade.cluster_version() == OLD
    monkeypatch.setattr(upgrade.host, "command", lambda *_args: "apiServer: {}\n")
    with pytest.raises(KubeadmError, match="names no kubernetesVersion"):
        upgrade.cluster_version()


def test_waiting_tells_what_is_not_well(place: Any) -> None:
    place.complaints = ["etcd is ill", ""]
    assert upgrade.settle(5) == ""
    place.complaints = ["etcd is ill"] * 100
    assert upgrade.settle(1) == "etcd is ill"


def test_waiting_ends_with_the_kubelets_own_static_pods(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade._static_pods, "complaint", lambda: "the kubelet has not started etcd yet")
    assert upgrade.settle(1) == "the kubelet has not started etcd yet"
