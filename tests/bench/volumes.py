# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many volumes a minute are made, used and removed, against pods without any volume on the same node."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config
from runs import Bench, BenchError

NAMESPACE = "default"
IMAGE = "registry.k8s.io/pause:3.10.2"
STORAGE = {
    "cluster_storage": {"local_path": True, "local_volume": True},
    "mirror_addons": ["csi", "local_path", "local_volume"],
}
# What the pods use: nothing of a driver, directories, volumes with a limit.
KINDS = {"no volume": "", "local_path": "local-path", "local_volume": "local-volume"}
SECONDS = 600


def until(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {SECONDS} s")
        time.sleep(0.2)


def objects(kind: str, number: int) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """A claim, if there is one, and a pod that uses it."""
    name = f"bench-{number}"
    volume: dict[str, Any] = {"name": "data", "emptyDir": {}}
    claim = None
    if KINDS[kind]:
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": name}}
        resources = {"requests": {"storage": "64Mi"}}
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": KINDS[kind], "resources": resources}
        claim = {"metadata": {"name": name}, "spec": spec}
    container = {"name": "c", "image": IMAGE, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    pod = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0}
    return claim, {"metadata": {"name": name}, "spec": pod}


def measure(api: client.CoreV1Api, kind: str, count: int) -> dict[str, float]:
    """Seconds until all pods run, until they are gone, and until their volumes are."""
    start = time.monotonic()
    for number in range(count):
        claim, pod = objects(kind, number)
        if claim:
            api.create_namespaced_persistent_volume_claim(NAMESPACE, claim)
        api.create_namespaced_pod(NAMESPACE, pod)

    def running() -> bool:
        return sum(pod.status.phase == "Running" for pod in api.list_namespaced_pod(NAMESPACE).items) == count

    until(f"{count} pods with {kind} run", running)
    run = time.monotonic()
    api.delete_collection_namespaced_pod(NAMESPACE)
    until(f"{count} pods with {kind} are gone", lambda: not api.list_namespaced_pod(NAMESPACE).items)
    gone = time.monotonic()
    api.delete_collection_namespaced_persistent_volume_claim(NAMESPACE)
    until(f"{count} volumes of {kind} are gone", lambda: not api.list_persistent_volume().items)
    end = time.monotonic()
    return {"run": round(run - start, 1), "stop": round(gone - run, 1), "remove": round(end - gone, 1)}


def volumes(bench: Bench, facts: dict[str, Any], keep: bool, count: int = 30) -> dict[str, Any]:
    """A cluster with storage, then each kind in turn; the first pod of each node pulls its image before."""
    bench.fresh_nodes()
    extra = f"--extra-vars={json.dumps(STORAGE)}"
    for name in ("mirror", "create"):
        bench.playbook(name, name, extra)
    api = client.CoreV1Api(config.new_client_from_config(f"{facts['lab']}/admin.conf"))
    measure(api, "no volume", 4)
    result = {"count": count, "kinds": {kind: measure(api, kind, count) for kind in KINDS}}
    if not keep:
        bench.remove_nodes()
    return result


def volumes_table(result: dict[str, Any]) -> str:
    """The same for people."""
    count = result["count"]
    lines = [f"{count} pods at once, seconds (volumes a minute)"]
    for kind, found in result["kinds"].items():
        texts = [f"{step} {value} ({60 * count / max(value, 0.1):.0f})" for step, value in found.items()]
        lines.append(f"  {kind:12}: " + ", ".join(texts))
    return "\n".join(lines)
