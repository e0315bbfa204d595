# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.bad_zones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..module_utils.gce import naming

DOCUMENTATION = r"""
name: bad_zones
short_description: Which of some texts can be no zone of Compute Engine
version_added: 0.2.0
description:
  - A zone is a region and a letter (V(us-central1-a)), or an AI zone (V(us-central1-ai1a)).
    Whether there is one of a name, only Google can say.
options:
  _input:
    description: What should be zones.
    type: list
    elements: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The second is a region
  ansible.builtin.assert:
    that: "['us-central1-ai1a', 'us-central1'] | llmops.gce_vllm.bad_zones == ['us-central1']"
"""

RETURN = r"""
_value:
  description: Those that can be none.
  type: list
  elements: str
"""


def bad_zones(zones: Iterable[Any]) -> list[str]:
    """See DOCUMENTATION."""
    return [str(zone) for zone in zones if not naming.ZONE.fullmatch(str(zone))]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"bad_zones": bad_zones}
