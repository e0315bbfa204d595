# SPDX-License-Identifier: Apache-2.0
"""Placements with everything said that their entries leave to the other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils.gce import naming

DOCUMENTATION = r"""
name: full_placements
short_description: Placements with what they leave to the other settings filled in
version_added: 0.2.0
description:
  - Fills in what the module M(llmops.gce_vllm.gce_instance) would take from its other options.
    Without placements there is one, of these options alone.
options:
  _input:
    description: The placements; may be empty.
    type: list
    elements: dict
    required: true
  zone:
    description: The zone where there are no placements.
    type: str
    required: true
  machine_type:
    description: Machine type of entries that name none.
    type: str
    required: true
  accelerators:
    description: GPUs of entries that name neither these nor a machine type.
    type: list
    elements: dict
    default: []
  provisioning_model:
    description: Provisioning model of entries that name none.
    type: str
    default: STANDARD
"""

EXAMPLES = r"""
- name: Say where it may be, and as what
  ansible.builtin.debug:
    msg: "{{ places | llmops.gce_vllm.full_placements(gce_zone, 'g2-standard-4') }}"
  vars:
    places: [{zone: us-east1-c}, {zone: us-east1-d, provisioning_model: SPOT}]
"""

RETURN = r"""
_value:
  description: One entry a placement, each with C(zone), C(region), C(machine_type),
    C(accelerators), C(provisioning_model) and C(said), which is the placement in words.
  type: list
  elements: dict
"""


def full_placements(
    entries: Iterable[Mapping[str, Any]],
    zone: str,
    machine_type: str,
    accelerators: Iterable[Mapping[str, Any]] = (),
    provisioning_model: str = "STANDARD",
) -> list[dict[str, Any]]:
    """The entries in their order, filled in."""
    found = []
    for entry in list(entries) or [{"zone": zone}]:
        machine = entry.get("machine_type")
        # The accelerators of another machine type are not this one's.
        gpus = entry.get("accelerators")
        if gpus is None:
            gpus = [] if machine else accelerators
        gpus = [{"type": str(one["type"]), "count": int(one.get("count", 1))} for one in gpus]
        model = entry.get("provisioning_model") or provisioning_model
        words = [str(entry["zone"]), machine or machine_type, model]
        words += [f"with {one['count']} x {one['type']}" for one in gpus]
        found.append(
            {
                "zone": entry["zone"],
                "region": naming.region_of(str(entry["zone"])),
                "machine_type": machine or machine_type,
                "accelerators": gpus,
                "provisioning_model": model,
                "said": " ".join(words),
            }
        )
    return found


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"full_placements": full_placements}
