# SPDX-License-Identifier: Apache-2.0
"""What a key opens, until when, and what is said of it before that."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.asgi.stack import build_front
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.keys.rights import INFERENCE, Reminder, refused
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from pydantic import ValidationError
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

KEY = "unit-test-key-0123456789"
AUTHORISED = {"Authorization": f"Bearer {KEY}"}
ADMINISTRATION = (
    "/scale_elastic_ep",
    "/is_scaling_elastic_ep",
    "/load",
    "/kv_event_sources",
    "/sleep",
    "/wake_up",
    "/pause",
    "/collective_rpc",
    "/reset_prefix_cache",
    "/start_profile",
    "/server_info",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/inference/v1/abort_requests",
    "/fault_tolerance/apply",
    "/update_weights",
    "/something/new",
)


def key(**given: Any) -> Key:
    return Key(name="k", sha256=digest(KEY), **given)


def front(**given: Any) -> TestClient:
    app = FastAPI(openapi_url=None)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def anything(path: str) -> str:
        return path

    state = ServerState("m")
    state.app = app
    state.move(Phase.HEALTHY, "")
    settings = Settings(model_path="m", served_model_name="m", access_file="x")
    return TestClient(build_front(settings, state, AccessControl(Access(keys=(key(**given),)))))


@pytest.mark.parametrize(
    ("scope", "opens", "closed"),
    [
        ("all", ["/v1/models", "/metrics", *ADMINISTRATION], []),
        ("metrics", ["/metrics", "/health"], ["/v1/models", "/", "/docs", *ADMINISTRATION]),
        (
            "inference",
            ["/health", "/v1/responses/resp_1", "/v1/models/m", "/v1/models/", *sorted(INFERENCE)],
            ["/metrics", "/metrics/", "/metricsx", *ADMINISTRATION],
        ),
    ],
)
def test_scopes(scope: str, opens: list[str], closed: list[str]) -> None:
    http = front(scope=scope)
    for path in opens:
        assert http.get(path, headers=AUTHORISED).status_code == 200, path
    for path in closed:
        for method in ("GET", "POST"):
            answer = http.request(method, path, headers=AUTHORISED)
            error = answer.json()["error"]
            assert answer.status_code == 403, path
            assert f"scope {scope}" in error["message"]
            assert "whose scope is all" in error["message"]


def test_a_websocket_out_of_scope() -> None:
    asked = front(scope="metrics").websocket_connect("/v1/realtime", headers=AUTHORISED)
    with pytest.raises(WebSocketDisconnect) as closed, asked:
        pass
    assert closed.value.code == 1008
    assert "scope metrics" in closed.value.reason


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2027-01-31", datetime(2027, 2, 1, tzinfo=UTC)),
        (date(2027, 1, 31), datetime(2027, 2, 1, tzinfo=UTC)),
        ("2027-01-31T12:30:00Z", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
        ("2027-01-31 12:30:00+02:00", datetime(2027, 1, 31, 10, 30, tzinfo=UTC)),
        ("2027-01-31T12:30", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
        (datetime(2027, 1, 31, 12, 30), datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
        (None, None),
    ],
)
def test_when_a_key_ends(given: object, moment: datetime | None) -> None:
    assert key(expires=given).expires == moment


@pytest.mark.parametrize("given", ["tomorrow", "2027-02-30", "31.01.2027", "", 5, "9999-12-31"])
def test_what_is_no_end(given: object) -> None:
    with pytest.raises(ValidationError, match="2027-01-31T12:00:00Z"):
        key(expires=given)


def scope_of(path: str) -> dict[str, Any]:
    return {"type": "http", "path": path, "method": "GET"}


def test_a_key_works_until_its_end() -> None:
    ends = key(expires="2027-01-31")
    moment = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
    assert refused(ends, scope_of("/v1/models"), moment - 1) is None
    refusal = refused(ends, scope_of("/v1/models"), moment)
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (401, "expired_key")
    assert "k expired on 2027-01-31" in refusal.message
    exact = refused(key(expires="2027-01-31T12:30:00Z"), scope_of("/x"), moment)
    assert exact is not None
    assert "2027-01-31 12:30 UTC" in exact.message


def test_an_expired_key_is_told_so() -> None:
    answer = front(expires="2020-01-31").get("/v1/models", headers=AUTHORISED)
    assert answer.status_code == 401
    assert "expired on 2020-01-31" in answer.json()["error"]["message"]
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_log_reminds_once_a_day(caplog: pytest.LogCaptureFixture) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    soon, late, past = "2027-01-05", "2027-01-20", "2026-12-01"
    keys = [
        Key(name=name, sha256=digest(name), expires=ends)
        for name, ends in (("soon", soon), ("late", late), ("past", past), ("never", None))
    ]
    control = AccessControl(Access(keys=tuple(keys)))
    reminder = Reminder(control, lambda: now.timestamp())  # noqa: PLW0108 - it moves on

    def said() -> list[str]:
        reminder.look()
        found = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        caplog.clear()
        return found

    first = said()
    assert first[0].startswith("The key soon expires on 2027-01-05")
    assert first[1].startswith("The key past expired on 2026-12-01")
    assert len(first) == 2
    now += timedelta(hours=23)
    assert said() == []
    now += timedelta(hours=1)
    assert len(said()) == 2
    renewed = Key(name="soon", sha256=digest("soon"), expires="2027-01-06")
    control.replace(Access(keys=(renewed, *keys[1:])))
    assert [text.split(" on ")[0] for text in said()] == ["The key soon expires"]
    now += timedelta(days=15)
    assert {text.split()[2] for text in said()} == {"soon", "late", "past"}
