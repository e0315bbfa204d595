# SPDX-License-Identifier: Apache-2.0
"""A command line that means the same later and elsewhere, and holds no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils import command_line


def test_lasts_in_another_folder_and_without_what_concerns_this_run(tmp_path: Path) -> None:
    (tmp_path / "vault").touch()
    cli: dict[str, Any] = {
        "inventory": ("/inventory",),
        "extra_vars": (
            "gce_name=b timer_mode=repair note='a b'",
            '{"gce_zone": "z", "timer_minutes": 5}',
            "@more.yml",
            "timer_state=absent",
        ),
        "vault_ids": ("dev@vault", "prod@a-client.py"),
        "vault_password_files": ("vault",),
        "subset": "all",
        "become": True,
    }
    assert command_line.options(command_line.lasting(cli, tmp_path, "timer_")) == [
        "--inventory=/inventory",
        f"--extra-vars={json.dumps({'gce_name': 'b', 'note': 'a b'})}",
        '--extra-vars={"gce_zone": "z"}',
        f"--extra-vars=@{tmp_path}/more.yml",
        f"--vault-id=dev@{tmp_path}/vault",
        "--vault-id=prod@a-client.py",
        f"--vault-password-file={tmp_path}/vault",
        "--limit=all",
        "--become",
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("llm_api_key=k", ["llm_api_key"]),
        ("llm_api_key=", []),
        ("llm_api_key_file=/key", []),
        ("ansible_become_password=x a_pass=y", ["a_pass", "ansible_become_password"]),
        ('{"a": [{"HF_TOKEN": "x"}], "keys": 1}', ["a.HF_TOKEN", "keys"]),
        ("llm_model_token=\"{{ lookup('file', '/token') }}\"", []),
        ("@file-with-llm_api_key", []),
        ("proxy=http://token@proxy:3128", ["proxy"]),
        ('{"a": {"mirrors": ["https://u:p@host/simple"]}}', ["a.mirrors"]),
        ("index=https://host/a@b mail=a@b", []),
        (
            '{"gce_instance_metadata": {"startup-script": "x", "team": "y"}}',
            ["gce_instance_metadata.startup-script"],
        ),
        ('{"gce_instance_metadata": {"user-data": "x"}}', ["gce_instance_metadata.user-data"]),
        ("my_script=x", []),
    ],
)
def test_secrets_on_the_command_line_are_named(text: str, named: list[str]) -> None:
    assert command_line.secrets({"extra_vars": (text,)}, {"keys"}) == named


@pytest.mark.parametrize(
    ("cli", "option"),
    [
        ({}, ""),
        ({"become_ask_pass": True}, "--become-password-file"),
        ({"vault_ids": ("dev@prompt",)}, "--vault-id=NAME@FILE"),
        ({"vault_ids": ("dev@/file",)}, ""),
    ],
)
def test_what_was_asked_of_a_person_has_to_be_in_a_file(cli: dict[str, Any], option: str) -> None:
    assert command_line.asking(cli) == option
