# SPDX-License-Identifier: Apache-2.0
"""Placements to start an instance by: the one it has, then the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils.gce import naming
from ..module_utils.hardware import machine_types

DOCUMENTATION = r"""
name: start_placements
short_description: Placements to start an instance by, its own first
version_added: 0.2.0
description:
  - With them M(llmops.gce_vllm.gce_instance) starts an instance as it is, whatever the settings say
    now. It tries the others only where its zone has no room.
options:
  _input:
    description: What P(llmops.gce_vllm.full_placements#filter) returns.
    type: list
    elements: dict
    required: true
  instance:
    description: The instance as the API shows it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Start it, here or elsewhere
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    name: llm-server
    placements: "{{ places | llmops.gce_vllm.start_placements(found.instance) }}"
    allow_recreate: true
"""

RETURN = r"""
_value:
  description: Placements as M(llmops.gce_vllm.gce_instance) takes them.
  type: list
  elements: dict
"""


def start_placements(
    places: Iterable[Mapping[str, Any]], instance: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The instance's own placement, then the others in their order."""
    own: dict[str, Any] = {
        "zone": naming.short(str(instance["zone"])),
        "machine_type": naming.short(str(instance["machineType"])),
        "accelerators": [
            {
                "type": naming.short(str(one["acceleratorType"])),
                "count": int(one["acceleratorCount"]),
            }
            for one in instance.get("guestAccelerators") or []
        ],
        "provisioning_model": (instance.get("scheduling") or {}).get("provisioningModel")
        or "STANDARD",
    }
    others = [{field: one[field] for field in own} for one in places]
    return [own, *(one for one in others if _plain(one) != _plain(own))]


def _plain(place: Mapping[str, Any]) -> dict[str, Any]:
    """What tells placements apart: GPUs that come with the machine need not be named."""
    bundled = machine_types.bundles_gpus(str(place["machine_type"]))
    return {**place, "accelerators": [] if bundled else place["accelerators"]}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"start_placements": start_placements}
