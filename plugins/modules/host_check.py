#!/usr/bin/python

# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_check
short_description: Find everything that keeps a host from carrying Kubernetes
version_added: "0.1.0"
author:
  - hostplane contributors (@hostplane)
description:
  - Looks at operating system, kernel features, cgroups, CPUs, memory, disks, swap, programs, ports, names, addresses,
    leftovers of other clusters, other container runtimes and firewalls, the clock and the way to the mirror.
  - Returns all findings at once, each with a remedy. It changes nothing and installs nothing.
  - The clock is compared with the controller's; the time that the connection takes is not mistaken for a difference.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  cluster_name:
    description: Name of the cluster that the host belongs to, or is to join.
    type: str
    required: true
  role:
    description: What the host is to be. It decides about ports and minimum sizes.
    type: str
    choices: [control_plane, worker, mirror]
    default: worker
  node_name:
    description: Name of the node in the cluster; looked for in C(/etc/hosts).
    type: str
  address:
    description: Address of the node, which the host must carry.
    type: str
  interface:
    description: Interface that C(link) in RV(facts) is about; empty for that of the network in which O(address) is.
    type: str
    default: ''
  arch:
    description: Architecture that the host must have.
    type: str
    choices: [amd64, arm64]
  peers:
    description: The other hosts of the cluster.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Node name.
        type: str
      address:
        description: Node address.
        type: str
  mirror:
    description: The mirror that the host must reach. Not checked if it is left out, nor on the mirror itself.
    type: dict
    suboptions:
      address:
        description: Host and port.
        type: str
        required: true
      prefix:
        description: Path before every repository; it plays no part in the check.
        type: str
        default: ''
      username:
        description: User of the registry.
        type: str
      password:
        description: Password of the registry.
        type: str
      ca:
        description: CA certificates in PEM; empty for the trust of the host.
        type: str
        default: ''
  mirror_timeout:
    description: Seconds to wait for the mirror.
    type: float
    default: 3
  min_cpus:
    description: Least number of CPUs; V(0) means 2 for a control plane as kubeadm demands, else 1.
    type: int
    default: 0
  min_memory_mb:
    description:
      - Least memory in MB; V(0) means 1700 for a control plane as kubeadm demands, 900 for a worker, 400 for a mirror.
    type: int
    default: 0
  min_disk_gb:
    description:
      - Least free space in GiB for C(/var/lib/containerd), C(/var/lib/kubelet) and C(/var/lib/etcd), per file system;
        V(0) means 10, on a mirror 5.
      - Where the installation has begun it uses that space itself, so only 1 GiB must be free there.
    type: int
    default: 0
  min_kernel:
    description: Oldest kernel release. kube-proxy's nftables mode needs 5.13.
    type: str
    default: '5.10'
  features:
    description: Kernel features that the cluster needs.
    type: list
    elements: str
    choices: [overlay, bridge, br_netfilter, veth, vxlan, nf_conntrack, nf_tables]
    default: [overlay, bridge, br_netfilter, veth, vxlan, nf_conntrack, nf_tables]
  uses:
    description: What of the cluster needs more of the kernel, such as volumes of V(nfs) or pods of the mode V(macvlan).
    type: list
    elements: str
    choices: [local_volume, nfs, macvlan]
    default: []
  extra_ports:
    description: TCP ports that must be free besides kubeadm's list.
    type: list
    elements: int
    default: []
  balancer_ports:
    description: TCP ports on a control plane that are for the cluster's own haproxy.
    type: list
    elements: int
    default: []
  cni_files:
    description: Files in C(/etc/cni/net.d) that belong to the cluster.
    type: list
    elements: str
    default: [10-flannel.conflist, 10-underlay.conflist]
  max_skew:
    description: Largest difference in seconds between the clocks of host and controller.
    type: float
    default: 1.0
  ignore:
    description: Codes of findings that the operator accepts, in any case, or V(all). They are returned in RV(ignored).
    type: list
    elements: str
    default: []
  fail_on_findings:
    description: Whether the task fails if anything is found.
    type: bool
    default: false
notes:
  - The time of the controller is taken by an action plugin of the same name.
"""

EXAMPLES = r"""
- name: Check a worker
  hostplane.cluster.host_check:
    cluster_name: shop
    role: worker
    node_name: worker-1
    address: 10.9.0.21
    arch: amd64
    mirror:
      address: 10.9.0.5:5000
      username: hostplane
      password: "{{ mirror_password }}"
      ca: "{{ lookup('ansible.builtin.file', mirror_ca_file) }}"
  register: checked

- name: Stop at a control plane that is not fit, but accept its small memory
  hostplane.cluster.host_check:
    cluster_name: shop
    role: control_plane
    ignore: [Memory]
    fail_on_findings: true
