# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A workload that has to answer all the time while nodes are drained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kubernetes import client, config, utils

NODE_PORT = 30080
IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"


def workload() -> list[dict[str, Any]]:
    """Two replicas that end gracefully, a budget that keeps one, and a port on every node."""
    labels = {"app": "web"}
    container = {
        "name": "web",
        "image": IMAGE,
        "args": ["netexec", "--http-port=8080", "--udp-port=-1", "--delay-shutdown=5"],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": 8080}, "periodSeconds": 1},
    }
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    pod = {
        "containers": [container],
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
        "topologySpreadConstraints": [{**spread, "labelSelector": {"matchLabels": labels}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    meta = {"name": "web", "namespace": "default"}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
         "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta,
         "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": 8080, "nodePort": NODE_PORT}]}},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta,
         "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}},
    ]  # fmt: skip


def deploy(kubeconfig: Path) -> None:
    """Create it, and wait until both replicas serve."""
    connection = config.new_client_from_config(str(kubeconfig))
    for item in workload():
        utils.create_from_dict(connection, item)
    deadline = time.monotonic() + 60
    while (
        client.AppsV1Api(connection).read_namespaced_deployment("web", "default").status.available_replicas or 0
    ) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.5)
