# SPDX-License-Identifier: Apache-2.0
"""Streams that say something also while there is nothing to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from llm_server.asgi.streams import COMMENT, LiveStreams
from starlette.responses import JSONResponse, Response, StreamingResponse

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}


def run(response: Response, interval: float, **more: Any) -> list[Any]:
    """What is sent of a response."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if more.get("slow"):
            await asyncio.sleep(more["slow"])

    async def receive() -> Any:
        await asyncio.sleep(3600)

    async def play() -> None:
        await LiveStreams(response, interval)(dict(SCOPE), receive, send)
        await asyncio.sleep(5 * min(interval, 0.1))

    asyncio.run(asyncio.wait_for(play(), 60))
    return sent


def events(pieces: list[bytes], pause: float) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            await asyncio.sleep(pause)
            yield piece

    return StreamingResponse(body(), media_type="text/event-stream")


def bodies(sent: list[Any]) -> list[bytes]:
    return [message["body"] for message in sent[1:] if message["body"]]


def test_comments_before_the_first_event_and_between_events() -> None:
    sent = bodies(run(events([b"data: 1\n\n", b"data: 2\n\n"], 0.5), 0.05))
    first, second = sent.index(b"data: 1\n\n"), sent.index(b"data: 2\n\n")
    assert COMMENT in sent[:first]
    assert COMMENT in sent[first:second]
    assert sent[-1] == b"data: 2\n\n", "nothing comes after the end"


def test_never_within_an_event() -> None:
    sent = bodies(run(events([b"data: 1\n\n", b"data: ", b"2\n\n"], 0.3), 0.02))
    assert b"data: 2\n\n" in b"".join(sent)


def test_not_to_a_client_that_does_not_take_them() -> None:
    sent = bodies(run(events([b"data: 1\n\n"], 0), 0.02, slow=0.5))
    # Each takes as long as 25 comments would; one may come before the event does.
    assert sent.count(COMMENT) <= 1


@pytest.mark.parametrize("interval", [0, 60])
def test_a_busy_stream_is_left_alone(interval: float) -> None:
    pieces = [b"data: %d\n\n" % number for number in range(20)]
    assert bodies(run(events(pieces, 0), interval)) == pieces


def test_headers_against_keeping_back() -> None:
    headers = dict(run(events([], 0), 0)[0]["headers"])
    assert headers[b"cache-control"] == b"no-cache"
    assert headers[b"x-accel-buffering"] == b"no"
    other = dict(run(JSONResponse({}), 0.01)[0]["headers"])
    assert b"x-accel-buffering" not in other
    assert b"cache-control" not in other
