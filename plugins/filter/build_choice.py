# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.build_choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ..module_utils.vllm import build_choice

DOCUMENTATION = r"""
name: build_choice
short_description: Which build of vLLM fits a host, or what would have to change
version_added: 0.2.0
description:
  - Takes the first build of the compatibility contract that this collection has a lock for. It has
    to fit driver, GPUs, Python and processor. What is not known of the host is not judged.
options:
  _input:
    description: What is known of the host - C(driver), C(gpus) (each with C(name) and
      C(compute_capability), as by llmops.gce_vllm.gpu_info), C(python) and C(machine).
    type: dict
    required: true
  device:
    description: V(cuda) or V(cpu).
    type: str
    default: cuda
  version:
    description: Release of vLLM; empty for any.
    type: str
    default: ""
  build:
    description: Its build, as V(cu130), or V(auto).
    type: str
    default: auto
  python:
    description: The setting C(vllm_venv_python), a path or V(auto).
    type: str
    default: auto
"""

EXAMPLES = r"""
- name: Choose
  ansible.builtin.debug:
    msg: "{{ {'driver': '580.95.05', 'machine': 'x86_64'} | llmops.gce_vllm.build_choice }}"
"""

RETURN = r"""
_value:
  description: C(version), C(build), C(lock), C(python), C(driver) (the oldest branch),
    C(capability) (the least), C(dtype), C(reasons) why none fits, and C(notes).
  type: dict
"""


def choice(
    known: Mapping[str, Any],
    *,
    device: str = "cuda",
    version: str = "",
    build: str = build_choice.AUTO,
    python: str = build_choice.AUTO,
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    seen = build_choice.Seen(
        driver=str(known.get("driver") or ""),
        gpus=list(known.get("gpus") or []),
        python=str(known.get("python") or ""),
        machine=str(known.get("machine") or ""),
    )
    return asdict(
        build_choice.choose(seen, device=device, version=version, build=build, python=python)
    )


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"build_choice": choice}
