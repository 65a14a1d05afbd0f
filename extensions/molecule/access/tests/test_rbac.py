# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the preset roles let people do, asked as those people, and how bindings come and go on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

Bind = Callable[..., dict[str, Any]]
OWN, OTHER = "rbac-shop", "rbac-other"
LABEL = "hostplane.io/rbac"
VERBS = {
    "g": "get",
    "l": "list",
    "w": "watch",
    "c": "create",
    "u": "update",
    "p": "patch",
    "d": "delete",
    "x": "deletecollection",
}
ANY = "glwcupdx"

# What each preset role may do, written down from what the roles are for and not from their rules.
# resource: (admin, ops, developer, restricted)
NAMESPACED = {
    "pods": (ANY, ANY, ANY, "glw"),
    "pods/log": (ANY, "glw", "glw", "glw"),
    "pods/exec": (ANY, "gc", "gc", ""),
    "pods/attach": (ANY, "gc", "gc", ""),
    "pods/portforward": (ANY, "gc", "gc", ""),
    "pods/proxy": (ANY, "", "", ""),
    "pods/eviction": (ANY, "c", "c", ""),
    "pods/ephemeralcontainers": (ANY, "up", "up", ""),
    "configmaps": (ANY, ANY, ANY, "glw"),
    "secrets": (ANY, ANY, ANY, ""),
    "services": (ANY, ANY, ANY, "glw"),
    "services/proxy": (ANY, "", "", ""),
    "serviceaccounts": (ANY, ANY, ANY, "glw"),
    "serviceaccounts/token": (ANY, "", "", ""),
    "persistentvolumeclaims": (ANY, ANY, ANY, "glw"),
    "replicationcontrollers": (ANY, ANY, ANY, "glw"),
    "endpoints": (ANY, "glw", "glw", "glw"),
    "endpointslices.discovery.k8s.io": (ANY, "glw", "glw", "glw"),
    "events": (ANY, "glw", "glw", "glw"),
    "events.events.k8s.io": (ANY, "glw", "glw", "glw"),
    "limitranges": (ANY, "glw", "glw", "glw"),
    "resourcequotas": (ANY, "glw", "glw", "glw"),
    "deployments.apps": (ANY, ANY, ANY, "glw"),
    "deployments.apps/scale": (ANY, ANY, ANY, "glw"),
    "statefulsets.apps": (ANY, ANY, ANY, "glw"),
    "statefulsets.apps/scale": (ANY, ANY, ANY, "glw"),
    "daemonsets.apps": (ANY, ANY, ANY, "glw"),
    "replicasets.apps": (ANY, ANY, ANY, "glw"),
    "controllerrevisions.apps": (ANY, "glw", "glw", "glw"),
    "jobs.batch": (ANY, ANY, ANY, "glw"),
    "cronjobs.batch": (ANY, ANY, ANY, "glw"),
    "horizontalpodautoscalers.autoscaling": (ANY, ANY, ANY, "glw"),
    "ingresses.networking.k8s.io": (ANY, ANY, ANY, "glw"),
    "networkpolicies.networking.k8s.io": (ANY, ANY, ANY, "glw"),
    "poddisruptionbudgets.policy": (ANY, ANY, ANY, "glw"),
    "volumesnapshots.snapshot.storage.k8s.io": (ANY, ANY, ANY, "glw"),
    "pods.metrics.k8s.io": (ANY, "glw", "glw", "glw"),
    "leases.coordination.k8s.io": (ANY, "", "", ""),
    "roles.rbac.authorization.k8s.io": (ANY, "", "", ""),
    "rolebindings.rbac.authorization.k8s.io": (ANY, "", "", ""),
    "widgets.example.com": (ANY, "", "", ""),
}
# Asked without a namespace.
CLUSTER = {
    "namespaces": (ANY, "glw", "", ""),
    "nodes": (ANY, "glw", "", ""),
    "nodes/proxy": (ANY, "", "", ""),
    "nodes/status": (ANY, "", "", ""),
    "nodes.metrics.k8s.io": (ANY, "glw", "", ""),
    "persistentvolumes": (ANY, "glw", "", ""),
    "storageclasses.storage.k8s.io": (ANY, "glw", "", ""),
    "volumeattachments.storage.k8s.io": (ANY, "glw", "", ""),
    "volumesnapshotclasses.snapshot.storage.k8s.io": (ANY, "glw", "", ""),
    "volumesnapshotcontents.snapshot.storage.k8s.io": (ANY, "glw", "", ""),
    "ingressclasses.networking.k8s.io": (ANY, "glw", "", ""),
    "priorityclasses.scheduling.k8s.io": (ANY, "glw", "", ""),
    "clusterroles.rbac.authorization.k8s.io": (ANY, "", "", ""),
    "clusterrolebindings.rbac.authorization.k8s.io": (ANY, "", "", ""),
    "certificatesigningrequests.certificates.k8s.io": (ANY, "", "", ""),
    "certificatesigningrequests.certificates.k8s.io/approval": (ANY, "", "", ""),
    "customresourcedefinitions.apiextensions.k8s.io": (ANY, "", "", ""),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": (ANY, "", "", ""),
    "apiservices.apiregistration.k8s.io": (ANY, "", "", ""),
    "users": (ANY, "", "", ""),
    "pods": (ANY, ANY, "", ""),
    "secrets": (ANY, ANY, "", ""),
}
PRESETS = ("admin", "ops", "developer", "restricted")
# Who they are to the API server: user name and groups.
PEOPLE = {
    "admin": ("rbac-admin", []),
    "ops": ("somebody", ["oidc:rbac-operators"]),
    "developer": ("https://idp.example.com#rbac-dev@example.com", []),
    "restricted": (f"system:serviceaccount:{OWN}:viewer", []),
    "developer everywhere": ("rbac-dev-all", []),
    "restricted everywhere": ("rbac-view-all", []),
}
BINDINGS: list[dict[str, Any]] = [
    {"subject": {"name": "rbac-admin"}, "role": "admin"},
    {"subject": {"kind": "Group", "name": "oidc:rbac-operators"}, "role": "ops"},
    {"subject": {"name": PEOPLE["developer"][0]}, "role": "developer", "namespaces": [OWN]},
    {
        "subject": {"kind": "ServiceAccount", "name": "viewer", "namespace": OWN},
        "role": "restricted",
        "namespaces": [OWN],
    },
    {"subject": {"name": "rbac-dev-all"}, "role": "developer", "namespaces": ["*"]},
    {"subject": {"name": "rbac-view-all"}, "role": "restricted", "namespaces": ["*"]},
]


