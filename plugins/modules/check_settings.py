# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

DOCUMENTATION = r"""
module: check_settings
short_description: Find misspelt and mistyped variables before anything is touched
version_added: 0.1.0
description:
  - Compares the names of all variables in scope with the argument specs of the collection's roles.
    Values are compared with the types and choices given there. Keys of nested settings are checked
    too.
  - Runs on the controller and touches no host.
options:
  roles_dir:
    description: Folder that holds the roles.
    type: path
    required: true
  prefixes:
    description: Prefixes that only this collection's variables may carry.
    type: list
    elements: str
    required: true
  shared:
    description: Names that several roles share and that no role's spec lists.
    type: list
    elements: str
    required: true
  expected:
    description: Hosts that the inventory may not have yet, each with the group that it will be in.
      Names that the group would give them are checked too.
    type: dict
attributes:
  check_mode:
    description: Reads only, so that it does the same in check mode.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Settings are right
  llmops.gce_vllm.check_settings:
    roles_dir: "{{ playbook_dir }}/../roles"
    prefixes: [gce_, llm_]
    shared: [gce_project, gce_zone]
"""

RETURN = r"""
checked:
  description: How many variables were set and known.
  type: int
  returned: success
"""
