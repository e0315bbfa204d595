# SPDX-License-Identifier: Apache-2.0
"""Attempts to place an instance, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils.gce.instance import placements

DOCUMENTATION = r"""
name: attempt_lines
short_description: One line for each attempt to place an instance
version_added: 0.2.0
description:
  - Zone, machine type, provisioning model, Google's reason where there is one, and what came of it.
options:
  _input:
    description: RV(llmops.gce_vllm.gce_instance#module:attempts).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what was tried
  ansible.builtin.debug:
    msg: "{{ server.attempts | llmops.gce_vllm.attempt_lines }}"
"""

RETURN = r"""
_value:
  description: The lines, in order.
  type: list
  elements: str
"""


def attempt_lines(attempts: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each, with its number."""
    return [
        f"{number}. {placements.said(one)}: {placements.OUTCOMES[one['outcome']]}"
        for number, one in enumerate(attempts, start=1)
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"attempt_lines": attempt_lines}
