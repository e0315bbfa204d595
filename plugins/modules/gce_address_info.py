#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_address_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_address_info
short_description: Reserved external addresses of one name, in all regions
version_added: 0.2.0
description:
  - Looks for reserved external addresses by name. That there is none is an answer, not an error.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes_info
options:
  name:
    description: Name of the address. Each region may have one of this name.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Look for the address
  llmops.gce_vllm.gce_address_info:
    project: my-project-123456
    name: llm-server-ip
  register: reserved

- name: Say where it costs something and does nothing
  ansible.builtin.debug:
    msg: "{{ reserved.addresses | rejectattr('users') | map(attribute='region') }}"
"""

RETURN = r"""
addresses:
  description: One entry a region that has it, in the order of their names.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    region:
      description: Its region.
      type: str
    ip:
      description: The IP address.
      type: str
    description:
      description: What it was reserved with; empty where with nothing.
      type: str
    users:
      description: Paths of what uses it.
      type: list
      elements: str
  sample: [{"name": "llm-server-ip", "region": "us-central1", "ip": "203.0.113.10",
    "description": "", "users": []}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.network import addresses


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Name to the module's result."""
    found = addresses.everywhere(client, params["name"])
    return {"changed": False, "addresses": [addresses.summary(one) for one in found]}


def main() -> None:
    """Entry point."""
    spec = {"name": {"type": "str", "required": True}}
    run(
        AnsibleModule(
            argument_spec={**common_spec(), **shared_spec(), **spec}, supports_check_mode=True
        ),
        core,
    )


if __name__ == "__main__":
    main()
