# SPDX-License-Identifier: Apache-2.0
"""Says at the end of a run how long each phase took, and writes the outcome as JSON for scripts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: run_summary
type: aggregate
short_description: Where the endpoint is, seconds per phase, and the run's outcome as JSON
version_added: 0.1.0
description:
  - A phase is what stands before the colon in a play's name. Plays without a colon are not counted.
  - Where instances were asked for or started, says again what came of each attempt.
  - Where a run only planned, ends with the plan and the command that carries it out.
  - Ends with each deployment's endpoint, its API key file and a command that asks it. Its cost an
    hour and how to stop it follow. After a failure, it ends with what exists and costs.
  - With a file named, writes changed tasks per host, seconds per phase, and failed and unreachable
    hosts. Attempts, deployments and what tasks stored with C(ansible.builtin.set_stats) are in it
    too.
options:
  summary_file:
    description: Where to write the JSON; nothing is written without it.
    type: path
    env:
      - name: GCE_VLLM_SUMMARY_FILE
    ini:
      - section: callback_run_summary
        key: summary_file
  output:
    description: V(json) writes the same JSON as the last line of the output, in place of all text.
    type: str
    choices: [text, json]
    default: text
    env:
      - name: GCE_VLLM_OUTPUT
    ini:
      - section: callback_brief
        key: output
requirements:
  - enable in configuration (C(callbacks_enabled))
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase

from ..filter.attempt_lines import attempt_lines
from ..plugin_utils import run_ending
from ..plugin_utils.before_fork import freeze, load_jinja_plugins
from ..plugin_utils.direct_execution import preload_for
from ..plugin_utils.run_steps import failure_lines, phase_of


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
        self._instances = run_ending.Instances()
        self._failures: list[dict[str, Any]] = []
        self._current: str | None = None
        self._worked = False
        self._since = time.monotonic()

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ARG002
        """Load once what each worker would."""
        load_jinja_plugins()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Close the phase before and open the play's own."""
        self._close()
        name = play.get_name()
        self._current = phase_of(name) if ":" in name else None

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Import once what each worker would. Note that the phase has work.

        A play that no tag selects is no phase, though its roles check their arguments.
        """
        preload_for(str(task.action))
        freeze()
        self._worked = self._worked or "validate_argument_spec" not in task.action

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Remember failed attempts."""
        self._remember(result)
        if not ignore_errors:
            self._remember_failure(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Remember who did not answer."""
        self._remember_failure(result)

    def _remember_failure(self, result: Any) -> None:
        items = [one for one in result.result.get("results") or [] if one.get("failed")]
        for one in items or [result.result]:
            self._failures.append(
                {
                    "host": result.host.get_name(),
                    "task": result.task.get_name(),
                    "lines": failure_lines(one),
                }
            )

    def _remember(self, result: Any) -> None:
        self._instances.see(result.task.action, result.result)
        # Tasks that are repeated have a number by this name.
        attempts = result.result.get("attempts")
        if isinstance(attempts, list):
            self._attempts += attempts

    def v2_runner_on_ok(self, result: Any) -> None:
        """Remember which task changed something, and where; and what was asked of Google."""
        self._remember(result)
        if result.is_changed():
            host, task = result.host.get_name(), result.task.get_name()
            self._changed_tasks.append({"host": host, "task": task})

    def _close(self) -> None:
        now = time.monotonic()
        if self._current and self._worked:
            self._phases[self._current] = self._phases.get(self._current, 0.0) + now - self._since
        self._since = now
        self._current = None
        self._worked = False

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print how it ended and write the file."""
        self._close()
        phases = {name: round(seconds, 1) for name, seconds in self._phases.items()}
        custom = stats.custom.get("_run") or {}
        told = custom.get("deployments") or {}
        deployments = run_ending.merged(told, self._instances)
        outcome = self._outcome(stats, phases, deployments)
        if self.get_option("output") == "json":
            self._display.display(json.dumps(outcome, default=str))
        else:
            self._say_work(phases)
            self._say_plans(custom)
            failed = bool(stats.failures or stats.dark)
            shown = deployments if failed else {one: deployments[one] for one in told}
            same = not any(stats.changed.values()) and not failed
            self._say_ending(shown, failed=failed, same=same)
        target = self.get_option("summary_file")
        if target:
            part = Path(target + ".part")
            part.write_text(json.dumps(outcome, indent=2, default=str) + os.linesep, "utf-8")
            part.replace(target)

    @property
    def _brief(self) -> bool:
        """Whether the callback brief shows the run, and so has told most of it."""
        ours = str(constants.DEFAULT_STDOUT_CALLBACK) == "llmops.gce_vllm.brief"
        return ours and not self._display.verbosity

    def _headline(self, text: str) -> None:
        if not self._brief:
            self._display.banner(text)

    def _say_work(self, phases: dict[str, float]) -> None:
        if phases and not self._brief:
            self._display.banner("PHASES")
            for name, seconds in phases.items():
                self._display.display(f"{name:<12} {seconds:>7.1f} s")
        # One attempt that went well is a step as others are.
        if len(self._attempts) > 1 or (self._attempts and not self._brief):
            self._headline("PLACEMENT")
            for line in attempt_lines(self._attempts):
                self._display.display(line)

    def _say_plans(self, custom: dict[str, Any]) -> None:
        """What there is to say yes to, where this run has not done it."""
        plans = custom.get("plans") or {}
        # Phase 2 begins with these.
        provisioned = "deployments" in custom
        if not plans or (provisioned and not context.CLIARGS.get("check")):
            return
        if provisioned or self._brief:  # it stands far above, or nowhere
            self._headline("PLAN")
            for line in (line for text in plans.values() for line in text):
                self._display.display(line)
        # With one deployment only: of several each host has its own name.
        name = next(iter(plans)) if len(plans) == 1 else ""
        self._display.display(f"Create it with: {_commands().line('site', name)}")

    def _say_ending(self, deployments: dict[str, Any], *, failed: bool, same: bool) -> None:
        commands = _commands()
        text: list[str] = []
        for name, known in deployments.items():
            if self._brief and same:
                text += run_ending.short_lines(known)
            else:
                text += run_ending.lines(name, known, commands, failed=failed)
        if self._brief and same and deployments:
            self._display.display("Nothing to change.")
        if not text:
            return
        self._headline("WHAT EXISTS AND COSTS NOW" if failed else "ENDPOINT")
        for line in text:
            self._display.display(line)
        if failed:
            self._display.display(f"{'Next':<10} {run_ending.AFTER_A_FAILURE}")

    def _outcome(
        self, stats: Any, phases: dict[str, float], deployments: dict[str, Any]
    ) -> dict[str, Any]:
        hosts = sorted(stats.processed)
        return {
            "changed": {h: stats.changed.get(h, 0) for h in hosts},
            "changed_tasks": self._changed_tasks,
            "failed": {h: stats.failures[h] for h in hosts if stats.failures.get(h)},
            "unreachable": {h: stats.dark[h] for h in hosts if stats.dark.get(h)},
            "phases": phases,
            "failures": self._failures,
            "attempts": self._attempts,
            "deployments": {
                name: {**known, "try_it": run_ending.curl_line(known)}
                if "endpoint" in known
                else known
                for name, known in deployments.items()
            },
            "stats": stats.custom.get("_run", {}),
        }


def _commands() -> run_ending.Commands:
    given = context.CLIARGS
    inventories = [str(one) for one in given.get("inventory") or []]
    # Ansible fills in those of its configuration.
    if inventories == [str(one) for one in constants.DEFAULT_HOST_LIST]:
        inventories = []
    # Values may be secrets, so only whether one of them names the deployment is looked at.
    named = any("gce_name" in str(one) for one in given.get("extra_vars") or [])
    return run_ending.Commands(str((given.get("args") or [""])[0]), inventories, named)
