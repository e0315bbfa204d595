# SPDX-License-Identifier: Apache-2.0
"""Text that is only read: how much at once, whose turn, and who pays."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from llm_server.bodies.body_limits import BodyLimit
from llm_server.bodies.examine import Fine, Wrong, examine
from llm_server.bodies.reading import estimate, only_reads, too_long
from llm_server.facts import ModelFacts
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.limits.rates import KeyRates
from llm_server.record import RequestRecord, current

FACTS = ModelFacts(context=100, media=False, longest_token=10)


@pytest.mark.parametrize(
    ("path", "reads"),
    [
        ("/tokenize", True),
        ("/detokenize", True),
        ("/v1/messages/count_tokens", True),
        ("/v1/chat/completions/render", True),
        ("/v1/completions/derender", True),
        ("/v1/completions", False),
        ("/v1/messages", False),
    ],
)
@pytest.mark.parametrize(
    ("fields", "fine"),
    [
        ({"prompt": "x" * 1000}, True),
        ({"prompt": "x" * 1001}, False),
        ({"messages": [{"role": "u", "content": "x" * 900}]}, True),
        ({"messages": [{"role": "u", "content": "x" * 500}] * 3}, False),
        ({"system": [{"text": "x" * 1100}]}, False),
        ({"tokens": [1] * 100}, True),
        ({"tokens": [1] * 101}, False),
    ],
)
def test_bounds(path: str, reads: bool, fields: Any, fine: bool) -> None:
    control = AccessControl(Access())
    control.model = FACTS
    found = examine(path, json.dumps(fields).encode(), control)
    assert only_reads(path) is reads
    if fine or not reads:
        assert isinstance(found, Fine)
    else:
        assert isinstance(found, Wrong)
        assert (found.status, found.reason) == (400, "too_many_tokens")
        assert "100" in found.message


def test_a_long_context_does_not_make_it_endless() -> None:
    long = ModelFacts(context=2**20, media=False, longest_token=100)
    assert too_long({"prompt": "x" * 2**20}, long) is None
    assert too_long({"prompt": "x" * (2**20 + 1)}, long) is not None
    assert too_long({"prompt": "x" * 2**19, "return_token_strs": True}, long) is not None
    assert too_long({"prompt": "x" * 2**20}, ModelFacts()) is None


def ask(limit: BodyLimit, path: str, fields: Any, record: RequestRecord) -> list[Any]:
    sent: list[Any] = []

    async def play() -> None:
        current.set(record)

        async def receive() -> Any:
            return {"type": "http.request", "body": json.dumps(fields).encode()}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        await limit(scope, receive, send)

    asyncio.run(asyncio.wait_for(play(), 30))
    return sent


@pytest.mark.parametrize(
    ("path", "fields", "answer", "tokens"),
    [
        ("/tokenize", {"prompt": "x" * 40}, {"count": 33, "tokens": [1]}, 33),
        (
            "/v1/messages/count_tokens",
            {"messages": [{"content": "x" * 40}]},
            {"input_tokens": 7},
            7,
        ),
        ("/detokenize", {"tokens": [1] * 9}, {"prompt": "x"}, 9),
        ("/v1/completions/render", {"prompt": "x" * 40}, [{"x": 1}], 10),
        ("/v1/completions", {"prompt": "x" * 40}, {"count": 33}, 0),
    ],
)
def test_the_key_pays(path: str, fields: Any, answer: Any, tokens: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert json.loads((await receive())["body"]) == fields
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    control = AccessControl(Access(keys=(Key(name="k", sha256=digest("x" * 20)),)))
    rates = KeyRates()
    rates.bound(None, 50)
    record = RequestRecord("id", "POST", path, key="k", rates=rates)
    assert ask(BodyLimit(app, control), path, fields, record)[0]["status"] == 200
    assert record.tokens_in == tokens
    if tokens:
        assert record.reserved == estimate(fields)
        rates.settle(record.reserved, 100)
        again = RequestRecord("id", "POST", path, key="k", rates=rates)
        refused = ask(BodyLimit(app, control), path, fields, again)
        assert (refused[0]["status"], again.reason) == (429, "rate_tokens")
