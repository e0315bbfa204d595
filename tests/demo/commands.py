# SPDX-License-Identifier: Apache-2.0
"""Runs the documented commands from the clone's root."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Longest that one answer may take; a bound against hanging, as machines may be busy.
TIMEOUT_S = 300
# Tests read what a stock callback writes; ours has tests of its own.
STOCK = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}
#: As the project's own settings have it: what a user runs.
AS_USERS = {"ANSIBLE_CALLBACKS_ENABLED": "llmops.gce_vllm.run_summary"}
# Of two dozen runs on one demo most do the same, and need not pack and compile it each.
SPARING = {
    "ANSIBLE_CALLBACKS_ENABLED": "llmops.gce_vllm.run_summary,spare_workers",
    "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/callbacks"),
}


def run(
    *command: str, environment: dict[str, str] | None = None, seconds: int = 1800
) -> subprocess.CompletedProcess[str]:
    """Run a command from the clone's root; output captured as one text."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **STOCK, **SPARING, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def site(
    *extra: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run site.yml against the demo with plain ansible-playbook."""
    return run(
        ".venv/bin/ansible-playbook",
        "-i",
        "inventories/demo",
        "playbooks/site.yml",
        *extra,
        environment=environment,
    )


def play(name: str, *extra: str) -> str:
    """Run a playbook that has to succeed against the demo; what it said."""
    done = run(
        ".venv/bin/ansible-playbook", "-i", "inventories/demo", f"playbooks/{name}.yml", *extra
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def on_instance(demo: dict[str, Any], command: str) -> str:
    """Run a shell line on the instance, by the ssh command that the demo prints."""
    done = run(*demo["ssh"].split(), command)
    assert done.returncode == 0, done.stdout
    return done.stdout


def first_key() -> str:
    """The key that `make demo` made."""
    return (ROOT / ".demo" / "api_key").read_text().strip()


def outcome() -> dict[str, Any]:
    """What the last run left for scripts."""
    document: dict[str, Any] = json.loads((ROOT / ".demo" / "run.json").read_text())
    return document
