#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_instance_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_instance_info
short_description: Read one Compute Engine instance
version_added: 0.1.0
description:
  - Reads an instance by name, in one zone or in the first of several that has it. That there is
    none is an answer, not an error.
  - Also says in which other zones of the project an instance has the same name.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes_info
options:
  zone:
    description: Zone of the instance. Either this or O(zones).
    type: str
  zones:
    description: Zones that it may be in, first choice first.
    type: list
    elements: str
  name:
    description: Name of the instance.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Look for the instance
  llmops.gce_vllm.gce_instance_info:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
  register: server

- name: Say where it is
  ansible.builtin.debug:
    msg: "{{ server.addresses.external if server.instance else 'There is no such instance.' }}"
"""

RETURN = r"""
instance:
  description: The instance as the API shows it, secret metadata hidden; null where there is none.
  returned: success
  type: dict
  sample: {"name": "llm-server", "status": "RUNNING"}
zone:
  description: Zone of RV(instance); null where there is none.
  returned: success
  type: str
  sample: us-central1-a
others:
  description: The instances in RV(other_zones).
  returned: success
  type: list
  elements: dict
  contains:
    zone:
      description: Where it is.
      type: str
    status:
      description: Its status.
      type: str
    labels:
      description: Its labels.
      type: dict
    machineType:
      description: Its machine type, as the API shows it. So are the next two.
      type: str
    guestAccelerators:
      description: Its GPUs.
      type: list
      elements: dict
    scheduling:
      description: Its scheduling, with the provisioning model.
      type: dict
  sample: []
other_zones:
  description: Further zones with an instance of this name, in the order of their names.
  returned: success
  type: list
  elements: str
  sample: []
addresses:
  description: Addresses of the first network interface, each null where there is none.
  returned: success
  type: dict
  contains:
    internal:
      description: Address in the network.
      type: str
    external:
      description: Address on the internet.
      type: str
  sample: {"internal": "10.128.0.2", "external": "203.0.113.10"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce import naming
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.instance.fields import addresses
from ..module_utils.gce.instance.instance import Instance
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.redaction import without_secrets


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Zone and name to the module's result."""
    what = f"look for the instance {params['name']} in all zones"
    items = client.named("instances", params["name"], what)
    named = {naming.short(str(one["zone"])): one for one in items}
    zones = params["zones"] or [params["zone"]]
    zone = next((one for one in zones if one in named), None)
    found = named.pop(zone, None) if zone else None
    if found is None:
        client.shared = None
        # Asked for by themselves: a zone that does not exist is an error, and lists may lag.
        for one in dict.fromkeys(zones):
            answer = Instance(client, one, params["name"], check).fetch()
            if answer and found is None:
                zone, found = one, answer
            elif answer:
                named[one] = answer
    return {
        "changed": False,
        "instance": without_secrets(found),
        "zone": zone,
        "other_zones": sorted(named),
        "others": [_other(at, one) for at, one in sorted(named.items())],
        "addresses": addresses(found),
    }


def _other(zone: str, found: dict[str, Any]) -> dict[str, Any]:
    """What tells whose an instance is, and what it takes to start it where it is."""
    placed = {field: found.get(field) for field in ("machineType", "guestAccelerators")}
    labels, scheduling = found.get("labels", {}), found.get("scheduling", {})
    told = {"zone": zone, "status": found.get("status"), "labels": labels}
    return {**told, **placed, "scheduling": scheduling}


def main() -> None:
    """Entry point."""
    spec: dict[str, Any] = {
        "zone": {"type": "str"},
        "zones": {"type": "list", "elements": "str"},
        "name": {"type": "str", "required": True},
        **shared_spec(),
    }
    which = [("zone", "zones")]
    module = AnsibleModule(
        argument_spec={**common_spec(), **spec},
        supports_check_mode=True,
        mutually_exclusive=which,
        required_one_of=which,
    )
    run(module, core)


if __name__ == "__main__":
    main()
