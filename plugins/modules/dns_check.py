#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_check
short_description: Ask DNS servers from a host, and say why they do not answer
version_added: "0.1.0"
description:
  - Asks every server for every name, by UDP and by TCP, straight from the host and without the resolver of the system.
  - Fails when something is not answered after O(wait), with the likely cause and what to do, everything at once.
  - Needs only Python's standard library on the host.
extends_documentation_fragment:
  - hostplane.cluster.attributes
attributes:
  check_mode:
    description: The module only asks, so it does the same in check mode.
    support: full
  diff_mode:
    description: The module changes nothing.
    support: none
options:
  servers:
    description: What a server is called, to its address.
    type: dict
    required: true
  names:
    description: The names to ask for. Each must have at least one address.
    type: list
    elements: str
    required: true
  kind:
    description: The kind of address to ask for.
    type: str
    choices: [A, AAAA]
    default: A
  port:
    description: Port of the servers.
    type: int
    default: 53
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 2
  wait:
    description: Seconds in which all answers have to have come. What fails is asked again until then.
    type: int
    default: 30
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Ask the cache and cluster DNS from every node
  hostplane.cluster.dns_check:
    servers: {cache: 169.254.20.10, cluster DNS: 10.96.0.10}
    names: [kubernetes.default.svc.cluster.local]
"""

RETURN = r"""
answers:
  description: Every question and its last answer, sorted by server, name and protocol. C(ms) is in milliseconds.
  returned: always
  type: list
  elements: dict
  sample:
    - addresses: [10.96.0.1]
      code: NOERROR
      ms: 0.8
      name: kubernetes.default.svc.cluster.local
      protocol: udp
      server: cache
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _dns


def ask_all(params: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """Every question, each repeated until it is answered or the time is over."""
    deadline = time.monotonic() + params["wait"]
    answers = []
    for server, address in sorted(params["servers"].items()):
        for name in sorted(set(params["names"])):
            for protocol in ("tcp", "udp"):
                while True:
                    answer = _dns.ask(
                        str(address), name, params["kind"], protocol == "tcp", params["timeout"], params["port"]
                    )
                    if answer.addresses or time.monotonic() > deadline:
                        break
                    time.sleep(0.5)
                answers.append(
                    {
                        "server": server,
                        "name": name,
                        "protocol": protocol,
                        "code": answer.code,
                        "addresses": list(answer.addresses),
                        "ms": answer.ms,
                    }
                )
    return answers


def report(answers: list[dict[str, t.Any]], servers: dict[str, str]) -> str:
    """Everything that was not answered, with cause and remedy; empty when there is nothing."""
    lines = []
    for answer in answers:
        if answer["addresses"]:
            continue
        cause, remedy = _dns.explain(answer["code"])
        server = f"{answer['server']} ({servers[answer['server']]})"
        lines.append(f"{server} does not resolve {answer['name']} by {answer['protocol']}: {answer['code']}; {cause}.")
        lines.append(f"  {remedy}")
    return "\n".join(lines)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "dict", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "kind": {"type": "str", "choices": ["A", "AAAA"], "default": "A"},
            "port": {"type": "int", "default": 53},
            "timeout": {"type": "float", "default": 2},
            "wait": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        answers = ask_all(module.params)
    except (_dns.DnsError, UnicodeError) as error:
        module.fail_json(msg=f"cannot ask: {error}", answers=[])
    wrong = report(answers, module.params["servers"])
    if wrong:
        module.fail_json(msg=f"DNS does not work from this host:\n{wrong}", answers=answers)
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
