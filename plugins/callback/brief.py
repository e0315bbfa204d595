# SPDX-License-Identifier: Apache-2.0
"""Shows a run in a few lines: what changed, what failed and why, and what takes long."""

from __future__ import annotations

DOCUMENTATION = r"""
name: brief
type: stdout
short_description: A run in a few lines
version_added: 0.2.0
description:
  - One line for each step that changed something, and what C(ansible.builtin.debug) says. Each
    failure is shown once, with its message and what to do next.
  - A task that runs for longer than 10 seconds is named while it runs.
  - With C(-v) everything is shown as by C(ansible.builtin.default).
  - Writes plain text without control codes. P(llmops.gce_vllm.run_summary#callback) adds how the
    run ended, or writes all of it as JSON instead.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  output:
    description: V(json) shows nothing on the way. Then the run ends with one JSON document.
    type: str
    choices: [text, json]
    default: text
    env:
      - name: GCE_VLLM_OUTPUT
    ini:
      - section: callback_brief
        key: output
requirements:
  - set as stdout in configuration (C(stdout_callback))
"""

import threading
import time
from typing import Any

from ansible import constants, context
from ansible.playbook.block import Block
from ansible.plugins.callback.default import CallbackModule as Default

from ..plugin_utils import run_steps

# A debug task with this among its variables is told at the end by run_summary.
TOLD_LATER = "__told_at_the_end"


