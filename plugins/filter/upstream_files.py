# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: upstream_files
short_description: What to download of a release's programs
version_added: "0.1.0"
description:
  - Turns C(files) of the release catalogue into the list that M(hostplane.cluster.bundle_download) takes.
    Programs that have no download for the architecture because they are taken out of an image are left out.
positional: arch, directory
options:
  _input:
    description: The mapping C(files) of a release.
    type: dict
    required: true
  arch:
    description: Architecture, V(amd64) or V(arm64).
    type: str
    required: true
  directory:
    description: Directory for the programs.
    type: str
    required: true
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
wanted: "{{ bundle_catalogue['files'] | hostplane.cluster.upstream_files('amd64', '/tmp/files') }}"
"""

RETURN = r"""
_value:
  description: Entries for the option C(files) of M(hostplane.cluster.bundle_download), sorted by name.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError


def upstream_files(files: dict[str, t.Any], arch: str, directory: str) -> list[dict[str, str]]:
    """Return the downloads of one architecture."""
    missing = [n for n, entry in files.items() if arch not in entry.get("upstream", {}) and "from_image" not in entry]
    if missing:
        raise AnsibleFilterError(f"The release has no download for {arch} of {', '.join(sorted(missing))}.")
    return [
        {"name": name, "dest": f"{directory}/{name}", "mode": entry.get("mode", "0755"), **entry["upstream"][arch]}
        for name, entry in sorted(files.items())
        if arch in entry.get("upstream", {})
    ]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"upstream_files": upstream_files}
