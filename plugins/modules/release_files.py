#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_files
short_description: Make many files of a host present in one step
version_added: "0.1.0"
description:
  - Makes programs (by digest, from the mirror) and configuration files (by content) present with the right mode.
  - One call looks at all files. What is right costs one C(stat); what is not is fetched in parallel, verified and put
    in place atomically.
  - Needs only Python's standard library on the host.
extends_documentation_fragment:
  - hostplane.cluster.attributes
  - hostplane.cluster.attributes.mirror
options:
  files:
    description: The files that must be present. Missing parent directories are made with mode V(0755).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the host.
        type: path
        required: true
      content:
        description: The text of the file. Give either this or O(files[].sha256).
        type: str
      sha256:
        description: Digest (hex) of the file in the bundle; it is fetched from O(mirror).
        type: str
      size:
        description: Size in bytes, V(0) when unknown. A wrong size saves reading the file.
        type: int
        default: 0
      mode:
        description: Permission bits as an octal string.
        type: str
        default: "0644"
      name:
        description: The file's name in the bundle; only for the reader of the arguments.
        type: str
        default: ""
  secret_files:
    description:
      - Absolute path to text, which is never shown in results, diffs or logs. The files get mode V(0600).
    type: dict
    default: {}
  unit:
    description:
      - Name of the systemd unit that reads these files, to be told in RV(unapplied_paths) what it has not read yet. A
        name without a suffix is a service's.
      - A run that was killed before it restarted the unit is thus made good by the next one.
    type: str
    default: ""
  stage:
    description:
      - Only fetch what differs, into a directory below C(/var/lib/hostplane/staging) that is named by O(unit), and
        change nothing else. A later run without this takes the files from there.
      - So everything that a change needs is on all hosts before anything of it begins.
    type: bool
    default: false
  repository:
    description: Repository of the bundle's files below the mirror's prefix.
    type: str
    default: hostplane/files
  parallel:
    description: How many files are fetched at the same time.
    type: int
    default: 4
  timeout:
    description: Seconds without a byte from the mirror after which a download is given up.
    type: int
    default: 30
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Install the kubelet and its unit
  hostplane.cluster.release_files:
    mirror: "{{ kubelet_mirror }}"
    files:
      - path: /usr/local/bin/kubelet
        sha256: 46707a53209f826ad0f0d62371ac69cd00e78fd9a8176cf5f6f87f18f7f8b718
        mode: "0755"
      - path: /etc/systemd/system/kubelet.service
        content: "{{ lookup('ansible.builtin.template', 'kubelet.service.j2') }}"
"""

RETURN = r"""
changed_paths:
  description: The files that were (or would be) written or whose mode was set, sorted.
  returned: always
  type: list
  elements: str
  sample: [/usr/local/bin/kubelet]
unapplied_paths:
  description:
    - RV(changed_paths), and the files that are newer than the running process of O(unit), or than the activation of a
      unit that has none, sorted.
  returned: always
  type: list
  elements: str
  sample: [/usr/local/bin/kubelet]
staged:
  description: With O(stage=true), the files that were (or would be) fetched, sorted.
  returned: always
  type: list
  elements: str
  sample: []
downloaded_bytes:
  description: How many bytes were fetched from the mirror.
  returned: always
  type: int
  sample: 61234567
