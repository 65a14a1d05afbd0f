# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Node containers to run the collection's own playbooks against, and means to look into them and to disturb them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config

TREE = Path(__file__).parents[2]
QUICKSTART = TREE / "inventories/quickstart/group_vars/all"
MEMBERS = ("cp1", "worker1", "worker2")
ADDRESSES = {"mirror1": 10, "cp1": 11, "worker1": 21, "worker2": 22}
GROUPS = {"mirror": ("mirror1",), "control_plane": ("cp1",), "worker": ("worker1", "worker2")}
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


@dataclass(frozen=True)
class Recap:
    """What Ansible counted for one host."""

    ok: int
    changed: int
    unreachable: int
    failed: int


@dataclass(frozen=True)
class Run:
    """A playbook run that has ended."""

    code: int
    log: str
    seconds: float

    @property
    def recap(self) -> dict[str, Recap]:
        return {name: Recap(*map(int, counts)) for name, *counts in RECAP.findall(self.log)}

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host, without those that changed nothing."""
        return {name: counts.changed for name, counts in self.recap.items() if counts.changed}

    def succeeded(self) -> Run:
        assert self.code == 0, f"exit {self.code}:\n{self.log[-6000:]}"
        return self


class Playing:
    """A playbook run that goes on, in a session of its own."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        self.started = time.monotonic()
        # Colours and the user's settings would change what the tests read.
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=TREE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self) -> Run:
        try:
            self.process.wait(timeout=420)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return self._run()

    def kill(self) -> Run:
        """SIGKILL to ansible-playbook and all its descendants: its workers have sessions of their own."""
        os.kill(self.process.pid, signal.SIGSTOP)
        while family := _descendants(self.process.pid):
            for pid in family:
                _kill(pid)
        _kill(self.process.pid)
        self.process.wait()
        return self._run()

    def kill_when(self, condition: Callable[[], Any], what: str) -> Run:
        self.wait_until(condition, what)
        return self.kill()

    def wait_until(self, condition: Callable[[], Any], what: str, timeout: float = 180) -> None:
        """Wait for a moment of the run; that the run ends before it is a failure."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{what} was not seen during the run:\n{self.log.read_text()[-6000:]}")
            time.sleep(0.01)

    def has_begun(self, task: str) -> bool:
        return f"TASK [{task}]" in self.log.read_text(errors="replace")

    def _run(self) -> Run:
        return Run(self.process.returncode, self.log.read_text(errors="replace"), time.monotonic() - self.started)


@dataclass
class Lab:
    """The containers of one inventory. All playbooks run as a user would run them."""

    home: Path
    name: str
    subnet: str
    runs: int = 0
    occupied_by: Path | None = None

    @property
    def directory(self) -> Path:
        return Path.home() / ".cache/hostplane/lab" / self.name

    @property
    def password(self) -> str:
        return (self.directory / "mirror-password").read_text().split()[0]

    def address(self, node: str) -> str:
        return f"{self.subnet}.{ADDRESSES[node]}"

    def inventory(self, cluster: str, leave_out: tuple[str, ...] = (), **hostvars: Mapping[str, Any]) -> Path:
        """The quickstart's variables with this lab's hosts; leave_out and hostvars by host name."""
        path = self.home / cluster
        variables = path / "group_vars/all"
        variables.mkdir(parents=True, exist_ok=True)
        for source in QUICKSTART.iterdir():
            (variables / source.name).unlink(missing_ok=True)
            (variables / source.name).symlink_to(source)
        own = {
            "cluster_name": cluster,
            "cluster_node_cidrs": [f"{self.subnet}.0/24"],
            "lab_name": self.name,
            "lab_network": f"{self.subnet}.0/24",
            "mirror_address": f"{self.address('mirror1')}:5000",
        }
        (variables / "zz-own.yml").write_text(json.dumps(own))
        groups = {
            group: {
                "hosts": {
                    host: {"ansible_host": self.address(host), **hostvars.get(host, {})}
                    for host in hosts
                    if host not in leave_out
                }
            }
            for group, hosts in GROUPS.items()
        }
        (path / "hosts.yml").write_text(json.dumps(groups))
        return path

    def start(self, inventory: Path, *playbooks: str, args: tuple[str, ...] = (), **variables: Any) -> Playing:
        self.runs += 1
        command = ["ansible-playbook", "-i", str(inventory), *(f"playbooks/{name}.yml" for name in playbooks), *args]
        if variables:
            command += ["-e", json.dumps(variables)]
        return Playing(command, self.home / f"{self.runs:02}-{'-'.join(playbooks)}.log")

    def play(self, inventory: Path, *playbooks: str, args: tuple[str, ...] = (), **variables: Any) -> Run:
        return self.start(inventory, *playbooks, args=args, **variables).finish()

    def start_create(self, inventory: Path, *args: str, **variables: Any) -> Playing:
        """Like start, and remembers that the hosts are not empty any more."""
        self.occupied_by = inventory
        return self.start(inventory, "create", args=args, **variables)

    def create(self, inventory: Path, *args: str, **variables: Any) -> Run:
        return self.start_create(inventory, *args, **variables).finish()

    def reset(self, inventory: Path) -> Run:
        cluster = inventory.name
        run = self.play(inventory, "reset", args=("-v",), reset_confirm=cluster).succeeded()
        self.occupied_by = None
        return run

    def remove(self) -> None:
        self.play(self.inventory("removal"), "lab", lab_state="absent").succeeded()

    def container(self, node: str) -> str:
        return f"{self.name}-{node}"

    @staticmethod
    def podman(*arguments: str) -> str:
        return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    def sh(self, node: str, script: str) -> str:
        """Output of a shell script inside a node, over podman and not over what is tested."""
        command = ["podman", "exec", self.container(node), "sh", "-euc", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{node}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def root(self, node: str) -> Path:
        """The file system of a node; looking is so cheap that a moment is not missed."""
        pid = self.podman("inspect", "--format", "{{.State.Pid}}", self.container(node))
        return Path(f"/proc/{pid}/root")

    def kill_in(self, node: str, *words: str) -> int:
        """SIGKILL to every process of a node that has all the words in its command line; how many there were."""
        namespace = os.readlink(self.root(node).parent / "ns/pid")
        found = [
            pid
            for pid, line in command_lines()
            if set(words) <= set(re.split("[ /]", line)) and _namespace(pid) == namespace
        ]
        for pid in found:
            _kill(pid)
        return len(found)

    def processes(self, node: str) -> list[str]:
        """What would be others after a restart: services with the times of their starts, and containers."""
        services = "--property=Id,MainPID,ActiveEnterTimestampMonotonic,NRestarts containerd kubelet"
        found = self.sh(node, f"systemctl show {services}").splitlines()
        for entry in json.loads(self.sh(node, "crictl ps --output=json"))["containers"]:
            # Pods of a probe live as long as the probe.
            if entry["labels"]["io.kubernetes.pod.namespace"] != "hostplane-probe":
                found.append(f"{entry['metadata']['name']} {entry['id']}")
        return sorted(found)

    def api(self) -> client.CoreV1Api:
        return client.CoreV1Api(config.new_client_from_config(str(self.directory / "admin.conf")))

    def unhealthy(self, *members: str, patience: float = 60) -> list[str]:
        """What keeps the cluster from being one that works, for `patience` seconds at least.

        The kubelet tells of its static pods a little later than it runs them.
        """
        deadline = time.monotonic() + patience
        while (wrong := self._wrong(*members)) and time.monotonic() < deadline:
            time.sleep(1)
        return wrong

    def _wrong(self, *members: str) -> list[str]:
        """Every node must be Ready and proven by probe pods, every pod must be ready."""
        wrong = []
        nodes = {node.metadata.name: node for node in self.api().list_node().items}
        if sorted(nodes) != sorted(members):
            wrong.append(f"nodes are {sorted(nodes)}")
        for name, node in nodes.items():
            if [entry.status for entry in node.status.conditions if entry.type == "Ready"] != ["True"]:
                wrong.append(f"{name} is not Ready")
            if (node.metadata.annotations or {}).get("hostplane.io/probed") != "true":
                wrong.append(f"{name} was not proven")
        # Pods of a probe end after the run, at their own pace.
        for pod in self.api().list_pod_for_all_namespaces(field_selector="metadata.namespace!=hostplane-probe").items:
            states = pod.status.container_statuses or []
            if pod.status.phase != "Running" or not all(entry.ready for entry in states):
                wrong.append(f"pod {pod.metadata.name} is {pod.status.phase}")
        return wrong


class CommandLines:
    """All command lines that are seen on this machine, which are those of the nodes as well, while it is entered."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.seen.update(line for _pid, line in command_lines())

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()


def command_lines() -> Iterator[tuple[int, str]]:
    """(pid, command line with blanks between its words) of every process."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = Path("/proc", entry, "cmdline").read_bytes()
            except OSError:
                continue
            if line:
                yield int(entry), line.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Living descendants; a zombie waits for its parent, which may be stopped."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                state, parent = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
