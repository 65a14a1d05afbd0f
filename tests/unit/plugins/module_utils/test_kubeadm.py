# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running kubeadm so that a killed run can be finished; only kubeadm itself is played."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import (
    RESUME_IGNORES,
    KubeadmError,
    Marker,
    drop_configs,
    drop_unfinished,
    explain,
    has_identity,
    one_at_a_time,
    read_marker,
    refuse_foreign,
    run_kubeadm,
    write_marker,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Host = Any
SECRET = "token: abcdef.0123456789abcdef\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()))
def test_marker_comes_back_as_it_was_written(host: Host, cluster: str, phase: str, kept: dict[str, Any]) -> None:
    marker = Marker(cluster, phase, kept)
    write_marker(marker)
    assert read_marker() == marker


def test_no_marker_is_an_empty_one(host: Host) -> None:
    assert read_marker() == Marker("", "", {})
    assert not read_marker().verb_done()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cluster": "a"}', "null", "\ud83d"])
def test_damaged_marker_is_not_guessed(host: Host, text: str) -> None:
    host.put("hostplane.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(KubeadmError, match="hostplane.json can't be understood .*reset it"):
        read_marker()


def test_a_host_of_another_cluster_is_refused(host: Host) -> None:
    with pytest.raises(KubeadmError, match="belongs to cluster 'shop', not 'bank'; run the reset playbook"):
        refuse_foreign(Marker("shop", "join-done"), "bank")
    refuse_foreign(Marker("shop", "join-done"), "shop")


@pytest.mark.parametrize("name", ["kubelet.conf", "admin.conf"])
def test_a_cluster_made_by_others_is_refused(host: Host, name: str) -> None:
    refuse_foreign(Marker(), "shop")
    host.put(name)
    with pytest.raises(KubeadmError, match=f"{name} is of a cluster that was not made by this collection"):
        refuse_foreign(Marker(), "shop")
    refuse_foreign(Marker("shop", "init-started"), "shop")


def remains(host: Host) -> set[str]:
    return {str(path.relative_to(host.root)) for path in host.root.rglob("*") if path.is_file()}


def complete(host: Host) -> set[str]:
    for stem in ("ca", "apiserver", "front-proxy-ca", "etcd/ca", "etcd/server"):
        host.put(f"pki/{stem}.crt")
        host.put(f"pki/{stem}.key")
    host.put("pki/sa.pub")
    host.put("pki/sa.key")
    host.put("manifests/etcd.yaml")
    return remains(host)


def test_complete_pairs_stay(host: Host) -> None:
    wanted = complete(host)
    assert drop_unfinished() == []
    assert remains(host) == wanted


@pytest.mark.parametrize(
    ("lost", "dropped"),
    [
        ("pki/ca.crt", {"pki/ca.key"}),
        ("pki/apiserver.crt", {"pki/apiserver.key"}),
        ("pki/apiserver.key", {"pki/apiserver.crt"}),
        ("pki/etcd/server.crt", {"pki/etcd/server.key"}),
        ("pki/sa.key", {"pki/sa.pub"}),
        ("pki/sa.pub", {"pki/sa.key"}),
        # A CA without its key is an external one.
        ("pki/ca.key", set()),
        ("pki/etcd/ca.key", set()),
        ("pki/front-proxy-ca.key", set()),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_halves_of_pairs_go(host: Host, lost: str, dropped: set[str], empty: bool) -> None:
    wanted = complete(host) - dropped - {lost}
    if empty and dropped:
        host.put(lost, "")
        dropped = dropped | {lost}
    else:
        (host.root / lost).unlink()
    assert drop_unfinished() == sorted(str(host.root / name) for name in dropped)
    assert remains(host) == wanted


def test_an_empty_ca_key_is_no_external_ca(host: Host) -> None:
    complete(host)
    host.put("pki/ca.key", "")
    assert drop_unfinished() == [str(host.root / "pki/ca.crt"), str(host.root / "pki/ca.key")]


def test_kubeconfigs_go_only_while_etcd_is_empty(host: Host) -> None:
    host.put("admin.conf")
    (host.base / "etcd" / "member").mkdir(parents=True)
    assert drop_unfinished() == []
    (host.base / "etcd" / "member").rmdir()
    assert drop_unfinished() == [str(host.root / "admin.conf")]


def test_identity_needs_certificate_and_kubeconfig(host: Host) -> None:
    assert not has_identity()
    host.put("kubelet.conf")
    assert not has_identity()
    (host.base / "kubelet-client.pem").touch()
    assert has_identity()


def test_command_line_and_configuration(host: Host) -> None:
    with one_at_a_time(1) as lock:
        run_kubeadm("init", SECRET, ["B", "A", "B"], 10, lock)
        run_kubeadm("join", SECRET, [], 10, lock)
    config = str(host.run / "hostplane-kubeadm-{}.yaml")
    assert host.calls() == [
        f"init --config {config.format('init')} --skip-token-print --ignore-preflight-errors=A,B",
        f"join --config {config.format('join')}",
    ]
    assert (host.base / "config").read_text() == SECRET
    assert (host.base / "config-mode").read_text() == "600\n"
    assert os.listdir(host.run) == ["kubeadm.lock"]


def test_kubeadm_finds_the_kubelet_whatever_path_sudo_gives(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/sbin:/bin:/usr/sbin:/usr/bin")
    host.kubeadm(f'echo "$PATH" > {host.base}/path')
    with one_at_a_time(1) as lock:
        run_kubeadm("init", SECRET, [], 10, lock)
    assert (host.base / "path").read_text() == "/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n"


def test_failure_is_explained_and_the_configuration_removed(host: Host) -> None:
    host.kubeadm("echo progress; echo 'W0101 a warning' >&2; echo 'error: no route to host' >&2; exit 3")
    with one_at_a_time(1) as lock, pytest.raises(KubeadmError) as caught:
        run_kubeadm("join", SECRET, [], 10, lock)
    assert str(caught.value) == "kubeadm join failed with exit code 3:\nerror: no route to host"
    assert os.listdir(host.run) == ["kubeadm.lock"]


def test_timeout(host: Host) -> None:
    host.kubeadm("exec sleep 30")
    start = time.monotonic()
    with one_at_a_time(1) as lock, pytest.raises(KubeadmError, match="kubeadm init did not finish within 0.3 s"):
        run_kubeadm("init", SECRET, [], 0.3, lock)  # type: ignore[arg-type]
    assert time.monotonic() - start < 5
    assert os.listdir(host.run) == ["kubeadm.lock"]


def test_a_kubeadm_that_is_not_there(host: Host) -> None:
    (host.base / "kubeadm").unlink()
    with one_at_a_time(1) as lock, pytest.raises(FileNotFoundError):
        run_kubeadm("init", SECRET, [], 1, lock)
    assert os.listdir(host.run) == ["kubeadm.lock"]


def test_leftover_configurations_go(host: Host) -> None:
    (host.run / "hostplane-kubeadm-join.yaml").write_text(SECRET)
    (host.run / "other.yaml").touch()
    drop_configs()
    assert os.listdir(host.run) == ["other.yaml"]


def test_only_one_at_a_time(host: Host) -> None:
    message = "another kubeadm has been working here for over 0 s"
    with one_at_a_time(1), pytest.raises(KubeadmError, match=message), one_at_a_time(0):
        pass
    with one_at_a_time(0):
        pass


def test_lock_is_held_by_a_kubeadm_that_outlives_its_caller(host: Host) -> None:
    host.kubeadm("(while [ ! -e finish ]; do sleep 0.02; done) > /dev/null 2>&1 &")
    with one_at_a_time(1) as lock:
        run_kubeadm("init", "", [], 10, lock)
    with pytest.raises(KubeadmError, match="another kubeadm"), one_at_a_time(0):
        pass
    Path(host.base, "finish").touch()
    with one_at_a_time(5):
        pass


@given(st.lists(st.text(st.characters(categories=["L", "Zs"]), max_size=5)), st.lists(st.text("Wab ", max_size=5)))
def test_explanation_is_never_long_and_prefers_errors(out: list[str], err: list[str]) -> None:
    text = explain("\n".join(out), "\n".join(err), 3)
    assert len(text.splitlines()) <= 3
    errors = [line for line in err if line.strip() and not line.startswith("W")]
    assert not errors or text == "\n".join(errors[-3:])


def test_resuming_ignores_only_what_kubeadm_leaves_behind() -> None:
    assert all(name.startswith(("DirAvailable--", "FileAvailable--", "Port-")) for name in RESUME_IGNORES)
    assert len(set(RESUME_IGNORES)) == len(RESUME_IGNORES)
