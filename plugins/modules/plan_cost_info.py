#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.plan_cost_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_cost_info
short_description: What each part of a planned instance costs an hour and a month
version_added: 0.1.0
description:
  - Looks the parts up in the dated price table that comes with this collection. Asks nobody, and
    needs no credentials.
  - A price that is not in the table is null and named under C(unknown); it never counts as zero.
author:
  - gce-vllm maintainers (@llmops)
options:
  region:
    description: Region of the plan.
    type: str
    required: true
  machine_type:
    description: Machine type.
    type: str
    required: true
  accelerators:
    description: GPUs that are attached to the machine. Those that come with it are in its price.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description: Accelerator type.
        type: str
        required: true
      count:
        description: How many of them.
        type: int
        default: 1
  boot_disk_size_gb:
    description: Size of the boot disk.
    type: int
    required: true
  boot_disk_type:
    description: Type of the boot disk.
    type: str
    required: true
  external_ip:
    description: Whether the instance has an external address.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in C(check_mode). This module only reads.
    support: full
  diff_mode:
    description: This module only reads, so that there is never a difference to show.
    support: full
"""

EXAMPLES = r"""
- name: Price a plan
  llmops.gce_vllm.plan_cost_info:
    region: us-central1
    machine_type: g2-standard-4
    boot_disk_size_gb: 100
    boot_disk_type: pd-balanced
  register: plan
"""

RETURN = r"""
parts:
  description: The parts, each with C(kind), C(what), C(on_demand) and C(spot) (each with C(hourly)
    and C(monthly), or null), C(dated) and C(source).
  returned: success
  type: list
  elements: dict
total:
  description: Sums under C(on_demand), C(spot) and C(stopped), each with C(hourly) and C(monthly)
    (null where a part is unknown), C(known_hourly), C(known_monthly), C(unknown) and C(currency).
  returned: success
  type: dict
lines:
  description: The same for people.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import costs, machine_types


def price(params: dict[str, Any]) -> dict[str, Any]:
    """Options to the module's result."""
    region, name = params["region"], params["machine_type"]
    gpus = machine_types.bundled(name) or params["accelerators"]
    disk = costs.disk_part(params["boot_disk_size_gb"], params["boot_disk_type"], region)
    parts = [*costs.machine_parts(name, gpus, region), disk]
    if params["external_ip"]:
        parts.append(costs.address_part())
    total = {
        "on_demand": costs.total(parts, "on_demand"),
        "spot": costs.total(parts, "spot"),
        "stopped": costs.total([disk], "on_demand"),
    }
    return {"parts": parts, "total": total, "lines": _lines(parts, total)}


def _lines(parts: list[dict[str, Any]], total: dict[str, Any]) -> list[str]:
    def shown(part: dict[str, Any], model: str) -> str:
        one = part[model]
        return f"{one['hourly']:.4f}/h {one['monthly']:.2f}/month" if one else "unknown"

    sources = dict.fromkeys(f"{part['dated']}, {part['source']}" for part in parts)
    return [
        *(
            f"{part['what']}: on demand {shown(part, 'on_demand')}, Spot {shown(part, 'spot')}"
            for part in parts
        ),
        f"on demand: {costs.said(total['on_demand'])}",
        f"on Spot: {costs.said(total['spot'])}",
        f"while stopped: {costs.said(total['stopped'])}",
        *(f"list prices in USD of {source}" for source in sources),
    ]


def main() -> None:
    """Entry point."""
    gpu = {"type": {"type": "str", "required": True}, "count": {"type": "int", "default": 1}}
    module = AnsibleModule(
        argument_spec={
            "region": {"type": "str", "required": True},
            "machine_type": {"type": "str", "required": True},
            "accelerators": {"type": "list", "elements": "dict", "default": [], "options": gpu},
            "boot_disk_size_gb": {"type": "int", "required": True},
            "boot_disk_type": {"type": "str", "required": True},
            "external_ip": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **price(module.params))


if __name__ == "__main__":
    main()
