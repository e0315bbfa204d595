#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_firewall."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_firewall
short_description: Ingress firewall rules of a Compute Engine network
version_added: 0.1.0
description:
  - Makes an ingress rule that allows traffic, changes what differs in one that is there, or deletes
    it.
  - A rule that would let the whole internet in is refused unless O(allow_world) says so.
  - Options that are not given are left as they are.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes
options:
  name:
    description: Name of the rule, unique in the project.
    type: str
    required: true
  state:
    description: Whether the rule should be there.
    type: str
    choices: [present, absent]
    default: present
  network:
    description:
      - The network whose traffic the rule filters, by name, or by path where it belongs to another
        project.
      - A rule can't move to another network; it is recreated.
    type: str
    default: default
  description:
    description: What the rule is for. Empty removes it.
    type: str
  direction:
    description: Only incoming traffic is handled.
    type: str
    choices: [INGRESS]
    default: INGRESS
  priority:
    description: From 0 (first) to 65535 (last).
    type: int
    default: 1000
  source_ranges:
    description: Address ranges that may come in, IPv4 or IPv6. A single address needs no C(/32).
    type: list
    elements: str
  source_tags:
    description: Network tags of instances that may come in.
    type: list
    elements: str
  target_tags:
    description: Network tags of the instances that the rule is for. Empty means all of the network.
    type: list
    elements: str
  allowed:
    description: What may come in. Required with O(state=present).
    type: list
    elements: dict
    suboptions:
      protocol:
        description: V(tcp), V(udp), V(icmp), V(esp), V(ah), V(sctp), V(ipip), V(all), or a
          protocol's number.
        type: str
        required: true
      ports:
        description: Ports (V(8000)) and ranges of them (V(8000-8010)). All ports where this is
          empty.
        type: list
        elements: str
  allow_world:
    description:
      - Lets a rule open its ports to V(0.0.0.0/0) or V(::/0), or to ranges that add up to them.
      - A rule with neither O(source_ranges) nor O(source_tags) is open to everyone too.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The API answers to the office only
  llmops.gce_vllm.gce_firewall:
    project: my-project-123456
    name: llm-server-api
    description: vLLM API
    source_ranges:
      - 203.0.113.7/32
    target_tags:
      - llm-server
    allowed:
      - protocol: tcp
        ports: ["8000"]

- name: The rule is gone
  llmops.gce_vllm.gce_firewall:
    project: my-project-123456
    name: llm-server-api
    state: absent
"""

RETURN = r"""
firewall:
  description: The rule as the API shows it; null where there is none. In check mode the rule as it
    is now.
  returned: success
  type: dict
  sample: {"name": "llm-server-api", "priority": 1000, "sourceRanges": ["203.0.113.7/32"]}
changes:
  description: What differed, one entry a field.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: Name of the option, or V(firewall) where the rule was made or deleted.
      type: str
    from:
      description: What was found.
      type: raw
    to:
      description: What the task asks for.
      type: raw
    how:
      description: V(live) changed in place, V(recreate) deleted and recreated, V(create),
        V(delete).
      type: str
  sample: [{"field": "source_ranges", "from": ["198.51.100.0/24"], "to": ["203.0.113.7/32"], "how":
    "live"}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.network.firewall import Firewall


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Current and desired state to the module's result."""
    rule = Firewall(client, params["name"], check)
    return rule.absent() if params["state"] == "absent" else rule.present(params)


def main() -> None:
    """Entry point."""
    texts = {"type": "list", "elements": "str"}
    spec = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "network": {"type": "str", "default": "default"},
        "description": {"type": "str"},
        "direction": {"type": "str", "choices": ["INGRESS"], "default": "INGRESS"},
        "priority": {"type": "int", "default": 1000},
        "source_ranges": texts,
        "source_tags": texts,
        "target_tags": texts,
        "allowed": {
            "type": "list",
            "elements": "dict",
            "options": {"protocol": {"type": "str", "required": True}, "ports": texts},
        },
        "allow_world": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={**common_spec(), **shared_spec(), **spec},
        supports_check_mode=True,
        required_if=[("state", "present", ["allowed"])],
    )
    run(module, core, at_rest=bool)


if __name__ == "__main__":
    main()
