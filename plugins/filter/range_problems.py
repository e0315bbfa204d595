# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.range_problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.gce.network.ranges import problems

DOCUMENTATION = r"""
name: range_problems
short_description: What is wrong with address ranges
version_added: 0.2.0
description:
  - Says of each that is no range, or that has bits set behind its prefix, what would be right.
positional: option
options:
  _input:
    description: Address ranges.
    type: list
    elements: str
    required: true
  option:
    description: The setting that they come from, for the messages.
    type: str
    default: source_ranges
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The ranges are written right
  ansible.builtin.assert:
    that: source_ranges | llmops.gce_vllm.range_problems | length == 0
"""

RETURN = r"""
_value:
  description: One sentence or two for each that is wrong.
  type: list
  elements: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"range_problems": problems}
