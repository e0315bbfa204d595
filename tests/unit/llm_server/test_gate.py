# SPDX-License-Identifier: Apache-2.0
"""Health and the gate: what is answered in each phase of the server's life."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from llm_server.asgi.gate import Gate
from llm_server.keys.access import Access, AccessControl, Limits
from llm_server.state import Phase, ServerState
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect


class Clock:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def loaded() -> ServerState:
    state = ServerState("m")
    state.app = FastAPI()
    state.move(Phase.HEALTHY, "ready")
    return state


def test_health_while_loading() -> None:
    clock = Clock()
    state = ServerState("m", clock)
    state.progress("importing")
    clock.now += 2.5
    assert state.health() == (
        503,
        {
            "status": "loading",
            "model_loaded": False,
            "model": "m",
            "seconds": 2.5,
            "detail": "importing",
        },
    )


def test_health_once_healthy() -> None:
    status, body = loaded().health()
    assert status == 200
    assert (body["status"], body["model_loaded"]) == ("healthy", True)
    assert "detail" not in body


def test_a_dead_engine_is_seen_at_the_next_question() -> None:
    state = loaded()
    dead = False
    state.engine_died = lambda: dead
    assert state.can_answer
    dead = True
    assert not state.can_answer
    status, body = state.health()
    assert (status, body["status"], body["model_loaded"]) == (503, "unhealthy", False)
    dead = False
    assert state.health()[0] == 503, "what was unhealthy stays so until it is started again"


def test_draining_says_so() -> None:
    state = loaded()
    state.move(Phase.DRAINING, "stopping")
    status, body = state.health()
    assert (status, body["status"]) == (503, "draining")
    assert not state.can_answer


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ([Phase.DRAINING, Phase.HEALTHY], Phase.DRAINING),
        ([Phase.HEALTHY, Phase.STUCK, Phase.HEALTHY], Phase.HEALTHY),
        ([Phase.HEALTHY, Phase.STUCK, Phase.DRAINING], Phase.DRAINING),
        ([Phase.UNHEALTHY, Phase.HEALTHY], Phase.UNHEALTHY),
        ([Phase.HEALTHY, Phase.LOADING], Phase.HEALTHY),
        ([Phase.HEALTHY, Phase.DRAINING, Phase.UNHEALTHY], Phase.UNHEALTHY),
    ],
)
def test_no_way_back(steps: list[Phase], end: Phase) -> None:
    state = ServerState("m")
    state.app = FastAPI()
    for step in steps:
        state.move(step, "")
    assert state.phase is end


def test_healthy_needs_an_app() -> None:
    with pytest.raises(ValueError, match="needs an app"):
        ServerState("m").move(Phase.HEALTHY, "")


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.DRAINING, Phase.UNHEALTHY])
def test_requests_are_put_off(phase: Phase) -> None:
    state = ServerState("m")
    state.move(phase, "")
    http = TestClient(Gate(state, AccessControl(Access())))
    answer = http.post("/generate", json={"prompt": "x"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == 503
    with pytest.raises(WebSocketDisconnect) as closed, http.websocket_connect("/v1/realtime"):
        pass
    assert closed.value.code == 1013
    assert http.get("/health").headers["cache-control"] == "no-store"


def test_requests_in_flight_are_counted() -> None:
    state = loaded()
    seen: list[int] = []
    app = FastAPI()

    @app.get("/count")
    async def count() -> None:
        seen.append(state.in_flight)

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError

    state.app = app
    http = TestClient(Gate(state, AccessControl(Access())), raise_server_exceptions=False)
    http.get("/count")
    assert http.get("/fail").status_code == 500
    http.get("/health")
    assert seen == [1]
    assert state.in_flight == 0


def test_a_full_server_takes_no_more_work_but_tells_its_state() -> None:
    state = loaded()
    app = FastAPI()
    seen: list[int] = []

    @app.post("/work")
    async def work() -> None:
        seen.append(http.post("/work").status_code)
        seen.append(http.get("/state").status_code)

    @app.get("/state")
    async def ask() -> None: ...

    state.app = app
    limits = Limits(max_requests=1)
    gate = Gate(state, AccessControl(Access(limits=limits)))
    http = TestClient(gate)
    assert http.post("/work").status_code == 200
    assert seen == [429, 200]
    assert http.post("/work").status_code == 200, "the place is free again"
