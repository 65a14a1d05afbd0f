#!/usr/bin/python
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_download
short_description: Download the published images of a release
version_added: "0.1.0"
author: hostplane contributors (@hostplane)
description:
  - Pulls images by C(crane) into one OCI image layout, several at a time.
  - The digest of an image is written down at its first download. Later runs accept nothing else.
  - Runs on the controller. Credentials are taken from where C(crane auth login) or C(docker login) put them,
    and the environment variables E(https_proxy), E(http_proxy) and E(no_proxy) are honoured.
options:
  images:
    description: Public names of the images, with their tags.
    type: list
    elements: str
    required: true
  layout:
    description: Directory of the OCI image layout.
    type: path
    required: true
  record:
    description: File where the digests of the first download are kept (JSON).
    type: path
    required: true
  crane:
    description: The program C(crane).
    type: path
    required: true
  arch:
    description: Architecture of the images.
    type: str
    choices: [amd64, arm64]
    default: amd64
  digests:
    description: Digests of images of this architecture that are known beforehand, by name.
    type: dict
    default: {}
  registry_map:
    description:
      - Replaces the beginning of image names by a mirror, such as V(registry.k8s.io) by
        V(mirror.example.org/registry.k8s.io). The longest match wins.
    type: dict
    default: {}
  parallel:
    description: Number of images at a time.
    type: int
    default: 3
  retries:
    description: Number of further tries after a transient error (a time-out, a broken connection, HTTP 5xx or 429).
    type: int
    default: 3
attributes:
  check_mode:
    description: Tells which images are missing without asking any registry for them.
    support: full
  diff_mode:
    description: Lists the images that are present before and after.
    support: full
"""

EXAMPLES = r"""
- name: Download images
  hostplane.cluster.image_download:
    images:
      - registry.k8s.io/pause:3.10.2
      - registry.k8s.io/coredns/coredns:v1.14.2
    layout: ~/.cache/hostplane/download/1.36.3-amd64/images
    record: ~/.cache/hostplane/download/1.36.3-amd64/images.json
    crane: ~/.cache/hostplane/download/1.36.3-amd64/files/crane
  delegate_to: localhost

- name: Download images from a mirror inside the company
  hostplane.cluster.image_download:
    images: [registry.k8s.io/pause:3.10.2]
    layout: ~/.cache/hostplane/download/1.36.3-amd64/images
    record: ~/.cache/hostplane/download/1.36.3-amd64/images.json
    crane: ~/.cache/hostplane/download/1.36.3-amd64/files/crane
    registry_map:
      registry.k8s.io: harbor.example.org/k8s
  delegate_to: localhost
"""

RETURN = r"""
downloaded:
  description: Names of the images that were downloaded, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [registry.k8s.io/pause:3.10.2]
present:
  description: Number of images that were there already.
  type: int
  returned: always
  sample: 10
problems:
  description: What could not be had, one line for each image with the reason and the remedy.
  type: list
  elements: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostplane.cluster.plugins.module_utils._oci import OciError
from ansible_collections.hostplane.cluster.plugins.module_utils._pull import Images, PullError, pull


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "str", "required": True},
            "layout": {"type": "path", "required": True},
            "record": {"type": "path", "required": True},
            "crane": {"type": "path", "required": True},
            "arch": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
            "digests": {"type": "dict", "default": {}},
            "registry_map": {"type": "dict", "default": {}},
            "parallel": {"type": "int", "default": 3},
            "retries": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    options = module.params
    names = sorted(set(options["images"]))
    try:
        images = Images(options["layout"], options["record"], options["digests"])
        missing = images.missing(names)
        problems: list[str] = []
        if missing and not module.check_mode:
            keys = ("crane", "arch", "registry_map", "parallel", "retries")
            problems = pull(images, missing, **{key: options[key] for key in keys})
    except (PullError, OciError, OSError) as error:
        module.fail_json(msg=str(error), problems=[str(error)])
    if problems:
        module.fail_json(
            msg=f"{len(problems)} of {len(missing)} images could not be downloaded:\n" + "\n".join(problems),
            problems=problems,
        )
    before = [name for name in names if name not in missing]
    module.exit_json(
        changed=bool(missing),
        downloaded=missing,
        present=len(before),
        diff={
            "before": "".join(f"{name}\n" for name in before),
            "after": "".join(f"{name}\n" for name in names),
            "before_header": options["layout"],
            "after_header": options["layout"],
        },
    )


if __name__ == "__main__":
    main()
