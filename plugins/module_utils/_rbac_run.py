# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One list of bindings brought into a cluster: find the difference, refuse or make it, prove the effect."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac as rbac
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_api as rbac_api
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_plan as planning
from ansible_collections.hostplane.cluster.plugins.module_utils import _rbac_proof as proof
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeapi import KubeApi
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem, format_report, to_dicts


class Refused(Exception):
    """Nothing was changed, for these reasons."""

    def __init__(self, problems: list[Problem]) -> None:
        placed = [replace(item, message=f"{item.path}: {item.message}") for item in problems]
        super().__init__(format_report(placed, "No access was changed."))
        self.problems = to_dicts(problems)


def names(items: Iterable[planning.Object]) -> list[str]:
    """Where bindings are and their names, sorted."""
    keys = [rbac.key_of(item) for item in items]
    return sorted(name if place == rbac.ALL else f"{place}/{name}" for place, name in keys)


def run(params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """What the module returns, with a diff and with what contradicts the bindings.

    Raises Refused, KubeApiError and API_ERRORS.
    """
    grants, problems = rbac.parse(params["bindings"], params["cluster"])
    # In check mode the cluster may still have to be made.
    api = None if check and not os.path.exists(params["kubeconfig"]) else KubeApi(params["kubeconfig"])
    before = rbac_api.read(api, grants) if api else planning.Live()
    changes = planning.plan(grants, before, params["exact"])
    after = planning.apply(before, changes)
    problems += planning.check(grants, before) + planning.guard(before, after)
    if problems:
        raise Refused(problems)
    if api and not check:
        rbac_api.write(api, before, changes)
    result = {
        "changed": bool(changes),
        "added": names(changes.create),
        "updated": names([*changes.update, *changes.recreate]),
        "removed": names(changes.delete),
        "roles": sorted(role["metadata"]["name"] for role in changes.roles),
        "unlisted": names(changes.unlisted),
        "bindings": [
            {"subject": str(grant.subject), "role": str(grant.role), "namespace": grant.namespace, "name": name}
            for grant, name in sorted(after.grants().items())
        ],
        "report": [str(grant) for grant in sorted(after.grants())],
        "can_i": [],
        "contradictions": [],
        "diff": {
            "before": planning.draw(before, before, changes),
            "after": planning.draw(after, before, changes),
        },
    }
    if api and params["prove"]:
        asked = proof.questions([*before.grants(), *after.grants()], params["checks"])
        gone = [] if check else [rbac.key_of(binding) for binding in changes.delete]
        now, wait = (before, False) if check else (after, bool(changes))
        answers, wrong = proof.prove(api, asked, now, gone, wait)
        result["can_i"] = proof.matrix(answers)
        result["contradictions"] = [proof.describe(question, answers[question]) for question in wrong]
    return result
