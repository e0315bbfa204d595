# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.opens_world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.gce.network.ranges import opens_world

DOCUMENTATION = r"""
name: opens_world
short_description: Whether address ranges let everybody in
version_added: 0.2.0
description:
  - True where the ranges together are all of IPv4 or all of IPv6. V(0.0.0.0/0) is, and so are
    V(0.0.0.0/1) and V(128.0.0.0/1) together.
options:
  _input:
    description: Address ranges.
    type: list
    elements: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Not everybody may come in
  ansible.builtin.assert:
    that: not (source_ranges | llmops.gce_vllm.opens_world)
"""

RETURN = r"""
_value:
  description: Whether they do.
  type: bool
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"opens_world": opens_world}
