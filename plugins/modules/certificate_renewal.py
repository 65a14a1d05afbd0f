#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_renewal
short_description: Renew what is due of a host's certificates
version_added: "0.1.0"
description:
  - Renews the certificates that kubeadm made, when they expire soon, their key is another one's or their CA did not
    sign them. kubeadm signs them on this very host, with new keys and the names of the old ones; no key leaves it.
  - Only programs that read a certificate once are restarted, the controller manager and the scheduler. The API server
    and etcd take up changed files by themselves; the module waits until they show them, and restarts one only when it
    does not, or when what it had was not valid any more.
  - Each one has to work with what is new, or the old files are put back and the module fails.
  - The kubelet renews its own certificates. One that has expired all the same is signed anew on a control plane, and
    asked for with a join token elsewhere.
  - Needs no API, so it recovers a cluster that is down because its certificates have expired.
  - CAs, the mirror's certificate and kubeconfigs elsewhere are not touched.
extends_documentation_fragment:
  - hostplane.cluster.attributes
options:
  days:
    description: Renew what expires within so many days.
    type: int
    default: 90
  validity_days:
    description: Validity of what is renewed in days; never longer than that of its CA. Must be more than O(days).
    type: int
    default: 365
  force:
    description: Renew all that kubeadm made, due or not. The module then changes something with every run.
    type: bool
    default: false
  bootstrap_token:
    description: A join token, needed where the kubelet's certificate is no good and this host has no CA key.
    type: str
    default: ""
  others:
    description:
      - Whether the cluster has other control planes. When the API is down, one of them alone can't bring it back, so
        the module does not wait for it; wait with M(hostplane.cluster.certificate_info) when all are renewed.
    type: bool
    default: false
  keep:
    description: How many copies of replaced files are kept in C(/etc/kubernetes/backups/certificates).
    type: int
    default: 3
  timeout:
    description: Seconds to wait for each component to work again.
    type: int
    default: 120
seealso:
  - module: hostplane.cluster.certificate_info
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Renew what expires within 60 days
  hostplane.cluster.certificate_renewal:
    days: 60

- name: Renew everything for five years
  hostplane.cluster.certificate_renewal:
    force: true
    validity_days: 1825
"""

RETURN = r"""
renewed:
  description: Names of the certificates that were renewed (or would be), sorted.
  returned: success
  type: list
  elements: str
  sample: [apiserver, scheduler.conf]
reasons:
  description: Why, by name.
  returned: success
  type: dict
  sample: {apiserver: expires in 10 days}
restarted:
  description: Programs that were restarted for it (or would be).
  returned: success
  type: list
  elements: str
  sample: [kube-scheduler]
reloaded:
  description: Programs that took up their new certificates without a restart (or would).
  returned: success
  type: list
  elements: str
  sample: [kube-apiserver]
backup:
  description: Directory with copies of the replaced files; empty when nothing was replaced.
  returned: success
  type: str
  sample: /etc/kubernetes/backups/certificates/20260801T120000.000000Z
gap_seconds:
  description:
    - The longest time that the API's endpoint did not answer meanwhile; null when it was not asked or was down.
  returned: success
  type: float
  sample: 0.06
recovering:
  description: Whether this host's API server was down before.
  returned: success
  type: bool
  sample: false
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _renewal
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import Found
from ansible_collections.hostplane.cluster.plugins.module_utils._kubeadm import KubeadmError, one_at_a_time
from ansible_collections.hostplane.cluster.plugins.module_utils._problem import format_report
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_host import HostError
from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_plan import Plan
from ansible_collections.hostplane.cluster.plugins.module_utils._x509 import X509Error

LOCK_SECONDS = 300


def predicted(plan: Plan) -> _renewal.Result:
    """What a run would do."""
    renewed = [*plan.kubeadm, *(["kubelet-client"] if plan.kubelet else [])]
    kubelet = ["kubelet"] if plan.kubelet or plan.serving else []
    return _renewal.Result(
        renewed=renewed + (["kubelet-server-self"] if plan.serving else []),
        restarted=kubelet + list(plan.restart),
        reloaded=list(plan.reload),
    )


def difference(found: list[Found], plan: Plan) -> dict[str, str]:
    """The certificates that change, for --diff."""
    items = {item.place.name: item for item in found}
    lines = [f"{name} ({items[name].place.path}): {why}\n" for name, why in plan.reasons if name in items]
    lines += [f"{name}: {why}\n" for name, why in plan.reasons if name not in items]
    return {"before": "".join(lines), "after": ""}


def renew(params: dict[str, Any], real: bool) -> tuple[_renewal.Result, dict[str, Any]]:
    """Look, refuse what can't be done, and do the rest."""
    found, plan = _renewal.look_and_plan(params["days"], params["force"])
    wrong = _renewal.refusals(found, params["days"])
    if wrong:
        raise _renewal.RenewalError(format_report(wrong, "Nothing was renewed."))
    leftover = os.path.exists(_renewal.BOOTSTRAP) and not plan.kubelet
    shown = {
        "changed": not plan.empty or leftover,
        "reasons": dict(plan.reasons),
        "diff": difference(found, plan),
    }
    if not real:
        return predicted(plan), shown
    if leftover:
        _renewal.drop_bootstrap()
    return _renewal.Result() if plan.empty else _renewal.Renewal(found, plan, params).run(), shown


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "days": {"type": "int", "default": 90},
            "validity_days": {"type": "int", "default": 365},
            "force": {"type": "bool", "default": False},
            "bootstrap_token": {"type": "str", "default": "", "no_log": True},
            "others": {"type": "bool", "default": False},
            "keep": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["validity_days"] <= params["days"]:
        module.fail_json(msg="validity_days must be more than days, or what is renewed would be due again at once")
    if params["keep"] < 1:
        module.fail_json(msg="keep must be at least 1: the copy of this run is what a failure is undone with")
    try:
        if module.check_mode:
            result, shown = renew(params, real=False)
        else:
            with one_at_a_time(LOCK_SECONDS):
                result, shown = renew(params, real=True)
    except (_renewal.RenewalError, HostError, X509Error, KubeadmError, OSError) as exc:
        module.fail_json(msg=str(exc))
    if not (module._diff and shown["changed"]):
        del shown["diff"]
    module.exit_json(
        renewed=sorted(result.renewed),
        restarted=result.restarted,
        reloaded=result.reloaded,
        backup=result.backup,
        gap_seconds=result.gap,
        recovering=result.recovering,
        **shown,
    )


if __name__ == "__main__":
    main()
