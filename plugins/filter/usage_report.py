# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.usage_report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.reports.usage import report

DOCUMENTATION = r"""
name: usage_report
short_description: Who used how much, over all hosts, with the share of the cost
version_added: 0.2.0
description:
  - Adds up what RV(llmops.gce_vllm.llm_usage_info#module:rows) says of several hosts.
  - Where the price of an hour is known for each host, it is shared out by tokens.
options:
  _input:
    description: A dict for each host, with C(host), C(usage) (what the module
      llmops.gce_vllm.llm_usage_info returned, or null) and C(hour_price) (USD, or null).
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ (hosts | llmops.gce_vllm.usage_report).lines }}"
  vars:
    hosts:
      - {host: llm-server, usage: "{{ usage }}", hour_price: 0.71}
"""

RETURN = r"""
_value:
  description: C(document) with all of it, C(lines) for people, and C(csv).
  type: dict
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"usage_report": report}
