#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_source
short_description: Choose where the parts of a release come from
version_added: "0.1.0"
description:
  - Decides between the published builds (V(upstream)) and building from Go modules (V(source)), and says why.
  - With V(auto), a bundle that is there already keeps its source. Otherwise one address per download host of the
    release is asked, all at the same time, and V(upstream) is chosen when every one of them answers.
extends_documentation_fragment:
  - hostplane.cluster.attributes.info
options:
  source:
    description: What the operator wants.
    type: str
    choices: [auto, upstream, source]
    default: auto
  release:
    description: A release catalogue, as the P(hostplane.cluster.release#lookup) lookup returns it.
    type: dict
    required: true
  arch:
    description: Architecture of the files.
    type: str
    choices: [amd64, arm64]
    default: amd64
  path:
    description: Directory of the bundle, which may not be there yet.
    type: path
    required: true
  url_map:
    description: Replaces the beginning of addresses, as in M(hostplane.cluster.bundle_download).
    type: dict
    default: {}
  registry_map:
    description: Replaces registries by mirrors of them, as in M(hostplane.cluster.image_download).
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 4
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Choose the source of the bundle
  hostplane.cluster.bundle_source:
    release: "{{ lookup('hostplane.cluster.release', '1.36.3') }}"
    path: ~/.cache/hostplane/bundle/1.36.3-amd64
"""

RETURN = r"""
source:
  description: V(upstream) or V(source).
  returned: always
  type: str
  sample: upstream
reason:
  description: Why.
  returned: always
  type: str
  sample: every download host answers
"""

import json
import os
import typing as t
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils import _download, _release


def ask(url: str, timeout: int) -> str:
    """Nothing when the address answers as a download host does, else what happened."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": _download.USER_AGENT})
    try:
        # Not open_url: that sets up the whole process anew for each request, and several are asked at a time.
        with urllib.request.build_opener().open(request, timeout=timeout):
            return ""
    except urllib.error.HTTPError as exc:
        # A registry asks for a token first; a filtering proxy says 403.
        return "" if exc.code == 401 else f"HTTP {exc.code}"
    except (OSError, ValueError) as exc:
        return str(getattr(exc, "reason", exc))


def present_source(path: str) -> str:
    """Source of a bundle that is complete enough to have a lock and an index."""
    try:
        with open(os.path.join(path, "lock.json"), encoding="utf-8") as stream:
            source = json.load(stream)["source"]
        return str(source) if os.path.exists(os.path.join(path, "index.json")) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def run(params: dict[str, t.Any]) -> dict[str, t.Any]:
    release, arch = params["release"], params["arch"]
    missing = _release.missing_upstream(release, arch)
    if params["source"] == "upstream" and missing:
        raise _release.ReleaseError(
            f"release {release['version']} has no published build with a known checksum of {', '.join(missing)} for "
            f"{arch}; use bundle_source: source"
        )
    if params["source"] != "auto":
        return {"source": params["source"], "reason": f"bundle_source is {params['source']}"}
    present = present_source(params["path"])
    silent = {}
    if not present and not missing:
        urls = [
            _download.map_prefix(url, params["url_map"])
            for url in _release.probe_urls(release, arch, params["registry_map"])
        ]
        with ThreadPoolExecutor(max_workers=len(urls)) as pool:
            answers = list(pool.map(lambda url: ask(url, params["timeout"]), urls))
        silent = {url: answer for url, answer in zip(urls, answers) if answer}
    source, reason = _release.choose_source(present, missing, silent)
    return {"source": source, "reason": reason}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "choices": ["auto", "upstream", "source"], "default": "auto"},
            "release": {"type": "dict", "required": True},
            "arch": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
            "path": {"type": "path", "required": True},
            "url_map": {"type": "dict", "default": {}},
            "registry_map": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **run(module.params))
    except _release.ReleaseError as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
