# SPDX-License-Identifier: Apache-2.0
"""The line of a request: who asked for what, valid and short whatever they sent."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from llm_server.asgi.edge import Edge
from llm_server.bodies.asked import model_asked
from llm_server.keys.access import Access, AccessControl
from llm_server.logs.log_lines import LINE_BYTES
from llm_server.logs.request_line import request_lines
from llm_server.record import RequestRecord
from starlette.testclient import TestClient

#: What takes most room as JSON, and what could end a line or a string.
ODD = ["a", "\u00e9", "\U0001f600", "\ud800", "\x00", '"', "\\", "\n", "\x7f"]


def full(text: str) -> RequestRecord:
    return RequestRecord(
        request_id="i" * 64,
        method=text,
        path=text,
        client=text,
        agent=text,
        key="k" * 64,
        model=text,
        stream=True,
        status=429,
        tokens_in=10**9,
        tokens_out=10**9,
        first_token=1e9,
        queue_seconds=1e9,
        tokens_cached=10**9,
        finish_reasons={"stop", "length", "abort", "error", "repetition"},
        reason="too_many_sequences",
    )


@pytest.mark.parametrize("character", ODD)
def test_a_line_is_short_and_valid(character: str) -> None:
    (line,) = request_lines(full(character * 70_000))
    assert len(f"<6>{line}\n".encode()) <= LINE_BYTES
    data = json.loads(line)
    assert data["path"].endswith("...")
    assert len(data["path"]) <= 256
    assert "\n" not in line


def test_a_path_of_the_usual_length_is_whole() -> None:
    (line,) = request_lines(RequestRecord("i", "GET", "/" + "a" * 255))
    assert json.loads(line)["path"] == "/" + "a" * 255


@pytest.mark.parametrize("character", ODD)
def test_content_has_lines_of_its_own(character: str) -> None:
    record = full("x")
    record.content = character * 16_384
    first, *more = request_lines(record)
    assert "content" not in json.loads(first)
    assert all(len(line.encode()) < LINE_BYTES for line in more)
    parts = [json.loads(line) for line in more]
    assert "".join(part["content"] for part in parts) == record.content
    assert [part["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert {part["content_of"] for part in parts} == {record.request_id}


def test_what_is_not_known_is_left_out() -> None:
    (line,) = request_lines(RequestRecord("i", "GET", "/", status=200))
    assert not {"model", "finish_reason", "queue_s", "reason", "expired"} & set(json.loads(line))


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model": "a/b-1.5:x", "prompt": "y"}', "a/b-1.5:x"),
        (b'{"messages": [{"content": "' + b"x" * 100_000 + b'"}], "model":"m"}', "m"),
        (b'{"messages": [{"content": "{\\"model\\": \\"not this\\"}"}]}', None),
        (b'{"model": "with space"}', None),
        (b'{"model": "' + b"x" * 129 + b'"}', None),
        (b'{"model": 5}', None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_the_model_that_a_body_names(body: bytes, model: str | None) -> None:
    assert model_asked(body) == model


def line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        next(r.getMessage() for r in caplog.records if "access" in r.name)
    )
    return found


@pytest.mark.parametrize(
    ("proxies", "client", "seen"),
    [
        ((), "192.0.2.1", "192.0.2.1"),
        ((), "127.0.0.1", "127.0.0.1"),
        (("192.0.2.1",), "192.0.2.1", "203.0.113.9"),
        (("192.0.2.0/24",), "192.0.2.1", "203.0.113.9"),
        (("192.0.2.2",), "192.0.2.1", "192.0.2.1"),
    ],
)
def test_who_asks(
    proxies: tuple[str, ...], client: str, seen: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llm_server.access")
    edge = Edge(FastAPI(), AccessControl(Access()), proxies)
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "User-Agent": "curl/8"}
    TestClient(edge, client=(client, 5)).get("/", headers=headers)
    assert (line(caplog)["client"], line(caplog)["agent"]) == (seen, "curl/8")


def test_a_stream_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llm_server.access")
    app = FastAPI()

    @app.get("/")
    async def events() -> StreamingResponse:
        return StreamingResponse(iter(["data: 1\n\n"]), media_type="text/event-stream")

    TestClient(Edge(app, AccessControl(Access()))).get("/")
    assert line(caplog)["stream"] is True
