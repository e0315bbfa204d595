# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.release_lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.venv.rollback import lines

DOCUMENTATION = r"""
name: release_lines
short_description: One line for each release of vLLM on a host
version_added: 0.2.0
description:
  - Says of each release its version of vLLM, whether it is current, and whether it runs. It also
    says when it served, and why it is not tried again.
options:
  _input:
    description: RV(llmops.gce_vllm.vllm_release_info#module:releases).
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say what is there
  ansible.builtin.debug:
    msg: "{{ known.releases | llmops.gce_vllm.release_lines }}"
"""

RETURN = r"""
_value:
  description: The lines, in order.
  type: list
  elements: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"release_lines": lines}
