# SPDX-License-Identifier: Apache-2.0
"""Forked runs of ansible-playbook are like those of the program itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import playbook_runs
from tests.support.playbook_runs import PROGRAM, ROOT, ansible_playbook

PLAY = {"name": "Say", "hosts": "localhost", "connection": "local", "gather_facts": False}
HERE = ("-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}")
ASKED = "{{ lookup('ansible.builtin.env', 'ASKED') }}"
FORKS = "{{ lookup('ansible.builtin.config', 'DEFAULT_FORKS') }}"
# It ends with 2.
TASKS: list[dict[str, Any]] = [
    {"ansible.builtin.debug": {"msg": f"<{ASKED}> <{{{{ ansible_playbook_python | dirname }}}}>"}},
    {"ansible.builtin.command": "pwd", "register": "folder", "changed_when": False},
    {"ansible.builtin.debug": {"msg": "<{{ folder.stdout }}>"}},
    {"ansible.builtin.fail": {"msg": "An end"}},
]


def book(folder: Path, *tasks: dict[str, Any]) -> str:
    """A playbook of these tasks for this machine."""
    target = folder / "play.json"
    target.write_text(json.dumps([PLAY | {"tasks": tasks}]), encoding="utf-8")
    return str(target)


def test_as_the_program_itself(tmp_path: Path) -> None:
    arguments = [*HERE, book(tmp_path, *TASKS), "-v"]
    forked = ansible_playbook(*arguments, environment={"ASKED": "this"}, cwd=tmp_path)
    itself = subprocess.run(
        [PROGRAM, *arguments],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ASKED": "this",
        },
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert forked.returncode == itself.returncode == 2
    assert _timeless(forked.stdout) == _timeless(itself.stdout)
    assert forked.stderr == itself.stderr
    assert f"<this> <{PROGRAM.parent}>" in forked.stdout
    assert f"<{tmp_path}>" in forked.stdout
    merged = ansible_playbook(*arguments, environment={"ASKED": "this"}, cwd=tmp_path, merged=True)
    assert (merged.returncode, merged.stderr) == (2, "")
    assert "An end" in merged.stdout


def _timeless(text: str) -> list[str]:
    times = ("delta:", "start:", "end:")
    return [line for line in text.splitlines() if not line.strip().startswith(times)]


def test_a_run_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    path = book(tmp_path, {"ansible.builtin.debug": {"msg": "<{{ left | default('') }}>"}})
    first = ansible_playbook("-i", "localhost,", "-e", "left=here", path)
    assert "<here>" in first.stdout and first.returncode == 0
    assert "<>" in ansible_playbook("-i", "localhost,", path).stdout


def test_settings_that_ansible_reads_early_are_the_runs_own(tmp_path: Path) -> None:
    path = book(tmp_path, {"ansible.builtin.debug": {"msg": f"<{FORKS}>"}})
    assert "<20>" in ansible_playbook("-i", "localhost,", path).stdout
    other = ansible_playbook("-i", "localhost,", path, environment={"ANSIBLE_FORKS": "3"})
    assert "<3>" in other.stdout


def test_a_run_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    path = book(tmp_path, {"ansible.builtin.wait_for": {"timeout": 60}})
    with pytest.raises(subprocess.TimeoutExpired):
        ansible_playbook(*HERE, path, timeout=2)
    (server,) = playbook_runs._started.values()
    for run in psutil.Process(server._process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends while it is looked at
            while run.is_running() and run.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)
    # What needs Ansible's folder for temporary files, which all runs have in common.
    made = tmp_path / "made"
    path = book(tmp_path, {"ansible.builtin.copy": {"content": "this", "dest": str(made)}})
    assert ansible_playbook(*HERE, path).returncode == 0
    assert made.read_text(encoding="utf-8") == "this"
