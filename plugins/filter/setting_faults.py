# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.setting_faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils import suggest
from ..module_utils.errors import GceError
from ..module_utils.gce.cron import expected
from ..module_utils.vllm import serve_arg_names

DOCUMENTATION = r"""
name: setting_faults
short_description: What in the settings would fail later, after something was paid for
version_added: 0.2.0
description:
  - Looks at the release of vLLM and its lock, at the names of engine arguments, and at office
    hours. All faults are told, each with what would be right.
  - Meant for the role C(preflight).
options:
  _input:
    description: C(version), C(build) (empty or V(auto) for any) and C(lock) (one of the user's
      own). C(locks) are the file names of the locks that exist. The others are C(vllm_args) and
      C(schedule).
    type: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: All is well
  ansible.builtin.assert:
    that: found | llmops.gce_vllm.setting_faults | length == 0
  vars:
    found: {version: 0.32.0, locks: [vllm-0.32.0-cpu-py311.txt], vllm_args: {max_model_len: 1024}}
"""

RETURN = r"""
_value:
  description: A text for each fault.
  type: list
  elements: str
"""

_LOCK = re.compile(r"vllm-(?P<version>[^-]+)-(?P<build>[^-]+)-py\d+\.txt$")


def setting_faults(settings: Mapping[str, Any]) -> list[str]:
    """See DOCUMENTATION."""
    return [
        *_lock_faults(settings),
        *_argument_faults(settings.get("vllm_args") or {}, str(settings.get("version"))),
        *_schedule_faults(settings.get("schedule") or {}),
    ]


def _lock_faults(settings: Mapping[str, Any]) -> list[str]:
    version, build = str(settings.get("version")), settings.get("build") or "auto"
    if settings.get("lock"):
        return []
    found = [one.groups() for one in map(_LOCK.search, settings.get("locks") or []) if one]
    if any(one == version and build in ("auto", of) for one, of in found):
        return []
    there = ", ".join(f"{one} ({of})" for one, of in sorted(found))
    asked = f"{version}" if build == "auto" else f"{version}, build {build}"
    return [
        f"There is no lock for vLLM {asked}. There are locks for {there}. Set vllm_venv_version "
        "and vllm_venv_build to one of these, or name a lock of your own with vllm_venv_lock."
    ]


def _argument_faults(arguments: Iterable[str], version: str) -> list[str]:
    # Another release may have other options: its own parser says so on the host.
    if version not in serve_arg_names.OPTIONS:
        return []
    return [
        f"llm_server_vllm_args has '{name}', which vLLM {version} does not know."
        + suggest.did_you_mean(
            serve_arg_names.normal(name), sorted(serve_arg_names.OPTIONS[version])
        )
        for name in arguments
        if not serve_arg_names.known(name, version)
    ]


def _schedule_faults(schedule: Mapping[str, Any]) -> list[str]:
    if not schedule:
        return []
    if not (schedule.get("start") and schedule.get("stop")):
        return [
            "gce_instance_schedule needs start and stop, for example "
            '{start: "0 8 * * 1-5", stop: "0 19 * * 1-5", time_zone: Europe/Berlin}. '
            "Leave it out for no schedule."
        ]
    try:
        expected(schedule["start"], schedule["stop"], schedule.get("time_zone") or "UTC")
    except GceError as error:
        return [f"gce_instance_schedule: {error.message} Next: {error.remedy}"]
    return []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"setting_faults": setting_faults}
