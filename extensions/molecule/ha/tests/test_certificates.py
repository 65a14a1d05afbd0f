# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All certificates of three control planes are renewed while a client asks through the endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plays import play
from poller import Poller

SERVING = "sha256sum /etc/kubernetes/pki/apiserver.crt"
CONTAINERS = "crictl --timeout 60s ps -q --name '^(etcd|kube-apiserver)$'"


def test_no_request_is_lost_while_everything_is_renewed(hosts: dict[str, Any], lab_dir: Path) -> None:
    planes = {name: host for name, host in hosts.items() if name.startswith("cp")}
    serving = {name: host.check_output(SERVING) for name, host in planes.items()}
    running = {name: host.check_output(CONTAINERS) for name, host in planes.items()}
    poller = Poller.of_api(lab_dir / "admin.conf")
    poller.start()
    play("certificates", certificates_force=True)
    poller.stop()
    assert all(host.check_output(SERVING) != serving[name] for name, host in planes.items())
    assert {name: host.check_output(CONTAINERS) for name, host in planes.items()} == running
    assert poller.lost == []
