# SPDX-License-Identifier: Apache-2.0
"""The number format that the server's settings get where the user names none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.emulator_fixture import ROOT
from tests.support.playbook_runs import ansible_playbook

ROLE = ROOT / "roles" / "llm_server"
CPU = {"device": "cpu", "dtype": "float32", "gpus": [], "units": []}
T4 = {"device": "cuda", "dtype": "half", "gpus": [{"name": "Tesla T4"}], "units": []}


def vllm_args(tmp_path: Path, **given: Any) -> Any:
    """What is rendered into settings.yaml, by the role's own defaults, variables and template."""
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            # As the role has it: profiles are looked up beside it.
            "vars": {
                "role_path": str(ROLE),
                "llm_model": "m",
                "ansible_python_interpreter": sys.executable,
            },
            "vars_files": [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")],
            "tasks": [
                {
                    "name": "Render",
                    "ansible.builtin.template": {
                        "src": str(ROLE / "templates/settings.yaml.j2"),
                        "dest": str(tmp_path / "settings.yaml"),
                        "mode": "0600",
                    },
                }
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = ansible_playbook(
        *("-i", "localhost,", "-c", "local", "-e", json.dumps(given)),
        tmp_path / "play.yml",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return yaml.safe_load((tmp_path / "settings.yaml").read_text())["vllm_args"]


@pytest.mark.parametrize(
    ("given", "rendered"),
    [
        ({"llm_device": "cpu", "gpu_host_result": CPU}, {"dtype": "float32"}),
        (
            {
                "llm_device": "cpu",
                "gpu_host_result": CPU,
                "llm_server_vllm_args": {"--dtype": "bfloat16"},
            },
            {"--dtype": "bfloat16"},
        ),
        (
            {
                "llm_device": "cpu",
                "gpu_host_result": CPU,
                "llm_server_profile": "latency",
                "llm_server_vllm_args": {"max_model_len": 64},
            },
            {"dtype": "float32", "max_model_len": 64, "max_num_batched_tokens": 512},
        ),
        # vLLM takes half on a T4 by itself, but for models that float16 is too small for.
        ({"llm_device": "cuda", "gpu_host_result": T4}, {}),
        ({"llm_device": "cpu"}, {}),
    ],
    ids=["a CPU", "named", "with a profile", "a T4", "nobody looked at the host"],
)
def test_only_a_cpus_number_format_is_passed_on(
    tmp_path: Path, given: dict[str, Any], rendered: dict[str, Any]
) -> None:
    # Whence media may be fetched is another matter.
    assert vllm_args(tmp_path, llm_server_media_domains=["*"], **given) == rendered
