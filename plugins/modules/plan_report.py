#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_report
short_description: Report the findings of all checks together
version_added: "0.1.0"
description:
  - Takes the problems of the plan and the findings of every host, and fails with B(one) readable report when any of
    them remains.
  - Findings that the operator has accepted by their code become warnings, and so does advice that was not accepted.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  problems:
    description:
      - Findings with the keys C(code), C(host), C(message), C(remedy) and C(path), as
        M(hostplane.cluster.cluster_plan) and M(hostplane.cluster.host_check) return them. An empty C(host) stands for
        the cluster's settings.
    type: list
    elements: dict
    default: []
  advice:
    description: What speaks against nothing but is worth knowing, in the same form as O(problems).
    type: list
    elements: dict
    default: []
  accepted:
    description: Codes of findings to let pass. Codes that do not occur are ignored, as are upper and lower case.
    type: list
    elements: str
    default: []
  introduction:
    description: First words of the report.
    type: str
    default: The cluster cannot be made as described.
seealso:
  - module: hostplane.cluster.cluster_plan
  - module: hostplane.cluster.host_check
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Stop before any host is changed when something is wrong
  hostplane.cluster.plan_report:
    problems: "{{ cluster_plan.problems + host_findings }}"
    accepted: "{{ cluster_ignore_preflight }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
problems:
  description: Findings that remain; the module fails when there are any.
  returned: always
  type: list
  elements: dict
  sample: []
accepted:
  description: Findings that were let pass.
  returned: always
  type: list
  elements: dict
  sample:
    - code: swap_on
      host: node-1
      message: Swap is on.
      path: ""
      remedy: Turn swap off.
      witness: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import (
    Problem,
    format_report,
    split_accepted,
    to_dicts,
)


def argument_spec() -> dict[str, t.Any]:
    return {
        "problems": {"type": "list", "elements": "dict", "default": []},
        "advice": {"type": "list", "elements": "dict", "default": []},
        "accepted": {"type": "list", "elements": "str", "default": []},
        "introduction": {"type": "str", "default": "The cluster cannot be made as described."},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    problems = [Problem.from_dict(item) for item in module.params["problems"]]
    remaining, accepted = split_accepted(problems, module.params["accepted"])
    for problem in accepted:
        where = f"{problem.host}: " if problem.host else ""
        module.warn(f"Accepted {problem.code}: {where}{problem.message}")
    advice, _known = split_accepted(map(Problem.from_dict, module.params["advice"]), module.params["accepted"])
    for problem in advice:
        where = f"{problem.host}: " if problem.host else ""
        module.warn(f"Advice {problem.code}: {where}{problem.message} {problem.remedy}".rstrip())
    result = {"changed": False, "problems": to_dicts(remaining), "accepted": to_dicts(accepted)}
    if remaining:
        module.fail_json(msg=format_report(remaining, module.params["introduction"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
