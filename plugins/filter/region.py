# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.gce import naming

DOCUMENTATION = r"""
name: region
short_description: The region that a zone of Compute Engine lies in
version_added: 0.2.0
description:
  - Takes AI zones too, whose last part is more than a letter.
options:
  _input:
    description: Zone. An empty one gives an empty region.
    type: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Both are in us-central1
  ansible.builtin.assert:
    that:
      - "'us-central1-a' | llmops.gce_vllm.region == 'us-central1'"
      - "'us-central1-ai1a' | llmops.gce_vllm.region == 'us-central1'"
"""

RETURN = r"""
_value:
  description: The region.
  type: str
"""


def region(zone: str) -> str:
    """See DOCUMENTATION."""
    return naming.region_of(str(zone or ""))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"region": region}
