#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_address."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_address
short_description: Reserved (static) external addresses of a region
version_added: 0.2.0
description:
  - Reserves an external IPv4 address under a name, or releases it.
  - An instance that has it (option RV(ignore:address) of M(llmops.gce_vllm.gce_instance)) keeps it
    when it is stopped, started or recreated.
  - An address that something uses is not released; the run fails and says what uses it.
  - Google charges for an address that is reserved and not used.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes
options:
  region:
    description: Region of the address, for example V(us-central1). Only instances there can have
      it.
    type: str
    required: true
  name:
    description: Name of the address, unique in the project and region.
    type: str
    required: true
  state:
    description: Whether it should be reserved.
    type: str
    choices: [present, absent]
    default: present
  address:
    description:
      - The IP address. Given at the first time, an address that an instance of the region has just
        now is kept for good. Google chooses one where this is left out.
      - If the name is taken by another address, the run fails.
    type: str
  description:
    description: What it is reserved with, for people. One that is there keeps its own.
    type: str
"""

EXAMPLES = r"""
- name: An address that stays
  llmops.gce_vllm.gce_address:
    project: my-project-123456
    region: us-central1
    name: llm-server
  register: reserved

- name: The instance has it
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    address: llm-server

- name: It is given back
  llmops.gce_vllm.gce_address:
    project: my-project-123456
    region: us-central1
    name: llm-server
    state: absent
"""

RETURN = r"""
address:
  description: The address as the API shows it; null where there is none. In check mode
    as it is now.
  returned: success
  type: dict
  sample: {"name": "llm-server", "address": "203.0.113.10", "status": "RESERVED"}
ip:
  description: The IP address; null where there is none.
  returned: success
  type: str
  sample: 203.0.113.10
changes:
  description: What was done, one entry, or none.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: Always V(address).
      type: str
    from:
      description: What was found.
      type: raw
    to:
      description: What the task asks for.
      type: raw
    how:
      description: V(create) or V(delete).
      type: str
  sample: [{"field": "address", "from": null, "to": "llm-server", "how": "create"}]
users:
  description: What uses the address.
  returned: when the run fails because something does
  type: list
  elements: str
  sample: [projects/my-project-123456/zones/us-central1-a/instances/llm-server]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import GceError
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.network.addresses import Address, is_ip


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Current and desired state to the module's result."""
    if params["address"] and not is_ip(params["address"]):
        raise GceError(
            f"address is '{params['address']}', which is not an IPv4 address.",
            reason="badAddress",
            remedy="write it as 203.0.113.10, or leave it out; the name goes into name.",
        )
    address = Address(client, params["region"], params["name"], check)
    return address.absent() if params["state"] == "absent" else address.present(params)


def main() -> None:
    """Entry point."""
    spec = {
        "region": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "address": {"type": "str"},
        "description": {"type": "str"},
    }
    run(
        AnsibleModule(
            argument_spec={**common_spec(), **shared_spec(), **spec}, supports_check_mode=True
        ),
        core,
        at_rest=bool,
    )


if __name__ == "__main__":
    main()
