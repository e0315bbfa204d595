# SPDX-License-Identifier: Apache-2.0
"""Reading a model's shape from a folder, a hub and a bucket, and never its weights."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.bucket_session import (
    bucket_session,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import files as model_files
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model.files import SourceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import plan as plan_report

ROOT = Path(__file__).parents[3]
MODELS = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())
CONFIG = MODELS["qwen2.5-0.5b"]["config"]


def safetensors(tensors: dict[str, tuple[str, list[int]]], weights: int = 0) -> bytes:
    """A file's header, and `weights` bytes behind it."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, (dtype, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": size, "data_offsets": [0, 0]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * weights


TENSORS = {"a": ("BF16", [100, 10]), "b": ("F32", [10]), "c": ("F8_E4M3", [7])}
LOADED = 100 * 10 * 2 + 10 * 2 + 7


class Hub:
    """Files behind HTTP, that counts what it sends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent = 0
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.status = 0
        self.error_code = ""
        self.redirect = ""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append((self.path, self.headers["Authorization"]))
                body = hub.files.get(self.path)
                status = hub.status or (200 if body is not None else 404)
                body = b"" if status != 200 else body or b""
                span = self.headers["Range"]
                if span and hub.ranges and status == 200:
                    start, end = (int(part) for part in span.removeprefix("bytes=").split("-"))
                    body, status = body[start : end + 1], 206
                if hub.redirect and not self.path.startswith("/cdn/"):
                    status, body = 302, b""
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", hub.redirect)
                if hub.error_code:
                    self.send_header("X-Error-Code", hub.error_code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                hub.sent += len(body)
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def hub() -> Iterator[Hub]:
    one = Hub()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_hubs_single_file_gives_its_header_alone(hub: Hub, ranges: bool) -> None:
    hub.ranges = ranges
    base = "/owner/name/resolve/v1"
    hub.files[f"{base}/config.json"] = json.dumps(CONFIG).encode()
    hub.files[f"{base}/model.safetensors"] = safetensors(TENSORS, weights=50_000)
    files = model_files.locate("owner/name", revision="v1", token="hf_secret", hub=hub.url)
    assert model_files.config(files) == CONFIG
    assert model_files.tensor_bytes(files, 2.0, "bfloat16") == LOADED
    assert {header for _, header in hub.asked} == {"Bearer hf_secret"}
    assert not ranges or hub.sent < 2000


def test_a_hubs_index_gives_the_size(hub: Hub) -> None:
    index = {"metadata": {"total_size": 1000}, "weight_map": {"a": "model-1.safetensors"}}
    hub.files["/o/n/resolve/main/model.safetensors.index.json"] = json.dumps(index).encode()
    files = model_files.locate("o/n", hub=hub.url)
    assert model_files.tensor_bytes(files, 2.0, "bfloat16") == 1000
    # Weights in float32 are loaded as bfloat16.
    assert model_files.tensor_bytes(files, 2.0, "float32") == 500
    assert {header for _, header in hub.asked} == {None}


def test_a_mirrors_folder(hub: Hub) -> None:
    hub.files["/models/ours/config.json"] = json.dumps(CONFIG).encode()
    files = model_files.locate(f"{hub.url}/models/ours/", token="for_the_mirror")
    assert model_files.config(files) == CONFIG
    assert hub.asked == [("/models/ours/config.json", "Bearer for_the_mirror")]


def test_a_buckets_folder(hub: Hub) -> None:
    hub.files["/storage/v1/b/models/o/llama%2F8b%2Fconfig.json?alt=media"] = json.dumps(
        CONFIG
    ).encode()
    files = model_files.locate("gs://models/llama/8b", storage=hub.url)
    assert model_files.config(files) == CONFIG


@pytest.mark.parametrize(
    ("status", "said"), [(401, "llm_model_token"), (403, "gated"), (500, "answers 500")]
)
def test_a_hub_that_refuses(hub: Hub, status: int, said: str) -> None:
    hub.status = status
    with pytest.raises(SourceError, match=said):
        model_files.config(model_files.locate("o/n", token="hf_secret", hub=hub.url))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_definite_refusal_is_told_from_a_place_that_cannot_be_asked(
    hub: Hub, status: int
) -> None:
    hub.status = status
    for model in ("o/n", f"{hub.url}/models/ours"):
        with pytest.raises(model_files.RefusedError, match="llm_model"):
            model_files.config(model_files.locate(model, hub=hub.url))
    hub.status = 502
    with pytest.raises(SourceError) as raised:
        model_files.config(model_files.locate("o/n", hub=hub.url))
    assert not isinstance(raised.value, model_files.RefusedError)


def test_a_bucket_may_know_the_hosts_account_and_not_this_one(hub: Hub) -> None:
    hub.status = 403
    with pytest.raises(SourceError, match="Storage Object Viewer") as raised:
        model_files.config(model_files.locate("gs://models/a", storage=hub.url))
    assert not isinstance(raised.value, model_files.RefusedError)


def test_a_repository_without_the_file_may_hold_another_format(hub: Hub) -> None:
    hub.error_code = "EntryNotFound"
    with pytest.raises(SourceError, match=r"no config\.json") as raised:
        model_files.config(model_files.locate("o/n", hub=hub.url))
    assert not isinstance(raised.value, model_files.RefusedError)


@pytest.mark.parametrize("model", ["o/n", "MIRROR/ours"])
def test_a_token_never_crosses_the_network_in_clear(hub: Hub, model: str) -> None:
    # Another address of this machine: what is not called loopback may be anywhere.
    away = hub.url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(model_files.RefusedError, match="not encrypted") as raised:
        model_files.config(
            model_files.locate(model.replace("MIRROR", away), token="hf_secret", hub=away)
        )
    assert "hf_secret" not in str(raised.value)
    assert hub.asked == []
    # Without a token it may be asked.
    hub.files["/o/n/resolve/main/config.json"] = b"{}"
    assert model_files.config(model_files.locate("o/n", hub=away)) == {}
    assert hub.asked == [("/o/n/resolve/main/config.json", None)]


def test_another_host_is_not_given_the_token(hub: Hub) -> None:
    """A hub sends large files to its store by a redirect."""
    hub.redirect = hub.url.replace("127.0.0.1", "localhost") + "/cdn/config.json"
    hub.files["/cdn/config.json"] = b"{}"
    files = model_files.locate("o/n", token="hf_secret", hub=hub.url)
    assert model_files.config(files) == {}
    assert hub.asked == [
        ("/o/n/resolve/main/config.json", "Bearer hf_secret"),
        ("/cdn/config.json", None),
    ]


def test_credentials_of_google_stay_away_from_a_storage_in_clear() -> None:
    session = bucket_session("/no/such/key.json", "http://storage.example")
    assert (
        type(session) is __import__("requests").Session and "Authorization" not in session.headers
    )


def test_a_hub_that_is_not_there() -> None:
    files = model_files.locate("o/n", token="hf_secret", hub="http://127.0.0.1:1")
    with pytest.raises(SourceError, match="can't be reached") as raised:
        model_files.config(files)
    assert "hf_secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [("/no/such/folder", "no folder"), ("./missing", "no folder"), ("gpt2", "OWNER/NAME")],
)
def test_what_is_no_model(model: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        model_files.locate(model)


def test_folders(tmp_path: Path) -> None:
    files = model_files.locate(str(tmp_path))
    with pytest.raises(SourceError, match=r"no config\.json"):
        model_files.config(files)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SourceError, match="no JSON"):
        model_files.config(files)
    assert model_files.tensor_bytes(files, 2.0, "bfloat16") is None
    (tmp_path / "model-1.safetensors").write_bytes(safetensors(TENSORS))
    index = {"metadata": {"total_size": 1}, "weight_map": {"a": "model-1.safetensors"}}
    (tmp_path / model_files.INDEX).write_text(json.dumps(index))
    assert model_files.tensor_bytes(files, 2.0, "bfloat16") == LOADED
    (tmp_path / model_files.INDEX).unlink()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60))
    with pytest.raises(SourceError, match="no safetensors"):
        model_files.tensor_bytes(files, 2.0, "bfloat16")


def options(**changes: Any) -> dict[str, Any]:
    plain = {
        "model": "m",
        "gpu": "nvidia-l4",
        "gpu_count": 0,
        "accelerators": [],
        "vllm_args": {},
        "context": 0,
        "concurrency": 0,
        "cpu_kv_cache_gib": 1,
        "region": "us-central1",
    }
    return plain | changes


def plan(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    config = MODELS[name]["config"]
    return plan_report.plan(options(**changes), config, model_files.Folder(folder))


def test_a_plan_says_all_that_scripts_need(tmp_path: Path) -> None:
    found = plan(tmp_path, "qwen2.5-0.5b", gpu="g2-standard-8")
    assert found.keys() >= {
        "fits", "reason", "weights_bytes", "kv_bytes_per_token", "kv_tokens", "max_model_len",
        "max_concurrency", "vllm_args", "machine_types",
    }  # fmt: skip
    assert found["fits"] is True and found["gpus"] == 1
    assert all({"price_per_hour", "fits"} <= row.keys() for row in found["machine_types"])
    assert json.loads(json.dumps(found)) == found
    assert any("fits on g2-standard-4" in line for line in plan_report.lines(found))


def test_what_does_not_fit_says_where_it_would(tmp_path: Path) -> None:
    found = plan(tmp_path, "llama-3.1-8b", gpu="n1-standard-8", vllm_args={"max_model_len": 4096},
                 accelerators=[{"type": "nvidia-tesla-t4", "count": 1}])  # fmt: skip
    assert found["fits"] is False
    assert "It would fit on g2-standard-4" in found["reason"]


@pytest.mark.parametrize(
    ("dtype", "tokens"),
    # What vLLM 0.32 for CPU said of one GiB: 364 blocks of 128 tokens in bfloat16.
    [("bfloat16", 46592), ("float32", 23296)],
)
def test_the_cache_on_a_cpu_is_vllms(tmp_path: Path, dtype: str, tokens: int) -> None:
    found = plan(tmp_path, "smollm2-135m", gpu="cpu", machine_type="n2-standard-8",
                 vllm_args={"dtype": dtype, "max_model_len": 1024})  # fmt: skip
    assert found["kv_tokens"] == tokens
    assert found["fits"] is True


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gpu": "nvidia-l5"}, "Did you mean nvidia-l4"),
        ({"gpu": "a4x-highgpu-4g"}, "The plan can't tell"),
        ({"gpu": "e2-standard-4"}, "machine types with GPUs have no 'e2-standard-4'"),
        ({"vllm_args": {"dtype": "int7"}}, "dtype"),
    ],
)
def test_options_that_mean_nothing(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(plan_report.PlanError, match=said):
        plan(tmp_path, "qwen2.5-0.5b", **changes)


@pytest.mark.parametrize(
    ("machine_type", "changes", "fits", "said"),
    [
        ("", {}, None, "the host's memory"),
        ("n2-standard-8", {}, True, "weights take"),
        ("c9-nothing-8", {}, None, "the host's memory"),
        ("n2-standard-16", {}, False, "choose a larger machine type"),
        ("", {"concurrency": 100_000}, False, "100000 requests of 512 tokens"),
    ],
)
def test_a_cpu_is_judged_by_its_machines_memory(
    tmp_path: Path, machine_type: str, changes: dict[str, Any], fits: bool | None, said: str
) -> None:
    found = plan(
        tmp_path,
        "smollm2-135m" if machine_type == "n2-standard-8" else "mixtral-8x7b",
        gpu="cpu",
        machine_type=machine_type,
        vllm_args={"max_model_len": 1024},
        context=512,
        **changes,
    )
    assert found["fits"] is fits and said in found["reason"]
    assert plan_report.lines(found)


def test_what_is_to_be_downloaded(tmp_path: Path) -> None:
    """Rounded on the way to the GPU, and as it is on the disk."""
    given = {"quantization": "fp8_per_tensor", "max_model_len": 8192}
    found = plan(tmp_path, "llama-3.1-8b", vllm_args=given)
    assert found["download_bytes"] == pytest.approx(16.06e9, rel=0.01)
    assert found["weights_bytes"] < 0.6 * found["download_bytes"]
    index = {"metadata": {"total_size": 16_060_522_496}, "weight_map": {"a": "none.safetensors"}}
    (tmp_path / model_files.INDEX).write_text(json.dumps(index))
    assert plan(tmp_path, "llama-3.1-8b")["download_bytes"] == 16_060_522_496


def test_a_quantisation_that_an_older_checkpoint_says_in_a_file_of_its_own(tmp_path: Path) -> None:
    given = {"quantization": "awq", "max_model_len": 8192}
    assert plan(tmp_path, "llama-3.1-8b", vllm_args=given)["fits"] is False
    (tmp_path / "quant_config.json").write_text('{"w_bit": 4, "q_group_size": 128}')
    found = plan(tmp_path, "llama-3.1-8b", vllm_args=given)
    assert found["fits"] is True and found["quantization"] == "awq"
    (tmp_path / "quant_config.json").unlink()
    nvidia = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(nvidia))
    found = plan(tmp_path, "llama-3.1-8b", gpu="h100", vllm_args={"max_model_len": 8192})
    assert found["quantization"] == "nvfp4"
