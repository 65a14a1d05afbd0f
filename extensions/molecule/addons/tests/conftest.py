# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two versions of a web server, each with its Service."""

from __future__ import annotations

import time

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"


@pytest.fixture(scope="session")
def web(api: client.CoreV1Api) -> dict[str, str]:
    """The versions and the addresses of their Services; each answers /hostname with its name."""
    addresses = {}
    for name in ("stable", "canary"):
        container = {
            "name": "web",
            "image": IMAGE,
            "args": ["netexec", "--http-port=8080", "--udp-port=-1"],
            "readinessProbe": {"httpGet": {"path": "/hostname", "port": 8080}, "periodSeconds": 1},
        }
        metadata = {"name": name, "labels": {"app": name}}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 1, "nodeName": "worker1"}
        try:
            api.create_namespaced_pod("default", {"metadata": metadata, "spec": spec})
            service = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
            api.create_namespaced_service("default", {"metadata": metadata, "spec": service})
        except ApiException as error:
            # Left by an earlier run of the tests.
            assert error.status == 409
        addresses[name] = api.read_namespaced_service(name, "default").spec.cluster_ip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        pods = [api.read_namespaced_pod(name, "default") for name in addresses]
        if all(entry.ready for pod in pods for entry in pod.status.container_statuses or []) and all(
            pod.status.container_statuses for pod in pods
        ):
            return addresses
        time.sleep(0.5)
    raise AssertionError("the web servers did not start")
