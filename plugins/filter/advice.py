# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils.reports.advice import lines, of_host

DOCUMENTATION = r"""
name: advice
short_description: What would be cheaper or better for the load that there was
version_added: 0.3.0
description:
  - Judges machine type, office hours, C(max_num_seqs), C(max_model_len) and profile by what was
    measured. Each advice has its arithmetic and what it saves a month by list price.
options:
  _input:
    description: A dict for each host. C(host), C(samples) and C(read_at) are from
      M(llmops.gce_vllm.llm_metrics_info). C(usage) is from M(llmops.gce_vllm.llm_usage_info), by
      hour. C(plan) is from M(llmops.gce_vllm.vllm_plan). C(prometheus) has the answers of the
      host's Prometheus, by query. C(price) and C(stopped_price) are USD an hour. The others are
      C(machine_type), C(scheduled), C(profile) and C(objective).
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ (hosts | llmops.gce_vllm.advice).lines }}"
"""

RETURN = r"""
_value:
  description: C(hosts), each with C(window), C(advice) and C(notes), and C(lines) for people.
  type: dict
"""


def advice(hosts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """See DOCUMENTATION."""
    found = [of_host({**one, "watched": watched(one.get("prometheus") or {})}) for one in hosts]
    return {"hosts": found, "lines": lines(found)}


def watched(answers: Mapping[str, Any]) -> dict[str, float]:
    """Numbers out of Prometheus' answers; what has none is left out."""
    found = {}
    for name, answer in answers.items():
        result = ((answer or {}).get("data") or {}).get("result") or []
        try:
            value = float(result[0]["value"][1])
        except (IndexError, KeyError, TypeError, ValueError):
            continue
        if value - value == 0:
            found[name] = value
    return found


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"advice": advice}
