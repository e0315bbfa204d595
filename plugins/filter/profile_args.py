# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.profile_args."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.vllm import profiles

DOCUMENTATION = r"""
name: profile_args
short_description: Engine arguments of a tuning profile, overridden by given ones
version_added: 0.2.0
description:
  - Looks a profile up for a GPU, and merges what is given over it. A given null leaves the
    profile's argument to vLLM.
options:
  _input:
    description: The arguments that are given, as for C(llm_server_vllm_args).
    type: dict
    required: true
  table:
    description: The profiles, as in the role llm_server's C(files/profiles.yml).
    type: dict
    required: true
  profile:
    description: Name of the profile; empty for none.
    type: str
    required: true
  gpu:
    description: V(cpu), a machine type, an accelerator type, or the name that nvidia-smi shows.
    type: str
    required: true
  accelerators:
    description: GPUs that are attached to the machine type, each with C(type) and C(count).
    type: list
    elements: dict
    default: []
  explain:
    description: Gives lines for people instead - what the profile sets, why, and whether it was
      measured.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The arguments
  ansible.builtin.debug:
    msg: "{{ {'dtype': 'half'} | llmops.gce_vllm.profile_args(table, 'latency', 'l4') }}"
"""

RETURN = r"""
_value:
  description: The arguments, or the lines.
  type: raw
"""


def profile_args(
    given: Mapping[str, Any],
    table: Mapping[str, Any],
    profile: str,
    gpu: str,
    accelerators: Sequence[Mapping[str, Any]] = (),
    *,
    explain: bool = False,
) -> dict[str, Any] | list[str]:
    """See DOCUMENTATION."""
    try:
        found = profiles.arguments(table, profile, gpu, accelerators)
    except profiles.ProfileError as error:
        raise AnsibleFilterError(f"llm_server_profile: {error}.") from None
    return profiles.lines(found, given) if explain else profiles.merge(found, given)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"profile_args": profile_args}
