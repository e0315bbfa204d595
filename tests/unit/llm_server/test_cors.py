# SPDX-License-Identifier: Apache-2.0
"""Pages of other sites: what a browser asks before, and what it may read of each answer."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.asgi.stack import build_front
from llm_server.keys.access import Access, AccessControl, Key, Limits, digest
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from starlette.testclient import TestClient

KEY = "unit-test-key-0123456789"
APP = "http://app.example"
PREFLIGHT = {
    "Origin": APP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


def client(phase: Phase = Phase.HEALTHY, **vllm_args: Any) -> TestClient:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat() -> str:
        return "inside"

    @app.post("/broken")
    async def broken() -> None:
        raise RuntimeError

    state = ServerState("m")
    if phase is not Phase.LOADING:
        state.app = app
        state.move(Phase.HEALTHY, "")
        state.move(phase, "")
    key = Key(name="k", sha256=digest(KEY), requests_per_minute=2)
    control = AccessControl(Access(keys=(key,), limits=Limits(max_body_bytes=1024)))
    settings = Settings(model_path="m", served_model_name="m", access_file="x", vllm_args=vllm_args)
    return TestClient(build_front(settings, state, control), raise_server_exceptions=False)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("origins", [["*"], [APP, "http://other.example"], f'["{APP}"]'])
def test_a_preflight_needs_no_key(phase: Phase, origins: Any) -> None:
    answer = client(phase, allowed_origins=origins).options(
        "/v1/chat/completions", headers=PREFLIGHT
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in ("*", APP)
    assert "authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize("origins", [[], ["http://other.example"]])
def test_closed_to_pages_that_are_not_named(origins: list[str]) -> None:
    http = client(allowed_origins=origins)
    answer = http.options("/v1/chat/completions", headers=PREFLIGHT)
    assert answer.status_code == 403
    assert "allowed_origins" in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    headers = {"Origin": APP, "Authorization": f"Bearer {KEY}"}
    assert "access-control-allow-origin" not in http.post("/x", headers=headers).headers


@pytest.mark.parametrize(
    ("phase", "path", "headers", "body", "status"),
    [
        (Phase.HEALTHY, "/v1/chat/completions", {"Authorization": "Bearer x"}, "", 401),
        (Phase.HEALTHY, "/v1/chat/completions", {}, "", 401),
        (Phase.HEALTHY, "/v1/chat/completions", None, "x" * 2000, 413),
        (Phase.HEALTHY, "/v1/chat/completions", None, "", 200),
        (Phase.HEALTHY, "/none", None, "", 404),
        (Phase.HEALTHY, "/broken", None, "", 500),
        (Phase.LOADING, "/v1/chat/completions", None, "", 503),
        (Phase.STUCK, "/v1/chat/completions", None, "", 503),
    ],
)
def test_a_page_can_read_each_answer(
    phase: Phase, path: str, headers: dict[str, str] | None, body: str, status: int
) -> None:
    given = {"Authorization": f"Bearer {KEY}"} if headers is None else headers
    http = client(phase, allowed_origins=[APP])
    answer = http.post(path, headers={"Origin": APP} | given, content=body)
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == APP
    shown = answer.headers["access-control-expose-headers"].lower()
    assert all(name in shown for name in ("x-request-id", "retry-after", "x-ratelimit-reset-"))


def test_a_page_can_read_429() -> None:
    http = client(allowed_origins=["*"])
    headers = {"Origin": APP, "Authorization": f"Bearer {KEY}"}
    answers = [http.post("/v1/chat/completions", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["access-control-allow-origin"] == "*"


def test_what_is_no_preflight_still_needs_a_key() -> None:
    http = client(allowed_origins=["*"])
    assert http.options("/v1/chat/completions").status_code == 401
    assert http.options("/v1/chat/completions", headers={"Origin": APP}).status_code == 401


def test_credentials_as_vllm_has_it() -> None:
    http = client(allowed_origins=[APP], allow_credentials=True)
    answer = http.options("/v1/chat/completions", headers=PREFLIGHT)
    assert answer.headers["access-control-allow-credentials"] == "true"
