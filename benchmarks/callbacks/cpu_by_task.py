# SPDX-License-Identifier: Apache-2.0
"""Writes what each task cost the controller: processor and wall seconds, as lines of JSON."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: cpu_by_task
type: aggregate
short_description: Processor and wall seconds per task, as lines of JSON
description:
  - Counts this process and all that it waited for. What a task's workers cost is the task's.
  - For benchmarks of this repository.
options:
  target:
    description: Where to write.
    type: path
    required: true
    env:
      - name: CPU_BY_TASK
"""


def _spent() -> float:
    # A worker ends a little after it has told its result, and is counted once it was waited for.
    for worker in multiprocessing.active_children():
        worker.join(timeout=5)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """A line for each task, and a first one for what came before the first play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cpu_by_task"

    def __init__(self) -> None:
        super().__init__()
        self._phase, self._task = "start", "start"
        # The processor's seconds of a process are counted from its beginning.
        self._cpu, self._since = 0.0, time.monotonic()

    def _next(self, task: str) -> None:
        cpu, now = _spent(), time.monotonic()
        one = {
            "phase": self._phase,
            "task": self._task,
            "cpu_seconds": round(cpu - self._cpu, 4),
            "wall_seconds": round(now - self._since, 4),
        }
        with Path(self.get_option("target")).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(one) + os.linesep)
        self._cpu, self._since, self._task = cpu, now, task

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Close the task before."""
        self._next(f"play {play.get_name()}")
        name = str(play.get_name())
        self._phase = name.split(":", maxsplit=1)[0].strip().lower() if ":" in name else "settings"

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Close the task before."""
        self._next(str(task.get_name()))

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002
        """Close the last task."""
        self._next("end")
