# SPDX-License-Identifier: Apache-2.0
"""The plan against a real vLLM on a CPU: what it refuses, knows, and logs of its KV cache."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import files as model_files
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import multimodal, quantization
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import plan as plan_report
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import (
    architectures,
    engine_arg_names,
    quantization_methods,
)

from tests.support.programs import output_of
from tests.support.server_fixture import ARGS, LOAD_TIMEOUT_S, Server

pytestmark = pytest.mark.vllm
ROOT = Path(__file__).parents[3]
MODELS = json.loads((ROOT / "tests/fixtures/model_configs.json").read_text())
ROWS = [
    row
    for row in yaml.safe_load((ROOT / "tests/fixtures/plan_refusals.yml").read_text())
    if "vllm" in row
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What vLLM says; it is imported once for all."""
    rows = tmp_path_factory.mktemp("plan") / "rows.json"
    asked = [
        {
            "config": MODELS[row["model"]]["config"] | row.get("changes", {}),
            "args": row.get("args", {}),
        }
        for row in ROWS
    ]
    rows.write_text(json.dumps(asked))
    said = output_of(os.environ["GCE_VLLM_TEST_PYTHON"], "vllm_answers.py", str(rows))
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row["name"] for row in ROWS])
def test_what_the_plan_says_of_a_start_vllm_says_too(answers: dict[str, Any], number: int) -> None:
    raised = answers["rows"][number]
    expected = ROWS[number]["vllm"]
    if expected is None:
        assert raised is None
    else:
        assert raised is not None and expected in raised


def test_the_tables_are_those_of_the_installed_release(answers: dict[str, Any]) -> None:
    newest = engine_arg_names.NEWEST
    assert set(answers["methods"]) == quantization_methods.METHODS[newest]
    assert set(answers["architectures"]) == architectures.ARCHITECTURES[newest]
    # An argument that is gone would be relied on wrongly.
    assert set(answers["arguments"]) >= engine_arg_names.COUNTED | engine_arg_names.NEUTRAL


def test_encoders_and_capabilities_are_those_of_the_installed_release(
    answers: dict[str, Any],
) -> None:
    assert set(answers["multimodal"]) <= multimodal.MULTIMODAL
    algorithms = {"modelopt": "FP8", "modelopt_fp4": "NVFP4"}
    for method, least in answers["capabilities"].items():
        found = quantization.of({"quant_method": method, "quant_algo": algorithms.get(method)})
        assert found is not None
        # The plan refuses what vLLM refuses, and on a T4 (7.5) nothing else; none is rented below.
        assert found.least_capability == max(least, 7.5), method


@pytest.fixture(scope="module")
def halved(make_server: Callable[..., Server]) -> Iterator[Server]:
    """One that keeps two bytes for each number; it is not waited for, as it says so early."""
    server = make_server(vllm_args=ARGS | {"dtype": "bfloat16"})
    server.start()
    yield server
    server.close()


def logged_tokens(server: Server) -> int:
    """What its engine says of its KV cache while it loads."""
    deadline = time.monotonic() + LOAD_TIMEOUT_S
    said = re.compile(r"KV cache size: ([\d,]+) tokens")
    while not (logged := said.search(server.log.read_text(errors="replace"))):
        assert server.process.poll() is None and time.monotonic() < deadline, server.tail()
        time.sleep(0.1)
    return int(logged[1].replace(",", ""))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tokens_of_the_kv_cache_on_a_cpu(request: pytest.FixtureRequest, dtype: str) -> None:
    folder = Path(os.environ["GCE_VLLM_TEST_MODEL"])
    given = ARGS | {"dtype": dtype}
    name = {"float32": "shared_server", "bfloat16": "halved"}[dtype]
    server: Server = request.getfixturevalue(name)
    options = {
        "model": str(folder), "gpu": "cpu", "gpu_count": 0, "accelerators": [],
        "vllm_args": given, "context": 0, "concurrency": 0, "region": "us-central1",
        # As the server's environment says (VLLM_CPU_KVCACHE_SPACE).
        "cpu_kv_cache_gib": 1,
    }  # fmt: skip
    files = model_files.Folder(folder)
    found = plan_report.plan(options, model_files.config(files), files)
    assert found["kv_tokens"] == pytest.approx(logged_tokens(server), rel=0.05)
