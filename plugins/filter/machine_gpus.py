# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.machine_gpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils.hardware.machine_types import named_gpus

DOCUMENTATION = r"""
name: machine_gpus
short_description: How many GPUs a machine type brings, or has attached
version_added: 0.2.0
description:
  - 0 where neither the machine type nor what is attached to it tells.
options:
  _input:
    description: Machine type.
    type: str
    required: true
  accelerators:
    description: GPUs that are attached to an N1 machine type, each with C(type) and C(count).
    type: list
    elements: dict
    default: []
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Eight of them
  ansible.builtin.assert:
    that: ('a3-highgpu-8g' | llmops.gce_vllm.machine_gpus) == 8
"""

RETURN = r"""
_value:
  description: The number.
  type: int
"""


def number(machine_type: str, accelerators: list[Mapping[str, Any]] | None = None) -> int:
    """See DOCUMENTATION."""
    found = named_gpus(str(machine_type or ""), list(accelerators or []))
    return found[1] if found else 0


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"machine_gpus": number}
