# SPDX-License-Identifier: Apache-2.0
"""Says at the end of a run how long each phase took, and writes the outcome as JSON for scripts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: run_summary
type: aggregate
short_description: Seconds per phase, and the run's outcome as JSON
version_added: 0.1.0
description:
  - A phase is what stands before the colon in a play's name. Plays without a colon are not counted.
  - Where instances were asked for or started, says again what came of each attempt.
  - With a file named, writes changed tasks per host, seconds per phase, failed and unreachable
    hosts, these attempts, and what tasks stored with C(ansible.builtin.set_stats).
options:
  summary_file:
    description: Where to write the JSON; nothing is written without it.
    type: path
    env:
      - name: GCE_VLLM_SUMMARY_FILE
    ini:
      - section: callback_run_summary
        key: summary_file
requirements:
  - enable in configuration (C(callbacks_enabled))
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

from ..filter.attempt_lines import attempt_lines
from ..plugin_utils.direct_execution import preload_for


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Collects while the run goes on; prints and writes once, at its end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "llmops.gce_vllm.run_summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._phases: dict[str, float] = {}
        self._changed_tasks: list[dict[str, str]] = []
        self._attempts: list[dict[str, Any]] = []
        self._current: str | None = None
        self._since = time.monotonic()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Close the phase before and open the play's own."""
        self._close()
        name = play.get_name()
        self._current = name.split(":")[0].strip().lower() if ":" in name else None

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Import once what each worker would."""
        preload_for(str(task.action))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """Remember what was tried in vain."""
        self._remember_attempts(result)

    def _remember_attempts(self, result: Any) -> None:
        # Tasks that are repeated have a number by this name.
        attempts = result.result.get("attempts")
        if isinstance(attempts, list):
            self._attempts += attempts

    def v2_runner_on_ok(self, result: Any) -> None:
        """Remember which task changed something, and where; and what was asked of Google."""
        self._remember_attempts(result)
        if result.is_changed():
            host, task = result.host.get_name(), result.task.get_name()
            self._changed_tasks.append({"host": host, "task": task})

    def _close(self) -> None:
        now = time.monotonic()
        if self._current:
            self._phases[self._current] = self._phases.get(self._current, 0.0) + now - self._since
        self._since = now
        self._current = None

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the phases and write the file."""
        self._close()
        phases = {name: round(seconds, 1) for name, seconds in self._phases.items()}
        if phases:
            self._display.banner("PHASES")
            for name, seconds in phases.items():
                self._display.display(f"{name:<12} {seconds:>7.1f} s")
        if self._attempts:
            self._display.banner("PLACEMENT")
            for line in attempt_lines(self._attempts):
                self._display.display(line)
        target = self.get_option("summary_file")
        if target:
            self._write(Path(target), stats, phases)

    def _write(self, target: Path, stats: Any, phases: dict[str, float]) -> None:
        hosts = sorted(stats.processed)
        outcome = {
            "changed": {h: stats.changed.get(h, 0) for h in hosts},
            "changed_tasks": self._changed_tasks,
            "failed": {h: stats.failures[h] for h in hosts if stats.failures.get(h)},
            "unreachable": {h: stats.dark[h] for h in hosts if stats.dark.get(h)},
            "phases": phases,
            "attempts": self._attempts,
            "stats": stats.custom.get("_run", {}),
        }
        part = target.with_name(target.name + ".part")
        part.write_text(json.dumps(outcome, indent=2, default=str) + os.linesep, encoding="utf-8")
        part.replace(target)
