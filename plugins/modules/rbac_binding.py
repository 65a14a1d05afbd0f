#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rbac_binding
short_description: Bind users, groups and service accounts to roles of a cluster
version_added: "0.1.0"
description:
  - Takes the whole list of bindings in one call and writes only what differs. The preset roles among them are made, and
    put right when they were changed.
  - Everything is checked before anything is changed, and all problems are reported together.
  - Only bindings with the label C(hostplane.io/rbac) are ever changed or removed, which are those of this module.
  - Refuses to take administrator rights from the last administrator, or from the identity that makes the call. An
    administrator is who holds every verb on every resource cluster-wide. C(kubeadm:cluster-admins), C(system:) names,
    service accounts that others have bound, and issued kubeconfigs, which expire, don't count.
  - Runs on the controller.
  - In check mode O(kubeconfig) may be missing, as before the cluster is created.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.api
options:
  cluster:
    description: Name of this cluster, which O(bindings[].clusters) refers to.
    type: str
    default: ""
  bindings:
    description: Who gets which role where. The same binding listed twice counts once.
    type: list
    elements: dict
    required: true
    suboptions:
      subject:
        description: Who gets the role.
        type: dict
        required: true
        suboptions:
          kind:
            description: What it is, as in Kubernetes.
            type: str
            choices: [User, Group, ServiceAccount]
            default: User
          name:
            description: Its name, as the API server sees it, for example with the prefix of OIDC.
            type: str
            required: true
          namespace:
            description: Namespace of a service account.
            type: str
            default: ""
      role:
        description:
          - V(admin) reads and writes everything. Always cluster-wide.
          - V(ops) reads and writes workloads, services, configuration, secrets and claims in every namespace, and only
            reads nodes, persistent volumes, storage classes, namespaces and quotas. Always cluster-wide.
          - V(developer) is V(ops) without the cluster's own objects, in the given namespaces.
          - V(restricted) reads what V(developer) writes, apart from secrets, and writes nothing.
          - V(ClusterRole/name) and V(Role/name) are roles that exist; a Role in each of the namespaces. A name that is
            not one of the four is the name of a ClusterRole.
          - A subject has one preset role at most in one place. Another one replaces it there.
        type: str
        required: true
      namespaces:
        description:
          - Where the role is given. V(*) alone stands for the whole cluster, with every namespace it will ever have.
          - Required, and never empty, for all roles but V(admin) and V(ops), which allow nothing else than V(*).
        type: list
        elements: str
        default: []
      clusters:
        description: Names of the clusters that the binding is for; empty for all of them.
        type: list
        elements: str
        default: []
  exact:
    description: Whether to remove this module's bindings that are not listed.
    type: bool
    default: false
  prove:
    description:
      - Whether to ask the API server what the subjects may do after the change, and return it as RV(can_i).
      - In check mode the answers are those of the present.
    type: bool
    default: false
  checks:
    description:
      - What to ask with O(prove). Each verb on each resource.
      - Empty for C(list), C(create) and C(delete) on 14 resources in which the preset roles differ. Each question is a
        request, so that many subjects are better asked less.
    type: list
    elements: dict
    default: []
    suboptions:
      verbs:
        description: Verbs of the API.
        type: list
        elements: str
        required: true
      resources:
        description: Resources as V(pods), V(pods/log) or V(deployments.apps).
        type: list
        elements: str
        required: true
      namespaces:
        description: Where to ask, V(*) for the whole cluster; empty for wherever the subject is (or was) bound.
        type: list
        elements: str
        default: []
notes:
  - Who may run pods in a namespace has the rights of each of its service accounts. V(ops), and V(developer) for V(*) or
    in C(kube-system), are therefore for people who are trusted with the cluster.
  - Group memberships come with the login, so RV(can_i) of a user leaves out what groups give.
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Give exactly this access
  hostplane.cluster.rbac_binding:
    kubeconfig: /root/.kube/production.conf
    cluster: production
    exact: true
    bindings:
      - subject: {name: alice}
        role: admin
      - subject: {kind: Group, name: "oidc:operators"}
        role: ops
      - subject: {kind: Group, name: "oidc:shop"}
        role: developer
        namespaces: [shop, shop-test]
      - subject: {name: auditor}
        role: restricted
        namespaces: ["*"]
        clusters: [production, staging]
      - subject: {kind: ServiceAccount, name: deployer, namespace: shop}
        role: ClusterRole/edit
        namespaces: [shop]
  delegate_to: localhost
  run_once: true

