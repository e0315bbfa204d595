# SPDX-License-Identifier: Apache-2.0
"""Placements whose quota does not suffice, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: shortage_lines
short_description: What quota is short where an instance may be
version_added: 0.2.0
description:
  - A heading for each placement, and below it what M(llmops.gce_vllm.gce_quota_info) says.
options:
  _input:
    description: Results of a loop of M(llmops.gce_vllm.gce_quota_info), each with the words for its
      placement in C(item.item.said).
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say what is short
  ansible.builtin.debug:
    msg: "{{ quotas.results | rejectattr('sufficient') | llmops.gce_vllm.shortage_lines }}"
"""

RETURN = r"""
_value:
  description: The lines, in order.
  type: list
  elements: str
"""


def shortage_lines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """See DOCUMENTATION."""
    lines: list[str] = []
    for one in results:
        lines += [f"Not enough quota for {one['item']['item']['said']}:", *one["lines"]]
    return lines


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"shortage_lines": shortage_lines}
