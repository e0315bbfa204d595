# SPDX-License-Identifier: Apache-2.0
"""plan.yml and the preflight's refusal, as people run them: without a cloud or a hub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator_fixture import ROOT
from tests.support.playbook_runs import ansible_playbook

MODELS = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())


class Hub:
    """Answers `status`, or a model's config.json, and keeps what it was asked with."""

    def __init__(self) -> None:
        self.status = 200
        self.model = "llama-3.1-8b"
        self.asked: list[tuple[str, str | None]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append((self.path, self.headers["Authorization"]))
                text = json.dumps(MODELS[hub.model]["config"]).encode()
                status = hub.status if self.path.endswith("/config.json") else 404
                self.send_response(status)
                self.send_header("Content-Length", str(len(text) if status == 200 else 0))
                self.end_headers()
                if status == 200:
                    self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("", 0), Handler)
        self.port = int(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def hub() -> Iterator[Hub]:
    one = Hub()
    yield one
    one.server.shutdown()
    one.server.server_close()


def play(
    playbook: str, *options: str, hf_endpoint: str = "http://127.0.0.1:1", **variables: Any
) -> subprocess.CompletedProcess[str]:
    return ansible_playbook(
        *(f"playbooks/{playbook}", "-e", json.dumps(variables), *options),
        environment={
            "HF_ENDPOINT": hf_endpoint,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        timeout=300,
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
    assert found["quantization"] == "fp8_per_tensor" and found["max_num_seqs"] == 64


@pytest.mark.parametrize("status", [401, 404])
def test_preflight_stops_where_the_hub_has_no_such_model_or_no_access(
    hub: Hub, status: int
) -> None:
    hub.status = status
    said = preflight("owner/modle", llm_model_hub=hub.url)
    assert "owner/modle on" in said and "llm_model_token" in said
    assert "was not checked" not in said and "key.json" not in said


def test_the_token_goes_to_the_models_hub_and_nowhere_else(hub: Hub) -> None:
    other = Hub()
    said = preflight(
        "owner/model",
        hf_endpoint=other.url,
        llm_model_hub=hub.url,
        llm_model_token="hf_secret_of_the_mirror",
        gce_instance_machine_type="a3-highgpu-1g",
    )
    assert "key.json" in said and "hf_secret_of_the_mirror" not in said
    assert hub.asked and {token for _, token in hub.asked} == {"Bearer hf_secret_of_the_mirror"}
    assert other.asked == []
    other.server.shutdown()
    other.server.server_close()


@pytest.mark.parametrize("mirror", [False, True])
def test_the_token_never_crosses_the_network_in_clear(hub: Hub, mirror: bool) -> None:
    away = f"http://127.0.0.2:{hub.port}"
    named: dict[str, Any] = {} if mirror else {"llm_model_hub": away}
    said = preflight(
        f"{away}/ours" if mirror else "owner/model", llm_model_token="hf_secret", **named
    )
    assert "is not encrypted" in said and "hf_secret" not in said and "key.json" not in said
    assert hub.asked == []


def test_preflight_refuses_a_disk_that_is_too_small_for_the_weights(hub: Hub) -> None:
    hub.model = "llama-3.1-70b"
    asked = {
        "llm_model_hub": hub.url,
        "gce_instance_machine_type": "a3-highgpu-4g",
        "llm_server_vllm_args": {"tensor_parallel_size": 4, "max_model_len": 8192},
    }
    said = preflight("owner/model", **asked)
    assert "has 141.1 GB of weights, and gce_instance_boot_disk_size_gb is 100 GB" in said
    needs = int(re.search(r"set it to (\d+) or more", said)[1])  # type: ignore[index]
    assert 141 + 45 < needs < 210 and "key.json" not in said
    assert "key.json" in preflight("owner/model", **asked, gce_instance_boot_disk_size_gb=needs)


def test_preflight_looks_at_the_memory_of_a_machine_without_a_gpu(model: Path) -> None:
    cpu = {"llm_device": "cpu", "llm_server_vllm_args": {"max_model_len": 8192}}
    said = preflight(str(model), **cpu, gce_instance_machine_type="e2-standard-4")
    assert "does not fit on e2-standard-4" in said and "choose a larger machine type" in said
    assert "key.json" in preflight(str(model), **cpu, gce_instance_machine_type="n2-standard-16")
