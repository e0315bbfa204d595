#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.python_packages_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_packages_info
short_description: Tell which packages a Python environment has
version_added: 0.3.0
description:
  - Reads what the installed packages say of themselves. Runs nothing of the environment, needs no
    pip in it, and changes nothing.
options:
  path:
    description: Folder of the environment.
    type: path
    required: true
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: What vLLM runs with
  llmops.gce_vllm.python_packages_info:
    path: /opt/vllm/venv
  register: environment
"""

RETURN = r"""
path:
  description: The environment's folder, with links followed.
  returned: success
  type: str
packages:
  description: Each package, by name. The license is empty where it names none.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "vllm", "version": "0.32.0", "license": "Apache-2.0"}]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.venv.packages import packages


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True
    )
    folder = Path(module.params["path"]).resolve()
    if not folder.is_dir():
        module.fail_json(msg=f"There is no environment {folder}.")
    module.exit_json(changed=False, path=str(folder), packages=packages(folder))


if __name__ == "__main__":
    main()
