#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_guest_attributes_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_guest_attributes_info
short_description: What an instance publishes about itself, such as its SSH host keys
version_added: 0.1.0
description:
  - Reads guest attributes, and waits for them while the instance boots.
  - With the host keys read over Google's API, an SSH client can check them at the first connection
    already.
  - Any process on the instance may write them. So under C(hostkeys) only a well-formed public key
    of a known kind is taken, and anything else is an error.
  - The instance's metadata needs C(enable-guest-attributes=TRUE).
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.attributes_info
options:
  zone:
    description: Zone of the instance.
    type: str
    required: true
  name:
    description: Name of the instance.
    type: str
    required: true
  query_path:
    description: A namespace with a slash after it, or one key in it (V(hostkeys/ssh-ed25519)).
    type: str
    default: hostkeys/
  wait:
    description: Seconds to wait for the first attribute to appear.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Read the host keys
  llmops.gce_vllm.gce_guest_attributes_info:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    wait: 300
  register: guest

- name: Trust them for its address
  llmops.gce_vllm.known_host:
    path: ~/.ssh/gce-vllm-known-hosts
    hosts: [203.0.113.10]
    keys: "{{ guest.attributes.hostkeys }}"
    owner: my-project-123456/llm-server
    instance_id: "{{ server.instance.id }}"
"""

RETURN = r"""
attributes:
  description: Namespace to key to value.
  returned: success
  type: dict
  sample: {"hostkeys": {"ssh-ed25519": "AAAAC3NzaC1lZDI1NTE5AAAAI…"}}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.instance.guest_attributes import read
from ..module_utils.gce.module import common_spec, run


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Zone and name to the module's result."""
    found = read(client, params["zone"], params["name"], params["query_path"], params["wait"])
    return {"changed": False, "attributes": found}


def main() -> None:
    """Entry point."""
    spec = {
        "zone": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "query_path": {"type": "str", "default": "hostkeys/"},
        "wait": {"type": "int", "default": 0},
    }
    run(AnsibleModule(argument_spec={**common_spec(), **spec}, supports_check_mode=True), core)


if __name__ == "__main__":
    main()
