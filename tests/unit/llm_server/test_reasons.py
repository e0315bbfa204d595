# SPDX-License-Identifier: Apache-2.0
"""Every refusal of this server has a word in the log line of its request."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.asgi.stack import build_front
from llm_server.errors import error_response
from llm_server.keys.access import Access, AccessControl, Key, Limits, digest
from llm_server.ledger.ledger import PROMPT
from llm_server.reasons import REASONS
from llm_server.record import RequestRecord, current
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

KEY = "unit-test-key-0123456789"


def inner() -> FastAPI:
    app = FastAPI()

    @app.post("/work")
    async def work() -> None: ...

    @app.post("/slow")
    async def slow() -> None:
        await asyncio.sleep(10)

    return app


def front(phase: Phase = Phase.HEALTHY, died: bool = False, **given: Any) -> TestClient:
    state = ServerState("m")
    if phase is not Phase.LOADING:
        state.app = inner()
        state.move(Phase.HEALTHY, "")
        state.move(phase, "")
    state.engine_died = lambda: died
    rates = {name: given.pop(name) for name in list(given) if "_per_" in name}
    key = Key(name="k", sha256=digest(KEY), **rates)
    control = AccessControl(Access(keys=(key,), limits=Limits.model_validate(given)))
    control.ledger.add("k", None, PROMPT, 5)
    if "tokens_per_minute" in rates:
        control.rates(key).spend(2 * rates["tokens_per_minute"])
    settings = Settings(model_path="m", served_model_name="m", access_file="x")
    return TestClient(build_front(settings, state, control), raise_server_exceptions=False)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_server.asgi.edge.GRACE_S", 0.05)


def reason(caplog: pytest.LogCaptureFixture) -> str | None:
    said = [json.loads(r.getMessage()) for r in caplog.records if "access" in r.name]
    return said[-1].get("reason")


RIGHT = {"Authorization": f"Bearer {KEY}"}
TABLE: list[tuple[str, int, dict[str, Any], dict[str, Any]]] = [
    ("no_key", 401, {}, {"headers": {}}),
    ("wrong_key", 401, {}, {"headers": {"Authorization": "Bearer x"}}),
    ("wrong_key", 401, {}, {"headers": {"x-api-key": "x"}}),
    ("rate_requests", 429, {"requests_per_minute": 1}, {"times": 2}),
    ("rate_tokens", 429, {"tokens_per_minute": 5}, {}),
    ("budget_day", 429, {"tokens_per_day": 5}, {}),
    ("budget_month", 429, {"tokens_per_month": 5, "tokens_per_day": 5}, {}),
    ("loading", 503, {"phase": Phase.LOADING}, {}),
    ("draining", 503, {"phase": Phase.DRAINING}, {}),
    ("stuck", 503, {"phase": Phase.STUCK}, {}),
    ("unhealthy", 503, {"phase": Phase.UNHEALTHY}, {}),
    ("unhealthy", 503, {"died": True}, {}),
    ("body_too_large", 413, {"max_body_bytes": 1024}, {"content": b"x" * 1025}),
    (
        "too_many_sequences",
        400,
        {"max_sequences": 2},
        {"path": "/v1/completions", "json": {"prompt": ["a"] * 3}},
    ),
    ("timeout", 504, {"max_request_seconds": 0.05}, {"path": "/slow"}),
]


@pytest.mark.parametrize(("word", "status", "server", "request_"), TABLE)
def test_each_refusal_has_its_word(
    word: str,
    status: int,
    server: dict[str, Any],
    request_: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "llm_server.access")
    request_ = {"headers": RIGHT, "path": "/work", "times": 1} | request_
    path, times = request_.pop("path"), request_.pop("times")
    http = front(**server)
    for _ in range(times):
        answer = http.post(path, **request_)
    assert answer.status_code == status
    assert reason(caplog) == word
    assert word in REASONS


def test_what_is_answered_has_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llm_server.access")
    assert front().post("/work", headers=RIGHT).status_code == 200
    assert reason(caplog) is None


@pytest.mark.parametrize(
    ("word", "server", "headers"),
    [
        ("no_key", {}, {}),
        ("rate_tokens", {"tokens_per_minute": 1}, RIGHT),
        ("budget_day", {"tokens_per_day": 5}, RIGHT),
        ("loading", {"phase": Phase.LOADING}, RIGHT),
    ],
)
def test_websockets(
    word: str, server: dict[str, Any], headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llm_server.access")
    with (
        pytest.raises(WebSocketDisconnect),
        front(**server).websocket_connect("/v1/realtime", headers=headers),
    ):
        pass
    assert reason(caplog) == word


def test_an_answer_notes_its_reason() -> None:
    record = RequestRecord("i", "GET", "/")
    current.set(record)
    error_response(404, "Not here.")
    assert record.reason is None
    error_response(429, "Full.", reason="full")
    assert record.reason == "full"
