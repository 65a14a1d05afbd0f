# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it; kubeadm, systemd and kubectl are played, the health endpoint is a real one."""

from __future__ import annotations

import http.server
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeletconfig
from ansible_collections.hostplane.cluster.plugins.modules import kubelet_config

Run = Callable[..., dict[str, Any]]
# Merges the patch over what all have in common, and writes one line for each setting.
KUBEADM = """#!{python}
import json, os, sys
with open({base!r} + "/calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + chr(10))
if os.path.exists({base!r} + "/refusal"):
    sys.exit("W1121 noise" + chr(10) + "no such ConfigMap")
patches = sys.argv[sys.argv.index("--patches") + 1]
with open({base!r} + "/shared.json") as shared, open(patches + "/kubeletconfiguration0+merge.json") as patch:
    data = {{**json.load(shared), **json.load(patch)}}
target = os.environ.get("KUBEADM_UPGRADE_DRYRUN_DIR") if "--dry-run" in sys.argv else {root!r}
if "--dry-run" not in sys.argv:
    os.makedirs({base!r} + "/tmp/kubeadm-kubelet-config-1")
with open(target + "/config.yaml", "w") as out:
    out.write("".join(f"{{key}}: {{data[key]}}" + chr(10) for key in sorted(data)))
"""


@dataclass
class Node:
    """A host with a kubelet that lives with everything but maxPods: 0, and with no policy but its checkpoint's."""

    base: Path
    shared: dict[str, Any]
    commands: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    ready: bool = True
    reports: bool = True
    crashes: int = 0

    @property
    def root(self) -> Path:
        return self.base / "kubelet"

    @property
    def text(self) -> str:
        return (self.root / "config.yaml").read_text()

    def policy(self, name: str) -> None:
        (self.root / "cpu_manager_state").write_text(json.dumps({"policyName": name}))

    def put(self, patch: dict[str, Any]) -> dict[str, Any]:
        """Write the patch as the role does; returns the module's options."""
        text = _kubeletconfig.patch_text(patch)
        (self.base / "patches" / "kubeletconfiguration0+merge.json").write_text(text)
        return {"node_name": "worker1", "patch": patch, "timeout": 1}

    def calls(self) -> list[str]:
        path = self.base / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def healthy(self) -> bool:
        wanted = re.search(r"^cpuManagerPolicy: (\w+)$", self.text, re.M)
        state = self.root / "cpu_manager_state"
        written = json.loads(state.read_text())["policyName"] if state.exists() else None
        return "maxPods: 0\n" not in self.text and written in (None, wanted[1] if wanted else "none")

    def run_command(self, _module: Any, command: list[str], **_kwargs: Any) -> tuple[int, str, str]:
        words = [os.path.basename(command[0]), *command[1:]]
        if words[:4] == ["systemctl", "show", "-p", "NRestarts"]:
            self.crashes += not self.healthy()
            return 0, f"NRestarts={self.crashes}\n", ""
        if words[:2] == ["systemctl", "show"]:
            monotonic = int((self.started - time.time() + time.monotonic()) * 1e6)
            return 0, f"MainPID=7\nExecMainStartTimestampMonotonic={monotonic}\n", ""
        if words[0] == "journalctl":
            return 0, 'E1121 12:00:00.2   10 run.go:72] "command failed" err="maxPods: Invalid value"\n', ""
        if words[0] == "kubectl":
            beat = datetime.fromtimestamp(self.started if self.reports else 1, timezone.utc)
            status = "True" if self.ready else "False"
            entry = {"type": "Ready", "status": status, "lastHeartbeatTime": beat.strftime("%Y-%m-%dT%H:%M:%SZ")}
            return 0, json.dumps({"status": {"conditions": [{"type": "DiskPressure"}, entry]}}), ""
        self.commands.append(" ".join(words))
        if words == ["systemctl", "restart", "kubelet"]:
            self.started = time.time()
        return 0, "", ""


