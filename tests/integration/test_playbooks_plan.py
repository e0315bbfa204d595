# SPDX-License-Identifier: Apache-2.0
"""plan.yml and the preflight's refusal, as people run them: without a cloud or a hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.emulator_fixture import ROOT

MODELS = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())


def play(playbook: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "HF_ENDPOINT": "http://127.0.0.1:1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["ansible-playbook", f"playbooks/{playbook}", "-e", json.dumps(variables), *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(MODELS["llama-3.1-8b"]["config"]))
    return tmp_path


def test_a_plan_without_an_account(model: Path) -> None:
    out = model / "plan.json"
    asked = {"llm_model": str(model), "plan_gpu": "nvidia-h100-80gb", "plan_output": str(out)}
    done = play("plan.yml", **asked, llm_server_vllm_args={"max_model_len": 8192})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    found = json.loads(out.read_text())
    assert found["fits"] is True and found["max_model_len"] == 8192
    assert found["kv_bytes_per_token"] == 131072
    assert found["machine_types"][0]["machine_type"] == "g2-standard-4"
    assert found["machine_types"][0]["price_per_hour"] == pytest.approx(0.7068)


def test_a_plan_in_check_mode_of_what_does_not_fit(model: Path) -> None:
    out = model / "plan.json"
    asked = {"llm_model": str(model), "plan_gpu": "g2-standard-8", "plan_output": str(out)}
    done = play("plan.yml", "--check", **asked)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["fits"] is False and "set max_model_len" in found["reason"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"llm_model": "owner/model"}, "can't be reached"),
        ({"llm_model": "/no/such/folder"}, "There is no folder"),
        ({"llm_model": "owner/model", "plan_gpus": "l4"}, "plan_gpus"),
    ],
)
def test_a_plan_that_cannot_be_made(variables: dict[str, Any], said: str) -> None:
    done = play("plan.yml", **variables)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())


def preflight(model: str, **more: Any) -> str:
    """What the preflight says; without credentials it never gets past the cloud."""
    done = play(
        "site.yml",
        "--tags",
        "preflight",
        llm_model=model,
        gce_project="a-project",
        gce_endpoint="http://127.0.0.1:1",
        gce_service_account_file="/no/such/key.json",
        **more,
    )
    assert done.returncode != 0
    return " ".join((done.stdout + done.stderr).split())


def test_preflight_refuses_what_does_not_fit_before_it_asks_anybody(model: Path) -> None:
    said = preflight(str(model), gce_instance_machine_type="g2-standard-8")
    assert "does not fit on g2-standard-8" in said
    assert "set max_model_len" in said and "preflight_skip_fit" in said
    assert "key.json" not in said


def test_preflight_looks_at_every_placement(model: Path) -> None:
    places = [
        {"zone": "us-central1-a", "machine_type": "a3-highgpu-1g"},
        {"zone": "us-central1-b", "machine_type": "g2-standard-12"},
    ]
    said = preflight(str(model), gce_instance_placements=places)
    assert "does not fit on g2-standard-12" in said and "does not fit on a3" not in said


def test_preflight_goes_on_where_it_is_told_to_or_the_model_cannot_be_read(model: Path) -> None:
    assert "key.json" in preflight(str(model), preflight_skip_fit=True)
    said = preflight("owner/model")
    assert "was not checked" in said and "key.json" in said


def test_preflight_refuses_a_driver_that_is_too_old_before_it_asks_anybody(model: Path) -> None:
    old = {"gce_instance_image_family": "common-cu128-ubuntu-2204-nvidia-570"}
    said = preflight(str(model), **old, gce_instance_machine_type="a3-highgpu-1g")
    assert (
        "a3-highgpu-1g can't serve: vLLM 0.32.0 for CUDA 13.0 (cu130) needs NVIDIA driver" in said
    )
    assert "580 or newer" in said and "nvidia-580" in said
    assert "key.json" not in said


def test_preflight_says_which_python_uv_will_fetch_and_refuses_the_images_own(model: Path) -> None:
    old = {
        "gce_instance_image_family": "common-cu129-ubuntu-2204-nvidia-580",
        "gce_instance_machine_type": "a3-highgpu-1g",
    }
    said = preflight(str(model), **old)
    assert "and there is 3.10: uv will fetch 3.12 from https://github.com/astral-sh/" in said
    # It went on, to where the credentials are missing.
    assert "key.json" in said
    said = preflight(str(model), **old, vllm_venv_python="/usr/bin/python3")
    assert (
        "a3-highgpu-1g can't serve: the lock of vLLM 0.32.0 for CUDA 13.0 (cu130) is made" in said
    )
    assert "set vllm_venv_python=auto" in said and "ubuntu-2404" in said
    assert "key.json" not in said


def test_a_plan_for_a_cpu_counts_with_the_number_format_of_the_server(model: Path) -> None:
    out = model / "plan.json"
    asked = {"llm_model": str(model), "plan_gpu": "cpu", "plan_output": str(out)}
    for given, dtype in (({}, "float32"), ({"llm_server_vllm_args": {"dtype": "half"}}, "half")):
        done = play("plan.yml", **asked, **given)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(out.read_text())["vllm_args"]["dtype"] == dtype


def test_a_plan_for_a_build_without_code_for_the_gpu(model: Path) -> None:
    out = model / "plan.json"
    done = play(
        "plan.yml",
        llm_model=str(model),
        plan_gpu="nvidia-b200",
        plan_output=str(out),
        preflight_vllm_build="cu126",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["fits"] is False and "nvidia-b200 has 10.0: choose another GPU" in found["reason"]
    answers = {row["machine_type"]: row["fits"] for row in found["machine_types"]}
    assert answers["a4-highgpu-8g"] is False and answers["a3-highgpu-1g"] is not False


def test_a_plan_takes_the_profile_of_its_gpu(model: Path) -> None:
    out = model / "plan.json"
    asked = {"llm_model": str(model), "plan_gpu": "g2-standard-8", "plan_output": str(out)}
    done = play("plan.yml", **asked, llm_server_profile="cheap", vllm_args={"max_num_seqs": 64})
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())["vllm_args"]
    assert found["quantization"] == "fp8" and found["max_num_seqs"] == 64
