# SPDX-License-Identifier: Apache-2.0
"""API keys: only GET /health is open, whatever the app behind has to offer."""

from __future__ import annotations

import base64

import anyio
import httpx
import pytest
from fastapi import FastAPI, WebSocket
from llm_server.asgi.gate import Gate
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.keys.api_keys import ApiKeyMiddleware
from llm_server.state import Phase, ServerState
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from starlette.websockets import WebSocketDisconnect

KEYS = ("first-key-0123456789", "second-key-0123456789")


def inner_app() -> FastAPI:
    app = FastAPI()

    @app.get("/metrics")
    @app.post("/invocations")
    @app.get("/health/extra")
    def answer() -> str:
        return "inside"

    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("inside")
        await socket.close()

    return app


def guarded(phase: Phase) -> ASGIApp:
    state = ServerState("m")
    if phase is not Phase.LOADING:
        state.app = inner_app()
        state.move(Phase.HEALTHY, "")
        state.move(phase, "")
    named = tuple(Key(name=f"k{i}", sha256=digest(key)) for i, key in enumerate(KEYS))
    control = AccessControl(Access(keys=named))
    return ApiKeyMiddleware(Gate(state, control), control)


def client(phase: Phase = Phase.HEALTHY) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(guarded(phase))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def status(method: str, path: str, phase: Phase, **headers: str) -> int:
    async with client(phase) as http:
        return (await http.request(method, path, headers=headers)).status_code


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("POST", "/invocations"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("OPTIONS", "/metrics"),
        ("POST", "/health"),
        ("HEAD", "/metrics"),
        ("GET", "/health/"),
        ("GET", "/health/extra"),
        ("GET", "//health"),
        ("GET", "/HEALTH"),
        ("GET", "/no/such/path"),
    ],
)
def test_closed_without_a_key(phase: Phase, method: str, path: str) -> None:
    assert anyio.run(status, method, path, phase) == 401


@pytest.mark.parametrize("phase", list(Phase))
def test_health_is_open(phase: Phase) -> None:
    expected = 200 if phase is Phase.HEALTHY else 503
    live = 503 if phase in (Phase.STUCK, Phase.UNHEALTHY) else 200
    assert anyio.run(status, "GET", "/health/live", phase) == live
    assert anyio.run(status, "GET", "/health/ready", phase) == expected
    assert anyio.run(status, "GET", "/health", phase) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        KEYS[0],
        f"Basic {KEYS[0]}",
        "Bearer",
        "Bearer ",
        f"Bearer {KEYS[0]}x",
        f"Bearer {KEYS[0][:-1]}",
        f"Bearer {KEYS[0]} {KEYS[1]}",
        f"Bearer {KEYS[0]},{KEYS[1]}",
        "Bearer \udcff",
    ],
)
def test_wrong_keys(value: str) -> None:
    http = TestClient(guarded(Phase.HEALTHY))
    raw = value.encode("utf-8", "surrogateescape")
    answer = http.get("/metrics", headers=[(b"authorization", raw)])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


BASIC = "Basic " + base64.b64encode(f"me:{KEYS[0]}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([], "An API key is needed"),
        ([("Authorization", "Bearer wrong-key-0123")], "This API key is not known here"),
        ([("x-api-key", "wrong-key-0123")], "This API key is not known here"),
        ([("Authorization", KEYS[0])], "holds one word. Write 'Bearer', one space"),
        ([("Authorization", f"Token {KEYS[0]}")], "first word of the Authorization header must be"),
        ([("Authorization", f"Bearer\t{KEYS[0]}")], "Write 'Bearer', one space"),
        ([("Authorization", "Bearer")], "no key after the word Bearer"),
        ([("Authorization", "Bearer  ")], "no key after the word Bearer"),
        ([("Authorization", "")], "The Authorization header is empty"),
        ([("Authorization", f"Bearer {KEYS[0]}")] * 2, "several Authorization headers"),
        ([("Authorization", BASIC)], "open /docs in a browser and nothing else"),
        ([("x-api-key", KEYS[0])] * 2, "several x-api-key headers"),
        ([("x-api-key", "")], "The x-api-key header is empty"),
        ([("api-key", KEYS[0])], "The header api-key is not read here"),
        ([("x-goog-api-key", KEYS[0])], "The header x-goog-api-key is not read here"),
    ],
)
def test_what_is_wrong_with_a_key_is_told_and_the_key_is_not(
    headers: list[tuple[str, str]], said: str
) -> None:
    answer = TestClient(guarded(Phase.HEALTHY)).get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert said in answer.json()["error"]["message"]
    for _, value in headers:
        assert not any(part in answer.text for part in value.split() if len(part) > 8)


