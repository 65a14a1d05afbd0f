#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_config
short_description: Bring the configuration of a running kubelet in line with the host's settings
version_added: "0.1.0"
description:
  - Lets kubeadm compute the kubelet's configuration from the cluster's (ConfigMap C(kubelet-config)) and the host's
    patches, and compares it with what the kubelet runs with. When they differ, kubeadm writes it and the kubelet is
    restarted. This is kubeadm's documented way to reconfigure a cluster.
  - Returns when the kubelet is healthy and has reported its node as Ready. When that does not happen in time, the
    configuration that was there before comes back, and the module fails with what the kubelet said.
  - Some changes make the kubelet refuse its own records of which CPUs or memory belong to which pod. They need an empty
    node (RV(drain)) and are refused unless O(drained=true); the records are removed then.
  - Nothing is remembered between runs, so an interrupted run is finished by the next one.
  - A host that is no member of a cluster yet is left alone. kubeadm uses the patches when the host joins.
  - Runs on the host.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  patch:
    description:
      - Fields of C(KubeletConfiguration) for this host, as in its file below C(/etc/kubernetes/patches).
      - Unless in check mode, the file must hold them already, so that later upgrades know them too.
    type: dict
    required: true
  node_name:
    description: Name of the host's node.
    type: str
    required: true
  drained:
    description: Whether the node's pods have been moved off.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that the kubelet has to become healthy and its node to become Ready.
      - A kubelet that dies again and again is given up earlier.
    type: int
    default: 300
seealso:
  - module: hostplane.cluster.node_drain
  - name: Reconfiguring a kubeadm cluster
    description: The procedure that this module follows.
    link: https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-reconfigure/
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: See what would change
  hostplane.cluster.kubelet_config:
    node_name: worker1
    patch: {maxPods: 60, imageGCHighThresholdPercent: 90}
  check_mode: true
  register: kubelet

- name: Restart the kubelet with new settings
  hostplane.cluster.kubelet_config:
    node_name: worker1
    patch: {maxPods: 60, imageGCHighThresholdPercent: 90}
  when: not kubelet.drain
"""

RETURN = r"""
differs:
  description: Whether the kubelet runs (or ran) with other settings.
  returned: success
  type: bool
  sample: true
settings:
  description: Top-level fields of C(KubeletConfiguration) that differ, sorted.
  returned: success
  type: list
  elements: str
  sample: [imageGCHighThresholdPercent, maxPods]
drain:
  description: The fields because of which the node has to be empty, sorted; usually none.
  returned: success
  type: list
  elements: str
  sample: [cpuManagerPolicy]
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 4.2
"""

import json
import os
import time
from datetime import datetime, timezone
from http.client import HTTPConnection, HTTPException
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeletconfig as _config
from ansible_collections.hostplane.cluster.plugins.module_utils._files import atomic_write
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import KubeadmError, read_marker
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeletconfig import Change, KubeletConfigError
from ansible_collections.hostplane.cluster.plugins.module_utils._unit import newer_than, started_at

KUBECTL = "/usr/local/bin/kubectl"
KUBECONFIG = "/etc/kubernetes/kubelet.conf"
INTERVAL = 0.5
# So often it is no accident; at RestartSec=2 that is some ten seconds.
CRASHES = 4
# After the old settings are back; long enough for a kubelet that worked a minute ago.
RESTORE_SECONDS = 60


def look(module: AnsibleModule) -> Change | None:
    """What is to be done here; None on a host that is no member yet."""
    if not read_marker().verb_done() or not os.path.exists(_config.CONFIG):
        return None
    with open(_config.CONFIG, encoding="utf-8") as handle:
        before = handle.read()
    after = _config.wanted_text(module.params["patch"])
    show = ["systemctl", "show", "-p", "MainPID", "-p", "ExecMainStartTimestampMonotonic", "kubelet"]
    dummy, out, dummy = module.run_command(show)
    stale = newer_than([_config.CONFIG], started_at(out, time.time(), time.monotonic()))
    drop, reasons = _config.disruption(before, after, _config.read_policies())
    return Change(before, after, bool(stale), tuple(drop), tuple(reasons))


def systemctl(module: AnsibleModule, verb: str) -> None:
    """Stop or restart the kubelet. Its start is not waited for by systemd: it is running or it is not."""
    module.run_command(["systemctl", verb, "kubelet"], check_rc=True)


def restarts(module: AnsibleModule) -> int:
    """How often systemd has started the kubelet again by itself."""
    dummy, out, dummy = module.run_command(["systemctl", "show", "-p", "NRestarts", "kubelet"])
    number = out.strip().partition("=")[2]
    return int(number) if number.isdigit() else 0


def health(parts: dict[str, str]) -> str:
    """What the kubelet's health endpoint says against it; empty when it is healthy, or when there is no endpoint."""
    port = _config.scalar(parts, "healthzPort", "10248")
    if port == "0":
        return ""
    address = _config.scalar(parts, "healthzBindAddress", "127.0.0.1")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    connection = HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        return "" if status == 200 else f"its health is {status}"
    except (OSError, HTTPException) as exc:
        return f"its health can't be asked: {exc}"
    finally:
        connection.close()


