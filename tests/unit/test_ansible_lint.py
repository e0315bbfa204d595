# SPDX-License-Identifier: Apache-2.0
"""The faster ansible-lint sees what ansible-lint sees of a playbook's syntax."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader

from tests import ansible_lint

PLAY = """\
- hosts: localhost
  tasks:
    - {module}: {{msg: hello}}
"""


def test_one_broken_playbook_of_two_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [("playbook", tmp_path / "good.yml"), ("playbook", tmp_path / "bad.yml")]
    for (_, path), module in zip(
        files, ("ansible.builtin.debug", "llmops.gce_vllm.none"), strict=True
    ):
        path.write_text(PLAY.format(module=module))
    assert ansible_lint.check_syntax(files) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert "couldn't resolve module/action 'llmops.gce_vllm.none'" in told
    assert "bad.yml" in told


def test_a_copied_task_is_another_with_the_same_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    task = DataLoader().load("{name: a, args: [b, 1]}")
    for kind in {type(task["name"]), type(task["args"][1])}:
        # Undone after the test, though the program sets them for good.
        monkeypatch.setattr(kind, "__deepcopy__", None, raising=False)
    ansible_lint.share_texts()
    made = copy.deepcopy(task)
    assert made == task
    assert made is not task
    assert made["args"] is not task["args"]
    assert made["name"] is task["name"]
