# SPDX-License-Identifier: Apache-2.0
"""Streams that have begun and whose app fails: the client is told, and the stream ends whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from .fake_engine import KEY, Serving


class VLLMValidationError(ValueError):
    """As vLLM's: known by its name."""


async def _answer(path: str, error: Exception) -> tuple[bytes, list[str]]:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
        raise error

    serving = Serving(app)
    async with serving.open():
        body = b"{}"
        reader, _ = await serving.connect(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        whole = await asyncio.wait_for(reader.read(), 30)
    return whole, [line for line in whole.decode().splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (VLLMValidationError("top_p must be a number"), 400, "top_p must be a number"),
        (RuntimeError("a secret"), 500, "The server failed."),
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses"])
def test_the_stream_ends_with_an_error(path: str, error: Exception, status: int, text: str) -> None:
    whole, events = asyncio.run(_answer(path, error))
    assert whole.endswith(b"0\r\n\r\n"), "the last chunk: it is whole"
    said = json.loads(events[-1].removeprefix("data: "))["error"]
    assert (said["code"], said["message"]) == (status, text)
    assert said["request_id"]
    assert b"a secret" not in whole
