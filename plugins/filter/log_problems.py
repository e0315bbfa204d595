# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.log_problems."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils.logs.question import problems

DOCUMENTATION = r"""
name: log_problems
short_description: What is wrong with the settings of the playbook logs
version_added: 0.2.0
description:
  - Looks at times, numbers, ids and names, and at what does not go together.
options:
  _input:
    description: The settings, by their names.
    type: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The settings are right
  ansible.builtin.assert:
    that: "{'logs_since': '2h', 'logs_lines': 50} | llmops.gce_vllm.log_problems | length == 0"
"""

RETURN = r"""
_value:
  description: What is wrong with each, and what is allowed.
  type: list
  elements: str
"""


def log_problems(settings: Mapping[str, Any]) -> list[str]:
    """See DOCUMENTATION."""
    return problems(settings, time.time())


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"log_problems": log_problems}
