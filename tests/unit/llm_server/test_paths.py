# SPDX-License-Identifier: Apache-2.0
"""Paths as clients write them."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Request
from llm_server.asgi.stack import build_front
from llm_server.keys.access import Access, AccessControl
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from llm_server.transport.paths import meant
from starlette.testclient import TestClient

KNOWN = {
    "/",
    "/generate",
    "/metrics",
    "/v1/models",
    "/v1/models/{name:path}",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v2/rerank",
}


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/v1//models", "/v1/models"),
        ("//v1///models", "/v1/models"),
        ("/models", "/v1/models"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/completions", "/v1/completions"),
        ("/messages", "/v1/messages"),
        ("/v1/v1/models", "/v1/models"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1/chat/completions", "/v1/chat/completions"),
        ("/V1/Models", "/v1/models"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/modles/", "/v1/models"),
        ("/rerank", "/v2/rerank"),
        ("/", None),
        ("//", None),
        ("/admin", None),
        ("/api/generate", None),
        ("/.env", None),
    ],
)
def test_what_was_meant(path: str, right: str | None) -> None:
    assert meant(path, KNOWN) == right


def client(root_path: str = "", **settings: Any) -> TestClient:
    app = FastAPI()
    app.router.redirect_slashes = False

    @app.get("/v1/models")
    async def models(request: Request) -> str:
        return request.scope["root_path"] + " models"

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> str:
        return name

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> int:
        return len(await request.body())

    state = ServerState("m")
    state.app = app
    state.move(Phase.HEALTHY, "")
    given = {"api_key_required": False, "root_path": root_path} | settings
    front = build_front(
        Settings(model_path="m", served_model_name="m", **given), state, AccessControl(Access())
    )
    return TestClient(front, follow_redirects=False, root_path="")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/v1/chat/completions/", 200),
        ("GET", "/v1/models/", 200),
        ("GET", "/health/", 200),
        ("GET", "/health/ready//", 200),
        ("GET", "/v1/models/org/name", 200),
        ("GET", "/v1/models/v1/models", 200),
        ("HEAD", "/v1/models", 200),
        ("HEAD", "/health", 200),
        ("HEAD", "/no/such/path", 404),
        ("POST", "/nothing/like/it", 404),
    ],
)
def test_no_redirect(method: str, path: str, status: int) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    assert client().request(method, path, headers=headers).status_code == status


def test_a_hint_comes_with_404_and_only_then() -> None:
    answer = client().post("/chat/completions", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].endswith("Did you mean /v1/chat/completions?")
    assert "Did you mean" not in client().get("/nothing/like/it").text


@pytest.mark.parametrize("before", ["", "/llm", "/a/b"])
def test_a_prefix_may_be_taken_off_by_a_proxy_or_not(before: str) -> None:
    http = client(before)
    for path in ("/v1/models", f"{before}/v1/models", f"{before}/v1/models/"):
        answer = http.get(path)
        assert (answer.status_code, answer.json()) == (200, f"{before} models"), path
    assert http.get(f"{before}/health").status_code == 200
    assert http.get("/llmx/health").status_code == 404


def test_the_page_below_a_prefix_finds_its_files() -> None:
    http = client("/llm")
    moved = http.get("/llm", headers={"Accept": "text/html"})
    assert (moved.status_code, moved.headers["location"]) == (308, "/llm/")
    page = http.get("/llm/", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
