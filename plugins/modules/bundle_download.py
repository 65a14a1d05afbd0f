#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_download
short_description: Download the published files of a release, verified
version_added: "0.1.0"
author: hostplane contributors (@hostplane)
description:
  - Downloads files in parallel and verifies each against its SHA-256 sum while it streams in.
  - An interrupted transfer is continued; a file appears under its name only when it is complete and verified.
  - A file that belongs to an archive (C(.tar.gz)) is taken out of it after the archive was verified.
    An archive that several files come from is downloaded once.
  - Runs on the controller. The environment variables E(https_proxy), E(http_proxy) and E(no_proxy) are honoured.
options:
  files:
    description: The files to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the file in messages.
        type: str
        required: true
      url:
        description: Public address of the file or of the archive that holds it.
        type: str
        required: true
      sha256:
        description: SHA-256 sum of what the address delivers, with or without the prefix C(sha256:).
        type: str
        required: true
      member:
        description: Path inside the archive. Without it the download is the file itself.
        type: str
      dest:
        description: Where the file is put. Missing directories are made.
        type: path
        required: true
      mode:
        description: Permissions, octal.
        type: str
        default: "0644"
  url_map:
    description:
      - Replaces the beginning of addresses, such as V(https://dl.k8s.io) by a mirror of it. The longest match wins.
    type: dict
    default: {}
  parallel:
    description: Number of downloads at a time.
    type: int
    default: 4
  retries:
    description: Number of further tries after a transient error (a time-out, a broken connection, HTTP 5xx or 429).
    type: int
    default: 4
  timeout:
    description: Seconds without any data after which a transfer counts as broken.
    type: int
    default: 30
  verify:
    description:
      - Read every present file again and compare its content.
      - Otherwise a file whose size and time of modification are those of its verified download is taken as unchanged.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells which files are missing without asking any server for them.
    support: full
  diff_mode:
    description: Lists the files that are present before and after.
    support: full
"""

EXAMPLES = r"""
- name: Download kubelet and containerd
  hostplane.cluster.bundle_download:
    files:
      - name: kubelet
        url: https://dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet
        sha256: "{{ kubelet_sha256 }}"
        dest: ~/.cache/hostplane/bundle/download/1.36.3-amd64/files/kubelet
        mode: "0755"
      - name: containerd
        url: https://github.com/containerd/containerd/releases/download/v2.3.4/containerd-2.3.4-linux-amd64.tar.gz
        sha256: 9d68969855fbf676cdb8ed758e420fb048d61f984f61de3e53eddfebe484d168
        member: bin/containerd
        dest: ~/.cache/hostplane/bundle/download/1.36.3-amd64/files/containerd
        mode: "0755"
  delegate_to: localhost

- name: Download from a mirror inside the company
  hostplane.cluster.bundle_download:
    files: "{{ files }}"
    url_map:
      https://dl.k8s.io: https://artifacts.example.org/dl.k8s.io
      https://github.com: https://artifacts.example.org/github
  delegate_to: localhost
"""

RETURN = r"""
downloaded:
  description: Names of the files that were downloaded, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [containerd, kubelet]
present:
  description: Number of files that were there already.
  type: int
  returned: always
  sample: 24
problems:
  description: What could not be had, one line for each address with the reason and the remedy.
  type: list
  elements: str
  returned: failure
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._download import (
    Wanted,
    bare_sum,
    download,
    is_current,
    write_stamp,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._oci import file_digest


def wanted_files(files: list[dict]) -> tuple[list[Wanted], list[str]]:
    """Turn options into the files to have and a list of what is wrong with them."""
    wanted: list[Wanted] = []
    problems: list[str] = []
    for item in files:
        try:
            wanted.append(
                Wanted(
                    name=item["name"],
                    url=item["url"],
                    sha256=bare_sum(item["sha256"]),
                    dest=os.path.abspath(item["dest"]),
                    mode=int(item["mode"], 8),
                    member=os.path.normpath(item["member"]) if item["member"] else None,
                )
            )
        except ValueError as error:
            problems.append(f"{item['name']}: {error}; correct the release catalogue")
    twice = sorted({w.dest for w in wanted if sum(o.dest == w.dest for o in wanted) > 1})
    problems += [f"{dest} is the destination of more than one file" for dest in twice]
    return wanted, problems


def adopt(item: Wanted, check_mode: bool) -> bool:
    """Accept a file that somebody put there by hand, when it is the right one."""
    if item.member or not os.path.isfile(item.dest) or file_digest(item.dest) != f"sha256:{item.sha256}":
        return False
    if not check_mode:
        write_stamp(item)
    return True


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "sha256": {"type": "str", "required": True},
                    "member": {"type": "str"},
                    "dest": {"type": "path", "required": True},
                    "mode": {"type": "str", "default": "0644"},
                },
            },
            "url_map": {"type": "dict", "default": {}},
            "parallel": {"type": "int", "default": 4},
            "retries": {"type": "int", "default": 4},
            "timeout": {"type": "int", "default": 30},
            "verify": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = module.params
    wanted, problems = wanted_files(options["files"])
    if problems:
        module.fail_json(msg="The list of files is wrong:\n" + "\n".join(problems), problems=problems)

    missing = [w for w in wanted if not is_current(w, options["verify"]) and not adopt(w, module.check_mode)]
    permissions = [w for w in wanted if w not in missing and os.stat(w.dest).st_mode & 0o7777 != w.mode]
    names = sorted(w.name for w in missing)
    if not module.check_mode:
        for item in permissions:
            os.chmod(item.dest, item.mode)
        problems = download(missing, options["url_map"], options["parallel"], options["retries"], options["timeout"])
    if problems:
        module.fail_json(
            msg=f"{len(problems)} of {len({(w.url, w.sha256) for w in missing})} downloads failed:\n"
            + "\n".join(problems),
            problems=problems,
        )
    before = [w.name for w in wanted if w not in missing]
    module.exit_json(
        changed=bool(missing or permissions),
        downloaded=names,
        present=len(before),
        diff={
            "before": "".join(f"{name}\n" for name in sorted(before)),
            "after": "".join(f"{name}\n" for name in sorted(w.name for w in wanted)),
            "before_header": "files in the cache",
            "after_header": "files in the cache",
        },
    )


if __name__ == "__main__":
    main()
