# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims, and pods that use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubernetes import client
from kubernetes.stream import stream
from waiting import until

# It has a shell.
IMAGE = "docker.io/rancher/local-path-provisioner:v0.0.30"
NAMESPACE = "default"
SECONDS = 120


def names(found: Any) -> set[str]:
    return {item.metadata.name for item in found.items}


class Volumes:
    """Claims and pods of one test; everything is removed at its end."""

    def __init__(self, api: client.CoreV1Api) -> None:
        self.api = api
        self.pods: list[str] = []
        self.claims: list[str] = []

    def claim(self, name: str, size: str = "64Mi", storage_class: str | None = None, **spec: Any) -> None:
        body: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
        if storage_class:
            body["storageClassName"] = storage_class
        self.api.create_namespaced_persistent_volume_claim(NAMESPACE, {"metadata": {"name": name}, "spec": body})
        self.claims.append(name)

    def pod(
        self,
        name: str,
        claim: str = "",
        volume: dict[str, Any] | None = None,
        wait: bool = True,
        more: Sequence[str] = (),
        **spec: Any,
    ) -> None:
        """A pod with the claim, or the volume, at /data; a raw one with block=True as /dev/data. More claims are at
        /more. It ends, and is started again if it may be, when there is a file /tmp/end."""
        raw = spec.pop("block", False)
        script = "while ! test -e /tmp/end; do sleep 1; done"
        container: dict[str, Any] = {"name": "c", "image": IMAGE, "command": ["sh", "-c", script]}
        container["volumeDevices" if raw else "volumeMounts"] = [
            {"name": "data", "devicePath": "/dev/data"} if raw else {"name": "data", "mountPath": "/data"},
            *({"name": other, "mountPath": f"/more/{other}"} for other in more),
        ]
        if "sub_path" in spec:
            container["volumeMounts"][0]["subPath"] = spec.pop("sub_path")
        body = {
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [
                {"name": "data", **(volume or {"persistentVolumeClaim": {"claimName": claim}})},
                *({"name": other, "persistentVolumeClaim": {"claimName": other}} for other in more),
            ],
            **spec,
        }
        self.api.create_namespaced_pod(NAMESPACE, {"metadata": {"name": name}, "spec": body})
        self.pods.append(name)
        if wait:
            until(f"pod {name} runs", lambda: self.read(name).status.phase == "Running")

    def read(self, name: str) -> Any:
        return self.api.read_namespaced_pod(name, NAMESPACE)

    def sh(self, name: str, script: str) -> str:
        """Run a script in the pod; what it printed, its exit status on the last line."""
        command = ["sh", "-c", f"({script}) 2>&1; echo $?"]
        said: str = stream(
            self.api.connect_get_namespaced_pod_exec, name, NAMESPACE, command=command, stderr=True, stdout=True
        )
        return said.strip()

    def volume_of(self, claim: str) -> Any:
        """The volume that a claim is bound to."""
        name = until(
            f"claim {claim} is bound",
            lambda: self.api.read_namespaced_persistent_volume_claim(claim, NAMESPACE).spec.volume_name,
        )
        return self.api.read_persistent_volume(name)

    def drop_pod(self, name: str) -> None:
        self.api.delete_namespaced_pod(name, NAMESPACE)
        self.pods.remove(name)
        until(
            f"pod {name} is gone",
            lambda: name not in [p.metadata.name for p in self.api.list_namespaced_pod(NAMESPACE).items],
        )

    def drop_claim(self, name: str) -> None:
        volume = self.api.read_namespaced_persistent_volume_claim(name, NAMESPACE).spec.volume_name
        self.api.delete_namespaced_persistent_volume_claim(name, NAMESPACE)
        self.claims.remove(name)
        until(
            f"the volume of {name} is gone",
            lambda: volume not in [item.metadata.name for item in self.api.list_persistent_volume().items],
        )

    def clean(self, seconds: float = SECONDS) -> None:
        """Everything at once, as somebody who deletes a namespace."""
        pods, claims = set(self.pods), set(self.claims)
        if not pods | claims:
            return
        for name in pods:
            self.api.delete_namespaced_pod(name, NAMESPACE)
        self.pods.clear()
        until("the pods are gone", lambda: not pods & names(self.api.list_namespaced_pod(NAMESPACE)), seconds)
        found = self.api.list_namespaced_persistent_volume_claim(NAMESPACE).items
        bound = {item.spec.volume_name for item in found if item.metadata.name in claims}
        for name in claims:
            self.api.delete_namespaced_persistent_volume_claim(name, NAMESPACE)
        self.claims.clear()
        until("the volumes are gone", lambda: not bound & names(self.api.list_persistent_volume()), seconds)