@pytest.fixture(scope="module")
def kubeconfig(lab_dir: Path) -> Path:
    return lab_dir / "admin.conf"


@pytest.fixture(scope="module")
def rbac(kubeconfig: Path) -> client.RbacAuthorizationV1Api:
    return client.RbacAuthorizationV1Api(config.new_client_from_config(str(kubeconfig)))


def ours(rbac: client.RbacAuthorizationV1Api) -> list[Any]:
    listed = rbac.list_cluster_role_binding(label_selector=LABEL).items
    return [*listed, *rbac.list_role_binding_for_all_namespaces(label_selector=LABEL).items]


def to_entry(given: dict[str, str]) -> dict[str, Any]:
    """What the module returned about a binding as an entry of its list."""
    kind, name = given["subject"].split(" ", 1)
    subject = {"kind": kind, "name": name}
    if kind == "ServiceAccount":
        subject["namespace"], subject["name"] = name.split("/")
    return {"subject": subject, "role": given["role"], "namespaces": [given["namespace"]]}


@pytest.fixture(scope="module")
def bind(
    api: client.CoreV1Api,
    rbac: client.RbacAuthorizationV1Api,
    kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bind]:
    """Run the module as Ansible does; bindings that were there before stay listed, and are alone again afterwards."""
    home = tmp_path_factory.mktemp("bind")
    module = "ansible_collections.hostplane.cluster.plugins.modules.rbac_binding"

    def run(bindings: list[dict[str, Any]], base: bool = True, check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"kubeconfig": str(kubeconfig), **options, "_ansible_check_mode": check, "_ansible_diff": True}
        arguments["bindings"] = [*(before if base else []), *bindings]
        path = home / "arguments.json"
        path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        done = subprocess.run([sys.executable, "-m", module, str(path)], text=True, capture_output=True, check=False)
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    for name in (OWN, OTHER):
        api.create_namespace({"metadata": {"name": name}})
    before: list[dict[str, Any]] = []
    before = [to_entry(given) for given in run([])["bindings"]]
    known = {(item.metadata.namespace, item.metadata.name) for item in ours(rbac)}
    yield run
    for item in ours(rbac):
        if (item.metadata.namespace, item.metadata.name) not in known and not item.metadata.namespace:
            rbac.delete_cluster_role_binding(item.metadata.name)
    for name in (OWN, OTHER):
        api.delete_namespace(name)


