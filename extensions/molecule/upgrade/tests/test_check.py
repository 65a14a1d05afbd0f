# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that upgrade_check finds is provoked on the live cluster, seen, and undone; nothing is upgraded here."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from kubernetes.dynamic import DynamicClient
from plays import INVENTORY, PLAIN, Run
from waiting import until

TARGET = "1.36.3"
NAMESPACE = "upgrade-check"
Finding = dict[str, Any]


def run_check(*arguments: str, playbook: str = "upgrade_check", **variables: Any) -> tuple[str, list[Finding]]:
    """Run a playbook; what it said, and its findings when it failed because of them."""
    run = Run(playbook, "--timeout=5", *arguments, **{"cluster_kubernetes_version": TARGET, **variables})
    code, log = run.end(), run.log
    failed = re.search(r"^fatal: \[[^\]]+\]: FAILED! => (\{.*\})$", log, re.M)
    assert bool(failed) == bool(code), log[-5000:]
    return log, json.loads(failed[1])["findings"] if failed else []


def run_module(**options: Any) -> dict[str, Any]:
    """Run the module alone; returns its result, also of one that failed."""
    command = ["ansible", "localhost", "-m", "hostplane.cluster.upgrade_check", "-a", json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=PLAIN)
    found: dict[str, Any] = json.loads(done.stdout.partition(" => ")[2])
    return found


def pod_spec(name: str, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pause", "image": PAUSE[0], "imagePullPolicy": "IfNotPresent"}],
            **more,
        },
    }


def deployment(name: str, **more: Any) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod_spec(name, labels, **more)},
    }


def budget(name: str, app: str) -> dict[str, Any]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}


