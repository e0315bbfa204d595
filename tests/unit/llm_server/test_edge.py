# SPDX-License-Identifier: Apache-2.0
"""Ids, the one shape of errors, and bodies that are too large or too slow."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from llm_server.asgi.edge import Edge
from llm_server.bodies.body_limits import BodyLimit
from llm_server.keys.access import Access, AccessControl, Limits
from starlette.testclient import TestClient
from starlette.types import Message


def http(**limits: float) -> TestClient:
    app = FastAPI()

    @app.get("/ok")
    async def ok(request: Request) -> str:
        return request.headers["x-request-id"]

    @app.get("/raise")
    async def fail() -> None:
        raise RuntimeError("secret /usr/lib/vllm/engine.py")

    @app.get("/said")
    async def said() -> JSONResponse:
        return JSONResponse({"error": {"message": "secret", "type": "X", "code": 500}}, 500)

    @app.get("/path")
    async def path() -> JSONResponse:
        return JSONResponse({"detail": "see /usr/lib/python3/vllm/engine.py line 3"}, 400)

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.2)
        return "late"

    control = AccessControl(Access(limits=Limits.model_validate(limits)))
    return TestClient(Edge(BodyLimit(app, control), control), raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-1", True), ("a b", False), ("x" * 65, False), ('"}', False), ("", False)],
)
def test_request_ids(sent: str, kept: bool) -> None:
    answer = http().get("/ok", headers={"X-Request-Id": sent})
    given = answer.headers["x-request-id"]
    seen, _, own = answer.json().rpartition("-")
    assert seen == given, "the app behind sees the same"
    assert len(own) == 8, "and what tells it from another request with that id"
    assert (given == sent) is kept
    again = http().get("/ok", headers={"X-Request-Id": given}).json()
    assert again.startswith(given)
    assert again != answer.json(), "so that one is not ended with the other in the engine"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/raise", 500),
        ("GET", "/said", 500),
        ("GET", "/path", 400),
        ("GET", "/none", 404),
        ("DELETE", "/ok", 405),
    ],
)
def test_errors_have_one_shape(method: str, path: str, status: int) -> None:
    answer = http().request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert (error["code"], error["request_id"]) == (status, answer.headers["x-request-id"])
    assert error["message"]
    for leak in ("secret", ".py", "Traceback"):
        assert leak not in answer.text


def test_a_request_that_takes_too_long() -> None:
    answer = http(max_request_seconds=0.05).get("/slow")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, 504)


def test_every_request_is_a_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llm_server.access")
    http().get("/ok?secret=1", headers={"X-Request-Id": "me"})
    (line,) = [json.loads(r.getMessage()) for r in caplog.records if "access" in r.name]
    assert (line["request_id"], line["path"], line["status"]) == ("me", "/ok", 200)
    assert "secret" not in str(line)


@pytest.mark.parametrize(("size", "status"), [(1024, 200), (1025, 413)])
@pytest.mark.parametrize("chunked", [True, False])
def test_body_size(size: int, status: int, chunked: bool) -> None:
    body = b"x" * size
    content = (body[i : i + 100] for i in range(0, size, 100)) if chunked else body
    answer = http(max_body_bytes=1024).post("/size", content=content)
    assert answer.status_code == status
    if status == 413:
        assert "1024 bytes" in answer.json()["error"]["message"]


def test_a_body_that_never_ends_is_given_up() -> None:
    control = AccessControl(Access(limits=Limits(max_body_seconds=0.05)))
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(*_: object) -> None:
        raise AssertionError("the app is not asked")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asyncio.run(BodyLimit(app, control)(scope, receive, send))
    assert sent[0]["status"] == 408