@pytest.fixture(scope="module")
def bound(bind: Bind) -> dict[str, Any]:
    """All presets bound, and proven by the module itself."""
    predicted = bind(BINDINGS, check=True)
    result = bind(BINDINGS, prove=True)
    assert not result.get("failed"), result
    keys = ("changed", "added", "updated", "removed", "roles", "bindings", "diff")
    assert {key: predicted[key] for key in keys} == {key: result[key] for key in keys}
    assert result["changed"] and not result.get("warnings")
    return result


def login(kubeconfig: Path, person: str) -> client.ApiClient:
    """The API as that person sees it."""
    user, groups = PEOPLE[person]
    made = config.new_client_from_config(str(kubeconfig))
    made.set_default_header("Impersonate-User", user)
    for group in groups:
        made.set_default_header("Impersonate-Group", group)
    return made


def allowed(session: client.ApiClient, resources: dict[str, Any], namespace: str) -> dict[str, str]:
    """The verbs that the API server allows the session's own user, by resource."""

    def one(question: tuple[str, str]) -> bool:
        resource, verb = question
        full, _slash, subresource = resource.partition("/")
        name, _dot, group = full.partition(".")
        asked = {"verb": verb, "group": group, "resource": name, "subresource": subresource, "namespace": namespace}
        body = {"spec": {"resourceAttributes": asked}}
        answer = client.AuthorizationV1Api(session).create_self_subject_access_review(body)
        return bool(answer.status.allowed)

    questions = [(resource, letter) for resource in resources for letter in VERBS]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(one, [(resource, VERBS[letter]) for resource, letter in questions])
    found = dict.fromkeys(resources, "")
    for (resource, letter), answer in zip(questions, answers):
        found[resource] += letter if answer else ""
    return found


