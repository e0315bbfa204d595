#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_preemption_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_preemption_info
short_description: Whether Google took a Spot instance away
version_added: 0.2.0
description:
  - Looks among the operations of zones for the preemption of an instance. Says when it was and what
    was lost.
  - A preemption after which someone started, stopped, made or deleted the instance is history and
    is not told. Google forgets operations after some days.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.attributes_info
options:
  zones:
    description: Zones where the instance is or was.
    type: list
    elements: str
    required: true
  name:
    description: Name of the instance.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Why is it not running
  llmops.gce_vllm.gce_preemption_info:
    project: my-project-123456
    zones: [us-central1-a]
    name: llm-server
"""

RETURN = r"""
preemption:
  description: The preemption; null where there was none, or where it is history.
  returned: success
  type: dict
  contains:
    at:
      description: When it began.
      type: str
    zone:
      description: Where.
      type: str
    lost:
      description: What is gone.
      type: str
    kept:
      description: What is still there.
      type: str
    line:
      description: All of it in one line for people.
      type: str
  sample:
    at: "2026-03-01T12:00:00.000-07:00"
    zone: us-central1-a
    lost: "what was in memory: requests in flight and the KV cache"
    kept: its disks
    line: Google took the Spot instance llm-server in us-central1-a away.
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.instance.instance import Instance
from ..module_utils.gce.instance.operations import listed
from ..module_utils.gce.instance.preemption import DOWN, KINDS, last_preemption, told
from ..module_utils.gce.module import common_spec, run


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Zones and name to the module's result."""
    name = params["name"]
    found: list[dict[str, Any]] = []
    for zone in params["zones"]:
        found += listed(client, zone, name, KINDS)
    operation = last_preemption(found, name)
    if operation is None:
        return {"changed": False, "preemption": None}
    zone = str(operation["targetLink"]).rsplit("/zones/", 1)[1].split("/")[0]
    resource = Instance(client, zone, name).fetch()
    status = resource.get("status") if resource else None
    preemption = told(operation, status) if status is None or status in DOWN else None
    return {"changed": False, "preemption": preemption}


def main() -> None:
    """Entry point."""
    spec = {
        "zones": {"type": "list", "elements": "str", "required": True},
        "name": {"type": "str", "required": True},
    }
    run(AnsibleModule(argument_spec={**common_spec(), **spec}, supports_check_mode=True), core)


if __name__ == "__main__":
    main()
