#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_network
short_description: VPC networks of a project
version_added: 0.2.0
description:
  - Makes a VPC network, changes what can be changed of one that is there, or deletes it.
  - A network that something uses is not deleted; the run fails, or says so, and names the users.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes
options:
  name:
    description: Name of the network, unique in the project.
    type: str
    required: true
  state:
    description: Whether the network should be there.
    type: str
    choices: [present, absent]
    default: present
  auto_create_subnetworks:
    description:
      - Whether Google makes a subnetwork in every region (auto mode). A new network has none
        (custom
        mode), unless this is true.
      - Auto mode can be left, not entered.
    type: bool
  routing_mode:
    description: Whether Cloud Routers of the network announce routes in their region or in all.
      V(REGIONAL)
      for a new network, if this is not given.
    type: str
    choices: [REGIONAL, GLOBAL]
  description:
    description:
      - What it is for. Google takes it when it is made and never changes it, so that one that is
        there
        keeps its own.
      - With O(state=absent), only one with exactly this description is deleted. Another one stays,
        and
        RV(kept) says so.
    type: str
  ignore_users:
    description:
      - With O(state=absent), what the same play deletes before this. In check mode it does not
        count as a user. Ends of paths, as V(instances/llm-server) or V(firewalls/llm-server-api).
    type: list
    elements: str
    default: []
  keep_used:
    description: With O(state=absent), leave it where something uses it, and say so in RV(kept),
      instead of failing.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A network without anything in it
  llmops.gce_vllm.gce_network:
    project: my-project-123456
    name: llm-net
    description: Inference

- name: Gone, if nothing uses it
  llmops.gce_vllm.gce_network:
    project: my-project-123456
    name: llm-net
    state: absent
    description: Inference
"""

RETURN = r"""
network:
  description: The network as the API shows it; null where there is none. In check mode as it is
    now.
  returned: success
  type: dict
  sample: {"name": "llm-net", "autoCreateSubnetworks": false}
changes:
  description: What differed, one entry a field.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: Name of the option, or V(network) where it was made or deleted.
      type: str
    from:
      description: What was found.
      type: raw
    to:
      description: What the task asks for.
      type: raw
    how:
      description: V(live) changed in place, V(create), V(delete).
      type: str
  sample: [{"field": "network", "from": null, "to": "llm-net", "how": "create"}]
kept:
  description: Why it was not deleted (O(state=absent)); null where nothing was kept.
  returned: success
  type: str
  sample: null
users:
  description: What uses it, as paths below the project.
  returned: when the run fails because something does
  type: list
  elements: str
  sample: [zones/us-central1-a/instances/llm-server]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.network.networks import Network


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Current and desired state to the module's result."""
    network = Network(client, params["name"], check)
    return network.absent(params) if params["state"] == "absent" else network.present(params)


def main() -> None:
    """Entry point."""
    spec = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "auto_create_subnetworks": {"type": "bool"},
        "routing_mode": {"type": "str", "choices": ["REGIONAL", "GLOBAL"]},
        "description": {"type": "str"},
        "ignore_users": {"type": "list", "elements": "str", "default": []},
        "keep_used": {"type": "bool", "default": False},
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
