#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_plan_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_plan_info
short_description: Whether the disk types and the network that a plan names are there
version_added: 0.2.0
description:
  - Fails where a zone does not offer a disk type, or where it does not go with the machine type.
    Fails also where a network or subnetwork does not exist. The message names what would be right.
  - Reads only.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes_info
options:
  places:
    description: Where the instance may be and as what, each with C(zone) and C(machine_type); other
      keys are left alone.
    type: list
    elements: dict
    required: true
  disk_types:
    description: Types of all disks, for example V(pd-balanced).
    type: list
    elements: str
    default: []
  network:
    description: Network by name or by path. Not looked for where it is empty.
    type: str
    default: ""
  subnetwork:
    description: Subnetwork by name or path, looked for in the region of each place.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Are disk type and network there
  llmops.gce_vllm.gce_plan_info:
    project: my-project-123456
    places:
      - zone: us-central1-a
        machine_type: g2-standard-8
    disk_types: [pd-balanced]
    network: default
"""

RETURN = r"""
network:
  description: The network as the API shows it; null where none was looked for.
  returned: success
  type: dict
  sample: {"name": "default", "autoCreateSubnetworks": true}
allowed:
  description: Names that would have been accepted.
  returned: when something does not exist
  type: list
  elements: str
closest:
  description: Names like the one that does not exist, best first.
  returned: when something does not exist
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import GceError
from ..module_utils.gce import naming, plan_lookups
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Places and names to the module's result."""
    seen = set()
    for place in params["places"]:
        if not (place.get("zone") and place.get("machine_type")):
            raise GceError(
                f"places has {place!r}, which lacks zone or machine_type.",
                reason="badPlace",
                remedy="give both, for example zone: us-central1-a, machine_type: g2-standard-4.",
            )
        zone, machine = place["zone"], place["machine_type"]
        for kind in dict.fromkeys(params["disk_types"]):
            plan_lookups.disk_goes_with(kind, machine)
            if (zone, kind) not in seen:
                plan_lookups.disk_type(client, zone, kind)
            seen.add((zone, kind))
    network = None
    warnings: list[str] = []
    if params["network"] or params["subnetwork"]:
        regions = dict.fromkeys(naming.region_of(place["zone"]) for place in params["places"])
        network = plan_lookups.network(
            client, params["network"], params["subnetwork"], list(regions), warnings
        )
    return {"changed": False, "network": network, "warnings": warnings}


def main() -> None:
    """Entry point."""
    spec: dict[str, Any] = {
        "places": {"type": "list", "elements": "dict", "required": True},
        "disk_types": {"type": "list", "elements": "str", "default": []},
        "network": {"type": "str", "default": ""},
        "subnetwork": {"type": "str", "default": ""},
    }
    run(
        AnsibleModule(
            argument_spec={**common_spec(), **shared_spec(), **spec}, supports_check_mode=True
        ),
        core,
    )


if __name__ == "__main__":
    main()
