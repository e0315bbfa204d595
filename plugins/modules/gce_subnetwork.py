#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_subnetwork."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_subnetwork
short_description: Subnetworks of a VPC network
version_added: 0.2.0
description:
  - Makes a subnetwork, changes what can be changed of one that is there, or deletes it.
  - A range can only grow. What would need another subnetwork is refused.
  - A subnetwork that something uses is not deleted; the run fails, or says so, and names the users.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes
options:
  region:
    description: Region of the subnetwork, for example V(us-central1).
    type: str
    required: true
  name:
    description: Name of the subnetwork, unique in the project and region.
    type: str
    required: true
  state:
    description: Whether the subnetwork should be there.
    type: str
    choices: [present, absent]
    default: present
  network:
    description: The network that it belongs to, by name. Required with O(state=present).
    type: str
  range:
    description: Its IPv4 addresses, as V(10.96.0.0/20). Needed where it is made.
    type: str
  prefer_range:
    description:
      - Takes O(range) as a preference. Where another subnetwork of the network overlaps it, the
        next free range of that size above it is taken.
      - A subnetwork that exists keeps its range.
    type: bool
    default: false
  private_google_access:
    description: Whether instances without an external address reach Google's own APIs. Off for a
      new
      one, if this is not given.
    type: bool
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
- name: Addresses for instances in one region
  llmops.gce_vllm.gce_subnetwork:
    project: my-project-123456
    region: us-central1
    name: llm-net
    network: llm-net
    range: 10.96.0.0/20
    private_google_access: true

- name: Gone, if nothing uses it
  llmops.gce_vllm.gce_subnetwork:
    project: my-project-123456
    region: us-central1
    name: llm-net
    state: absent
"""

RETURN = r"""
subnetwork:
  description: The subnetwork as the API shows it; null where there is none. In check mode as it is
    now.
  returned: success
  type: dict
  sample: {"name": "llm-net", "ipCidrRange": "10.96.0.0/20"}
changes:
  description: What differed, one entry a field.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: Name of the option, or V(subnetwork) where it was made or deleted.
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
  sample: [{"field": "subnetwork", "from": null, "to": "llm-net", "how": "create"}]
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
from ..module_utils.gce.network.networks import Subnetwork


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Current and desired state to the module's result."""
    subnetwork = Subnetwork(client, params["region"], params["name"], check)
    return subnetwork.absent(params) if params["state"] == "absent" else subnetwork.present(params)


def main() -> None:
    """Entry point."""
    spec = {
        "region": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "network": {"type": "str"},
        "range": {"type": "str"},
        "prefer_range": {"type": "bool", "default": False},
        "private_google_access": {"type": "bool"},
        "description": {"type": "str"},
        "ignore_users": {"type": "list", "elements": "str", "default": []},
        "keep_used": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={**common_spec(), **shared_spec(), **spec},
        supports_check_mode=True,
        required_if=[("state", "present", ["network"])],
    )
    run(module, core, at_rest=bool)


if __name__ == "__main__":
    main()