def column(table: dict[str, tuple[str, str, str, str]], preset: str) -> dict[str, str]:
    return {resource: row[PRESETS.index(preset)] for resource, row in table.items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_in_its_namespace(bound: dict[str, Any], kubeconfig: Path, preset: str) -> None:
    session = login(kubeconfig, preset)
    assert allowed(session, NAMESPACED, OWN) == column(NAMESPACED, preset)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_in_another_namespace(bound: dict[str, Any], kubeconfig: Path, preset: str) -> None:
    session, everywhere = login(kubeconfig, preset), preset in ("admin", "ops")
    expected = column(NAMESPACED, preset) if everywhere else dict.fromkeys(NAMESPACED, "")
    assert allowed(session, NAMESPACED, OTHER) == expected


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_in_the_cluster(bound: dict[str, Any], kubeconfig: Path, preset: str) -> None:
    assert allowed(login(kubeconfig, preset), CLUSTER, "") == column(CLUSTER, preset)


@pytest.mark.parametrize("preset", ["developer", "restricted"])
def test_preset_in_every_namespace(bound: dict[str, Any], kubeconfig: Path, preset: str) -> None:
    session, expected = login(kubeconfig, f"{preset} everywhere"), column(NAMESPACED, preset)
    assert allowed(session, NAMESPACED, OTHER) == expected
    assert allowed(session, NAMESPACED, "") == expected
    names = {"pods", "secrets", "namespaces"}
    reach = {**column(CLUSTER, preset), "pods": expected["pods"], "secrets": expected["secrets"], "namespaces": "glw"}
    assert names <= set(reach) and allowed(session, CLUSTER, "") == reach


def status(call: Callable[..., Any], *args: Any, **options: Any) -> int:
    try:
        call(*args, **options)
    except ApiException as exc:
        return int(exc.status)
    return 200


def test_requests_are_answered_so(bound: dict[str, Any], kubeconfig: Path) -> None:
    body = {"metadata": {"name": "settings"}, "data": {"a": "b"}}
    core = {person: client.CoreV1Api(login(kubeconfig, person)) for person in PEOPLE}
    node = core["admin"].list_node().items[0].metadata.name
    cordon = {"metadata": {"labels": {"rbac-test": "x"}}}
    assert status(core["developer"].create_namespaced_config_map, OWN, body) == 200
    assert status(core["developer"].create_namespaced_config_map, OTHER, body) == 403
    assert status(core["developer"].read_namespace, OWN) == 200
    assert status(core["developer"].read_namespace, OTHER) == 403
    assert status(core["restricted"].read_namespaced_config_map, "settings", OWN) == 200
    assert status(core["restricted"].delete_namespaced_config_map, "settings", OWN) == 403
    assert status(core["restricted"].list_namespaced_secret, OWN) == 403
    assert status(core["restricted everywhere"].list_pod_for_all_namespaces) == 200
    assert status(core["ops"].list_node) == 200
    assert status(core["ops"].patch_node, node, cordon, dry_run="All") == 403
    assert status(core["admin"].patch_node, node, cordon, dry_run="All") == 200
    assert status(core["ops"].delete_namespaced_config_map, "settings", OWN) == 200


def test_the_module_proves_the_same(bound: dict[str, Any]) -> None:
    rows = {(row["subject"], row["namespace"]): row for row in bound["can_i"]}
    assert rows["User rbac-admin", "*"]["allowed"]["nodes"] == ["create", "delete", "list"]
    assert rows["Group oidc:rbac-operators", "*"]["allowed"]["nodes"] == ["list"]
    assert rows["Group oidc:rbac-operators", "*"]["allowed"]["secrets"] == ["create", "delete", "list"]
    viewer = rows[f"ServiceAccount {OWN}/viewer", OWN]
    assert (viewer["allowed"]["pods"], viewer["allowed"]["secrets"], viewer["allowed"]["nodes"]) == (["list"], [], [])
    assert all("hostplane:restricted:viewer-" in reason for reason in viewer["reasons"])


def test_a_second_run_changes_nothing(bound: dict[str, Any], bind: Bind) -> None:
    again = bind(BINDINGS, exact=True)
    assert (again["changed"], again["diff"]["before"]) == (False, again["diff"]["after"])


def test_what_was_changed_by_hand_is_put_right(
    bound: dict[str, Any], bind: Bind, rbac: client.RbacAuthorizationV1Api
) -> None:
    name = next(given["name"] for given in bound["bindings"] if given["subject"] == "User rbac-dev-all")
    mallory = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}
    live = rbac.read_cluster_role_binding(name).to_dict()["subjects"][0]
    rbac.patch_cluster_role_binding(name, {"subjects": [{"kind": "User", "name": live["name"]}, mallory]})
    rbac.patch_cluster_role("hostplane:restricted", {"rules": []})
    # The name of one of ours with another role behind it.
    other = next(given["name"] for given in bound["bindings"] if given["subject"] == "User rbac-view-all")
    made = rbac.read_cluster_role_binding(other)
    rbac.delete_cluster_role_binding(other)
    made.metadata = client.V1ObjectMeta(name=other, labels=made.metadata.labels)
    made.role_ref.name = "view"
    rbac.create_cluster_role_binding(made)
    result = bind(BINDINGS, prove=True)
    assert (result["added"], result["removed"], result["roles"]) == ([], [], ["hostplane:restricted"])
    assert result["updated"] == sorted([name, other]) and not result.get("warnings")
    assert "User mallory: developer in every namespace\n" in result["diff"]["before"]
    assert "mallory" not in result["diff"]["after"]
    assert [item.name for item in rbac.read_cluster_role_binding(name).subjects] == ["rbac-dev-all"]
    assert rbac.read_cluster_role_binding(other).role_ref.name == "hostplane:restricted"
    assert not bind(BINDINGS)["changed"]


def test_another_preset_replaces_the_first(bound: dict[str, Any], bind: Bind) -> None:
    entry = {"subject": {"name": "rbac-mover"}, "role": "developer", "namespaces": [OWN]}
    assert len(bind([*BINDINGS, entry])["added"]) == 1
    checks = [{"verbs": ["get", "delete"], "resources": ["pods"]}]
    result = bind([*BINDINGS, {**entry, "role": "restricted"}], prove=True, checks=checks)
    assert (len(result["added"]), len(result["removed"])) == (1, 1)
    (row,) = [row for row in result["can_i"] if row["subject"] == "User rbac-mover"]
    assert row["allowed"] == {"pods": ["get"]}


