# SPDX-License-Identifier: Apache-2.0
"""What became of requests for quota, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: request_lines
short_description: What became of requests for quota
version_added: 0.2.0
description:
  - One line for each request.
options:
  _input:
    description: Results of a loop of M(llmops.gce_vllm.gce_quota_request), whose items have
      C(metric), C(region) and C(request).
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say what Google decided
  ansible.builtin.debug:
    msg: "{{ requests.results | llmops.gce_vllm.request_lines }}"
"""

RETURN = r"""
_value:
  description: The lines, in order.
  type: list
  elements: str
"""

OUTCOMES = {
    "granted": "was granted",
    "denied": "was denied",
    "pending": "is asked for, and Google has not decided yet",
}


def request_lines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """See DOCUMENTATION."""
    return [_line(one) for one in results]


def _line(one: Mapping[str, Any]) -> str:
    item, outcome = one["item"], OUTCOMES.get(one["outcome"], "would be asked for")
    detail = f". Google says: {one['state_detail']}" if one["state_detail"] else ""
    return f"{item['metric']} ({item['region']}): a limit of {item['request']} {outcome}{detail}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"request_lines": request_lines}
