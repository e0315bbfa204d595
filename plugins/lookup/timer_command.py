# SPDX-License-Identifier: Apache-2.0
"""The lookup llmops.gce_vllm.timer_command."""

from __future__ import annotations

DOCUMENTATION = r"""
name: timer_command
short_description: The options of this run, for a timer that runs another playbook
version_added: 0.2.0
description:
  - Gives inventories, variables, vault files, limit and the like as they stand on the command line,
    paths made absolute. Variables whose names begin with C(timer_) are left out.
  - Fails where a secret stands on the command line, or would be asked for; a unit is no place for
    it.
options:
  _terms:
    description: Nothing.
  roles_dir:
    description: Folder of the roles, whose specs say which variables are secret.
    type: path
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: What a timer would be told
  ansible.builtin.debug:
    msg: "{{ query('llmops.gce_vllm.timer_command', roles_dir=playbook_dir ~ '/../roles') }}"
"""

RETURN = r"""
_list:
  description: Options, each one word.
  type: list
  elements: str
  sample: [--inventory=/srv/inventory, '--extra-vars={"gce_name": "b"}']
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..plugin_utils import command_line
from ..plugin_utils.secret_options import secret_options


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(
        self, _terms: Iterable[str], variables: Mapping[str, Any] | None = None, **options: Any
    ) -> list[str]:
        """The options, one word each."""
        self.set_options(var_options=variables, direct=options)
        option = command_line.asking(context.CLIARGS)
        if option:
            raise AnsibleLookupError(
                f"The timer can't ask for a password: give it in a file ({option})."
            )
        known = {"llm_api_key", *secret_options(Path(self.get_option("roles_dir")))}
        named = command_line.secrets(context.CLIARGS, known)
        if named:
            raise AnsibleLookupError(
                f"{', '.join(named)} would stand in the timer's unit, which others can read. Put "
                "it into a file of variables (-e @FILE) that only you can read, or into a vault."
            )
        return command_line.options(command_line.lasting(context.CLIARGS, Path.cwd(), "timer_"))