- name: See who may read secrets and nodes (run with --check to change nothing)
  hostplane.cluster.rbac_binding:
    kubeconfig: /root/.kube/production.conf
    bindings: "{{ access_bindings }}"
    prove: true
    checks:
      - verbs: [get, list]
        resources: [secrets, nodes]
  delegate_to: localhost
  register: access
"""

RETURN = r"""
bindings:
  description: What this module's bindings give after the change, sorted by subject.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: Kind and name; a service account's name with its namespace before it.
      type: str
    role:
      description: The role as in O(bindings[].role).
      type: str
    namespace:
      description: The namespace, V(*) for the whole cluster.
      type: str
    name:
      description: Name of the ClusterRoleBinding or RoleBinding.
      type: str
  sample:
    - {subject: User alice, role: admin, namespace: "*", name: "hostplane:admin:alice-d94e66f734"}
report:
  description: The same for people, a line for each.
  returned: success
  type: list
  elements: str
  sample: ["User alice: admin in every namespace"]
added:
  description: Bindings that were (or would be) made, as C(namespace/name) or C(name), sorted.
  returned: success
  type: list
  elements: str
  sample: ["hostplane:admin:alice-d94e66f734"]
updated:
  description: Bindings that had been changed by hand and were (or would be) put right, sorted.
  returned: success
  type: list
  elements: str
removed:
  description: Bindings that were (or would be) removed, sorted.
  returned: success
  type: list
  elements: str
roles:
  description: Preset ClusterRoles that were (or would be) made or put right, sorted.
  returned: success
  type: list
  elements: str
  sample: ["hostplane:admin"]
unlisted:
  description: This module's bindings that are not listed and stay, since O(exact) is V(false), sorted.
  returned: success
  type: list
  elements: str
can_i:
  description:
    - What the subjects may do, as the API server says. With O(prove), sorted.
    - Subjects whose bindings were removed by this call are among them.
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: As in RV(bindings).
      type: str
    namespace:
      description: Where it was asked, V(*) for the whole cluster.
      type: str
    allowed:
      description: The verbs that are allowed, for every resource that was asked about.
      type: dict
    reasons:
      description: What allows it, as the API server words it, sorted.
      type: list
      elements: str
  sample:
    - subject: User auditor
      namespace: "*"
      allowed: {pods: [list], secrets: []}
      reasons: ['RBAC: allowed by ClusterRoleBinding "hostplane:restricted:auditor-3c2f…" …']
problems:
  description: Why nothing was changed; each with C(code), C(path), C(message) and C(remedy).
  returned: when refused
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi, _rbac_run

SUBJECT = {
    "kind": {"type": "str", "choices": ["User", "Group", "ServiceAccount"], "default": "User"},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": ""},
}
BINDING = {
    "subject": {"type": "dict", "required": True, "options": SUBJECT},
    "role": {"type": "str", "required": True},
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "clusters": {"type": "list", "elements": "str", "default": []},
}
CHECK = {
    "verbs": {"type": "list", "elements": "str", "required": True},
    "resources": {"type": "list", "elements": "str", "required": True},
    "namespaces": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "cluster": {"type": "str", "default": ""},
            "bindings": {"type": "list", "elements": "dict", "required": True, "options": BINDING},
            "exact": {"type": "bool", "default": False},
            "prove": {"type": "bool", "default": False},
            "checks": {"type": "list", "elements": "dict", "default": [], "options": CHECK},
        },
        supports_check_mode=True,
    )
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    try:
        result = _rbac_run.run(module.params, module.check_mode)
    except _rbac_run.Refused as exc:
        module.fail_json(msg=str(exc), problems=exc.problems)
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        module.fail_json(msg=f"the API refused or did not answer: {_kubeapi.reason_of(exc)}")
    for text in result.pop("contradictions"):
        module.warn(text)
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
