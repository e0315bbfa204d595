# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.closest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.suggest import closest

DOCUMENTATION = r"""
name: closest
short_description: The names most like a misspelled one
version_added: 0.1.0
description:
  - Finds, among known names, those that look most like a given one, for messages that ask 'did you
    mean'.
positional: choices
options:
  _input:
    description: The name that was given.
    type: str
    required: true
  choices:
    description: The names that exist.
    type: list
    elements: str
    required: true
  count:
    description: How many names to return at most.
    type: int
    default: 3
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say which device was meant
  ansible.builtin.debug:
    msg: "Did you mean {{ 'cuda12' | llmops.gce_vllm.closest(['cpu', 'cuda']) | join(' or ') }}?"
"""

RETURN = r"""
_value:
  description: The names, best first; empty where nothing comes near.
  type: list
  elements: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"closest": closest}
