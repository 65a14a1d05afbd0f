# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""create is killed at bad moments and started again: it finishes, and what it makes is as good as without."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from kubernetes.client import ApiException
from lab import Lab, Playing, Run
from urllib3.exceptions import HTTPError

NODES = ("cp1", "worker1")
# kubeadm join writes it, then waits for the kubelet's own identity, then removes it.
BEFORE_MEMBERSHIP = "etc/kubernetes/bootstrap-kubelet.conf"


class Story:
    """Runs of create on one control plane and one worker, each of which is disturbed when something shows."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.inventory = lab.inventory("resume", leave_out=("worker2",))
        self.root = {node: lab.root(node) for node in NODES}

    def start(self) -> Playing:
        return self.lab.start_create(self.inventory)

    def exists(self, node: str, pattern: str) -> bool:
        return any(self.root[node].glob(pattern))

    def killed_when(self, condition: Callable[[Playing], object], what: str) -> None:
        """ansible-playbook is killed; what it has started on the hosts goes on."""
        playing = self.start()
        assert playing.kill_when(lambda: condition(playing), what).code == -9

    def failed_when(self, condition: Callable[[], object], node: str, *words: str) -> Run:
        """A process on a node is killed; the run must say so and end."""
        playing = self.start()
        playing.wait_until(condition, " ".join(words))
        assert self.lab.kill_in(node, *words)
        run = playing.finish()
        assert run.code not in (0, -9)
        assert run.recap[node].failed == 1
        return run

    def finishes(self) -> None:
        """Now undisturbed: the cluster is complete, nothing half-made is left, and another run has nothing to do."""
        self.start().finish().succeeded()
        assert self.lab.unhealthy(*NODES) == []
        for node in NODES:
            # Files get their names when they are complete; kubeadm's configuration may hold a token.
            places = "/usr/local/bin/.[!.]* /opt/cni/bin/.[!.]* /etc/kubernetes/.[!.]* /run/hostplane-kubeadm-*"
            assert self.lab.sh(node, f"find {places} 2>/dev/null || true") == ""
        assert self.start().finish().succeeded().changed == {}

    def has_namespace(self, name: str) -> bool:
        """Whether the API answers and has the namespace."""
        if not (self.lab.directory / "admin.conf").exists():
            return False
        try:
            self.lab.api().read_namespace(name, _request_timeout=2)
        except (ApiException, HTTPError):
            return False
        return True


@pytest.fixture
def story(spare_hosts: Lab) -> Story:
    """Hosts that a reset has emptied, whatever was there before."""
    occupied = spare_hosts.occupied_by
    if occupied:
        run = spare_hosts.reset(occupied)
        members = set(run.recap) - {"mirror1", "localhost"}
        assert set(run.changed) & members == members
        assert len(re.findall(r'"residue": \[\]', run.log)) == len(members), run.log[-6000:]
        # Once more: nothing to do is no error.
        assert spare_hosts.reset(occupied).changed == {}
    assert not (spare_hosts.directory / "admin.conf").exists()
    return Story(spare_hosts)


def test_killed_during_install_init_and_join_and_between(story: Story) -> None:
    # The power fails on the worker too, so half a file stays.
    playing = story.start()
    playing.wait_until(lambda: story.exists("worker1", "usr/local/bin/.*.new"), "a file that is being written")
    # First: without its run the module may end by itself.
    assert story.lab.kill_in("worker1", "python3")
    assert playing.kill().code == -9

    # kubeadm goes on by itself while the next run begins.
    story.killed_when(lambda _playing: story.exists("cp1", "etc/kubernetes/manifests/etcd.yaml"), "kubeadm init")
    story.killed_when(
        lambda playing: playing.has_begun("Keep the administrator's kubeconfig on the controller"), "the end of init"
    )
    story.killed_when(lambda _playing: story.exists("worker1", BEFORE_MEMBERSHIP), "kubeadm join")
    story.finishes()


def test_killed_during_kubeadm_cni_and_join(story: Story) -> None:
    # With certificates, but before any of it runs; then with data in etcd.
    run = story.failed_when(lambda: story.exists("cp1", "etc/kubernetes/pki/apiserver.crt"), "cp1", "kubeadm", "init")
    assert "kubeadm init failed" in run.log
    story.failed_when(lambda: story.exists("cp1", "var/lib/etcd/member"), "cp1", "kubeadm", "init")

    story.killed_when(lambda _playing: story.has_namespace("kube-flannel"), "the pod network's namespace")

    story.failed_when(lambda: story.exists("worker1", BEFORE_MEMBERSHIP), "worker1", "kubeadm", "join")
    story.finishes()
