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
from ansible_collections.llmops.gce_vllm.plugins.module_utils import model_files, plan_report
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model_files import SourceError

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
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                hub.sent += len(body)
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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


def test_a_buckets_folder(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "_storage_session", lambda _: __import__("requests").Session())
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
    found = plan(tmp_path, "smollm2-135m", gpu="cpu",
                 vllm_args={"dtype": dtype, "max_model_len": 1024})  # fmt: skip
    assert found["kv_tokens"] == tokens
    assert found["fits"] is True


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gpu": "nvidia-l5"}, "Did you mean nvidia-l4"),
        ({"gpu": "e2-standard-4"}, "no machine type with GPUs"),
        ({"vllm_args": {"dtype": "int7"}}, "dtype"),
    ],
)
def test_options_that_mean_nothing(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(plan_report.PlanError, match=said):
        plan(tmp_path, "qwen2.5-0.5b", **changes)