def webhook(name: str) -> dict[str, Any]:
    """One that wants to see everything, and sees little enough not to disturb the cluster."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"{NAMESPACE}-{name}"},
        "webhooks": [
            {
                "name": f"{name}.example.com",
                "clientConfig": {"service": {"namespace": NAMESPACE, "name": name}},
                "rules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["DELETE"]}
                ],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 1,
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def old_pod(component: str, version: str, *flags: str) -> dict[str, Any]:
    """What a component of an older version looks like to the API; it is on a node that no kubelet serves."""
    image = f"registry.k8s.io/{component}:{version}"
    container = {"name": component, "image": image, "command": [component, *flags]}
    meta: dict[str, Any] = {
        "name": f"{component}-ghost",
        "namespace": "kube-system",
        "labels": {"component": component},
    }
    if flags:
        # Only of the kubelet's own pods the command line is that of a control plane.
        meta["annotations"] = {"kubernetes.io/config.mirror": "ghost"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"nodeName": "ghost", "containers": [container]},
    }


# The image that every node has; filled in once the cluster can be asked.
PAUSE = ["registry.k8s.io/pause:3.10.1"]
LOCAL = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": NAMESPACE},
    "spec": {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/tmp"},
        "claimRef": {"namespace": NAMESPACE, "name": "data"},
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {
        "storageClassName": "",
        "volumeName": NAMESPACE,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
    },
}
# Served in its newest version; whoever applies it still does so in one that goes.
OLD_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "VolumeAttributesClass",
    "metadata": {
        "name": NAMESPACE,
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"apiVersion":"storage.k8s.io/v1beta1","kind":"X"}'
        },
    },
    "driverName": "example.com",
    "parameters": {"a": "b"},
}


class Cluster:
    """Makes things and notes how they are undone."""

    def __init__(self, kubeconfig: Path, undo: contextlib.ExitStack) -> None:
        self.dynamic = DynamicClient(config.new_client_from_config(str(kubeconfig)))
        self.core = client.CoreV1Api(self.dynamic.client)
        self.undo = undo

    def make(self, body: dict[str, Any], namespace: str | None = NAMESPACE) -> None:
        kind = self.dynamic.resources.get(api_version=body["apiVersion"], kind=body["kind"])
        where = body["metadata"].get("namespace") or namespace if kind.namespaced else None
        kind.create(body=body, namespace=where)
        self.undo.callback(self._delete, kind, body["metadata"]["name"], where)

    def _delete(self, kind: Any, name: str, namespace: str | None) -> None:
        with contextlib.suppress(client.ApiException):
            kind.delete(name=name, namespace=namespace, grace_period_seconds=0)

    def change_config(self, name: str, key: str, change: dict[str, Any]) -> None:
        """Merge something into a document in a ConfigMap that nobody reads until the upgrade."""
        before = self.core.read_namespaced_config_map(name, "kube-system").data[key]
        self.undo.callback(self.core.patch_namespaced_config_map, name, "kube-system", {"data": {key: before}})
        after = yaml.safe_dump({**yaml.safe_load(before), **change})
        self.core.patch_namespaced_config_map(name, "kube-system", {"data": {key: after}})

    def running(self) -> bool:
        pods = self.core.list_namespaced_pod(NAMESPACE).items
        wanted = [pod for pod in pods if pod.metadata.name != "cloned"]
        return bool(wanted) and all(
            any(entry.type == "Ready" and entry.status == "True" for entry in pod.status.conditions or [])
            for pod in wanted
        )


def on(host: Any, undo: contextlib.ExitStack, do: str, back: str) -> None:
    """A command on a host and the one that undoes it."""
    undo.callback(host.check_output, back)
    host.check_output(do)


def pretend(host: Any, undo: contextlib.ExitStack, program: str, version: str) -> None:
    """Let a program tell another version; what runs of it goes on."""
    path = f"/usr/local/bin/{program}"
    on(host, undo, f"mv {path} {path}.kept", f"mv {path}.kept {path}")
    host.check_output(f"printf '#!/bin/sh\\necho {version}\\n' > {path}; chmod 755 {path}")


def request() -> str:
    """A certificate request that no controller decides on."""
    make = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    done = subprocess.run([*make, "-keyout", "/dev/null", "-subj", "/CN=x"], capture_output=True, check=True)
    return base64.b64encode(done.stdout).decode()


def provoke_on_hosts(plane: Any, worker: Any, undo: contextlib.ExitStack) -> None:
    config_file = "/var/lib/kubelet/config.yaml"
    on(worker, undo, f"cp {config_file} {config_file}.kept", f"mv {config_file}.kept {config_file}")
    # The kubelet reads neither before it is started again.
    worker.check_output(f"sed -i -e 's/^featureGates:/&\\n  ImageVolume: false/' -e '/^failCgroupV1/d' {config_file}")
    worker.check_output(
        f"grep -q ImageVolume {config_file} || printf 'featureGates:\\n  ImageVolume: false\\n' >> {config_file}"
    )
    flags = "/etc/default/kubelet"
    on(worker, undo, f"echo KUBELET_EXTRA_ARGS=--pod-infra-container-image=x > {flags}", f"rm {flags}")
    pretend(worker, undo, "kubectl", "Client Version: v1.33.0")
    admin = "/etc/kubernetes/admin.conf"
    on(plane, undo, f"mv {admin} {admin}.kept", f"mv {admin}.kept {admin}")
    on(plane, undo, "mkdir /etc/kubernetes/pki/next", "rmdir /etc/kubernetes/pki/next")
    place = "/var/lib/hostplane"
    on(plane, undo, f"mount -t tmpfs -o size=1m tmpfs {place}", f"umount {place}")


def provoke_in_api(cluster: Cluster, worker: str) -> None:
    cluster.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    accounts = cluster.core.list_namespaced_service_account
    until("the namespace has its account", lambda: accounts(NAMESPACE).items)
    path = {"name": "p", "hostPath": {"path": "/tmp"}}
    claim = {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}
    for body in (LOCAL, CLAIM, OLD_CLASS):
        cluster.make(body)
    cluster.make(deployment("tight", volumes=[path]))
    cluster.make(deployment("twice", volumes=[claim]))
    cluster.make({"apiVersion": "v1", "kind": "Pod", **pod_spec("lonely", {})})
    cluster.make(budget("tight", "tight"))
    cluster.make(budget("first", "twice"))
    cluster.make(budget("second", "twice"))
    service = {"selector": {"app": "tight"}, "ports": [{"port": 443}]}
    cluster.make({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "single"}, "spec": service})
    csr = {"signerName": "example.com/nobody", "usages": ["digital signature"], "request": request()}
    name = {"name": NAMESPACE}
    cluster.make(
        {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": name, "spec": csr}
    )
    cluster.make({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}})
    cluster.core.patch_node_status("ghost", {"status": {"nodeInfo": {**BLANK, "kubeletVersion": "v1.32.9"}}})
    cluster.make(old_pod("kube-proxy", "v1.32.9"))
    cluster.make(old_pod("kube-scheduler", "v1.34.0"))
    cluster.make(old_pod("etcd", "3.6.8-0", "--quota-backend-bytes=1048576"))
    cluster.change_config("kubelet-config", "kubelet", {"featureGates": {"KubeletPSI": False}})
    gate = {"name": "feature-gates", "value": "StructuredAuthorizationConfiguration=true"}
    extra = {"extraArgs": [{"name": "cloud-provider", "value": "x"}, gate]}
    cluster.change_config("kubeadm-config", "ClusterConfiguration", {"apiServer": extra})
    until("the pods run", cluster.running)
    cluster.make({"apiVersion": "v1", "kind": "Pod", **pod_spec("cloned", {}, volumes=[GIT])})
    cluster.undo.callback(cluster.core.patch_node, worker, {"spec": {"unschedulable": None}})
    cluster.core.patch_node(worker, {"spec": {"unschedulable": True}})
    cluster.make(webhook("single"))
    cluster.make(webhook("dead"))


GIT = {"name": "g", "gitRepo": {"repository": "https://git.example.com/x"}}
BLANK = dict.fromkeys(
    ("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "machineID",
     "operatingSystem", "osImage", "systemUUID"), "",
)  # fmt: skip


@pytest.fixture(scope="module")
def kubeconfig(lab_dir: Path) -> Path:
    return lab_dir / "admin.conf"


@pytest.fixture(scope="module")
def first(inventory: dict[str, Any], hosts: dict[str, Any]) -> dict[str, Any]:
    """The first host of each role, by role; names too."""
    names = {role: next(iter(inventory["groups"][role])) for role in ("control_plane", "worker")}
    return {"names": names, **{role: hosts[name] for role, name in names.items()}}


@pytest.fixture(scope="module")
def provoked(
    inventory: dict[str, Any], first: dict[str, Any], kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Finding]]:
    """The findings with which an upgrade ends before it changes anything, while everything is wrong at once."""
    with contextlib.ExitStack() as undo:
        cluster = Cluster(kubeconfig, undo)

        def gone() -> bool:
            return NAMESPACE not in [entry.metadata.name for entry in cluster.core.list_namespace().items]

        undo.callback(until, "its namespace is gone", gone, 180)
        provoke_in_api(cluster, first["names"]["worker"])
        provoke_on_hosts(first["control_plane"], first["worker"], undo)
        address = inventory["vars"]["lab_network"].replace(".0/24", ".99")
        absent = tmp_path_factory.mktemp("inventory") / "absent.yml"
        absent.write_text(yaml.safe_dump({"worker": {"hosts": {"absent": {"ansible_host": address}}}}))
        wrong = {"upgrade_max_unavailable": "two", "upgrade_pause": "5m", "upgrade_pools": ["wbe"]}
        missing = {"backup_key_file": "~/absent.key", "upgrade_certificate_days": 400}
        said, findings = run_check("-i", str(absent), playbook="upgrade", **wrong, **missing)
        assert re.findall(r"changed=[1-9]", said) == []
        yield findings


def test_nothing_speaks_against_the_upgrade_of_a_good_cluster() -> None:
    said, findings = run_check()
    assert findings == [] and "Check of the upgrade to 1.36.3" in said
    assert set(re.findall(r"changed=(\d+)", said)) == {"0"}


@pytest.mark.parametrize(
    ("code", "severity", "part"),
    [
        ("api_deprecated", "warning", "storage.k8s.io/v1beta1"),
        ("backup_key_missing", "error", "backup_key_file is no file"),
        ("ca_rotation_unfinished", "error", "pki/next"),
        ("certificate_broken", "error", "admin.conf"),
        ("certificate_expires", "warning", "apiserver ("),
        ("csr_pending", "warning", NAMESPACE),
        ("disk_space", "error", "/var/lib/hostplane"),
        ("etcd_size", "error", "of the 1 MiB allowed on cp1"),
        ("flag_removed", "error", "--pod-infra-container-image"),
        ("flag_removed", "error", "--cloud-provider"),
        ("gate_locked", "error", "ImageVolume"),
        ("gate_locked", "error", "KubeletPSI"),
        ("gate_removed", "error", "StructuredAuthorizationConfiguration"),
        ("host_unreachable", "error", "can't be reached"),
        ("node_cordoned", "warning", "cordoned"),
        ("node_missing", "error", "not a node"),
        ("node_not_ready", "error", "not Ready since"),
        ("node_unknown", "warning", "ghost"),
        ("pdb_blocks", "error", f"{NAMESPACE}/tight"),
        ("pdb_several", "error", f"{NAMESPACE}/twice"),
        ("pod_local_data", "warning", f"{NAMESPACE}/twice"),
        ("pod_local_data", "warning", f"{NAMESPACE}/tight"),
        ("pod_unmanaged", "error", f"{NAMESPACE}/lonely"),
        ("setting_invalid", "error", "upgrade_max_unavailable is 'two'"),
        ("setting_invalid", "error", "upgrade_pause is '5m'"),
        ("setting_invalid", "error", "upgrade_pools names wbe"),
        ("skew_control_plane", "error", "kube-scheduler 1.34.0 on ghost"),
        ("skew_kube_proxy", "error", "kube-proxy 1.32.9 on ghost"),
        ("skew_kubectl", "warning", "kubectl 1.33.0"),
        ("skew_kubelet", "error", "kubelet 1.32.9 on ghost"),
        ("volume_removed", "error", f"{NAMESPACE}/cloned"),
        ("webhook_dead", "error", "dead.example.com"),
        ("webhook_single", "warning", "single.example.com"),
    ],
)
def test_what_was_provoked_is_found(provoked: list[Finding], code: str, severity: str, part: str) -> None:
    found = [item for item in provoked if item["code"] == code and part in item["message"]]
    assert found, "\n".join(f"{item['code']}: {item['message']}" for item in provoked)
    assert found[0]["severity"] == severity and found[0]["remedy"]


def test_cgroup_version_1_is_found_where_there_is_one(provoked: list[Finding], first: dict[str, Any]) -> None:
    unified = first["worker"].run("grep -q ' /sys/fs/cgroup cgroup2 ' /proc/self/mounts").rc == 0
    assert ("cgroup_v1" in {item["code"] for item in provoked}) == (not unified)


def set_alarm(plane: Any, action: str) -> None:
    """Let etcd's first member raise an alarm, or take it back."""
    pki, url = "/etc/kubernetes/pki/etcd", "https://127.0.0.1:2379/v3/"
    keys = f"--cacert {pki}/ca.crt --cert {pki}/healthcheck-client.crt --key {pki}/healthcheck-client.key"
    listed = plane.check_output(f"curl -sf {keys} -d '{{}}' {url}cluster/member/list")
    body = {"action": action, "memberID": json.loads(listed)["members"][0]["ID"], "alarm": "NOSPACE"}
    plane.check_output(f"curl -sf {keys} -d '{json.dumps(body)}' {url}maintenance/alarm")


