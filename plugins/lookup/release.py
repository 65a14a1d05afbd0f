# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: release
author:
  - hostplane contributors (@hostplane)
short_description: The release catalogue of a Kubernetes version
version_added: "0.1.0"
description:
  - Reads a file of the collection's C(releases/) directory, checks it as a whole and returns it.
  - The directories of Go modules and other sources are returned as absolute paths.
  - A version without a catalogue is an error that names the versions that have one.
options:
  _terms:
    description: Kubernetes versions such as V(1.36.3). Without any, all known ones are returned.
    type: list
    elements: str
  directory:
    description: Directory with the catalogue files, when it is not the collection's own.
    type: path
"""

EXAMPLES = r"""
- name: Show the components of a release
  ansible.builtin.debug:
    msg: "{{ lookup('hostplane.cluster.release', '1.36.3').components }}"

- name: Show the versions that can be installed
  ansible.builtin.debug:
    msg: "{{ query('hostplane.cluster.release') | map(attribute='version') }}"
"""

RETURN = r"""
_raw:
  description: One catalogue per version, with the keys C(version), C(components), C(builds), C(files) and C(images).
  type: list
  elements: dict
"""

import os
import typing as t

import yaml
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.hostplane.cluster.plugins.module_utils import _release

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "releases")
# The same subset of YAML, ten times as fast where libyaml is there.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(directory: str, version: str) -> dict[str, t.Any]:
    """Read, check and resolve one catalogue."""
    path = _release.catalogue_path(directory, version)
    try:
        with open(path, encoding="utf-8") as stream:
            document = yaml.load(stream, Loader=LOADER)
    except (OSError, yaml.YAMLError) as exc:
        raise _release.ReleaseError(f"{path} cannot be read: {exc}") from exc
    return _release.checked(document, version, directory)


class LookupModule(LookupBase):
    def run(
        self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        directory = self.get_option("directory") or DIRECTORY
        try:
            versions = [str(term) for term in terms] or _release.known_releases(directory)
            return [load(directory, version) for version in versions]
        except _release.ReleaseError as exc:
            raise AnsibleLookupError(str(exc)) from exc
