#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the releases of vLLM on a host, and what is known of each."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_release_info
short_description: Tell which releases of vLLM a host has
version_added: 0.2.0
description:
  - Lists the releases. Says of each whether it passed its test, when it last served, and whether it
    failed to. Says also whether the link leads to it and whether anything runs from it. Changes
    nothing.
extends_documentation_fragment:
  - llmops.gce_vllm.releases
attributes:
  check_mode:
    support: full
    description: Changes nothing in any case.
  diff_mode:
    support: none
    description: Changes nothing.
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: See what could be gone back to
  llmops.gce_vllm.vllm_release_info:
    link: /opt/vllm/venv
    releases: /opt/vllm/releases
"""

RETURN = r"""
releases:
  description: One entry for each, by name.
  returned: always
  type: list
  elements: dict
  sample:
    - name: 1f2e3d4c5b6a-cpu
      path: /opt/vllm/releases/1f2e3d4c5b6a-cpu
      passed: true
      served_at: "2026-01-02T03:04:05Z"
      refused: {}
      current: true
      running: true
      version: 0.32.0
      used: 1767322800.0
last_served:
  description: Path of the release that served last; empty where none did.
  returned: always
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.venv.releases import (
    ARGUMENTS,
    list_releases,
)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
    )
    found = list_releases(Path(module.params["releases"]), Path(module.params["link"]))
    served = [one for one in found if one.served_at]
    module.exit_json(
        changed=False,
        releases=[one.as_dict() for one in found],
        last_served=max(served, key=lambda one: one.served_at).path if served else "",
    )


if __name__ == "__main__":
    main()
