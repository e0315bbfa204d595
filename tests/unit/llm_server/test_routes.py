# SPDX-License-Identifier: Apache-2.0
"""The routes that the server adds: their bodies, defaults, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.engine.generate_routes import (
    Generated,
    GenerateRequest,
    Part,
    create_router,
    without_generate,
)
from pydantic import ValidationError
from starlette.testclient import TestClient
from starlette.types import Message


class VLLMValidationError(ValueError):
    """As vLLM's: known by its name."""


class Echo:
    """Answers with what it was asked, after as long as it is told."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds
        self.began = self.cancelled = False

    async def generate(self, request: GenerateRequest) -> Generated:
        self.began = True
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        parts = [Part(i, request.model_dump_json(), "stop") for i in reversed(range(request.n))]
        return Generated(parts, 3, 2)

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        yield Generated([], 3, 0)
        if request.prompt == "empty":
            raise VLLMValidationError("The decoder prompt cannot be empty")
        yield Generated([Part(0, "a", None)], 3, 1)
        if request.prompt == "fail":
            raise RuntimeError("/secret/path.py")
        yield Generated([Part(0, "b", "length")], 3, 2)


def app_for(generator: Echo) -> FastAPI:
    app = FastAPI()
    app.include_router(create_router("m", generator))
    return app


def test_root() -> None:
    with TestClient(app_for(Echo())) as http:
        body = http.get("/").json()
    assert set(body) == {"message", "model", "tasks"}
    assert body["tasks"] == ["generate"]
    assert body["model"] == "m"


def test_generate_defaults() -> None:
    with TestClient(app_for(Echo())) as http:
        body = http.post("/generate", json={"prompt": "Hello"}).json()
    assert set(body) == {"text", "prompt", "model", "finish_reason", "usage"}
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert (body["prompt"], body["model"]) == ("Hello", "m")
    assert json.loads(body["text"]) == {
        "prompt": "Hello",
        "max_tokens": 100,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": None,
        "seed": None,
        "n": 1,
        "stream": False,
    }


def test_several_answers_come_in_order() -> None:
    with TestClient(app_for(Echo())) as http:
        body = http.post("/generate", json={"prompt": "x", "n": 2}).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1]


@pytest.mark.parametrize("prompt", ["x", "fail"])
def test_stream(prompt: str) -> None:
    with TestClient(app_for(Echo())) as http:
        answer = http.post("/generate", json={"prompt": prompt, "stream": True})
    events = [line[6:] for line in answer.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[0]) == {"index": 0, "text": "a", "finish_reason": None}
    last = json.loads(events[-2])
    if prompt == "fail":
        assert last["error"]["code"] == 500
        assert "secret" not in answer.text
    else:
        assert (last["finish_reason"], last["usage"]["total_tokens"]) == ("length", 5)


def test_what_the_engine_refuses_once_asked_is_the_clients_mistake() -> None:
    # A prompt such as "\x04" has no tokens. vLLM sees that when the request reaches its engine.
    with TestClient(app_for(Echo())) as http:
        answer = http.post("/generate", json={"prompt": "empty", "stream": True})
    events = [line[6:] for line in answer.text.splitlines() if line]
    error = json.loads(events[0])["error"]
    assert (error["code"], error["message"]) == (400, "The decoder prompt cannot be empty")


def test_a_model_that_makes_no_text_says_so() -> None:
    app = FastAPI()
    app.include_router(without_generate("m", ["embed", "classify"]))
    with TestClient(app) as http:
        answer = http.post("/generate", json={"prompt": "x"})
        assert http.get("/").json()["model"] == "m"
        assert "/generate" not in http.get("/openapi.json").json()["paths"]
    assert answer.status_code == 404
    assert "can classify, embed" in answer.json()["error"]["message"]


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
        {"prompt": "x", "n": 0},
        {"prompt": "x", "seed": 2**63},
    ],
)
def test_bad_bodies(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerateRequest.model_validate(body)
    with TestClient(app_for(Echo())) as http:
        assert http.post("/generate", json=body).status_code == 400


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
        while not echo.began and not call.done():
            await asyncio.sleep(0.01)
        assert not call.done()
        inbox.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(call, 50)
        return echo.cancelled, sent

    cancelled, sent = asyncio.run(play())
    assert cancelled
    assert sent[0]["status"] == 499


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"prompt": "x", "model": "m"}, "model", "model: there is no such field; there are prompt"),
        ({}, "prompt", "prompt: Field required."),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens", "greater than or equal to 1."),
        ({"prompt": "x", "stop": 5}, "stop", "stop: Input should be a valid string"),
        ({"prompt": "x", "stop": ["a", ""]}, "stop", "stop: "),
        ([], None, "The body is not what /generate takes"),
    ],
)
def test_what_is_wrong_with_a_body_is_a_sentence(body: Any, param: str | None, says: str) -> None:
    with TestClient(app_for(Echo())) as http:
        answer = http.post("/generate", json=body)
    error = answer.json()["error"]
    assert answer.status_code == error["code"] == 400 and error["param"] == param
    assert says in error["message"] and not set("{}[]") & set(error["message"]), error


def test_what_is_no_json_is_told_so() -> None:
    with TestClient(app_for(Echo())) as http:
        answer = http.post("/generate", content=b"{'prompt'", headers={"content-type": "text/json"})
    assert answer.status_code == 400 and "JSON" in answer.json()["error"]["message"]
