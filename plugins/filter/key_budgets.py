# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.key_budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.key_budgets import in_tokens

DOCUMENTATION = r"""
name: key_budgets
short_description: The budgets of an API key, in tokens
version_added: 0.3.0
description:
  - Budgets in USD become tokens, by the price of a million of them, rounded down.
positional: _input, price
options:
  _input:
    description: An API key as in C(llm_server_keys).
    type: dict
    required: true
  price:
    description: USD of a million tokens.
    type: float
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: What 5 USD are at 0.40 USD for a million
  ansible.builtin.debug:
    msg: "{{ {'name': 'partner', 'usd_per_month': 5} | llmops.gce_vllm.key_budgets(0.4) }}"
"""

RETURN = r"""
_value:
  description: C(tokens_per_day) and C(tokens_per_month), as far as the key has such a budget.
  type: dict
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"key_budgets": in_tokens}
