# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.metrics_report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.reports.series import report

DOCUMENTATION = r"""
name: metrics_report
short_description: Series of several hosts' Prometheus as one CSV
version_added: 0.3.0
description:
  - Makes a row of each moment, host and set of labels, with a column for each series.
positional: prometheus
options:
  _input:
    description: Host -> what a loop of M(ansible.builtin.uri) over the series registered, each item
      with C(key). A host that could not be asked has C(msg) alone.
    type: dict
    required: true
  prometheus:
    description: Where Prometheus was asked, for messages.
    type: str
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Write it
  ansible.builtin.copy:
    content: "{{ ({'gpu-1': asked} | llmops.gce_vllm.metrics_report('127.0.0.1:9090')).csv }}"
    dest: gpu.csv
"""

RETURN = r"""
_value:
  description: C(csv), the number of its C(rows), and C(lines) about each host. C(failed) has a
    sentence for each host without figures.
  type: dict
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"metrics_report": report}
