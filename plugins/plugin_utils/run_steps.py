# SPDX-License-Identifier: Apache-2.0
"""A run as a few steps: which task belongs to which, and what is said of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..module_utils.gce import naming

# What each role of the collection is for, in a word.
ROLES = {
    "gce_network": "firewall",
    "gce_instance": "instance",
    "gpu_host": "host",
    "data_disk": "disk",
    "vllm_venv": "vLLM",
    "llm_model": "weights",
    "llm_server": "service",
    "llm_benchmark": "load",
    "monitoring": "monitoring",
}
# Phases that are one step, whatever roles they use.
WHOLE = ("preflight", "verify", "settings")
FIRST_HEARTBEAT, LATER_HEARTBEATS = (10, 30), 60
MOST_TASKS = 2


@dataclass
class Step:
    """What follows each other and is told in one line.

    Attributes:
        phase: the play's, as `configure`.
        title: a word or two.
        began: seconds of some clock.
        objects: what was changed, in words.
        tasks: names of tasks that changed something and say nothing more.
        outcome: `created`, `changed` and so on; empty where nothing was changed.
    """

    phase: str
    title: str
    began: float = 0.0
    objects: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    outcome: str = ""

    def see(self, task: str, action: str, result: Mapping[str, Any]) -> None:
        """Learn from a result that changed something."""
        told = [one for one in _results(result) if one.get("changed")]
        for one in told:
            words = described(action, one)
            if words and words not in self.objects:
                self.objects.append(words)
            outcome = outcome_of(one)
            self.outcome = outcome if self.outcome in ("", outcome) else "changed"
        if not any(described(action, one) for one in told) and task not in self.tasks:
            self.tasks.append(task)

    def line(self, now: float, *, check: bool = False) -> str:
        """The step in one line."""
        said = self.objects or _few(self.tasks)
        text = f"{self.title}: {', '.join(said)}" if said else self.title
        outcome = f"would be {self.outcome}" if check else self.outcome
        return f"{self.phase:<11} {text:<58} {outcome:>8} {now - self.began:>5.0f} s"


def _results(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = result.get("results")
    if isinstance(items, list):
        return [one for one in items if isinstance(one, Mapping)]
    return [result]


def _few(names: list[str]) -> list[str]:
    more = len(names) - MOST_TASKS
    return [*names[:MOST_TASKS], *([f"{more} more"] if more > 0 else [])]


def phase_of(play: str) -> str:
    """`configure` of `Configure: host, vLLM, model and server`."""
    return play.split(":", maxsplit=1)[0].strip().lower() if ":" in play else "run"


def title_of(phase: str, roles: Iterable[str]) -> str:
    """The step of a task, by the roles that it stands in, the innermost last."""
    if phase in WHOLE:
        return "checks"
    known = [ROLES[role] for role in roles if role in ROLES]
    return known[0] if known else "playbook"


def outcome_of(result: Mapping[str, Any]) -> str:
    """What became of something that changed."""
    how = {str(one.get("how")) for one in result.get("changes") or [] if isinstance(one, Mapping)}
    for found, word in (("create", "created"), ("delete", "deleted"), ("recreate", "recreated")):
        if found in how:
            return word
    return "changed"


def described(action: str, result: Mapping[str, Any]) -> str:
    """What a module of ours changed, in a few words; empty where its task's name has to do."""
    module = action.rpartition(".")[2]
    called = (result.get("invocation") or {}).get("module_args") or {}
    name = str(called.get("name") or "")
    if module == "gce_firewall" and name:
        ranges = ", ".join(called.get("source_ranges") or [])
        return f"{name} ({ranges})" if ranges else name
    if module == "gce_instance" and name:
        machine = naming.short(str((result.get("instance") or {}).get("machineType", "")))
        kind = machine or called.get("machine_type") or ""
        return f"{name}{f', {kind}' if kind else ''} in {result.get('zone')}"
    if module == "uv_sync":
        packages = len(result.get("installed") or {})
        return f"{packages} packages" if packages else ""
    if module == "systemd_service" and name:
        state = called.get("state")
        return f"{name} {state}" if state else name
    return ""


def failure_lines(result: Mapping[str, Any]) -> list[str]:
    """Why a task failed, in its own words, and what to do next."""
    text = result.get("msg")
    if isinstance(text, (list, tuple)):
        lines = [str(one) for one in text]
    else:
        lines = str(text or "").strip().splitlines()
    for name in ("stderr", "module_stderr", "stdout"):
        if len(lines) > 1 or (lines and lines[0] not in GENERAL):
            break
        lines += str(result.get(name) or "").strip().splitlines()[-5:]
    remedy = str(result.get("remedy") or "").strip()
    if remedy and remedy not in " ".join(lines):
        lines.append(f"Next: {remedy}")
    return lines or ["No reason was given; -v shows all that is known."]


# What Ansible says where the program's own words are elsewhere.
GENERAL = ("non-zero return code", "MODULE FAILURE")


def beats(elapsed: float, last: float) -> bool:
    """Whether a task that runs on is to be told of, `last` seconds after its start."""
    marks = [*FIRST_HEARTBEAT, *range(LATER_HEARTBEATS, int(elapsed) + 1, LATER_HEARTBEATS)]
    return any(last < mark <= elapsed for mark in marks)
