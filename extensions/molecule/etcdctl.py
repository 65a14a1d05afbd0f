# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""etcd as its members tell it, through etcdctl in a control plane's own etcd."""

from __future__ import annotations

import json
from typing import Any

ETCDCTL = (
    "crictl exec $(crictl ps --quiet --name '^etcd$') etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt"
    " --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key "
)


def etcd(host: Any, command: str) -> str:
    """What etcdctl says on a control plane."""
    done = host.run(ETCDCTL + command)
    assert done.rc == 0, done.stderr
    return str(done.stdout)


def members(host: Any) -> list[str]:
    """Names of the voting members."""
    found = json.loads(etcd(host, "member list --write-out=json"))["members"]
    return sorted(entry["name"] for entry in found if not entry.get("isLearner"))


def leader(hosts: dict[str, Any]) -> str:
    """Which of the control planes leads."""
    for name, host in hosts.items():
        (found,) = json.loads(etcd(host, "endpoint status --write-out=json"))
        if found["Status"]["leader"] == found["Status"]["header"]["member_id"]:
            return name
    raise AssertionError("nobody leads")


def processes(host: Any) -> str:
    """etcd's and the API server's containers: the same as long as nobody stopped them."""
    return str(host.check_output("crictl ps --quiet --name '^(etcd|kube-apiserver)$' | sort"))
