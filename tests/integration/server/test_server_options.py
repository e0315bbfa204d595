# SPDX-License-Identifier: Apache-2.0
"""What vLLM's own options add to the API: calls of tools, and LoRA adapters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lora_adapter import write_adapter
from tests.support.programs import output_of
from tests.support.server_fixture import ARGS, KEY, MODEL_NAME, Server, setting

pytestmark = pytest.mark.vllm

TOOL_CHECKS = (
    "tool_by_name",
    "tool_required",
    "tool_streamed",
    "tool_none",
    "tool_auto",
    "tool_result",
    "tool_unknown",
)


@pytest.fixture(scope="module")
def tools(shared_server: Server) -> dict[str, str | None]:
    """What the official client found: for each check None, or why it failed."""
    url = str(shared_server.open.base_url).rstrip("/")
    asked = (url, MODEL_NAME, "tools")
    key = {"API_KEY": KEY}
    said = output_of(shared_server.python, "server_clients.py", *asked, environment=key)
    found: dict[str, str | None] = json.loads(said)
    return found


@pytest.mark.parametrize("check", TOOL_CHECKS)
def test_tools_with_the_official_client(tools: dict[str, str | None], check: str) -> None:
    assert set(tools) == set(TOOL_CHECKS)
    assert tools[check] is None, tools[check]


def test_a_lora_adapter_is_a_model_of_its_own(shared_server: Server) -> None:
    listed = shared_server.authorised.get("/v1/models").json()["data"]
    assert [model["id"] for model in listed] == [MODEL_NAME, "pirate"]
    assert listed[1]["parent"] == MODEL_NAME
    body = {"prompt": "The capital of France is", "temperature": 0, "max_tokens": 12}
    answers: dict[str, str] = {}
    for model in (MODEL_NAME, "pirate", "pirate"):
        answer = shared_server.authorised.post("/v1/completions", json=body | {"model": model})
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == model
        text = answer.json()["choices"][0]["text"]
        assert answers.setdefault(model, text) == text, "the same adapter says the same"
    assert answers["pirate"] != answers[MODEL_NAME]


def test_logprobs_take_no_compiler(shared_server: Server) -> None:
    """vLLM compiles what counts them when it is first asked to, also with enforce_eager."""
    body = {"model": MODEL_NAME, "prompt": "One, two,", "max_tokens": 3, "logprobs": 2}
    answer = shared_server.authorised.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["choices"][0]["logprobs"]["token_logprobs"]) == 3
    assert shared_server.open.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (Path.exists, None),
        (lambda folder: folder.rename(folder.with_name("gone")), "does not exist"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "has no adapter_config.json"),
    ],
    ids=["whole", "no folder", "no configuration"],
)
def test_a_wrong_adapter_is_named_before_the_start(
    make_server: Callable[..., Server],
    tmp_path: Path,
    spoil: Callable[[Path], object],
    says: str | None,
) -> None:
    adapter = write_adapter(tmp_path / "mine", Path(setting("GCE_VLLM_TEST_MODEL")))
    spoil(adapter)
    modules = [{"name": "mine", "path": str(adapter)}]
    server = make_server(vllm_args=ARGS | {"enable_lora": True, "lora_modules": modules})
    status, said = server.check()
    lines = [line for line in said.splitlines() if "settings.yaml: " in line]
    if says is None:
        assert (status, lines) == (0, [])
        return
    assert status == 2, said
    (line,) = lines
    assert f"vllm_args: lora_modules: mine: the folder {adapter} {says}" in line
