#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_instance_schedule."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_instance_schedule
short_description: Office hours of Compute Engine instances
version_added: 0.2.0
description:
  - Creates a resource policy by which Google starts and stops instances at set times. Changes what
    differs, and attaches it to an instance. Or detaches and deletes it.
  - Google's own service agent for Compute Engine does the starting and stopping. It needs the
    permissions compute.instances.start and compute.instances.stop in the project, which the role
    Compute Instance Admin (v1) has.
  - A schedule reserves no capacity. In a zone without free GPUs an instance stays stopped.
  - Options that are not given are left as they are.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes
options:
  region:
    description: Region of the schedule, for example V(us-central1). Only instances there can follow
      it.
    type: str
    required: true
  name:
    description: Name of the schedule, unique in the project and region.
    type: str
    required: true
  state:
    description: Whether the schedule should be there.
    type: str
    choices: [present, absent]
    default: present
  start:
    description: When to start, as a cron expression of five fields, as V(0 8 * * 1-5).
    type: str
  stop:
    description: When to stop, as a cron expression of five fields, as V(0 19 * * 1-5).
    type: str
  time_zone:
    description: Time zone of both, by its name in the tz database.
    type: str
    default: UTC
  expiration:
    description: When the schedule ends, as V(2027-01-01T00:00:00Z).
    type: str
  instance:
    description: Instance that follows it. Given with O(zone).
    type: str
  zone:
    description: Zone of O(instance).
    type: str
"""

EXAMPLES = r"""
- name: Only in working hours
  llmops.gce_vllm.gce_instance_schedule:
    project: my-project-123456
    region: us-central1
    name: llm-server-schedule
    start: 0 8 * * 1-5
    stop: 0 19 * * 1-5
    time_zone: America/Chicago
    zone: us-central1-a
    instance: llm-server

- name: Always again
  llmops.gce_vllm.gce_instance_schedule:
    project: my-project-123456
    region: us-central1
    name: llm-server-schedule
    state: absent
    zone: us-central1-a
    instance: llm-server
"""

RETURN = r"""
schedule:
  description: The resource policy as the API shows it; null where there is none. In check mode as
    it is now.
  returned: success
  type: dict
  sample: {"name": "llm-server-schedule", "status": "READY"}
expected:
  description: What an instance that follows it should be now, by which of start and stop came last.
    V(unknown) where neither did, or where this machine knows no time zones.
  returned: success
  type: str
  sample: running
changes:
  description: What differed, one entry a field.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: Name of the option, or V(schedule) where it was made or deleted.
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
  sample: [{"field": "stop", "from": "0 18 * * 1-5", "to": "0 19 * * 1-5", "how": "live"}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.schedules import Schedule


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Current and desired state to the module's result."""
    schedule = Schedule(client, params["region"], params["name"], check)
    return schedule.absent(params) if params["state"] == "absent" else schedule.present(params)


def main() -> None:
    """Entry point."""
    spec = {
        "region": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "start": {"type": "str"},
        "stop": {"type": "str"},
        "time_zone": {"type": "str", "default": "UTC"},
        "expiration": {"type": "str"},
        "instance": {"type": "str"},
        "zone": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={**common_spec(), **shared_spec(), **spec},
        supports_check_mode=True,
        required_if=[("state", "present", ["start", "stop"], True)],
        required_by={"instance": ["zone"]},
    )
    run(module, core, at_rest=bool)


if __name__ == "__main__":
    main()