@pytest.fixture
def node(tmp_path: Path, host: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A member whose kubelet runs with what kubeadm makes of its patch."""
    made = Node(tmp_path, {})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if made.healthy() else 500)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made.shared["healthzPort"] = server.server_address[1]
    (tmp_path / "shared.json").write_text(json.dumps(made.shared))
    made.root.mkdir()
    (tmp_path / "patches").mkdir()
    program = tmp_path / "kubeadm"
    program.write_text(KUBEADM.format(python=sys.executable, base=str(tmp_path), root=str(made.root)))
    program.chmod(0o755)
    host.put("hostplane.json", json.dumps({"cluster": "shop", "phase": "join-done"}))
    for name, value in (
        ("ROOT", made.root),
        ("CONFIG", made.root / "config.yaml"),
        ("PATCHES", tmp_path / "patches"),
        ("BACKUPS", tmp_path / "tmp/kubeadm-kubelet-config*"),
        ("RUN", host.run),
    ):
        monkeypatch.setattr(_kubeletconfig, name, str(value))
    monkeypatch.setattr(_kubeletconfig, "PHASE", [str(program), "upgrade", "node", "phase", "kubelet-config"])
    monkeypatch.setattr(AnsibleModule, "run_command", lambda module, command, **kw: made.run_command(module, command))
    monkeypatch.setattr(kubelet_config, "INTERVAL", 0.01)
    monkeypatch.setattr(kubelet_config, "RESTORE_SECONDS", 1)
    (made.root / "config.yaml").write_text(f"healthzPort: {made.shared['healthzPort']}\nmaxPods: 110\n")
    made.policy("none")
    made.started = time.time() + 1
    yield made
    server.shutdown()
    server.server_close()


def test_what_is_right_costs_one_look(run_module: Run, node: Node) -> None:
    for check in (True, False):
        result = run_module(kubelet_config, check=check, diff=True, **node.put({"maxPods": 110}))
        assert (result["changed"], result["differs"], result["settings"], result["drain"]) == (False, False, [], [])
        assert "diff" not in result
    assert len(node.calls()) == 2 and all("--dry-run" in call for call in node.calls())
    assert node.commands == []


def test_a_change_is_told_and_made_once(run_module: Run, node: Node, host: Any) -> None:
    options, before = node.put({"maxPods": 60}), node.text
    told = run_module(kubelet_config, check=True, diff=True, **options)
    assert (told["changed"], told["settings"], told["drain"]) == (True, ["maxPods"], [])
    assert node.text == before and node.commands == []
    done = run_module(kubelet_config, diff=True, **options)
    assert done["diff"] == told["diff"] and done["settings"] == ["maxPods"]
    assert "maxPods: 60\n" in node.text
    assert node.text == done["diff"]["after"]
    assert node.commands == ["systemctl restart kubelet"]
    assert run_module(kubelet_config, **options)["changed"] is False
    assert os.listdir(host.run) == [] and os.listdir(node.base / "tmp") == []


def test_a_patch_that_is_not_on_the_host_yet_counts_in_check_mode(run_module: Run, node: Node) -> None:
    node.put({"maxPods": 110})
    options = {"node_name": "worker1", "patch": {"maxPods": 70}}
    assert run_module(kubelet_config, check=True, **options)["settings"] == ["maxPods"]
    # For a real run it has to be there, or the next upgrade would undo the change.
    before = node.text
    failed = run_module(kubelet_config, **options)
    assert failed["failed"] and "Nothing was changed" in failed["msg"]
    assert node.text == before and node.commands == []


def test_settings_that_the_kubelet_dies_of_are_taken_back(run_module: Run, node: Node) -> None:
    before = node.text
    failed = run_module(kubelet_config, **{**node.put({"maxPods": 0}), "timeout": 3600})
    assert failed["failed"] and node.text == before
    for part in (
        "maxPods as wanted",
        "dies again and again",
        "its health",
        "Invalid value",
        "are back, and the node is Ready again",
    ):
        assert part in failed["msg"], failed["msg"]
    assert node.commands == ["systemctl restart kubelet"] * 2


@pytest.mark.parametrize(("attribute", "words"), [("ready", "not Ready"), ("reports", "has not reported")])
def test_a_node_that_does_not_come_back_is_no_success(run_module: Run, node: Node, attribute: str, words: str) -> None:
    setattr(node, attribute, False)
    failed = run_module(kubelet_config, **node.put({"maxPods": 60}))
    assert failed["failed"] and words in failed["msg"] and "they don't work either" in failed["msg"]


def test_a_cpu_policy_needs_an_empty_node(run_module: Run, node: Node) -> None:
    options, before = node.put({"maxPods": 110, "cpuManagerPolicy": "static"}), node.text
    assert run_module(kubelet_config, check=True, **options)["drain"] == ["cpuManagerPolicy"]
    failed = run_module(kubelet_config, **options)
    assert failed["failed"] and "drained=true" in failed["msg"]
    assert node.text == before and node.commands == []
    assert run_module(kubelet_config, **options, drained=True)["changed"] is True
    assert node.commands == ["systemctl stop kubelet", "systemctl restart kubelet"]
    assert not (node.root / "cpu_manager_state").exists()


def test_a_run_that_was_killed_before_the_restart_is_finished(run_module: Run, node: Node) -> None:
    options = node.put({"maxPods": 110, "cpuManagerPolicy": "static"})
    port = node.shared["healthzPort"]
    (node.root / "config.yaml").write_text(f"cpuManagerPolicy: static\nhealthzPort: {port}\nmaxPods: 110\n")
    node.started = time.time() - 100
    told = run_module(kubelet_config, check=True, **options)
    assert (told["differs"], told["settings"], told["drain"]) == (True, [], ["cpuManagerPolicy"])
    assert run_module(kubelet_config, **options, drained=True)["changed"] is True
    assert not [call for call in node.calls() if "--dry-run" not in call]
    assert run_module(kubelet_config, **options)["changed"] is False


def test_a_host_that_is_no_member_is_left_alone(run_module: Run, node: Node, host: Any) -> None:
    host.put("hostplane.json", json.dumps({"cluster": "shop", "phase": "join-started"}))
    result = run_module(kubelet_config, **node.put({"maxPods": 60}))
    assert (result["changed"], result["differs"]) == (False, False)
    assert node.calls() == []


def test_what_kubeadm_says_is_passed_on(run_module: Run, node: Node) -> None:
    (node.base / "refusal").touch()
    failed = run_module(kubelet_config, check=True, **node.put({"maxPods": 60}))
    assert failed["failed"] and failed["msg"].endswith("configuration:\nno such ConfigMap")
