# SPDX-License-Identifier: Apache-2.0
"""Ansible lookup llmops.gce_vllm.tree_digest."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tree_digest
short_description: One digest of all files below a folder on the controller
version_added: 0.2.0
description:
  - Gives the SHA-256 of the names and contents of all files below a folder, in all its subfolders.
  - Compiled Python (C(__pycache__)) does not count. The files are text, in UTF-8.
options:
  _terms:
    description: Folders.
    type: list
    elements: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Tell whether the package is another one than before
  ansible.builtin.debug:
    msg: "{{ lookup('llmops.gce_vllm.tree_digest', 'files/llm_server') }}"
"""

RETURN = r"""
_raw:
  description: A digest of each folder, 64 hexadecimal digits.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..plugin_utils.trees import tree_digest


class LookupModule(LookupBase):  # type: ignore[misc]
    """Digests of folders."""

    def run(
        self,
        terms: list[str],
        variables: dict[str, Any] | None = None,  # noqa: ARG002 - Ansible's interface
        **kwargs: Any,  # noqa: ARG002
    ) -> list[str]:
        """One digest for each folder.

        Raises:
            AnsibleLookupError: there is no such folder, or one of its files is no text.
        """
        found = []
        for term in terms:
            folder = Path(self._loader.path_dwim(term))
            if not folder.is_dir():
                raise AnsibleLookupError(f"There is no folder {folder} on the controller.")
            try:
                found.append(tree_digest(folder))
            except (OSError, UnicodeDecodeError) as error:
                raise AnsibleLookupError(f"{folder} can't be read as text: {error}") from error
        return found