class CallbackModule(Default):  # type: ignore[misc]
    """Ansible's default callback under -v, and a few lines without."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "llmops.gce_vllm.brief"

    def __init__(self) -> None:
        super().__init__()
        self._phase = "run"
        self._step: run_steps.Step | None = None
        self._told: set[tuple[str, str, str]] = set()
        # Of tasks whose block has a rescue, which may make up for them.
        self._held: list[list[str]] = []
        self._running: tuple[str, float] | None = None
        self._over = threading.Event()

    @property
    def _whole(self) -> bool:
        return bool(self._display.verbosity > 0)

    def _say(self, line: str, color: str | None = None) -> None:
        if self.get_option("output") != "json":
            self._display.display(line, color=color)

    # What begins.

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Look from now on at what takes long."""
        if self._whole:
            super().v2_playbook_on_start(playbook)
        else:
            threading.Thread(target=self._look_on, daemon=True).start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play has a phase."""
        if self._whole:
            super().v2_playbook_on_play_start(play)
            return
        self._close()
        self._phase = run_steps.phase_of(play.get_name())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A task belongs to a step."""
        if self._whole:
            super().v2_playbook_on_task_start(task, is_conditional)
        else:
            self._begin(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """So does a handler."""
        if self._whole:
            super().v2_playbook_on_handler_task_start(task)
        else:
            self._begin(task)

    def _begin(self, task: Any) -> None:
        title = run_steps.title_of(self._phase, _roles(task))
        step = self._step
        if step is None or (step.phase, step.title) != (self._phase, title):
            self._close()
            self._step = run_steps.Step(self._phase, title, time.monotonic())
        # Nobody has to be told that a question waits for its answer.
        waits = task.action.rpartition(".")[2] == "pause"
        self._running = None if waits else (_name(task), time.monotonic())

    def _close(self) -> None:
        step, self._step, self._running = self._step, None, None
        if step and step.outcome:
            self._say(step.line(time.monotonic(), check=bool(context.CLIARGS.get("check"))))

    def _look_on(self) -> None:
        told: tuple[str, float] | None = None
        last = 0.0
        while not self._over.wait(1):
            running = self._running
            if running is None:
                continue
            if running != told:
                told, last = running, 0.0
            elapsed = time.monotonic() - running[1]
            if run_steps.beats(elapsed, last):
                last = elapsed
                self._say(f"{self._phase:<11} {running[0]}: {elapsed:.0f} s so far")

    # What comes of tasks.

    def v2_runner_on_ok(self, result: Any) -> None:
        """Keep what changed; show what a task has to say."""
        if self._whole:
            super().v2_runner_on_ok(result)
            return
        self._warn(result)
        task = result.task
        if "results" not in result.result:
            self._speak(result)
        if result.is_changed() and self._step:
            self._step.see(_name(task), task.action, result.result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Show what a turn of a loop has to say."""
        if self._whole:
            super().v2_runner_item_on_ok(result)
        else:
            self._speak(result)

    def _speak(self, result: Any) -> None:
        task = result.task
        if task.action.rpartition(".")[2] != "debug" or (TOLD_LATER in task.vars and _summarised()):
            return
        message = result.result.get("msg")
        if message is None:  # `var`
            shown = {k: v for k, v in result.result.items() if k in _variables(task)}
            message = [f"{name}: {value}" for name, value in shown.items()]
        for line in message if isinstance(message, list) else [message]:
            self._say(str(line))

    def _warn(self, result: Any) -> None:
        for warning in result.result.get("warnings") or []:
            self._display.warning(str(warning))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Say once why, in the words of the task."""
        if self._whole:
            super().v2_runner_on_failed(result, ignore_errors)
        elif not ignore_errors and "results" not in result.result:
            self._fail(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Each turn of a loop says why by itself."""
        if self._whole:
            super().v2_runner_item_on_failed(result)
        elif not result.task.ignore_errors:
            self._fail(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host that does not answer has failed, too."""
        if self._whole:
            super().v2_runner_on_unreachable(result)
        elif not result.task.ignore_unreachable:
            self._fail(result)

    def _fail(self, result: Any) -> None:
        self._warn(result)
        task, host = result.task, result.host.get_name()
        lines = run_steps.failure_lines(result.result)
        said = (str(task._uuid), host, "\n".join(lines))
        if said in self._told:
            return
        self._told.add(said)
        label = result.result.get("_ansible_item_label")
        where = host if label is None else f"{host}, {label}"
        text = [f"FAILED      {_name(task)} ({where})", *(f"  {line}" for line in lines)]
        if _may_be_rescued(task):
            self._held.append(text)
        else:
            self._held.clear()
            self._show(text)

    def _show(self, text: list[str]) -> None:
        for line in text:
            self._say(line, color="red")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Nothing came of it."""
        if self._whole:
            super().v2_runner_on_skipped(result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Nothing came of it."""
        if self._whole:
            super().v2_runner_item_on_skipped(result)

    def v2_runner_retry(self, result: Any) -> None:
        """That it goes on is told by the clock."""
        if self._whole:
            super().v2_runner_retry(result)

    def v2_runner_on_async_poll(self, result: Any) -> None:
        """As before."""
        if self._whole:
            super().v2_runner_on_async_poll(result)

    def v2_runner_on_async_ok(self, result: Any) -> None:
        """As before."""
        if self._whole:
            super().v2_runner_on_async_ok(result)

    def v2_on_file_diff(self, result: Any) -> None:
        """What --diff is for, under the task's name."""
        if self._whole:
            super().v2_on_file_diff(result)
            return
        found = result.result
        for one in found.get("results", [found]):
            if one.get("changed") and one.get("diff"):
                text = self._get_diff(one["diff"])
                if text:
                    self._say(f"{_name(result.task)} ({result.host.get_name()}):")
                    self._say(text)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Files that hold tasks are of no interest."""
        if self._whole:
            super().v2_playbook_on_include(included_file)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """A play for hosts that there are not has nothing to do."""
        if self._whole:
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """Told by what failed."""
        if self._whole:
            super().v2_playbook_on_no_hosts_remaining()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Close the last step. A failure of which nothing was said is said now."""
        self._over.set()
        if self._whole:
            super().v2_playbook_on_stats(stats)
            return
        self._close()
        if stats.failures or stats.dark:
            for text in self._held:
                self._show(text)


def _summarised() -> bool:
    return any(str(one).endswith("run_summary") for one in constants.CALLBACKS_ENABLED)


def _name(task: Any) -> str:
    return str(task.get_name()).rpartition(" : ")[2].strip()


def _roles(task: Any) -> list[str]:
    """Names of the roles around a task, the outermost first."""
    found: list[str] = []
    at = task
    while at is not None:
        role = getattr(at, "_role", None)
        if role is not None:
            name = str(role.get_name(include_role_fqcn=False)).rpartition(".")[2]
            if name not in found:
                found.insert(0, name)
        at = getattr(at, "_parent", None)
    return found


def _variables(task: Any) -> list[str]:
    return [str(task.args["var"])] if "var" in task.args else []


def _may_be_rescued(task: Any) -> bool:
    child, at = task, getattr(task, "_parent", None)
    while at is not None:
        if (
            isinstance(at, Block)
            and at.rescue
            and any(one._uuid == child._uuid for one in at.block)
        ):
            return True
        child, at = at, getattr(at, "_parent", None)
    return False
