#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_machine_type_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_machine_type_info
short_description: Whether a zone offers a machine type, what quota it draws on, and its list
  price
version_added: 0.1.0
description:
  - Checks that project, zone, machine type and accelerator exist and go together. What does not is
    named, with what would.
  - Says which quota such a machine uses. It says the cost an hour where the collection's dated
    price table knows it.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes_info
options:
  zone:
    description: Zone, for example V(us-central1-a).
    type: str
    required: true
  machine_type:
    description: Machine type, for example V(g2-standard-8).
    type: str
    required: true
  accelerator_type:
    description: GPU to attach, for example V(nvidia-tesla-t4). Not needed where GPUs come with the
      machine type.
    type: str
  accelerator_count:
    description: How many GPUs to attach.
    type: int
    default: 1
  provisioning_model:
    description: V(SPOT) and V(FLEX_START) draw on the preemptible quota. V(SPOT) has prices of
      its own; V(FLEX_START) is priced at rates on demand, which is the most that it costs.
      V(RESERVATION_BOUND) draws on no quota for its machine and is priced so, too.
    type: str
    choices: [STANDARD, SPOT, FLEX_START, RESERVATION_BOUND]
    default: STANDARD
  boot_disk_size_gb:
    description: Size of the boot disk, for quota and price.
    type: int
    default: 0
  boot_disk_type:
    description: Type of the boot disk, for quota and price.
    type: str
    default: pd-balanced
  external_ip:
    description: Whether an external address is used, for quota and price.
    type: bool
    default: false
  static_address:
    description: Whether a static external address is reserved, for quota.
    type: bool
    default: false
  more_disks:
    description: Further disks, for quota, each with C(size_gb) and C(type). Where no type is given,
      it is the one that M(llmops.gce_vllm.gce_instance) would choose for the machine. Other keys
      are left alone, so that O(llmops.gce_vllm.gce_instance#module:disks) fits, and one without a
      size is not counted.
    type: list
    elements: dict
    default: []
  instance:
    description: Name of the instance that is planned, where there may be one already, for
      RV(quota_to_add).
    type: str
    version_added: 0.1.0
  instance_zone:
    description: Zone where it is. O(zone) where not given.
    type: str
    version_added: 0.1.0
  count:
    description: How many such instances are planned; multiplies RV(quota_needs), not RV(price).
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Is this offered, and what does it take
  llmops.gce_vllm.gce_machine_type_info:
    project: my-project-123456
    zone: us-central1-a
    machine_type: g2-standard-8
    boot_disk_size_gb: 100
    external_ip: true
  register: machine

- name: Does the quota suffice
  llmops.gce_vllm.gce_quota_info:
    project: my-project-123456
    region: us-central1
    needs: "{{ machine.quota_needs }}"
"""

RETURN = r"""
machine_type:
  description: The machine type as the API shows it.
  returned: success
  type: dict
  sample: {"name": "g2-standard-8", "guestCpus": 8, "memoryMb": 32768}
gpus:
  description: GPUs of such an instance, bundled or attached.
  returned: success
  type: list
  elements: dict
  contains:
    type:
      description: Accelerator type.
      type: str
    count:
      description: How many.
      type: int
  sample: [{"type": "nvidia-l4", "count": 1}]
sold_as:
  description: Provisioning models in which Google sells the machine type.
  returned: success
  type: list
  elements: str
  sample: ["SPOT", "FLEX_START", "RESERVATION_BOUND"]
not_sold:
  description: Why the machine type is not offered as O(provisioning_model); empty where it can.
  returned: success
  type: str
  sample: ""
quota_needs:
  description: Quota metric to the amount needed.
  returned: success
  type: dict
  sample: {"NVIDIA_L4_GPUS": 1, "GPUS_ALL_REGIONS": 1, "SSD_TOTAL_GB": 100, "IN_USE_ADDRESSES": 1,
    "INSTANCES": 1}
quota_to_add:
  description:
    - What of RV(quota_needs) is needed beside what O(instance) has taken already, each metric at
      least 0, as C(needs) of M(llmops.gce_vllm.gce_quota_info).
    - A running instance holds its machine, a stopped one only its disks and a reserved address.
      Those of O(more_disks) that exist by C(name) in O(zone) count as held too.
    - The same as RV(quota_needs) without O(instance).
  returned: success
  type: dict
  sample: {"NVIDIA_L4_GPUS": 3, "GPUS_ALL_REGIONS": 3, "SSD_TOTAL_GB": 0, "INSTANCES": 0}
price:
  description: List price of one such instance. It is null where the table does not know the
    machine, the region or the model. It is also null where the machine is not sold in that model.
  returned: success
  type: dict
  contains:
    hourly:
      description: Price an hour of everything under RV(price.parts), before discounts and taxes.
      type: float
    currency:
      description: Always V(USD).
      type: str
    dated:
      description: Date of the prices.
      type: str
    source:
      description: Where the prices were read.
      type: str
    region:
      description: Region that the prices are of.
      type: str
    parts:
      description: The parts, each with RV(ignore:what) and RV(ignore:hourly).
      type: list
      elements: dict
    unknown:
      description: Parts of the plan that the table has no price for, so that RV(price.hourly) is
        without them.
      type: list
      elements: str
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

from ..module_utils.gce import lookups, naming
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.quota import held as quota_held
from ..module_utils.gce.quota import needs as quota_needs
from ..module_utils.hardware import machine_types, provisioning
from ..module_utils.pricing import list_prices


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Plan to the module's result."""
    zone = params["zone"]
    wanted = []
    if params["accelerator_type"]:
        wanted = [{"type": params["accelerator_type"], "count": params["accelerator_count"]}]
    machine, gpus = lookups.machine_with(client, zone, params["machine_type"], wanted)
    model = params["provisioning_model"]
    plan = {
        "disk_gb": params["boot_disk_size_gb"],
        "disk_type": params["boot_disk_type"],
        "external_ip": params["external_ip"],
    }
    needs = quota_needs.quota_needs(
        machine,
        gpus,
        count=params["count"],
        static_address=params["static_address"],
        more_disks=params["more_disks"],
        spot=quota_needs.draws_preemptible(model),
        reserved=quota_needs.draws_none(model),
        **plan,
    )
    taken: dict[str, int] = {}
    if params["instance"]:
        there = params["instance_zone"] or zone
        taken = quota_held.held(
            client,
            params["instance"],
            there,
            zone,
            more_disks=params["more_disks"],
            static=params["static_address"],
        )
    return {
        "changed": False,
        "machine_type": machine,
        "gpus": gpus,
        "sold_as": list(provisioning.sold_as(str(machine["name"]))),
        "not_sold": provisioning.not_sold(str(machine["name"]), model),
        "warnings": [text] if (text := machine_types.driver_warning(machine["name"])) else [],
        "quota_needs": needs,
        "quota_to_add": quota_held.beside(needs, taken),
        "price": list_prices.price(
            machine["name"], gpus, naming.region_of(zone), model=model, **plan
        ),
    }


def main() -> None:
    """Entry point."""
    spec = {
        "zone": {"type": "str", "required": True},
        "machine_type": {"type": "str", "required": True},
        "accelerator_type": {"type": "str"},
        "accelerator_count": {"type": "int", "default": 1},
        "provisioning_model": {
            "type": "str",
            "choices": ["STANDARD", "SPOT", "FLEX_START", "RESERVATION_BOUND"],
            "default": "STANDARD",
        },
        "boot_disk_size_gb": {"type": "int", "default": 0},
        "boot_disk_type": {"type": "str", "default": "pd-balanced"},
        "external_ip": {"type": "bool", "default": False},
        "static_address": {"type": "bool", "default": False},
        "more_disks": {"type": "list", "elements": "dict", "default": []},
        "instance": {"type": "str"},
        "instance_zone": {"type": "str"},
        "count": {"type": "int", "default": 1},
    }
    run(
        AnsibleModule(
            argument_spec={**common_spec(), **shared_spec(), **spec}, supports_check_mode=True
        ),
        core,
    )


if __name__ == "__main__":
    main()
