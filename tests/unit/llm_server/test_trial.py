# SPDX-License-Identifier: Apache-2.0
"""Bodies that are slow to check are refused by the clock, whatever makes them so."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from llm_server.bodies import trial
from llm_server.bodies.body_limits import BodyLimit
from llm_server.bodies.examine import Fine, Wrong, examine
from llm_server.bodies.skeleton import cut, misshapen
from llm_server.bodies.trial import Trial
from llm_server.facts import ModelFacts
from llm_server.keys.access import Access, AccessControl
from llm_server.process import prover
from pydantic import BaseModel, field_validator

CHAT = "/v1/chat/completions"


class Body(BaseModel):
    items: list[int]
    burn: float = 0

    @field_validator("burn")
    @classmethod
    def _burns(cls, value: float) -> float:
        end = time.process_time() + value
        while time.process_time() < end:
            pass
        return value


MODELS = {"/x": Body}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a check takes long by the clock; its processor time is what counts here."""
    monkeypatch.setattr(prover, "PATIENCE", 600.0)


@pytest.mark.parametrize(
    ("data", "reason", "text"),
    [
        ({"items": [1] * 600}, None, ""),
        ({"items": [1] * 600, "burn": 60}, "too_many_elements", "too long to check"),
        ({"items": [1] * 600, "burn": "x"}, "bad_value", "burn: "),
        ({"items": ["secret" * 20] * 600}, "bad_value", "items.0: "),
    ],
)
def test_by_the_clock(data: Any, reason: str | None, text: str) -> None:
    async def play() -> None:
        new = Trial()
        try:
            assert await new.check("/other", data, MODELS) is None
            wrong = await new.check("/x", data, MODELS)
            assert (wrong and wrong.reason) == reason
            if wrong:
                assert wrong.status == 400
                assert text in wrong.message
                assert "secret" not in wrong.message
        finally:
            new.close()

    asyncio.run(asyncio.wait_for(play(), 120))


async def _until_all_left(tried: Trial) -> None:
    """How long a key pauses after its body is what the check took: long on a busy machine."""
    while tried._pauses:
        await asyncio.sleep(0.01)


def test_one_key_has_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "WAITING", 2)

    async def play() -> None:
        new = Trial()
        try:
            checks = [new.check("/x", {"items": [1]}, MODELS) for _ in range(4)]
            found = await asyncio.gather(*checks)
            assert sorted(wrong.status for wrong in found if wrong) == [429, 429]
            await _until_all_left(new)
            burning = {"items": [], "burn": 60}
            gone = [asyncio.ensure_future(new.check("/x", burning, MODELS)) for _ in range(2)]
            await asyncio.sleep(0.01)
            for one in gone:
                one.cancel()
            await _until_all_left(new)
            assert await new.check("/x", {"items": [1]}, MODELS) is None
        finally:
            new.close()

    asyncio.run(asyncio.wait_for(play(), 120))


def test_a_large_body_is_tried_before_the_app_has_it() -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])

    def ask(limit: BodyLimit, data: Any) -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": json.dumps(data).encode()}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
        asyncio.run(limit(scope, receive, send))
        return int(sent[0]["status"]) if sent else 0

    control = AccessControl(Access())
    control.model = ModelFacts(models=MODELS)
    assert ask(BodyLimit(app, control), {"items": [1.5] * 600}) == 400
    assert ask(BodyLimit(app, control), {"items": [1.5] * 6}) == 0, "the app says what is wrong"
    assert ask(BodyLimit(app, control), {"items": [1], "text": ", " * 600}) == 0
    assert asked == ["/x", "/x"]


@pytest.mark.parametrize(
    ("path", "data", "where"),
    [
        (CHAT, {"messages": ["a"]}, "messages[0]"),
        (CHAT, {"messages": [{}, 1.5]}, "messages[1]"),
        (CHAT, {"messages": [{"content": [{}, "a", None]}]}, "messages[0].content[2]"),
        (CHAT, {"tools": [[]]}, "tools[0]"),
        (CHAT + "/batch", {"messages": [[{}], {}]}, "messages[1]"),
        (CHAT + "/batch", {"messages": [[{}], [1]]}, "messages[1][0]"),
        ("/v1/responses", {"input": ["a"]}, "input[0]"),
        ("/v1/responses", {"input": [{"role": "assistant", "content": []}]}, "input[0].content"),
        ("/v1/messages", {"messages": [{"content": [1]}]}, "messages[0].content[0]"),
    ],
)
def test_misshapen(path: str, data: Any, where: str) -> None:
    found = examine(path, json.dumps(data).encode(), AccessControl(Access()))
    assert isinstance(found, Wrong)
    assert (found.status, found.param) == (400, where)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (CHAT, {"messages": [{"content": "a"}, {"content": None}, {"content": [{}]}]}),
        (CHAT + "/batch", {"messages": [[{"content": "a"}], []]}),
        ("/v1/responses", {"input": "a"}),
        ("/v1/responses", {"input": [{"content": [{}]}], "tools": [{}]}),
        ("/v1/embeddings", {"input": ["a"]}),
    ],
)
def test_well_shaped(path: str, data: Any) -> None:
    assert misshapen(data, path) is None
    assert isinstance(examine(path, json.dumps(data).encode(), AccessControl(Access())), Fine)


def test_cut() -> None:
    data = {"a" * 999: ["x" * 999, {"b": 1, "c": [None, "y"]}]}
    assert cut(data) == {"a" * 256: ["x" * 64, {"b": 1, "c": [None, "y"]}]}