@pytest.fixture(scope="module")
def options(inventory: dict[str, Any], first: dict[str, Any], kubeconfig: Path) -> dict[str, Any]:
    """The module's options for the hosts as they are, with an alarm of etcd."""
    groups, roles = inventory["groups"], ("control_plane", "worker")
    hosts = {name: {"name": name, "role": role, "arch": "amd64"} for role in roles for name in groups[role]}
    command = ["ansible", "-i", str(INVENTORY), ":".join(roles), "-o", "-m", "hostplane.cluster.upgrade_facts"]
    with contextlib.ExitStack() as undo:
        undo.callback(set_alarm, first["control_plane"], "DEACTIVATE")
        set_alarm(first["control_plane"], "ACTIVATE")
        pretend(first["worker"], undo, "containerd", "containerd github.com/containerd/containerd v1.7.28 x")
        said = subprocess.run(
            [*command, "-a", "host={{ inventory_hostname }}"], capture_output=True, text=True, check=True, env=PLAIN
        ).stdout
    facts = [json.loads(line.partition(" => ")[2])["facts"] for line in said.splitlines() if " => " in line]
    facts.sort(key=lambda entry: (not entry["control_plane"], entry["host"]))
    assert [entry["host"] for entry in facts] == list(hosts)
    return {"kubeconfig": str(kubeconfig), "version": TARGET, "hosts": hosts, "facts": facts}


