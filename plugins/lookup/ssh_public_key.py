# SPDX-License-Identifier: Apache-2.0
"""Ansible lookup llmops.gce_vllm.ssh_public_key."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_public_key
short_description: Public half of an SSH key pair on the controller, if the pair is as it should be
version_added: 0.2.0
description:
  - Gives type and public key of a key pair that is whole. The comment is left out.
  - Gives an empty text where P(community.crypto.openssh_keypair#module) would change something.
    A half is missing, the halves don't belong together, or mode, type or comment differ.
options:
  _terms:
    description: Paths of private keys. The public key has the same path with C(.pub).
    type: list
    elements: str
    required: true
  type:
    description: Type of the key, as C(ssh-keygen -t) takes it.
    type: str
    default: ed25519
  comment:
    description: Comment of the public key.
    type: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Make a key unless there is one
  community.crypto.openssh_keypair:
    path: /home/me/.ssh/server
    type: ed25519
    comment: me
    mode: "0600"
  when: not lookup('llmops.gce_vllm.ssh_public_key', '/home/me/.ssh/server', comment='me')
"""

RETURN = r"""
_raw:
  description: Type and public key of each pair, or an empty text.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.ssh_keys import public_key


class LookupModule(LookupBase):  # type: ignore[misc]
    """Public keys of pairs."""

    def run(
        self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[str]:
        """One public key, or an empty text, for each pair."""
        self.set_options(var_options=variables, direct=kwargs)
        kind, comment = self.get_option("type"), self.get_option("comment")
        return [public_key(Path(self._loader.path_dwim(term)), kind, comment) for term in terms]
