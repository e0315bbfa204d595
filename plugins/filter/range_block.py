# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.range_block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.gce.network.ranges import block

DOCUMENTATION = r"""
name: range_block
short_description: A range of the same size further up
version_added: 0.2.0
description:
  - Counts ranges of one size upwards, so that several subnetworks get one each.
positional: number
options:
  _input:
    description: The first range, IPv4.
    type: str
    required: true
  number:
    description: How many ranges above the first; 0 is the first itself.
    type: int
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The third range is 10.96.32.0/20
  ansible.builtin.debug:
    msg: "{{ '10.96.0.0/20' | llmops.gce_vllm.range_block(2) }}"
"""

RETURN = r"""
_value:
  description: The range.
  type: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"range_block": block}
