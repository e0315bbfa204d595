# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.key_end_problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.key_ends import problems

DOCUMENTATION = r"""
name: key_end_problems
short_description: What is wrong with the ends of API keys
version_added: 0.2.0
description:
  - Names each key whose C(expires) is no date, and says how to write one.
positional: _input
options:
  _input:
    description: API keys as in C(llm_server_keys).
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The ends are written right
  ansible.builtin.assert:
    that: llm_server_keys | llmops.gce_vllm.key_end_problems | length == 0
"""

RETURN = r"""
_value:
  description: Two sentences for each that is wrong, without the key.
  type: list
  elements: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"key_end_problems": problems}
