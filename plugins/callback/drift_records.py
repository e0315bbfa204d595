# SPDX-License-Identifier: Apache-2.0
"""Keeps what a run in check mode found different or could not look at, for the action drift."""

from __future__ import annotations

DOCUMENTATION = r"""
name: drift_records
type: aggregate
short_description: What tasks would change, as JSON
version_added: 0.2.0
description:
  - Enabled by the action M(llmops.gce_vllm.drift) for the run that it starts; of no use by itself.
  - Of results under C(no_log) only the task's name is kept.
options:
  records_file:
    description: Where to write the records; nothing is written without it.
    type: path
    env:
      - name: GCE_VLLM_DRIFT_RECORDS
requirements:
  - enable in configuration (C(callbacks_enabled))
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

# What the role gce_instance says by a debug task, as nothing would change.
NEWER_IMAGE = "__gce_instance_newer_image"
# What it sets where the instance is stopped and shall be: then there is no host to look at.
RESTING = "__gce_instance_resting"
# And what it says of the reason.
REST = "__gce_instance_rest"
# The module that says what a host's GPUs ask for.
GPU_INFO = "llmops.gce_vllm.gpu_info"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Collects while the run goes on; writes once, at its end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "llmops.gce_vllm.drift_records"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._records: list[dict[str, Any]] = []
        self._roles: set[str] = set()
        self._resting = False
        self._at_rest: list[str] = []
        self._gpu_findings: dict[str, list[dict[str, Any]]] = {}

    def v2_runner_on_ok(self, result: Any) -> None:
        """Keep what would change."""
        self._roles.add(_role(result))
        if result.is_changed():
            self._keep(result, "changed")
        facts = result.result.get("ansible_facts") or {}
        if facts.get(RESTING):
            self._resting = True
            self._at_rest.append(f"{result.host.get_name()}: {facts.get(REST)}")
        if result.task.action == GPU_INFO:
            # A later look at the same host counts.
            self._gpu_findings[result.host.get_name()] = result.result.get("findings") or []
        if NEWER_IMAGE in result.result:
            self._keep(result, "newer image")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Keep what failed; of a loop only the items that did, and those that would change."""
        self._roles.add(_role(result))
        if not ignore_errors:
            self._keep(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Keep that a host does not answer."""
        self._keep(result, "unreachable")

    def _keep(self, result: Any, outcome: str) -> None:
        whole = dict(result.result)
        items = [one for one in whole.get("results") or [] if isinstance(one, dict)]
        for one in items or [whole]:
            kind = outcome
            if items:
                kind = "failed" if one.get("failed") else "changed"
                if not one.get("failed") and not one.get("changed"):
                    continue
            hidden = "censored" in one or "censored" in whole
            self._records.append(
                {
                    "host": result.host.get_name(),
                    "role": _role(result),
                    "task": result.task.get_name().rpartition(" : ")[2],
                    "action": result.task.action,
                    "outcome": kind,
                    "hidden": hidden,
                    "result": {} if hidden else one,
                }
            )

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the file."""
        target = self.get_option("records_file")
        if not target:
            return
        bad = {*stats.failures, *stats.dark}
        document = {
            "records": self._records,
            "roles": sorted(self._roles - {""}),
            "hosts": sorted(stats.processed),
            "failed": sorted(bad),
            "resting": self._resting,
            "at_rest": self._at_rest,
            "gpu_findings": self._gpu_findings,
        }
        part = Path(target + ".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(document, default=str) + os.linesep, encoding="utf-8")
        part.replace(target)


def _role(result: Any) -> str:
    role = result.task._role
    return str(role.get_name(include_role_fqcn=False)) if role else ""