"""

import concurrent.futures
import contextlib
import http.client
import os
import shutil
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._files import (
    CACHE,
    STAGING,
    DigestCache,
    FilesError,
    FileState,
    WantedFile,
    atomic_write,
    describe,
    look,
    stream_to,
    wanted_files,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._mirror import (
    MIRROR_SPEC,
    Mirror,
    MirrorError,
)
from ansible_collections.hostplane.cluster.plugins.module_utils._unit import PROPERTIES, newer_than, started_at


def staged_path(unit: str, digest: str) -> str:
    """Where a file waits until it is installed."""
    return os.path.join(STAGING, unit or "files", digest)


def fetch(mirror: Mirror | None, repository: str, state: FileState, unit: str) -> int:
    """Bring one file of the bundle to its place; returns the bytes fetched."""
    wanted, waiting = state.wanted, staged_path(unit, state.wanted.digest)
    if os.path.exists(waiting):
        # One that was damaged meanwhile is fetched again.
        with contextlib.suppress(FilesError), open(waiting, "rb") as kept:
            stream_to(wanted.path, kept, wanted.mode_bits, wanted.digest)
            return 0
    if mirror is None:
        raise FilesError("is to be fetched, but no mirror is given")
    with mirror.open_blob(repository, f"sha256:{wanted.digest}") as source:
        return stream_to(wanted.path, source, wanted.mode_bits, wanted.digest)


def downloads(states: list[FileState]) -> list[FileState]:
    """Those that come from the bundle."""
    return [state for state in states if state.content_differs and state.wanted.content is None]


def to_stage(states: list[FileState], params: dict[str, Any]) -> list[WantedFile]:
    """What has to be fetched so that all that differs is on the host."""
    files = {state.wanted.digest: state.wanted for state in downloads(states)}
    return [
        WantedFile(path, sha256=digest, mode=wanted.mode, size=wanted.size)
        for digest, wanted in sorted(files.items())
        if not os.path.exists(path := staged_path(params["unit"], digest))
    ]


def apply(states: list[FileState], mirror: Mirror | None, params: dict[str, Any], cache: DigestCache) -> int:
    """Write what differs, configuration after the programs that read it; returns the bytes fetched."""
    fetched, errors = 0, []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, params["parallel"])) as pool:
        where = (params["repository"], params["unit"])
        tasks = {pool.submit(fetch, mirror, where[0], state, where[1]): state for state in downloads(states)}
        for task in concurrent.futures.as_completed(tasks):
            wanted = tasks[task].wanted
            try:
                fetched += task.result()
                cache.record(wanted.path, wanted.digest)
            except (MirrorError, FilesError, OSError, http.client.HTTPException) as exc:
                errors.append(f"{wanted.path}: {exc}")
    cache.save()
    if errors:
        raise FilesError("\n".join(sorted(errors)))
    for state in states:
        if state.content_differs and state.wanted.content is not None:
            atomic_write(state.wanted.path, state.wanted.content.encode(), state.wanted.mode_bits)
        elif state.mode_differs and not state.content_differs:
            os.chmod(state.wanted.path, state.wanted.mode_bits)
        else:
            continue
        cache.record(state.wanted.path, state.wanted.digest)
    return fetched


def unread(module: AnsibleModule, paths: list[str]) -> list[str]:
    """The files that are newer than the running process of the unit."""
    if not module.params["unit"]:
        return []
    show = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", module.params["unit"]]
    dummy, out, dummy = module.run_command(show)
    return newer_than(paths, started_at(out, time.time(), time.monotonic()))


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look at every file, then write what differs."""
    params = module.params
    secrets = [{"path": path, "content": text, "mode": "0600"} for path, text in params["secret_files"].items()]
    wanted = wanted_files(params["files"], secrets)
    cache = DigestCache(CACHE)
    states = [state for state in (look(file, cache) for file in wanted) if state.changed]
    result: dict[str, Any] = {
        "changed": bool(states),
        "changed_paths": sorted(state.wanted.path for state in states),
        "downloaded_bytes": 0,
    }
    old = unread(module, [file.path for file in wanted])
    result["unapplied_paths"] = sorted({*result["changed_paths"], *old})
    if module._diff:
        result["diff"] = [describe(state) for state in states]
    mirror = Mirror.from_options(params["mirror"], params["timeout"]) if params["mirror"] else None
    waiting = os.path.dirname(staged_path(params["unit"], ""))
    result["staged"] = []
    if params["stage"]:
        missing = to_stage(states, params)
        names = {state.wanted.digest: state.wanted.path for state in states}
        result["staged"] = sorted(names[file.digest] for file in missing)
        result["changed"] = bool(missing)
        states = [FileState(file, exists=False, content_differs=True, mode_differs=True) for file in missing]
    if module.check_mode:
        return result
    result["downloaded_bytes"] = apply(states, mirror, params, cache)
    cache.save()
    if not params["stage"]:
        shutil.rmtree(waiting, ignore_errors=True)
    return result


def main() -> None:
    file_spec = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "sha256": {"type": "str"},
        "size": {"type": "int", "default": 0},
        "mode": {"type": "str", "default": "0644"},
        "name": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "default": [], "options": file_spec},
            # Ansible writes arguments to the host's journal. An option with no_log is hidden there, but text of several
            # lines in a suboption is not recognized. Of a dict the values are secret, the paths are not.
            "secret_files": {"type": "dict", "default": {}, "no_log": True},
            "mirror": MIRROR_SPEC,
            "unit": {"type": "str", "default": ""},
            "stage": {"type": "bool", "default": False},
            "repository": {"type": "str", "default": "hostplane/files"},
            "parallel": {"type": "int", "default": 4},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (FilesError, MirrorError, OSError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
