# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.contract_problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.vllm.compatibility import of_place

DOCUMENTATION = r"""
name: contract_problems
short_description: Why a build of vLLM can't run on a machine type with an image
version_added: 0.2.0
description:
  - Compares the host with what the build needs. Driver and Python are read from the image's name,
    the compute capability from the GPU. What no table knows is no problem.
options:
  _input:
    description: Placement with C(machine_type) and C(accelerators).
    type: dict
    required: true
  version:
    description: Release of vLLM.
    type: str
    required: true
  build:
    description: Its build, as C(cu130).
    type: str
    required: true
  image:
    description: Name or family of the image.
    type: str
    required: true
  python:
    description: The setting C(vllm_venv_python), a path or V(auto). With V(auto) another Python in
      the image is no problem, as uv fetches one.
    type: str
    default: auto
  notes:
    description: Gives what is no problem and yet worth to know instead.
    type: bool
    default: false
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: It can run
  ansible.builtin.assert:
    that: (place | llmops.gce_vllm.contract_problems('0.32.0', 'cu130', family)) | length == 0
"""

RETURN = r"""
_value:
  description: One text for each problem, with what to change.
  type: list
  elements: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"contract_problems": of_place}
