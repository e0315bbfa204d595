# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.key_budget_problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.key_budgets import problems

DOCUMENTATION = r"""
name: key_budget_problems
short_description: What is wrong with the budgets of API keys in USD
version_added: 0.3.0
description:
  - Names each key whose C(usd_per_day) or C(usd_per_month) could not be kept, and says what to do.
positional: _input, price
options:
  _input:
    description: API keys as in C(llm_server_keys).
    type: list
    elements: dict
    required: true
  price:
    description: USD of a million tokens. 0 is not known.
    type: float
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The budgets can be kept
  ansible.builtin.assert:
    that: llm_server_keys | llmops.gce_vllm.key_budget_problems(0.4) | length == 0
"""

RETURN = r"""
_value:
  description: What is wrong with each, without the key.
  type: list
  elements: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"key_budget_problems": problems}
