# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.network_problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.gce.network.setting_problems import setting_problems

DOCUMENTATION = r"""
name: network_problems
short_description: What is wrong with the settings of the role gce_network
version_added: 0.2.0
description:
  - Looks at address ranges, ports and the name of the network. Asks nobody.
options:
  _input:
    description: The role's variables by name.
    type: dict
    required: true
  key_off:
    description: Whether some server asks for no API key.
    type: bool
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The network's settings go together
  ansible.builtin.assert:
    that: network_settings | llmops.gce_vllm.network_problems(key_off=false) | length == 0
"""

RETURN = r"""
_value:
  description: One message for each thing that is wrong.
  type: list
  elements: str
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"network_problems": setting_problems}
