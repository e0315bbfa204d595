# SPDX-License-Identifier: Apache-2.0
"""What is seen of the engine: tokens, progress, too many answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from llm_server import vllm_compat
from llm_server.meter import Meter, Progress
from llm_server.record import RequestRecord, current


class Client:
    """An engine client that gives three messages of two tokens."""

    def __init__(self) -> None:
        self.output_processor = SimpleNamespace(process_outputs=lambda outputs: outputs)
        self.aborted: list[str] = []
        self.closed = False

    async def generate(
        self, _prompt: Any, _params: Any, _request_id: str
    ) -> AsyncGenerator[Any, None]:
        try:
            for _ in range(3):
                part = SimpleNamespace(index=0, token_ids=[1, 2])
                yield SimpleNamespace(prompt_token_ids=[1] * 7, outputs=[part], metrics=None)
        finally:
            self.closed = True

    async def abort(self, ids: list[str]) -> None:
        self.aborted += ids


def params(kind: str, n: int = 1) -> Any:
    return SimpleNamespace(n=n, output_kind=SimpleNamespace(name=kind))


@pytest.mark.parametrize(("kind", "tokens"), [("DELTA", 6), ("CUMULATIVE", 2)])
def test_tokens_are_counted(kind: str, tokens: int) -> None:
    async def play() -> RequestRecord:
        record = RequestRecord("id", "POST", "/x")
        current.set(record)
        client = Client()
        Meter(Progress(), lambda: 4).attach(client)
        async for _ in client.generate("p", params(kind), "r"):
            assert record.running == {"r": 1}
        assert record.running == {}
        return record

    record = asyncio.run(play())
    assert (record.tokens_in, record.tokens_out) == (7, tokens)
    assert record.first_token is not None


def test_what_is_cut_off_is_closed_counted_and_aborted() -> None:
    async def play() -> tuple[RequestRecord, Client]:
        record = RequestRecord("id", "POST", "/x")
        current.set(record)
        client = Client()
        Meter(Progress(), lambda: 4).attach(client)
        running = client.generate("p", params("DELTA"), "r")
        await anext(running)
        record.expire()
        await asyncio.sleep(0)
        await running.aclose()
        return record, client

    record, client = asyncio.run(play())
    assert (client.aborted, client.closed, record.tokens_out) == (["r"], True, 2)


def test_too_many_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_compat, "get", lambda _: lambda text, **_: ValueError(text))

    async def play() -> None:
        current.set(RequestRecord("id", "POST", "/x"))
        client = Client()
        Meter(Progress(), lambda: 4).attach(client)
        first = client.generate("p", params("DELTA", 3), "a")
        await anext(first)
        with pytest.raises(ValueError, match=r"5 or more .* gives 4"):
            await anext(client.generate("p", params("DELTA", 2), "b"))
        await first.aclose()
        await anext(client.generate("p", params("DELTA", 2), "b"))

    asyncio.run(play())


def test_progress() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    now[0] = 100
    assert progress.stalled() == 0, "nobody waits"
    progress.begin()
    now[0] = 130
    progress.begin()
    assert progress.stalled() == 30
    progress.seen()
    assert progress.stalled() == 0
    progress.end()
    now[0] = 150
    assert progress.stalled() == 20
    progress.end()
    assert progress.stalled() == 0
