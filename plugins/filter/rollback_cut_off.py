# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.rollback_cut_off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.venv.rollback import cut_off

DOCUMENTATION = r"""
name: rollback_cut_off
short_description: Whether a rollback was interrupted before the release that it chose served
version_added: 0.2.0
description:
  - Looks at the rollback that left one release by hand.
positional: path, serving
options:
  _input:
    description: RV(llmops.gce_vllm.vllm_release_info#module:releases).
    type: list
    elements: dict
    required: true
  path:
    description: Path of the release that was left.
    type: str
    required: true
  serving:
    description: Path of the release that runs; empty where none does.
    type: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Refuse to continue from an interrupted rollback
  ansible.builtin.assert:
    that: not (known.releases | llmops.gce_vllm.rollback_cut_off(path, serving.release))
"""

RETURN = r"""
_value:
  description: Whether it was.
  type: bool
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"rollback_cut_off": cut_off}
