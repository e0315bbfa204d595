#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_own_stop_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_own_stop_info
short_description: Whether an instance that is down switched itself off when idle
version_added: 0.2.0
description:
  - Looks among the operations of a zone for what ended an instance. Google notes there if the
    instance's own system shut it down, as the server does with C(llm_server_idle_stop_minutes).
  - Reads what the instance wrote of the reason into its guest attributes, where Google shows that.
  - Google forgets operations after some days. What nobody can tell then is no stop of its own.
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
  idle_minutes:
    description: Minutes without a request after which its server switches it off. 0 is never, and
      then nothing is asked.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Why is it not running
  llmops.gce_vllm.gce_own_stop_info:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    idle_minutes: 30
"""

RETURN = r"""
stop:
  description: The stop; null where it runs, is not there, was stopped by others, or nobody can
    tell.
  returned: success
  type: dict
  contains:
    reason:
      description: Always V(idle).
      type: str
    at:
      description: When it was switched off.
      type: str
    since:
      description: Since when nobody had used it.
      type: str
    recorded:
      description: Whether the instance itself says since when. Otherwise RV(stop.since) is reckoned
        from O(idle_minutes).
      type: bool
    line:
      description: All of it in one line for people.
      type: str
  sample:
    reason: idle
    at: "2026-03-01T12:30:05+00:00"
    since: "2026-03-01T12:00:00+00:00"
    recorded: true
    line: "stopped: idle since 2026-03-01T12:00:00+00:00."
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.instance.instance import Instance
from ..module_utils.gce.instance.own_stop import look
from ..module_utils.gce.module import common_spec, run


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Zone and name to the module's result."""
    stop = None
    if params["idle_minutes"] > 0:
        resource = Instance(client, params["zone"], params["name"]).fetch()
        stop = look(client, resource, params["idle_minutes"]) if resource else None
    return {"changed": False, "stop": stop}


def main() -> None:
    """Entry point."""
    spec = {
        "zone": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "idle_minutes": {"type": "int", "required": True},
    }
    run(AnsibleModule(argument_spec={**common_spec(), **spec}, supports_check_mode=True), core)


if __name__ == "__main__":
    main()