def codes(result: dict[str, Any]) -> set[str]:
    return {item["code"] for item in result["findings"]}


@pytest.fixture(scope="module")
def mirror(inventory: dict[str, Any], lab_dir: Path) -> dict[str, Any]:
    return {
        "address": inventory["vars"]["mirror_address"],
        "username": "hostplane",
        "password": (lab_dir / "mirror-password").read_text().strip(),
        "ca": (lab_dir / "mirror/ca.crt").read_text(),
    }


PART = "0" * 64
IMAGES = {"etcd": "registry.k8s.io/etcd:3.6.8-0", "digests": {"amd64": {"registry.k8s.io/pause:9": f"sha256:{PART}"}}}
FILES = {"amd64": {"kubelet": [{"name": "kubelet", "sha256": PART, "size": 1}]}}


def test_minors_are_not_skipped_whatever_is_accepted(
    provoked: list[Finding], options: dict[str, Any], mirror: dict[str, Any]
) -> None:
    asked = {"removed_release": "1.37", "group": "networking.k8s.io", "version": "v1beta1", "resource": "ipaddresses"}
    facts = [{**entry, "deprecated_requests": {"found": [asked], "error": ""}} for entry in options["facts"]]
    # A release whose etcd is not the next one after what runs here.
    images = {**IMAGES, "etcd": "registry.k8s.io/etcd:3.8.0-0"}
    wrong = {"version": "1.37.0", "facts": facts, "mirror": mirror, "images": images, "files": FILES}
    result = run_module(**{**options, **wrong}, accept=["version_skipped", "pdb_blocks"])
    assert {"version_skipped", "api_removed", "api_removed_requested", "containerd_old"} <= codes(result)
    assert {"mirror_image_missing", "mirror_file_missing", "etcd_alarm", "etcd_version"} <= codes(result)
    assert {item["code"] for item in result["accepted"]} == {"pdb_blocks"}