"""

RETURN = r"""
findings:
  description: What is wrong, in the order of the rules.
  type: list
  elements: dict
  returned: always
  contains:
    code:
      description: Name of the finding, by which it can be accepted.
      type: str
      sample: Port-6443
    message:
      description: What is wrong.
      type: str
      sample: TCP port 6443 is used by nginx (pid 812)
    remedy:
      description: What to do.
      type: str
      sample: stop that program or give it another port
    since:
      description: Kubernetes version from which it matters.
      type: str
      returned: if it did not always matter
      sample: "1.35"
ignored:
  description: Findings that O(ignore) accepts.
  type: list
  elements: dict
  returned: always
facts:
  description:
    - What the host says about itself, among others C(os), C(kernel), C(features), C(arch), C(cpus), C(memory_mb),
      C(hostname), C(machine_id), C(addresses), C(link), C(cgroup), C(swap), C(disks), C(selinux),
      C(clock_synchronized).
    - C(cluster.state) is C(empty), C(installed) (programs only), C(begun) or C(member) (this cluster), or C(foreign);
      C(cluster.marker) is the content of C(/etc/kubernetes/hostplane.json).
    - C(components) are digests of programs that are as they were installed, and images of the API's balancer.
  type: dict
  returned: always
clock:
  description: Difference to the controller's clock in seconds, positive if the host is ahead, and how exact it is.
  type: dict
  returned: always
  sample: {"skew": 0.012, "uncertainty": 0.09, "samples": 1}
time:
  description: The host's clock when the module started and when it ended.
  type: dict
  returned: always
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostcheck, _hostfacts, _hostmirror, _hostneeds


def spec() -> dict[str, t.Any]:
    text = {"type": "str"}
    return {
        "cluster_name": {"type": "str", "required": True},
        "role": {"type": "str", "choices": ["control_plane", "worker", "mirror"], "default": "worker"},
        "node_name": {"type": "str"},
        "address": {"type": "str"},
        "interface": {"type": "str", "default": ""},
        "arch": {"type": "str", "choices": ["amd64", "arm64"]},
        "peers": {"type": "list", "elements": "dict", "default": [], "options": {"name": text, "address": text}},
        "mirror": {
            "type": "dict",
            "options": {
                "address": {"type": "str", "required": True},
                "prefix": {"type": "str", "default": ""},
                "username": {"type": "str"},
                "password": {"type": "str", "no_log": True},
                "ca": {"type": "str", "default": ""},
            },
        },
        "mirror_timeout": {"type": "float", "default": 3},
        "min_cpus": {"type": "int", "default": 0},
        "min_memory_mb": {"type": "int", "default": 0},
        "min_disk_gb": {"type": "int", "default": 0},
        "min_kernel": {"type": "str", "default": "5.10"},
        "features": {
            "type": "list",
            "elements": "str",
            "choices": list(_hostneeds.FEATURES),
            "default": list(_hostneeds.FEATURES),
        },
        "uses": {"type": "list", "elements": "str", "choices": list(_hostneeds.USED_FEATURES), "default": []},
        "extra_ports": {"type": "list", "elements": "int", "default": []},
        "balancer_ports": {"type": "list", "elements": "int", "default": []},
        "cni_files": {"type": "list", "elements": "str", "default": ["10-flannel.conflist", "10-underlay.conflist"]},
        "max_skew": {"type": "float", "default": 1.0},
        "ignore": {"type": "list", "elements": "str", "default": []},
        "fail_on_findings": {"type": "bool", "default": False},
    }


def main() -> None:
    started = time.time()
    module = AnsibleModule(argument_spec=spec(), supports_check_mode=True)
    options: dict[str, t.Any] = module.params
    facts = _hostfacts.collect(
        _hostfacts.System(),
        options["cluster_name"],
        _hostcheck.wanted_ports(options),
        _hostcheck.PROGRAMS,
        options["node_name"] or "",
        options["address"] or "",
        options["interface"],
    )
    found = _hostcheck.check(options, facts)
    if options["mirror"] and options["role"] != "mirror":
        found += _hostmirror.probe(options["mirror"], options["mirror_timeout"])
    result: dict[str, t.Any] = {
        "changed": False,
        "findings": [entry for entry in found if not _hostcheck.accepted(entry["code"], options["ignore"])],
        "ignored": [entry for entry in found if _hostcheck.accepted(entry["code"], options["ignore"])],
        "facts": facts,
    }
    result["time"] = {"started": started, "ended": time.time()}
    if options["fail_on_findings"] and result["findings"]:
        module.fail_json(msg=_hostcheck.summary(result["findings"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
