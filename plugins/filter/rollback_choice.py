# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.rollback_choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.venv.rollback import choice

DOCUMENTATION = r"""
name: rollback_choice
short_description: Which release of vLLM a rollback may choose
version_added: 0.2.0
description:
  - Without a name, an interrupted rollback continues to the release that it had chosen. Otherwise
    it chooses a release that served before, is not the current one, and was not left by hand.
positional: serving, name
options:
  _input:
    description: RV(llmops.gce_vllm.vllm_release_info#module:releases).
    type: list
    elements: dict
    required: true
  serving:
    description: Path of the release that runs; empty where none does.
    type: str
    required: true
  name:
    description: Name of the release that was asked for; empty lets the rollback choose.
    type: str
    default: ""
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: See what a rollback would choose
  ansible.builtin.debug:
    msg: "{{ (known.releases | llmops.gce_vllm.rollback_choice(serving.release)).targets | last }}"
"""

RETURN = r"""
_value:
  description: C(targets), the releases to choose from, best last; C(current), the one that the link
    leads to, with its version; C(refusal), why there are no targets; C(left), the release that the
    last rollback left; C(arrived), whether what that rollback chose serves.
  type: dict
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"rollback_choice": choice}
