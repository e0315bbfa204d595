# SPDX-License-Identifier: Apache-2.0
"""Quotas that an instance counts against, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: quota_line
short_description: Usage and limit of quotas in one line
version_added: 0.2.0
description:
  - A limit that nobody tells is unknown, and is written as a question mark.
options:
  _input:
    description: RV(llmops.gce_vllm.gce_quota_info#module:quotas).
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say how much is used
  ansible.builtin.debug:
    msg: "{{ found.quotas | llmops.gce_vllm.quota_line }}"
"""

RETURN = r"""
_value:
  description: The line.
  type: str
"""


def quota_line(quotas: Iterable[Mapping[str, Any]]) -> str:
    """See DOCUMENTATION."""
    return ", ".join(_said(one) for one in quotas)


def _said(one: Mapping[str, Any]) -> str:
    usage, limit = ("?" if value is None else value for value in (one["usage"], one["limit"]))
    instead = f" in place of {one['instead_of']}" if one.get("instead_of") else ""
    return f"{one['metric']} {usage} of {limit}{instead}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"quota_line": quota_line}
