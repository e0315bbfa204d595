#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.plan_cost_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_cost_info
short_description: What each part of a planned instance costs an hour and a month
version_added: 0.2.0
description:
  - Prices vCPUs, memory, GPUs, disks and address on demand, on Spot and with commitments of one and
    three years.
  - From the Cloud Billing catalog where it can be read, else from the dated table that comes with
    this collection; see O(price_source) and RV(prices). The catalog is kept for a day.
  - A price that is not found is null and named under C(unknown); it never counts as zero.
  - Free allowances, discounts and taxes are left out.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.prices
  - llmops.gce_vllm.gce.attributes_info
options:
  project:
    description: Any project id; the catalog belongs to none.
    type: str
    required: false
    default: ""
  region:
    description: Region of the plan.
    type: str
    required: true
  machine_type:
    description: Machine type.
    type: str
    required: true
  accelerators:
    description: GPUs that are attached to the machine. Those that come with it need not be named.
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
  more_disks:
    description: Further disks, each with C(size_gb) and C(type). Where no type is given, it is the
      one that M(llmops.gce_vllm.gce_instance) would choose for the machine.
      Other keys are left alone, so that O(llmops.gce_vllm.gce_instance#module:disks) fits, and one
      without a size is not priced.
    type: list
    elements: dict
    default: []
  external_ip:
    description: Whether the instance has an external address.
    type: bool
    default: true
  provisioning_model:
    description: Of the plan, for RV(total) under C(planned). With V(FLEX_START) and
      V(RESERVATION_BOUND), RV(lines) say how it is priced.
    type: str
    choices: [STANDARD, SPOT, FLEX_START, RESERVATION_BOUND]
    default: STANDARD
    version_added: 0.1.0
  title:
    description: A line to head RV(lines) with, where several plans are priced.
    type: str
    default: ""
  static_address:
    description: Whether that address is a static one, which costs while the instance is stopped.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Price a plan
  llmops.gce_vllm.plan_cost_info:
    region: us-central1
    machine_type: g2-standard-4
    boot_disk_size_gb: 100
    boot_disk_type: pd-balanced
  register: plan

- name: Say it
  ansible.builtin.debug:
    msg: "{{ plan.lines }}"
"""

RETURN = r"""
parts:
  description: The parts, each with C(kind), C(what), C(dated) and C(source). C(on_demand), C(spot),
    C(commit_1y), C(commit_3y) and C(at_most) each have C(hourly) and C(monthly), or are null.
    C(not_sold) names those of them that Google does not sell. C(at_most) is the rate on demand,
    even where nobody can buy at it.
  returned: success
  type: list
  elements: dict
total:
  description: Sums under C(on_demand), C(spot), C(commit_1y), C(commit_3y), C(stopped) and
    C(planned) (in the O(provisioning_model)). Each has C(hourly) and C(monthly) (null where a part
    has no price), C(known_hourly), C(known_monthly), C(unknown) and C(currency). C(not_sold) names
    the parts that Google does not sell so.
  returned: success
  type: dict
prices:
  description: Where the prices are from.
  returned: success
  type: dict
  contains:
    kind:
      description: V(catalog) or V(table).
      type: str
    dated:
      description: Day that the catalog was read, or that the table is of.
      type: str
    text:
      description: The same for people.
      type: str
    instead:
      description: Why it is not the catalog, where that was to be tried; else empty.
      type: str
plan:
  description: RV(parts), RV(total) and RV(prices) with the options C(title), C(region) and
    C(machine_type), for a report of several plans.
  returned: success
  type: dict
lines:
  description: All of it for people.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import GceError
from ..module_utils.gce.module import common_spec, price_spec, settings_of
from ..module_utils.pricing import billing_catalog
from ..module_utils.reports import plan_cost


def core(params: dict[str, Any]) -> dict[str, Any]:
    """Options to the module's result."""
    source, instead = billing_catalog.prices(
        settings_of(params), params["price_source"], params["billing_endpoint"], params["cache_dir"]
    )
    found = plan_cost.price(params, params["region"], source)
    found["prices"]["instead"] = instead
    if params["title"]:
        found["lines"].insert(0, params["title"])
    if instead:
        found["lines"].append(f"the Cloud Billing catalog could not be read: {instead}")
    plan = {key: params[key] for key in ("title", "region", "machine_type")}
    plan |= {key: found[key] for key in ("parts", "total", "prices")}
    return {"changed": False, "plan": plan, **found}


def main() -> None:
    """Entry point."""
    gpu = {"type": {"type": "str", "required": True}, "count": {"type": "int", "default": 1}}
    spec: dict[str, Any] = {
        "project": {"type": "str", "default": ""},
        "region": {"type": "str", "required": True},
        "machine_type": {"type": "str", "required": True},
        "accelerators": {"type": "list", "elements": "dict", "default": [], "options": gpu},
        "boot_disk_size_gb": {"type": "int", "required": True},
        "boot_disk_type": {"type": "str", "required": True},
        "more_disks": {"type": "list", "elements": "dict", "default": []},
        "external_ip": {"type": "bool", "default": True},
        "static_address": {"type": "bool", "default": False},
        "provisioning_model": {
            "type": "str",
            "choices": ["STANDARD", "SPOT", "FLEX_START", "RESERVATION_BOUND"],
            "default": "STANDARD",
        },
        "title": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={**common_spec(), **price_spec(), **spec}, supports_check_mode=True
    )
    try:
        result = core(module.params)
    except GceError as error:
        module.fail_json(**error.as_result())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
