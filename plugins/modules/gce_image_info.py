#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_image_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_image_info
short_description: The newest image of a family or pattern, or one image by name
version_added: 0.1.0
description:
  - Says which image a family or a pattern stands for today, or reads one image.
  - Fails where family or image do not exist. The message names the families that do, the nearest
    and the newest CUDA first.
  - A family of which every image is deprecated counts as one that does not exist. The images that
    Google names as successors are said first.
  - Warns where an image is deprecated, and names its successor.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes_info
options:
  image_project:
    description: Project that the image belongs to, for example V(deeplearning-platform-release).
    type: str
    required: true
  family:
    description: Image family.
    type: str
  name:
    description: Image.
    type: str
  name_pattern:
    description: Glob that the image's name has to match, as V(common-cu12*-ubuntu-2404-*). The
      newest that is not deprecated is taken.
    type: str
  required:
    description: Whether it is an error that there is no such image. With V(false) it is a warning.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Which image would be used today
  llmops.gce_vllm.gce_image_info:
    project: my-project-123456
    image_project: deeplearning-platform-release
    family: common-cu129-ubuntu-2404-nvidia-580
  register: newest

- name: Say it
  ansible.builtin.debug:
    msg: "{{ newest.image.name }} of {{ newest.image.creationTimestamp }}"
"""

RETURN = r"""
image:
  description: The image as the API shows it; null where there is none and O(required=false).
  returned: success
  type: dict
  sample: {"name": "common-cu129-ubuntu-2404-nvidia-580-v20260301", "family":
    "common-cu129-ubuntu-2404-nvidia-580", "diskSizeGb": "50"}
id:
  description: The image's number. It tells an image from a later one of the same name.
  returned: success
  type: str
  sample: "4567890123456789012"
newest:
  description: The newest image of each of the nearest families.
  returned: when the family does not exist
  type: dict
  sample: {"common-cu129-ubuntu-2404-nvidia-580": "common-cu129-ubuntu-2404-nvidia-580-v20260301"}
families:
  description: All families of the project, newest CUDA first.
  returned: when the family does not exist
  type: list
  elements: str
  sample: [common-cu129-ubuntu-2404-nvidia-580]
successors:
  description: Images that replace those of the family, as Google names them.
  returned: when the family does not exist
  type: list
  elements: str
  sample: [common-cu129-ubuntu-2404-nvidia-580-v20260301]
closest:
  description: Names like the one that does not exist, best first.
  returned: when the family or image does not exist
  type: list
  elements: str
  sample: [common-cu129-ubuntu-2404-nvidia-580]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import GceError
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.images import by_name, by_pattern, deprecation, from_family
from ..module_utils.gce.module import common_spec, run, shared_spec

MISSING = ("imageFamilyNotFound", "imageNotFound")
WAYS = ("family", "name", "name_pattern")


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Family or name to the module's result."""
    try:
        image = _found(client, params)
    except GceError as error:
        if params["required"] or error.reason not in MISSING:
            raise
        return {
            **{"changed": False, "image": None, "id": None, "warnings": [error.message]},
            **error.details,
        }
    told = deprecation(image)
    warnings = [f"The image {image['name']} {told}."] if told else []
    return {"changed": False, "image": image, "id": str(image["id"]), "warnings": warnings}


def _found(client: GceClient, params: dict[str, Any]) -> dict[str, Any]:
    project = params["image_project"]
    if params["family"]:
        return from_family(client, project, params["family"])
    if params["name_pattern"]:
        return by_pattern(client, project, params["name_pattern"])
    return by_name(client, project, params["name"])


def main() -> None:
    """Entry point."""
    spec = {
        "image_project": {"type": "str", "required": True},
        "family": {"type": "str"},
        "name": {"type": "str"},
        "name_pattern": {"type": "str"},
        "required": {"type": "bool", "default": True},
    }
    module = AnsibleModule(
        argument_spec={**common_spec(), **shared_spec(), **spec},
        supports_check_mode=True,
        mutually_exclusive=[WAYS],
        required_one_of=[WAYS],
    )
    run(module, core)


if __name__ == "__main__":
    main()
