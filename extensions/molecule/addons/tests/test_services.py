# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services as a machine outside of the cluster sees them: this one, on the network of the hosts."""

from __future__ import annotations

import ipaddress
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from plays import play
from waiting import until

INGRESS = "10.82.0.205"
POOL = (ipaddress.ip_address("10.82.0.200"), ipaddress.ip_address("10.82.0.209"))


def get(url: str, host: str = "", **headers: str) -> tuple[int, str]:
    """Status and body; 0 when nobody answers."""
    named = {"Host": host} if host else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={**named, **headers}), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def hardware_address(address: str) -> str:
    """What this machine learned by ARP."""
    for line in Path("/proc/net/arp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[0] == address and fields[3] != "00:00:00:00:00:00":
            return fields[3]
    return ""


def applied(api: client.CoreV1Api, group: str, kind: str, body: dict[str, Any]) -> None:
    try:
        client.CustomObjectsApi(api.api_client).create_namespaced_custom_object(group, "v1", "default", kind, body)
    except ApiException as error:
        assert error.status == 409


@pytest.mark.usefixtures("web")
def test_a_service_gets_an_address_of_the_pool_that_answers_by_arp(api: client.CoreV1Api) -> None:
    spec = {"type": "LoadBalancer", "selector": {"app": "stable"}, "ports": [{"port": 80, "targetPort": 8080}]}
    try:
        api.create_namespaced_service("default", {"metadata": {"name": "outside"}, "spec": spec})
    except ApiException as error:
        assert error.status == 409

    def address() -> str:
        found = api.read_namespaced_service("outside", "default").status.load_balancer.ingress or []
        return found[0].ip if found else ""

    given = until("the Service has an address", address)
    assert POOL[0] <= ipaddress.ip_address(given) <= POOL[1]
    until("it answers", lambda: get(f"http://{given}/hostname") == (200, "stable"))
    # Asked for anything, so that their hardware addresses are known too.
    for node in ("10.82.0.11", "10.82.0.21"):
        get(f"http://{node}/")
    assert hardware_address(given) in {hardware_address("10.82.0.11"), hardware_address("10.82.0.21")} - {""}


@pytest.mark.usefixtures("web")
def test_an_ingress_by_host_and_path(api: client.CoreV1Api) -> None:
    backend = {"service": {"name": "stable", "port": {"number": 80}}}
    paths = [{"path": "/hostname", "pathType": "Exact", "backend": backend}]
    applied(api, "networking.k8s.io", "ingresses", {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web"},
        "spec": {"rules": [{"host": "app.example.com", "http": {"paths": paths}}]},
    })  # fmt: skip
    url = f"http://{INGRESS}"
    until("the Ingress leads there", lambda: get(f"{url}/hostname", "app.example.com") == (200, "stable"))
    assert get(f"{url}/other", "app.example.com")[0] == 404
    assert get(f"{url}/hostname", "other.example.com")[0] == 404

    def status() -> list[str]:
        ingress = client.NetworkingV1Api(api.api_client).read_namespaced_ingress("web", "default")
        return [entry.ip for entry in ingress.status.load_balancer.ingress or []]

    assert until("the Ingress has an address", status) == [INGRESS]


@pytest.mark.usefixtures("web")
def test_a_canary_by_weight_and_by_header(api: client.CoreV1Api) -> None:
    def to(name: str, weight: int = 1) -> dict[str, Any]:
        return {"name": name, "port": 80, "weight": weight}

    header = [{"name": "X-Canary", "value": "always"}]
    applied(api, "gateway.networking.k8s.io", "httproutes", {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web"},
        "spec": {
            "parentRefs": [{"name": "traefik", "namespace": "traefik"}],
            "hostnames": ["canary.example.com"],
            "rules": [
                {"matches": [{"headers": header}], "backendRefs": [to("canary")]},
                {"backendRefs": [to("stable", 9), to("canary", 1)]},
            ],
        },
    })  # fmt: skip
    url = f"http://{INGRESS}/hostname"
    until("the canary is reached", lambda: get(url, "canary.example.com")[0] == 200)
    forced = {get(url, "canary.example.com", **{"X-Canary": "always"}) for _index in range(20)}
    assert forced == {(200, "canary")}
    seen = Counter(get(url, "canary.example.com") for _index in range(200))
    assert set(seen) == {(200, "stable"), (200, "canary")}
    assert 10 <= seen[200, "canary"] <= 30, "one of ten goes to the canary"


def test_node_ports_are_of_the_range(api: client.CoreV1Api) -> None:
    spec = {"type": "NodePort", "selector": {"app": "stable"}, "ports": [{"port": 80, "targetPort": 8080}]}
    made = api.create_namespaced_service("default", {"metadata": {"generateName": "port-"}, "spec": spec})
    assert 31000 <= made.spec.ports[0].node_port <= 31999
    api.delete_namespaced_service(made.metadata.name, "default")
    outside = {**spec, "ports": [{"port": 80, "nodePort": 30500}]}
    with pytest.raises(ApiException, match="31000-31999"):
        api.create_namespaced_service("default", {"metadata": {"generateName": "port-"}, "spec": outside})
    assert get("http://10.82.0.21:31080/")[0] == 404, "Traefik answers, and has no such route"


def test_pools_that_meet_something_are_refused_all_at_once() -> None:
    pools = [
        {"name": "a", "addresses": ["10.82.0.5-10.82.0.30"]},
        {"name": "b", "addresses": ["10.244.9.0/28", "10.82.0.16/28"]},
    ]
    wanted = {"cluster_load_balancer": {"pools": pools}, "cluster_node_port_range": "30000-32767"}
    log = play("create", "--check", code=2, **wanted)
    for text in (
        "has the address 10.82.0.10 of the mirror",
        "has the address 10.82.0.11 of cp1",
        "has the address 10.82.0.21 of worker1",
        "10.244.9.0/28 of the pool b meets the pod range 10.244.0.0/16",
        "10.82.0.16/28 of the pool b meets 10.82.0.5-10.82.0.30 of the pool a",
        "'10.82.0.205' is not an address of a pool",
        "range of node ports of the existing cluster is 31000-31999 and cannot be changed to 30000-32767",
    ):
        assert text in log.replace("\\n", "\n"), text
