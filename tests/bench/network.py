# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TCP from pod to pod on two nodes, compared with two network namespaces and a router between them on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runs import TOP, Bench, BenchError
from scaling import ACTOR, NETWORK, write_inventory

sys.path.insert(0, str(TOP / "extensions/molecule"))
import traffic

NETWORKS: dict[str, dict[str, Any]] = {
    "flannel vxlan": {"cluster_cni": "flannel"},
    "flannel host-gw": {"cluster_cni": "flannel", "cluster_flannel": {"backend": "host-gw"}},
    "underlay": {
        "cluster_cni": "underlay",
        "cluster_max_pods": 20,
        "cluster_underlay": {
            "addresses_per_pod": 1,
            "zones": [{"name": "lan", "pod_subnets": [f"{NETWORK}.128/26"]}],
        },
    },
}
PLAIN = "plain routing"
WORKER = "worker1"
PORT = "9090"
# Takes all that comes until the other side has finished, tells how much per second; then returns what it gets.
# Round trips are measured on one core: to wake another one takes more than the way itself, and comes and goes.
ONE_CORE = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
SERVER = f"""
import os, socket, sys, time
with socket.create_server(("", int(sys.argv[1]))) as server:
    wire = server.accept()[0]
    start, total = time.monotonic(), 0
    while data := wire.recv(1 << 20):
        total += len(data)
    wire.sendall(str(total / (time.monotonic() - start)).encode())
    wire.close()
    {ONE_CORE}
    wire = server.accept()[0]
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := wire.recv(64):
        wire.sendall(data)
"""
CLIENT = f"""
import json, os, socket, statistics, sys, time
def connect():
    for attempt in range(100):
        try:
            return socket.create_connection((sys.argv[1], int(sys.argv[2])))
        except OSError:
            time.sleep(0.1)
wire, end, block = connect(), time.monotonic() + 5, bytes(1 << 18)
while time.monotonic() < end:
    wire.sendall(block)
wire.shutdown(socket.SHUT_WR)
rate = float(wire.recv(64))
{ONE_CORE}
wire, times = connect(), []
wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for number in range(5000):
    start = time.perf_counter()
    wire.sendall(bytes(64))
    wire.recv(64)
    times.append(time.perf_counter() - start)
print(json.dumps({{"gbit_per_second": rate * 8 / 1e9, "round_trip_us": statistics.median(times) * 1e6}}))
"""


def run(*command: str, stdin: str = "") -> str:
    """What a program says; BenchError when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command[:6])} ...: {done.stderr[-2000:]}")
    return done.stdout


def measure(server: list[str], client: list[str], address: str) -> dict[str, float]:
    """Between two places, each given as what to write before a program to run it there."""
    with subprocess.Popen([*server, "python3", "-c", SERVER, PORT]) as process:
        try:
            return dict(json.loads(run(*client, "python3", "-c", CLIENT, address, PORT)))
        finally:
            process.kill()


def plain() -> dict[str, float]:
    """Two namespaces on veth pairs, and a third one that routes between them."""
    names = ["hpbench-a", "hpbench-b", "hpbench-router"]
    try:
        for name in names:
            run("ip", "netns", "add", name)
        for place, name in enumerate(names[:2], 1):
            run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", f"to{place}", "netns", names[2])
            run("ip", "-n", name, "addr", "add", f"10.213.{place}.2/24", "dev", "eth0")
            run("ip", "-n", names[2], "addr", "add", f"10.213.{place}.1/24", "dev", f"to{place}")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", names[2], "link", "set", f"to{place}", "up")
            run("ip", "-n", name, "route", "add", "default", "via", f"10.213.{place}.1")
        run("ip", "netns", "exec", names[2], "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        inside = [["ip", "netns", "exec", name] for name in names[:2]]
        return measure(inside[1], inside[0], "10.213.2.2")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def of_pods(lab: str) -> dict[str, float]:
    """From a pod on the control plane to one on the worker."""
    kubectl = [
        "podman",
        "exec",
        "--interactive",
        f"{lab}-{ACTOR}",
        "kubectl",
        "--kubeconfig=/etc/kubernetes/admin.conf",
    ]
    inside, addresses = {}, {}
    for node in (ACTOR, WORKER):
        run(*kubectl, "apply", "--filename=-", stdin=json.dumps(traffic.pod(f"bench-{node}", node)))
    for node in (ACTOR, WORKER):
        run(*kubectl, "wait", "--for=condition=Ready", "--timeout=120s", f"pod/bench-{node}")
        addresses[node] = run(*kubectl, "get", "pod", f"bench-{node}", "--output=jsonpath={.status.podIP}")
        crictl = ["podman", "exec", f"{lab}-{node}", "crictl"]
        sandbox = run(*crictl, "pods", "--quiet", "--name", f"^bench-{node}$").strip()
        spec = json.loads(run(*crictl, "inspectp", sandbox))["info"]["runtimeSpec"]
        (path,) = [item["path"] for item in spec["linux"]["namespaces"] if item["type"] == "network"]
        inside[node] = ["podman", "exec", f"{lab}-{node}", "nsenter", f"--net={path}"]
    return measure(inside[WORKER], inside[ACTOR], addresses[WORKER])


def network(logs: Path, lab: str) -> dict[str, dict[str, float]]:
    """Every pod network on fresh nodes, each next to a new measurement of plain routing."""
    inventory = logs / "inventory"
    write_inventory(inventory, 1)
    own = inventory / "group_vars/all/zzz-network.yml"
    bench = Bench(logs, [inventory])
    found: dict[str, dict[str, float]] = {}
    for name, settings in NETWORKS.items():
        variables = {
            "lab_hosts": ["mirror1", ACTOR, WORKER],
            "cluster_balancer": "none",
            "cluster_vip": "",
            "cluster_node_cidrs": [f"{NETWORK}.0/24"],
            **settings,
        }
        own.write_text(json.dumps(variables, indent=2) + "\n")
        bench.fresh_nodes()
        bench.playbook("mirror", "mirror")
        bench.playbook(f"create-{name.replace(' ', '-')}", "create")
        # What the cluster does when it is new is over by then.
        time.sleep(20)
        bare, pods = plain(), of_pods(lab)
        found[name] = {
            **{key: round(value, 2) for key, value in pods.items()},
            **{f"plain_{key}": round(value, 2) for key, value in bare.items()},
            **{f"{key}_ratio": round(value / bare[key], 2) for key, value in pods.items()},
        }
        bench.remove_nodes()
    return found


def network_table(found: dict[str, dict[str, float]]) -> str:
    """The networks as a table for people."""
    lines = [f"{'pod to pod':<18}{'Gbit/s':>9}{'ratio':>8}{'round trip':>13}{'ratio':>8}"]
    for name, row in found.items():
        lines.append(
            f"  {name:<16}{row['gbit_per_second']:>9.2f}{row['gbit_per_second_ratio']:>8.2f}"
            f"{row['round_trip_us']:>10.0f} us{row['round_trip_us_ratio']:>8.2f}"
        )
        lines.append(f"  {PLAIN:<16}{row['plain_gbit_per_second']:>9.2f}{'':>8}{row['plain_round_trip_us']:>10.0f} us")
    return "\n".join(lines)