def readiness(module: AnsibleModule, since: float) -> str:
    """What keeps the node from being Ready by a report that is younger than the restart; empty when it is."""
    name = module.params["node_name"]
    command = [KUBECTL, "--kubeconfig", KUBECONFIG, "--request-timeout=10s", "get", "node", name, "-o", "json"]
    code, out, err = module.run_command(command)
    if code:
        return f"its node can't be read: {err.strip()}"
    for entry in json.loads(out)["status"].get("conditions") or ():
        if entry["type"] == "Ready":
            beat = datetime.strptime(entry["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
            if entry["status"] != "True":
                return f"its node is not Ready: {entry.get('message')}"
            # The API has whole seconds.
            return "" if beat.timestamp() >= int(since) else "it has not reported to the API yet"
    return "its node has no condition Ready"


def wait(module: AnsibleModule, text: str, since: float, seconds: int) -> str:
    """Wait until kubelet and node work; returns what is in the way when they don't in time."""
    parts, deadline, crashes = _config.blocks(text), time.monotonic() + seconds, restarts(module)
    while True:
        problem = health(parts) or readiness(module, since)
        if not problem or time.monotonic() > deadline:
            return problem
        if restarts(module) >= crashes + CRASHES:
            return f"it dies again and again; {problem}"
        time.sleep(INTERVAL)


def restart(module: AnsibleModule, drop: tuple[str, ...]) -> float:
    """Restart the kubelet, without the checkpoints that it would refuse; returns when."""
    if drop:
        systemctl(module, "stop")
        for name in drop:
            path = os.path.join(_config.ROOT, name)
            if os.path.exists(path):
                os.unlink(path)
    since = time.time()
    systemctl(module, "restart")
    return since


def apply(module: AnsibleModule, change: Change) -> None:
    """Make the change; when the kubelet does not live with it, take it back and fail."""
    if change.before != change.after:
        _config.write(change.before, change.after)
    since = restart(module, change.drop)
    problem = wait(module, change.after, since, module.params["timeout"])
    if not problem:
        return
    dummy, journal, dummy = module.run_command(
        ["journalctl", "-u", "kubelet", "-o", "cat", "--no-pager", "--since", f"@{int(since)}", "-n", "200"]
    )
    said = _config.kubelet_errors(journal)
    if change.before == change.after:
        raise KubeletConfigError(f"the kubelet does not work after its restart: {problem}\n{said}")
    atomic_write(_config.CONFIG, change.before.encode(), 0o644)
    since = restart(module, change.drop)
    left = wait(module, change.before, since, RESTORE_SECONDS)
    back = f"and they don't work either: {left}" if left else "and the node is Ready again"
    raise KubeletConfigError(
        f"the kubelet does not work with {', '.join(change.keys)} as wanted: {problem}\n{said}\n"
        f"The settings from before are back, {back}."
    )


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, and change what differs."""
    start, change = time.monotonic(), look(module)
    if change is None:
        return {"changed": False, "differs": False, "settings": [], "drain": [], "seconds": 0.0}
    if change.needed and not module.check_mode:
        if change.drain and not module.params["drained"]:
            raise KubeletConfigError(
                f"{', '.join(change.drain)} can be changed on an empty node only; drain it and set drained=true"
            )
        apply(module, change)
    result: dict[str, Any] = {
        "changed": change.needed,
        "differs": change.needed,
        "settings": change.keys,
        "drain": list(change.drain),
        "seconds": round(time.monotonic() - start, 1),
    }
    if module._diff and change.needed:
        header = f"{_config.CONFIG} (restart)"
        result["diff"] = {
            "before_header": header, "after_header": header, "before": change.before, "after": change.after
        }  # fmt: skip
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "patch": {"type": "dict", "required": True},
            "node_name": {"type": "str", "required": True},
            "drained": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (KubeletConfigError, KubeadmError, OSError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
