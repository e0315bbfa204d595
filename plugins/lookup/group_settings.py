# SPDX-License-Identifier: Apache-2.0
"""The lookup llmops.gce_vllm.group_settings."""

from __future__ import annotations

DOCUMENTATION = r"""
name: group_settings
short_description: Values of variables for each host of a group, one that is yet to come included
version_added: 0.2.0
description:
  - Before the first run a dynamic inventory has no host in the group. C(hostvars) then has nothing
    of C(group_vars). This reads them as the host will see them.
options:
  _terms:
    description: Names of variables.
    type: list
    elements: str
    required: true
  group:
    description: Name of the group. It may be empty, or missing in the inventory.
    type: str
    required: true
  expected:
    description: Name of a host that will be in the group. One that is there is not counted twice.
    type: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Nobody switched the key off
  ansible.builtin.assert:
    that: item.llm_server_api_key_required | default(true) | bool
  loop: >-
    {{ query('llmops.gce_vllm.group_settings', 'llm_server_api_key_required',
       group='llm_servers', expected='llm-server') }}
"""

RETURN = r"""
_list:
  description: For each host the variables that are set, by name; their values are templated.
  type: list
  elements: dict
  sample: [{"llm_server_api_key_required": false}]
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.expected_host import all_of


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(
        self, terms: Iterable[str], variables: Mapping[str, Any] | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """One dictionary a host."""
        self.set_options(var_options=variables, direct=options)
        names = list(terms)
        hosts = all_of(
            (variables or {})["hostvars"], self.get_option("group"), self.get_option("expected")
        )
        return [{name: one[name] for name in names if name in one} for one in hosts.values()]
