# SPDX-License-Identifier: Apache-2.0
"""The page at `/`: who gets it, and what its headers let it do."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from fastapi import FastAPI
from llm_server.asgi.page import load, wants_page
from llm_server.asgi.stack import build_front
from llm_server.engine.generate_routes import without_generate
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from starlette.testclient import TestClient

KEY = "unit-test-key-0123456789"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def front(phase: Phase = Phase.HEALTHY, **settings: bool) -> TestClient:
    """The whole front before an app of a model that makes vectors."""
    state = ServerState("m")
    if phase is not Phase.LOADING:
        state.app = app = FastAPI()
        app.include_router(without_generate("m", ["score", "embed"]))
        state.move(Phase.HEALTHY, "")
        state.move(phase, "")
    control = AccessControl(Access(keys=(Key(name="k", sha256=digest(KEY)),)))
    wanted = Settings(model_path="m", served_model_name="m", access_file="x", **settings)
    return TestClient(build_front(wanted, state, control))


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_needs_no_key_for_the_page(phase: Phase, method: str) -> None:
    answer = front(phase).request(method, "/", headers=BROWSER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "www-authenticate" not in answer.headers
    whole, _ = load(True)
    assert int(answer.headers["content-length"]) == len(whole.encode())
    assert answer.text == ("" if method == "HEAD" else whole)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/", {"Accept": "application/json"}),
        ("HEAD", "/", {}),
        ("POST", "/", BROWSER),
        ("OPTIONS", "/", BROWSER),
        ("GET", "/v1/models", BROWSER),
        ("GET", "/docs", BROWSER),
        ("GET", "/page.html", BROWSER),
    ],
)
def test_all_else_needs_one(method: str, path: str, headers: dict[str, str]) -> None:
    answer = front().request(method, path, headers=headers)
    assert answer.status_code == 401
    assert "<html" not in answer.text


def test_a_program_is_told_what_the_model_can_do() -> None:
    answer = front().get("/", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.json()["tasks"] == ["embed", "score"]
    assert answer.json()["model"] == "m"


def test_the_page_knows_whether_to_ask_for_a_key() -> None:
    assert '<html lang="en" data-key="needed">' in front().get("/", headers=BROWSER).text
    open_to_all = front(api_key_required=False).get("/", headers=BROWSER)
    assert '<html lang="en" data-key="none">' in open_to_all.text


@pytest.mark.parametrize(
    ("root_path", "path", "is_page"),
    [
        ("", "/", True),
        ("/models/one", "/models/one/", True),
        ("/models/one", "/models/one/docs", False),
        ("/models/one", "/models/two/", False),
    ],
)
def test_below_a_root_path(root_path: str, path: str, is_page: bool) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": root_path,
        "headers": [(b"accept", b"text/html")],
    }
    assert wants_page(scope) is is_page
    assert not wants_page(scope | {"type": "websocket"})


@pytest.mark.parametrize("key_needed", [True, False])
def test_the_policy_allows_what_the_page_has_and_nothing_else(key_needed: bool) -> None:
    html, headers = load(key_needed)
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        found = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{found}'"
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert headers["Cache-Control"] == "no-store"
    assert headers["Vary"] == "Accept", "programs get JSON at the same address"


def test_nothing_in_the_page_comes_from_elsewhere_or_runs_from_attributes() -> None:
    html, _ = load(True)
    assert not re.findall(r"""\b(?:src|href|action)=["']?(?:https?:)?//""", html)
    assert not re.findall(r"<[^>]*\s(?:on\w+|style)=", html)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "localStorage", "eval("):
        assert word not in html
    # A path from the root would miss the server where a proxy gives it a path of its own.
    assert not re.findall(r"""(?:href="|fetch\("|ask\(")/""", html)
