# SPDX-License-Identifier: Apache-2.0
"""What a run shows through our own callback."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.playbook_runs import ansible_playbook
from tests.support.site_fixture import NAME, Site

BRIEF = {"ANSIBLE_STDOUT_CALLBACK": "llmops.gce_vllm.brief"}
HERE = ("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")
LOCAL = {"name": "Configure: a thing", "hosts": "localhost", "gather_facts": False}
Task = dict[str, Any]
SAY: Task = {"name": "Speak", "ansible.builtin.debug": {"msg": "a word"}}
TOUCH: Task = {"name": "Write a file", "ansible.builtin.copy": {"content": "x", "dest": "{{ t }}"}}
FAIL: Task = {"name": "Give up", "ansible.builtin.fail": {"msg": "It is wrong. Next: fix it."}}


def show(
    folder: Path, tasks: list[Task], *options: str, **environment: str
) -> tuple[int, list[str]]:
    """Run tasks on this machine: the exit status and the lines that are not empty.

    On a busy machine any task may be one that takes long, and is named: not here.
    """
    play = [LOCAL | {"tasks": tasks}]
    (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    done = ansible_playbook(
        *(*HERE, "-e", f"t={folder / 'file'}", folder / "play.yml", *options),
        environment={**BRIEF, **environment},
        timeout=600,
        merged=True,
    )
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    return done.returncode, without_what_takes_long(done.stdout)


def without_what_takes_long(text: str) -> list[str]:
    """The lines that are not empty, but those."""
    return [line for line in text.splitlines() if line.strip() and "s so far" not in line]


def test_what_changed_and_what_was_said(tmp_path: Path) -> None:
    status, lines = show(tmp_path, [SAY, TOUCH])
    assert status == 0
    said, changed = lines
    assert said == "a word"
    assert changed.split()[:5] == ["configure", "playbook:", "Write", "a", "file"]
    assert show(tmp_path, [TOUCH]) == (0, []), "what changes nothing is not told"


def test_a_failure_is_told_once(tmp_path: Path) -> None:
    status, lines = show(tmp_path, [FAIL])
    assert status == 2
    assert lines == ["FAILED      Give up (localhost)", "  It is wrong. Next: fix it."]


def test_a_turn_of_a_loop_is_told_once(tmp_path: Path) -> None:
    task = {
        "name": "Look at each",
        "ansible.builtin.assert": {"that": "item != 'b'", "fail_msg": "No {{ item }}."},
        "loop": ["a", "b"],
    }
    status, lines = show(tmp_path, [task])
    assert status == 2
    assert lines == ["FAILED      Look at each (localhost, b)", "  No b."]


def test_what_was_made_up_for_is_no_failure(tmp_path: Path) -> None:
    status, lines = show(tmp_path, [{"block": [FAIL], "rescue": [SAY]}])
    assert (status, lines) == (0, ["a word"])
    why = {"name": "Say why", "ansible.builtin.fail": {"msg": "Since it broke."}}
    status, lines = show(tmp_path, [{"block": [FAIL], "rescue": [why]}])
    assert (status, lines) == (2, ["FAILED      Say why (localhost)", "  Since it broke."])


def test_an_ignored_failure_is_not_told(tmp_path: Path) -> None:
    assert show(tmp_path, [{**FAIL, "ignore_errors": True}]) == (0, [])


def test_check_mode_says_what_would_change(tmp_path: Path) -> None:
    status, [line] = show(tmp_path, [TOUCH], "--check")
    assert status == 0
    assert "would be changed" in line
    assert not (tmp_path / "file").exists()


def test_diffs_stand_under_their_task(tmp_path: Path) -> None:
    _, lines = show(tmp_path, [TOUCH], "--diff")
    assert lines[0] == "Write a file (localhost):"
    assert "+x" in lines


def test_verbose_is_as_before(tmp_path: Path) -> None:
    _, ours = show(tmp_path, [SAY, FAIL], "-v")
    _, theirs = show(tmp_path, [SAY, FAIL], "-v", ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default")

    def told(lines: list[str]) -> list[str]:
        return [line for line in lines if not line.startswith("configure ")]  # seconds

    assert told(ours) == told(theirs)
    assert any(line.startswith("TASK [Give up]") for line in ours)


def test_what_takes_long_is_named(tmp_path: Path) -> None:
    wait = {"name": "Wait for it", "ansible.builtin.command": "sleep 12", "changed_when": False}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([LOCAL | {"tasks": [wait]}]))
    done = ansible_playbook(*HERE, tmp_path / "play.yml", environment=BRIEF, merged=True)
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if "Wait for it" in line]
    assert lines[0].startswith("configure   Wait for it: 1")
    assert lines[0].endswith("s so far")


def test_json_by_request(tmp_path: Path) -> None:
    status, lines = show(tmp_path, [SAY, TOUCH, FAIL], GCE_VLLM_OUTPUT="json")
    assert status == 2
    [line] = lines
    found = json.loads(line)
    assert found["changed"] == {"localhost": 1}
    assert found["failures"] == [
        {"host": "localhost", "task": "Give up", "lines": ["It is wrong. Next: fix it."]}
    ]


def test_a_site_in_a_few_lines(site: Site) -> None:
    site.reach_locally()
    site.servers[NAME]["gcp_labels"] = {"gce-vllm-name": NAME}
    options = ("--tags", "preflight,provision")
    first = site.play("playbooks/site.yml", *options, environment=BRIEF)
    assert first.returncode == 0, first.stdout
    lines = without_what_takes_long(first.stdout)
    assert len(lines) <= 14, first.stdout
    assert f"{NAME}-api (198.51.100.7/32)" in first.stdout
    assert f"instance: {NAME}, g2-standard-4 in us-central1-a" in first.stdout
    assert "created" in first.stdout
    again = site.play("playbooks/site.yml", *options, environment=BRIEF)
    assert again.returncode == 0, again.stdout
    told = without_what_takes_long(again.stdout)
    assert "Nothing to change." in told
    assert len(told) <= 6, again.stdout
