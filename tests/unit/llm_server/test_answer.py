# SPDX-License-Identifier: Apache-2.0
"""Streams that cannot begin, and those that do."""

from __future__ import annotations

import asyncio
import json

import pytest
from llm_server.asgi.answer import Answer
from llm_server.record import Refusal, RequestRecord
from starlette.types import Message

START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-other", b"1")],
}
ERROR = b'data: {"error": {"message": "It is wrong", "type": "T", "param": "p", "code": %d}}\n\n'


def play(*parts: bytes, refusal: Refusal | None = None) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        answer = Answer(RequestRecord("id", "POST", "/v1/completions"), send)
        await answer.send(dict(START))
        assert not sent, "nothing is said before the first event"
        answer.record.refusal = refusal
        for part in parts:
            await answer.send({"type": "http.response.body", "body": part, "more_body": True})
        await answer.send({"type": "http.response.body"})

    asyncio.run(run())
    return sent


@pytest.mark.parametrize("before", [b"", b"event: error\n"])
@pytest.mark.parametrize(
    ("code", "status", "message"), [(400, 400, "It is wrong"), (500, 500, "The server failed.")]
)
def test_an_error_at_first(before: bytes, code: int, status: int, message: str) -> None:
    start, body = play(before + ERROR % code, b"data: [DONE]\n\n")
    assert start["status"] == status
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert b"x-other" not in headers
    error = json.loads(body["body"])["error"]
    assert (error["message"], error["param"], error["request_id"]) == (message, "p", "id")


def test_a_refusal_at_first() -> None:
    refusal = Refusal(429, "Later", retry_after=2)
    start, body = play(b"data: {}\n\n", refusal=refusal)
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (429, b"2")
    assert json.loads(body["body"])["error"]["message"] == "Later"


def test_an_error_later_is_an_event() -> None:
    start, first, second, *_ = play(b"data: {}\n\n", ERROR % 400)
    assert (start["status"], dict(start["headers"])[b"x-other"]) == (200, b"1")
    assert first["body"] == b"data: {}\n\n"
    assert json.loads(second["body"].split(b"\n")[0][6:])["error"]["code"] == 400


def test_a_stream_that_says_nothing() -> None:
    assert [message["type"] for message in play()] == ["http.response.start", "http.response.body"]
