# SPDX-License-Identifier: Apache-2.0
"""What the GPUs of several hosts ask for, as lines for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils.host import gpu_findings

DOCUMENTATION = r"""
name: gpu_report
short_description: What the GPUs of several hosts ask for
version_added: 0.3.0
description:
  - Puts together what M(llmops.gce_vllm.gpu_info) says of each host. A host that did not answer is
    told as such.
  - Meant for C(playbooks/status.yml).
options:
  _input:
    description: Name of each host to the result of M(llmops.gce_vllm.gpu_info) there.
    type: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say what the GPUs ask for
  ansible.builtin.debug:
    msg: "{{ ({'llm-server': found} | llmops.gce_vllm.gpu_report).lines }}"
"""

RETURN = r"""
_value:
  description: C(lines) for people, and C(hosts), each with C(host), C(looked_at), C(why) where not,
    C(findings) and C(problems).
  type: dict
"""


def gpu_report(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """See DOCUMENTATION."""
    hosts = [_host(name, result) for name, result in results.items()]
    lines = [
        line for host in hosts for line in _lines(host, results[host["host"]].get("gpus") or [])
    ]
    return {"lines": lines, "hosts": hosts}


def _host(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    looked_at = "findings" in result
    why = "" if looked_at else str(result.get("msg") or "no reason given")
    if result.get("unreachable"):
        why = "the host does not answer by SSH"
    return {
        "host": name,
        "looked_at": looked_at,
        "why": why,
        "findings": list(result.get("findings") or []),
        "problems": list(result.get("problems") or []),
    }


def _lines(host: Mapping[str, Any], gpus: list[Mapping[str, Any]]) -> list[str]:
    head = f"GPUs of {host['host']}: "
    if not host["looked_at"]:
        return [f"{head}not looked at, {host['why']}"]
    kinds = Counter(str(gpu["name"]) for gpu in gpus)
    there = ", ".join(f"{count} x {name}" for name, count in kinds.items()) or "none answers"
    # Much that hinders is no finding of a GPU that answers, as that another one is gone.
    told = gpu_findings.untold(host["problems"], host["findings"])
    told += [gpu_findings.line(one) for one in host["findings"]]
    return [f"{head}{there}", *told] if told else [f"{head}{there}, nothing found"]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"gpu_report": gpu_report}
