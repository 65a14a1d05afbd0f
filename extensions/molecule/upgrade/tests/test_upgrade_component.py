# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release stays the same and one of its components does not: only that is exchanged, nothing is restarted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plays import TREE, changes, play

RELEASE, ARCH = "1.36.3", "amd64"
BUNDLE = Path.home() / ".cache/hostplane/bundle" / f"{RELEASE}-{ARCH}"
OLD, NEW = "1.36.0", "1.36.0-other"
FLAG = "sigs.k8s.io/cri-tools/pkg/version.Version="
HOSTS = ("cp1", "worker1", "worker2")


def versions(hosts: dict[str, Any]) -> set[str]:
    return {hosts[name].check_output("crictl --version").split()[-1].lstrip("v") for name in HOSTS}


def processes(hosts: dict[str, Any]) -> list[str]:
    """What would be others after a restart."""
    show = "systemctl show --property=Id,MainPID,ActiveEnterTimestampMonotonic containerd kubelet"
    return [hosts[name].check_output(f"{show}; crictl ps --quiet | sort") for name in HOSTS]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A bundle of the same release in which only crictl is another one, built from a catalogue that says so."""
    releases, bundle = tmp_path / "releases", BUNDLE.with_name("component")
    shutil.copytree(TREE / "releases", releases)
    # The catalogue names what is built here by its place beside it.
    (tmp_path / "csi").symlink_to(TREE / "csi")
    catalogue = releases / f"{RELEASE}.yml"
    text = catalogue.read_text()
    assert text.count(FLAG + OLD) == 1
    catalogue.write_text(text.replace(FLAG + OLD, FLAG + NEW))
    shutil.rmtree(bundle, ignore_errors=True)
    # What is the same need not be made again.
    shutil.copytree(BUNDLE, bundle, copy_function=os.link)
    look = f"{{{{ lookup('hostplane.cluster.release', '{RELEASE}', directory='{releases}') }}}}"
    play("bundle", bundle_release=RELEASE, bundle_catalogue=look, bundle_dir=str(bundle), bundle_source="source")
    yield bundle
    shutil.rmtree(bundle)


def test_only_the_component_is_exchanged(hosts: dict[str, Any], other: Path) -> None:
    assert versions(hosts) == {OLD}
    before = processes(hosts)
    play("mirror", mirror_bundles=[str(other)])
    log = play("upgrade", cluster_kubernetes_version=RELEASE)
    assert "backup" in log and changes(log) > 0
    assert versions(hosts) == {NEW}
    assert processes(hosts) == before
    assert changes(play("upgrade", cluster_kubernetes_version=RELEASE)) == 0
