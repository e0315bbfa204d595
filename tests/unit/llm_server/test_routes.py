# SPDX-License-Identifier: Apache-2.0
"""The routes that the server adds: their bodies, defaults, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.routes import GenerateRequest, create_router
from pydantic import ValidationError
from starlette.testclient import TestClient
from starlette.types import Message


class Echo:
    """Answers with what it was asked, after as long as it is told."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds
        self.cancelled = False

    async def generate(self, request: GenerateRequest) -> str:
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return request.model_dump_json()


def app_for(generator: Echo) -> FastAPI:
    app = FastAPI()
    app.include_router(create_router("m", generator))
    return app


def test_root() -> None:
    with TestClient(app_for(Echo())) as http:
        body = http.get("/").json()
    assert set(body) == {"message", "model"}
    assert body["model"] == "m"


def test_generate_defaults() -> None:
    with TestClient(app_for(Echo())) as http:
        body = http.post("/generate", json={"prompt": "Hello"}).json()
    assert set(body) == {"text", "prompt", "model"}
    assert (body["prompt"], body["model"]) == ("Hello", "m")
    assert json.loads(body["text"]) == {
        "prompt": "Hello",
        "max_tokens": 100,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": None,
    }


@pytest.mark.parametrize("stop", ["\n", ["a", "b"], None])
def test_stop_forms(stop: Any) -> None:
    assert GenerateRequest.model_validate({"prompt": "x", "stop": stop}).stop == stop


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": 1},
        {"prompt": "x", "max_tokens": 0},
        {"prompt": "x", "max_tokens": 1.5},
        {"prompt": "x", "temperature": -0.1},
        {"prompt": "x", "temperature": 2.1},
        {"prompt": "x", "temperature": "NaN"},
        {"prompt": "x", "top_p": 0},
        {"prompt": "x", "top_p": 1.01},
        {"prompt": "x", "stop": ""},
        {"prompt": "x", "stop": ["a"] * 17},
        {"prompt": "x", "stop": ["", "a"]},
        {"prompt": "x", "max_token": 5},
    ],
)
def test_bad_bodies(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerateRequest.model_validate(body)
    with TestClient(app_for(Echo())) as http:
        assert http.post("/generate", json=body).status_code == 422


def test_a_client_that_leaves_cancels_the_work() -> None:
    async def play() -> tuple[bool, list[Message]]:
        echo = Echo(seconds=60)
        app = app_for(echo)
        body = json.dumps({"prompt": "x"}).encode()
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        inbox.put_nowait({"type": "http.request", "body": body, "more_body": False})
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/generate",
            "raw_path": b"/generate",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"content-type", b"application/json")],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("test", 80),
            "client": ("test", 1),
            "app": app,
        }
        call = asyncio.ensure_future(app(scope, inbox.get, send))
        await asyncio.sleep(0.1)
        assert not call.done()
        inbox.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(call, 5)
        return echo.cancelled, sent

    cancelled, sent = asyncio.run(play())
    assert cancelled
    assert sent[0]["status"] == 499
