# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.schedule_expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.errors import GceError
from ..module_utils.gce.cron import expected

DOCUMENTATION = r"""
name: schedule_expects
short_description: Whether office hours are now
version_added: 0.2.0
description:
  - Says by which of a schedule's start and stop came last what an instance that follows it should
    be. Fails where the schedule is written wrong, and says what would be right.
options:
  _input:
    description: Start and stop as cron expressions of five fields, and a time zone (UTC if left
      out).
    type: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say whether the office is open
  ansible.builtin.debug:
    msg: "{{ {'start': '0 8 * * 1-5', 'stop': '0 19 * * 1-5', 'time_zone': 'Europe/Berlin'}
      | llmops.gce_vllm.schedule_expects }}"
"""

RETURN = r"""
_value:
  description: V(running), V(stopped), or V(unknown).
  type: str
"""


def schedule_expects(schedule: Mapping[str, Any]) -> str:
    """`running`, `stopped` or `unknown`."""
    try:
        return expected(
            schedule.get("start"), schedule.get("stop"), schedule.get("time_zone") or "UTC"
        )
    except GceError as error:
        raise AnsibleFilterError(
            f"gce_instance_schedule: {error.message} Next: {error.remedy}"
        ) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"schedule_expects": schedule_expects}
