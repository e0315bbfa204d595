# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.metrics_window."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils.reports.series import window

DOCUMENTATION = r"""
name: metrics_window
short_description: From when to when the playbook metrics asks, and what is wrong with its settings
version_added: 0.3.0
description:
  - Reads times and the step as people write them.
  - Without a step it takes one that makes 2,000 values of each series at most.
options:
  _input:
    description: The settings, by their names.
    type: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The last day
  ansible.builtin.debug:
    msg: "{{ settings | llmops.gce_vllm.metrics_window }}"
  vars:
    settings: {metrics_since: 1d, metrics_series: {up: up}}
"""

RETURN = r"""
_value:
  description: C(problems), and without any also C(start), C(end) and C(step) in seconds.
  type: dict
"""


def metrics_window(settings: Mapping[str, Any]) -> dict[str, Any]:
    """See DOCUMENTATION."""
    return window(settings, time.time())


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"metrics_window": metrics_window}
