#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: addon_check
short_description: Find addons whose setting is gone
version_added: "0.1.0"
description:
  - An addon goes on when its setting is taken out of the inventory, and nobody updates it any more. This finds the DNS
    cache, MetalLB, Traefik and kube-router that this collection has applied and that are no longer asked for.
  - Removes nothing, since users' Services may depend on it.
  - Runs on the controller. When O(kubeconfig) is missing, as before the cluster is created, nothing is found.
  - An API that is down is no error but a warning, and nothing is found either.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
  - hostplane.cluster.attributes.api
options:
  wanted:
    description: The addons that the inventory asks for.
    type: list
    elements: str
    choices: [dns, ingress, load_balancer, network_policy]
    default: []
  volume_pool:
    description:
      - The directory in which the inventory has the volumes of C(local_volume). Another one than the driver works in is
        reported with the code V(storage_pool_moved), since it would find none of its volumes there.
      - Empty looks for nothing.
    type: str
    default: ""
seealso:
  - module: hostplane.cluster.plan_report
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: See what settings that are gone have left
  hostplane.cluster.addon_check:
    kubeconfig: /root/.kube/production.conf
    wanted: [dns]
  delegate_to: localhost
  register: addon_check
"""

RETURN = r"""
problems:
  description: Findings for M(hostplane.cluster.plan_report), with the codes V(addon_left) and V(storage_pool_moved).
  returned: success
  type: list
  elements: dict
  sample: []
"""

import os
from functools import partial

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeapi
from ansible_collections.hostplane.cluster.plugins.module_utils._addons_left import ADDONS, left, moved


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "wanted": {"type": "list", "elements": "str", "choices": sorted(ADDONS), "default": []},
            "volume_pool": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    if _kubeapi.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=_kubeapi.IMPORT_ERROR)
    if not os.path.exists(params["kubeconfig"]):
        module.exit_json(changed=False, problems=[])

    try:
        api = _kubeapi.KubeApi(params["kubeconfig"])
        look = partial(_kubeapi.find, api)
        problems = left(params["wanted"], look) + moved(params["volume_pool"], look)
    except _kubeapi.KubeApiError as exc:
        module.fail_json(msg=str(exc))
    except _kubeapi.API_ERRORS as exc:
        status = _kubeapi.status_of(exc)
        if 400 <= status < 500:
            module.fail_json(msg=f"the API refused: {_kubeapi.reason_of(exc)}")
        # As while a control plane is upgraded or repaired: what is wrong there has to be told, not that this can't be.
        module.warn(f"the API did not answer, so addons were not looked for: {_kubeapi.reason_of(exc)}")
        problems = []
    module.exit_json(changed=False, problems=[problem.to_dict() for problem in problems])


if __name__ == "__main__":
    main()
