# SPDX-License-Identifier: Apache-2.0
"""What /metrics says, in every phase and of every request, in bounded series."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from llm_server.asgi.stack import build_front
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.record import RequestRecord, current
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState, Step
from llm_server.telemetry.metrics import Metrics, outcome
from llm_server.telemetry.route_names import RouteNames
from llm_server.transport.tls import ServerContext
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

KEYS = {name: f"{name}-key-0123456789" for name in ("one", "two", "scraper")}
LABELS = ("key", "route", "outcome", "direction", "reason", "state", "phase", "model", "period")
NAMES = {
    "llm_requests",
    "llm_tokens",
    "llm_refused",
    "llm_state",
    "llm_in_flight",
    "llm_last_served_timestamp_seconds",
    "llm_start_phase_seconds",
    "llm_release_info",
    "llm_log_dropped",
    "llm_key_expiry_timestamp_seconds",
    "llm_certificate_expiry_timestamp_seconds",
    "llm_key_budget_tokens",
    "llm_key_budget_used_tokens",
    "llm_ledger_lost",
    "llm_ledger_replaced",
    "llm_ledger_unwritten_seconds",
}


def inner() -> FastAPI:
    app = FastAPI()
    router = APIRouter()

    @router.post("/v1/completions")
    async def work() -> None:
        record = current.get()
        assert record is not None
        record.tokens_in, record.tokens_out = 7, 3
        record.used(7, 3)

    @router.get("/v1/responses/{number}")
    async def one(number: str) -> str:
        return number

    @router.get("/fails")
    async def fails() -> None:
        raise RuntimeError

    @router.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse("# TYPE vllm:x_total counter\nvllm:x_total 5.0\n")

    app.include_router(router)
    return app


class Front:
    def __init__(self, *names: str, app: Any = None) -> None:
        self.state = ServerState("m")
        if app is not None:
            self.serve(app)
        keys = tuple(Key(name=n, sha256=digest(KEYS[n])) for n in names)
        self.control = AccessControl(Access(keys=keys))
        settings = Settings(model_path="m", served_model_name="m", access_file="x")
        edge = build_front(settings, self.state, self.control)
        self.http = TestClient(edge, raise_server_exceptions=False)

    def serve(self, app: Any) -> None:
        self.state.app = app
        self.state.move(Phase.HEALTHY, "ready")

    def ask(self, method: str, path: str, key: str | None = "one") -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {KEYS.get(key, key)}"}
        return self.http.request(method, path, headers=headers).status_code

    def scrape(self, query: str = "") -> dict[str, dict[tuple[str, ...], float]]:
        answer = self.http.get(
            "/metrics" + query, headers={"Authorization": f"Bearer {KEYS['scraper']}"}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return families(answer.text)


def families(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.name not in found, "each family is there once"
        samples = {
            tuple(s.labels[name] for name in LABELS if name in s.labels): s.value
            for s in family.samples
        }
        assert len(samples) == len(family.samples)
        found[family.name] = samples
    return found


def test_requests_tokens_and_refusals_are_counted_by_key() -> None:
    front = Front("one", "scraper", app=inner())
    assert front.ask("POST", "/v1/completions") == 200
    assert front.ask("POST", "/v1/completions") == 200
    assert front.ask("GET", "/v1/responses/a") == 200
    assert front.ask("GET", "/v1/responses/b") == 200
    assert front.ask("GET", "/fails") == 500
    assert front.ask("GET", "/nothing/such") == 404
    assert front.ask("GET", "/nothing/else", None) == 401
    assert front.ask("GET", "/v1/models", "wrong-key-0123456789") == 401
    found = front.scrape()
    assert found["llm_requests"] == {
        ("one", "/v1/completions", "ok"): 2,
        ("one", "/v1/responses/{number}", "ok"): 2,
        ("one", "/fails", "server_error"): 1,
        ("one", "other", "client_error"): 1,
        ("none", "other", "refused"): 1,
        ("none", "/v1/models", "refused"): 1,
    }
    assert found["llm_tokens"] == {("one", "prompt"): 14, ("one", "generation"): 6}
    assert found["llm_refused"] == {("none", "no_key"): 1, ("none", "wrong_key"): 1}
    assert found["vllm:x"] == {(): 5}
    assert abs(found["llm_last_served_timestamp_seconds"][()] - time.time()) < 600
    again = front.scrape()
    assert again["llm_requests"]["scraper", "/metrics", "ok"] == 1
    assert not [name for name in again if name.endswith("_created")]


@pytest.mark.parametrize("phase", list(Phase))
def test_it_answers_in_every_phase(phase: Phase) -> None:
    front = Front("scraper")
    if phase is not Phase.LOADING:
        front.serve(inner())
        front.state.move(phase, "")
    found = front.scrape()
    assert set(found) - {"vllm:x"} == NAMES
    assert ("vllm:x" in found) == (phase is not Phase.LOADING)
    assert found["llm_state"] == {(each,): each is phase for each in Phase}
    assert not found["llm_last_served_timestamp_seconds"]
    assert found["llm_release_info"] and set(found["llm_release_info"].values()) == {1}


def test_it_needs_a_key() -> None:
    front = Front("scraper", app=inner())
    assert front.ask("GET", "/metrics", None) == 401
    assert front.ask("HEAD", "/metrics", "scraper") == 200
    assert front.ask("POST", "/metrics", "scraper") == 405


@pytest.mark.parametrize("kind", ["raises", "fails", "zipped"])
def test_an_app_whose_part_cannot_be_had(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        if kind == "raises":
            raise RuntimeError
        headers = {"Content-Encoding": "gzip"} if kind == "zipped" else None
        return PlainTextResponse("\xff", 500 if kind == "fails" else 200, headers)

    caplog.set_level(logging.CRITICAL)
    assert set(Front("scraper", app=app).scrape()) == NAMES


def test_some_of_it_may_be_asked_for() -> None:
    found = Front("scraper").scrape("?name[]=llm_in_flight&name[]=llm_state")
    assert set(found) == {"llm_in_flight", "llm_state"}


def test_keys_that_go_take_their_series_with_them() -> None:
    front = Front("one", "two", "scraper", app=inner())
    for key in ("one", "two"):
        front.ask("POST", "/v1/completions", key)
    left = tuple(k for k in front.control.access.keys if k.name != "two")
    front.control.replace(Access(keys=left))
    front.ask("POST", "/v1/completions", "two")
    found = front.scrape()
    assert {labels[0] for labels in found["llm_requests"]} == {"one", "none"}
    assert {labels[0] for labels in found["llm_tokens"]} == {"one"}


def test_a_request_that_outlives_its_key() -> None:
    control = AccessControl(Access())
    metrics = Metrics(ServerState("m"), control)
    record = RequestRecord("i", "GET", "/x", key="gone")
    metrics.ended(record)
    metrics.used(record, 1, 2)
    found = families(metrics.text().decode())
    assert found["llm_requests"] == {("other", "other", "ok"): 1}


def test_whatever_clients_send_makes_no_series() -> None:
    front = Front("one", "scraper", app=inner())
    before = None
    for number in range(30):
        front.ask("POST", f"/a{number}/b", "one")
        front.ask("GET", f"/v1/responses/{number}", "one")
        front.ask("GET", f"/{number}", f"wrong-{number}")
        now = sum(map(len, front.scrape().values()))
        if number == 1:
            before = now
    assert now == before


def test_other_settings_are_told_by_their_digest() -> None:
    """The dashboard marks when they came into force."""
    given = {"model_path": "m", "served_model_name": "m", "access_file": "x"}
    told = set()
    for more in ({}, {}, {"vllm_args": {"max_model_len": 1024}}, {"log_content": True}):
        settings = Settings.model_validate(given | more)
        shown = Metrics(ServerState("m"), AccessControl(Access()), settings=settings.digest())
        assert f'settings="{settings.digest()}"' in shown.text().decode()
        told.add(settings.digest())
    assert len(told) == 3


def test_odd_values_stay_valid() -> None:
    state = ServerState('m"\\\n\u00e9')
    found = families(Metrics(state, AccessControl(Access())).text().decode())
    assert any('m"\\\n\u00e9' in labels for labels in found["llm_release_info"])


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ({"status": 200}, "ok"),
        ({"status": None}, "ok"),
        ({"status": 304}, "ok"),
        ({"status": 404}, "client_error"),
        ({"status": 500}, "server_error"),
        ({"status": 200, "failed": ""}, "server_error"),
        ({"status": 499, "gone": True}, "client_gone"),
        ({"status": 429, "reason": "full"}, "refused"),
        ({"status": 200, "reason": "timeout"}, "refused"),
    ],
)
def test_outcomes(record: dict[str, Any], word: str) -> None:
    assert outcome(RequestRecord("i", "GET", "/", **record)) == word


def test_steps_of_the_start() -> None:
    now = 100.0
    state = ServerState("m", lambda: now)
    now += 1
    state.begin(Step.IMPORT)
    now += 2
    assert state.steps() == {Step.BEGIN: 1, Step.IMPORT: 2}
    state.begin(Step.ENGINE)
    now += 4
    state.app = FastAPI()
    state.move(Phase.HEALTHY, "")
    now += 8
    state.begin(Step.WARM_UP)
    assert state.steps() == {Step.BEGIN: 1, Step.IMPORT: 2, Step.ENGINE: 4}


def names(app: Any, paths: Iterable[str]) -> list[str]:
    state = ServerState("m")
    known = RouteNames(state)
    before = [known.name(path) for path in paths]
    state.app = app
    assert before == [
        path if path in ("/v1/completions", "/metrics") else "other" for path in paths
    ]
    return [known.name(path) for path in paths]


def test_routes_have_names() -> None:
    app = inner()
    app.mount("/static", FastAPI())
    paths = [
        "/v1/completions",
        "/v1/responses/x",
        "/v1/responses/x/y",
        "/fails",
        "/static/a/b",
        "/",
    ]
    assert names(app, paths[:-1]) == [
        "/v1/completions",
        "/v1/responses/{number}",
        "other",
        "/fails",
        "/static",
    ]


def test_when_the_certificate_in_force_ends() -> None:
    state, control = ServerState("m"), AccessControl(Access())
    name = "llm_certificate_expiry_timestamp_seconds"
    tls = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    shown = Metrics(state, control, tls=tls)
    assert f"\n{name} " not in shown.text({name}).decode()
    tls.expires = 1.8e9
    assert f"\n{name} 1.8e+09\n" in shown.text({name}).decode()