def test_versions_do_not_go_back_and_etcd_has_to_be_well(options: dict[str, Any], mirror: dict[str, Any]) -> None:
    nowhere = {**mirror, "address": mirror["address"].partition(":")[0] + ":9"}
    facts = json.loads(json.dumps(options["facts"]))
    (member,) = facts[0]["etcd"]["members"]
    sick = [{"version": "3.5.20"}, {"db_size": 2**31, "db_in_use": 0}, {"healthy": False}]
    facts[0]["etcd"]["members"] = [{**member, **change} for change in sick]
    result = run_module(**{**options, "version": "1.34.9", "facts": facts}, mirror=nowhere, images=IMAGES)
    assert {"version_downgrade", "mirror_silent"} <= codes(result)
    assert {"etcd_version", "etcd_fragmented", "etcd_size", "etcd_unhealthy"} <= codes(result)


def test_an_api_and_an_etcd_that_are_down(options: dict[str, Any], kubeconfig: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed.conf"
    closed.write_text(re.sub(r"(server: https://[^:]+):\d+", r"\1:9", kubeconfig.read_text()))
    down = {"etcd": {"members": [], "error": "refused"}, "deprecated_requests": {"found": [], "error": "refused"}}
    facts = [{**entry, **down} if entry["control_plane"] else entry for entry in options["facts"]]
    result = run_module(**{**options, "kubeconfig": str(closed), "facts": facts})
    assert {"api_silent", "etcd_silent", "metrics_unread"} <= codes(result)
