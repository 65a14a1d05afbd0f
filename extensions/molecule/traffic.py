# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traffic of single pods, made inside of their network namespaces: images need no programs for it."""

from __future__ import annotations

import inspect
import json
import socket
import threading
import time
from typing import Any

from kubernetes import client

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
PORT = 8080
# containerd asks for the largest burst there is, so that much goes through before the limit holds.
BURST_ENDS_BELOW = 4_000_000


def _received(wire: socket.socket, seconds: float) -> int:
    end, total = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            total += len(wire.recv(1 << 20))
        except TimeoutError:
            break
    return total


SEND = """
import socket, sys, time
wire = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        wire.send(bytes(1 << 18))
    except TimeoutError:
        pass
    except OSError:
        break
"""

RECEIVE = (
    "import socket, sys, time\n"
    + inspect.getsource(_received)
    + """
wire = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
end = time.monotonic() + 45
while _received(wire, 1.0) > int(sys.argv[3]):
    assert time.monotonic() < end, "no limit"
print(_received(wire, 6.0) / 6)
"""
)


def pod(name: str, node: str, **annotations: str) -> dict[str, Any]:
    """A web server on one node, whatever taints that has."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}, "annotations": annotations},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "web", "image": IMAGE, "args": ["netexec", f"--http-port={PORT}"]}],
        },
    }


def address(api: client.CoreV1Api, name: str) -> str:
    """The address of a pod as soon as it runs."""
    deadline = time.monotonic() + 60
    while True:
        status = api.read_namespaced_pod(name, "default").status
        if status.phase == "Running" and status.pod_ip:
            return str(status.pod_ip)
        assert time.monotonic() < deadline, (name, status.phase)
        time.sleep(0.3)


def entered(host: Any, name: str) -> str:
    """What to write before a command on the host to run it in the network of a pod on it."""
    # A pod may have had a sandbox before, when its node was still young.
    sandbox = json.loads(
        host.check_output("crictl inspectp $(crictl pods --quiet --state ready --latest --name ^%s$)", name)
    )
    namespaces = sandbox["info"]["runtimeSpec"]["linux"]["namespaces"]
    path = next(item["path"] for item in namespaces if item["type"] == "network")
    return f"nsenter --net={path}"


def inside(host: Any, name: str, script: str, *arguments: str) -> Any:
    """Run Python on the host, in the network of a pod on it."""
    words = " ".join("%s" for _argument in (script, *arguments))
    return host.run(f"{entered(host, name)} python3 -c {words}", script, *arguments)


def fetch(host: Any, name: str, url: str) -> str:
    """What a pod gets from a URL."""
    script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"
    done = inside(host, name, script, url)
    assert done.rc == 0, done.stderr
    return str(done.stdout).strip()


def sent_per_second(host: Any, name: str, here: str) -> float:
    """Bytes per second of TCP from a pod to this machine, once the burst is over."""
    with socket.create_server((here, 0)) as server:
        port = str(server.getsockname()[1])
        sender = threading.Thread(target=inside, args=(host, name, SEND, here, port), daemon=True)
        sender.start()
        server.settimeout(30)
        wire = server.accept()[0]
        with wire:
            deadline = time.monotonic() + 45
            while _received(wire, 1.0) > BURST_ENDS_BELOW:
                assert time.monotonic() < deadline, "no limit"
            return _received(wire, 6.0) / 6
        sender.join(5)


def received_per_second(host: Any, name: str, here: str) -> float:
    """Bytes per second of TCP from this machine to a pod, which has asked for them, once the burst is over."""
    with socket.create_server((here, 0)) as server:
        threading.Thread(target=_send, args=(server,), daemon=True).start()
        done = inside(host, name, RECEIVE, here, str(server.getsockname()[1]), str(BURST_ENDS_BELOW))
    assert done.rc == 0, done.stderr
    return float(done.stdout)


def _send(server: socket.socket) -> None:
    try:
        with server.accept()[0] as wire:
            while True:
                wire.sendall(bytes(1 << 18))
    except OSError:
        return