def test_what_is_left_is_told_and_only_work_counts() -> None:
    state = ServerState("m")
    state.app = inner_app()
    state.move(Phase.HEALTHY, "")
    keys = (
        Key(name="a", sha256=digest(KEYS[0]), requests_per_minute=2, tokens_per_minute=500),
        Key(name="b", sha256=digest(KEYS[1])),
    )
    control = AccessControl(Access(keys=keys))
    http = TestClient(ApiKeyMiddleware(Gate(state, control), control))
    bounded = {"Authorization": f"Bearer {KEYS[0]}"}
    for _ in range(5):
        looked = http.get("/metrics", headers=bounded)
        assert looked.headers["x-ratelimit-remaining-requests"] == "2"
    seen = [http.post("/invocations", headers=bounded) for _ in range(3)]
    assert [answer.status_code for answer in seen] == [200, 200, 429]
    left = [answer.headers["x-ratelimit-remaining-requests"] for answer in seen]
    assert left == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in seen} == {"2"}
    assert seen[2].headers["x-ratelimit-reset-requests"].endswith("s")
    assert seen[2].headers["x-ratelimit-limit-tokens"] == "500"
    assert int(seen[2].headers["retry-after"]) > 0
    assert http.get("/metrics", headers=bounded).status_code == 200
    free = http.post("/invocations", headers={"Authorization": f"Bearer {KEYS[1]}"})
    assert not [name for name in free.headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
@pytest.mark.parametrize("phase", [Phase.HEALTHY, Phase.LOADING])
def test_head_of_health_is_its_get_without_a_body(path: str, phase: Phase) -> None:
    assert anyio.run(status, "HEAD", path, phase) == anyio.run(status, "GET", path, phase)


def test_two_headers_are_refused() -> None:
    right = ("Authorization", f"Bearer {KEYS[0]}")
    http = TestClient(guarded(Phase.HEALTHY))
    assert http.get("/metrics", headers=[right]).status_code == 200
    assert http.get("/metrics", headers=[right, right]).status_code == 401


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_right_key(key: str, scheme: str) -> None:
    http = TestClient(guarded(Phase.HEALTHY))
    answer = http.get("/metrics", headers={"Authorization": f"{scheme} {key}"})
    assert (answer.status_code, answer.json()) == (200, "inside")


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_a_browser_sends_the_key_as_a_password(path: str) -> None:
    http = TestClient(guarded(Phase.HEALTHY))
    asked = http.get(path)
    assert asked.status_code == 401
    # Beside another scheme on one line, Chromium takes it for none that it knows.
    assert asked.headers["www-authenticate"] == 'Basic realm="the API key is the password"'
    assert http.get(path, headers=basic(KEYS[0])).status_code == 200
    assert http.get(path, headers=basic("x" + KEYS[0])).status_code == 401
    assert http.get(path, headers={"Authorization": f"Basic {KEYS[0]}"}).status_code == 401
    assert http.get(path, headers={"Authorization": f"Bearer {KEYS[0]}"}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/metrics"), ("POST", "/invocations")])
def test_a_password_opens_nothing_else(method: str, path: str) -> None:
    http = TestClient(guarded(Phase.HEALTHY))
    assert http.request(method, path, headers=basic(KEYS[0])).status_code == 401
    assert http.post("/docs", headers=basic(KEYS[0])).status_code == 401


def test_websocket() -> None:
    http = TestClient(guarded(Phase.HEALTHY))
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        http.websocket_connect("/v1/realtime"),
    ):
        pass
    assert refused.value.code == 1008
    headers = {"Authorization": f"Bearer {KEYS[0]}"}
    with http.websocket_connect("/v1/realtime", headers=headers) as socket:
        assert socket.receive_text() == "inside"
