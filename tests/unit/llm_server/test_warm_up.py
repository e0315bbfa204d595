# SPDX-License-Identifier: Apache-2.0
"""The rounds before the server is ready: what is sent, and that they never stop a start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from llm_server.engine.warm_up import rounds, warm_up
from llm_server.vllm_api import compat as vllm_compat


class Client:
    """An engine that remembers what it was asked."""

    def __init__(self, error: Exception | None = None, seconds: float = 0) -> None:
        self.error, self.seconds = error, seconds
        self.asked: list[tuple[list[int], Any]] = []
        self.running = self.most = self.aborted = 0
        self.model_config = SimpleNamespace(max_model_len=100, get_vocab_size=lambda: 50)
        self.renderer = SimpleNamespace(default_cmpl_tok_params=None, render_cmpl_async=self.render)

    async def render(self, prompts: list[list[int]], _: None) -> list[list[int]]:
        return prompts

    async def generate(self, prompt: list[int], params: Any, _: str) -> AsyncIterator[str]:
        self.asked.append((prompt, params))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            if self.error:
                raise self.error
            yield "text"
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        finally:
            self.running -= 1


@pytest.fixture(params=[False, True], ids=["gpu", "cpu"])
def on_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    names = {
        "current_platform": SimpleNamespace(is_cpu=lambda: request.param),
        "SamplingParams": SimpleNamespace,
        "RequestOutputKind": SimpleNamespace(FINAL_ONLY="final"),
        "parse_model_prompt": lambda _, tokens: tokens,
    }
    monkeypatch.setattr(vllm_compat, "get", names.__getitem__)
    return bool(request.param)


def test_the_size_is_left_to_the_device(on_cpu: bool) -> None:
    client = Client()
    asyncio.run(warm_up(client, None, 5))
    assert client.most == (4 if on_cpu else 33)


def test_prompts_fit_the_context_and_differ(on_cpu: bool) -> None:
    client = Client()
    asyncio.run(warm_up(client, 3, 5))
    for prompt, params in client.asked:
        assert 1 <= len(prompt) <= 100 - params.max_tokens
        assert max(prompt) < 50
    assert client.asked[0][0][0] != client.asked[1][0][0]


def test_none_when_there_shall_be_none(on_cpu: bool) -> None:
    client = Client()
    asyncio.run(warm_up(client, 0, 5))
    assert client.asked == []


def test_a_failure_is_told_and_does_no_harm(on_cpu: bool, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(warm_up(Client(RuntimeError("no such kernel")), 2, 5))
    assert "Warm-up failed" in caplog.text


def test_time_over_aborts_what_runs(on_cpu: bool, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(seconds=600)
    with caplog.at_level(logging.WARNING):
        asyncio.run(warm_up(client, 3, 0.5))
    assert "cut off" in caplog.text
    assert client.aborted == len(client.asked) > 0
    assert client.running == 0


def test_a_gpu_sees_every_way_to_sample_at_sizes_that_divide_by_16_and_not() -> None:
    sent = list(rounds(32, on_cpu=False))
    for top_k in (False, True):
        sizes = {
            each.requests % 16 == 0 for each in sent if bool(each.top_k) is top_k and each.top_p < 1
        }
        assert sizes == {True, False}
    assert any(each.requests < 8 for each in sent)
    assert any(each.temperature == 0 for each in sent)
