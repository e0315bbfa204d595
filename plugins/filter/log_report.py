# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.log_report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils.logs import report

DOCUMENTATION = r"""
name: log_report
short_description: What several hosts' journals say, in one order of time
version_added: 0.2.0
description:
  - Puts the records of all hosts together, and keeps the newest.
positional: lines
options:
  _input:
    description: Host -> RV(llmops.gce_vllm.server_logs_info#module:records) and what is returned
      with them. One without records could not be asked.
    type: dict
    required: true
  lines:
    description: How many records are kept.
    type: int
    default: 200
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Show them
  ansible.builtin.debug:
    msg: "{{ {'gpu-1': logs} | llmops.gce_vllm.log_report.lines }}"
"""

RETURN = r"""
_value:
  description: C(lines) for people, C(json) (a line for each record), and C(remarks) on what is not
    shown. C(failed) has a sentence for each host that could not be asked.
  type: dict
"""


def log_report(logs: Mapping[str, Mapping[str, Any]], lines: int | str = 200) -> dict[str, Any]:
    """See DOCUMENTATION."""
    return report.report(logs, int(lines))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"log_report": log_report}