def test_exact_takes_away_at_once_and_only_its_own(
    bound: dict[str, Any], bind: Bind, rbac: client.RbacAuthorizationV1Api
) -> None:
    foreign = {"metadata": {"name": "by-hand"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io"}}
    foreign["roleRef"].update({"kind": "ClusterRole", "name": "hostplane:restricted"})
    foreign["subjects"] = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "rbac-guest"}]  # type: ignore[assignment]
    rbac.create_namespaced_role_binding(OWN, foreign)
    guest = {"subject": {"name": "rbac-guest"}, "role": "ClusterRole/edit", "namespaces": [OWN, OTHER]}
    assert len(bind([*BINDINGS, guest])["added"]) == 2
    kept = bind(BINDINGS)
    assert (kept["changed"], len([name for name in kept["unlisted"] if "rbac-guest" in name])) == (False, 2)
    result = bind(BINDINGS, exact=True, prove=True)
    assert len([name for name in result["removed"] if "rbac-guest" in name]) == 2
    rows = {row["namespace"]: row["allowed"] for row in result["can_i"] if row["subject"] == "User rbac-guest"}
    assert (rows[OWN]["pods"], rows[OTHER]["pods"]) == (["list"], [])
    assert rbac.read_namespaced_role_binding("by-hand", OWN)


def test_a_list_of_several_clusters(bound: dict[str, Any], bind: Bind) -> None:
    elsewhere = {"subject": {"name": "stranger"}, "role": "admin", "clusters": ["elsewhere"]}
    result = bind([*BINDINGS, elsewhere], cluster="here", exact=True)
    assert not result.get("failed") and "stranger" not in json.dumps([result["bindings"], result["diff"]])


def test_refusals_come_together_and_before_any_change(bound: dict[str, Any], bind: Bind) -> None:
    wrong = [
        {"subject": {"name": "rbac-fresh"}, "role": "developer", "namespaces": [OWN]},
        {"subject": {"name": "a"}, "role": "nonesuch", "namespaces": [OWN]},
        {"subject": {"name": "b"}, "role": "Role/nonesuch", "namespaces": [OWN]},
        {"subject": {"name": "c"}, "role": "developer", "namespaces": ["nowhere"]},
        {"subject": {"name": "d"}, "role": "ops", "namespaces": [OWN]},
        {"subject": {"name": "e"}, "role": "restricted"},
        {"subject": {"kind": "ServiceAccount", "name": "f"}, "role": "restricted", "namespaces": [OWN]},
    ]
    result = bind([*BINDINGS, *wrong])
    assert result["failed"] and sorted(entry["code"] for entry in result["problems"]) == [
        "namespace_unknown", "role_unknown", "role_unknown", "scope_empty", "scope_preset", "subject_namespace",
    ]  # fmt: skip
    assert "nowhere" in result["msg"] and "rbac-fresh" not in json.dumps(bind(BINDINGS)["bindings"])


def test_the_last_administrator_stays(bound: dict[str, Any], bind: Bind) -> None:
    for entries in ([], [{"subject": {"name": "rbac-admin"}, "role": "ops"}]):
        # Only a prediction, so that a mistake here does not take the other tests' access.
        result = bind(entries, base=False, exact=True, check=True)
        assert result["failed"] and [entry["code"] for entry in result["problems"]] == ["last_admin"]
    assert not bind(BINDINGS, exact=True)["changed"]


def test_nobody_takes_away_the_own_access(
    bound: dict[str, Any], bind: Bind, api: client.CoreV1Api, kubeconfig: Path, tmp_path: Path
) -> None:
    api.create_namespaced_service_account(OWN, {"metadata": {"name": "manager"}})
    manager = {"subject": {"kind": "ServiceAccount", "name": "manager", "namespace": OWN}, "role": "admin"}
    assert bind([*BINDINGS, manager], prove=True)["changed"]
    token = api.create_namespaced_service_account_token("manager", OWN, {"spec": {"expirationSeconds": 600}})
    login = yaml.safe_load(kubeconfig.read_text())
    login["users"][0]["user"] = {"token": token.status.token}
    path = tmp_path / "manager.conf"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(login))
    result = bind(BINDINGS, exact=True, kubeconfig=str(path))
    assert result["failed"] and [entry["code"] for entry in result["problems"]] == ["own_access"]
    assert len(bind(BINDINGS, exact=True)["removed"]) == 1
