# SPDX-License-Identifier: Apache-2.0
"""The inner door: health at any time, the model's app once it can answer and while it has room."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ..errors import error_response
from ..idle import is_use
from ..keys.access import AccessControl
from ..reasons import Reason
from ..record import current, note_reason
from ..state import Phase, ServerState
from ..transport.connections import UNREAD
from ..transport.paths import meant

RETRY_AFTER_S = {
    Phase.LOADING: "5",
    Phase.DRAINING: "10",
    Phase.STUCK: "10",
    Phase.UNHEALTHY: "10",
}
_REASONS: dict[Phase, Reason] = {
    Phase.LOADING: "loading",
    Phase.DRAINING: "draining",
    Phase.STUCK: "stuck",
    # Where its engine died a moment ago it is healthy still by name.
    Phase.HEALTHY: "unhealthy",
    Phase.UNHEALTHY: "unhealthy",
}
#: Where the machine is being switched off as nobody used it; somebody has to start it again.
RETRY_AFTER_REST_S = "60"
#: Where there is no room: half of the requests of a busy server end within seconds.
RETRY_AFTER_FULL_S = "2"
_RESTS = (
    "Nobody used this server for a while, so its machine is being switched off"
    " (llm_server_idle_stop_minutes). It does not come back by itself: ask whoever runs it to start"
    " it, and try again."
)


class Gate:
    """Answers health itself and forwards everything else while the model can answer.

    It decides before a body is read: who answers health reads none, and a request that was let
    in is answered also where SIGTERM comes while its body still arrives.
    """

    def __init__(
        self, state: ServerState, control: AccessControl, inner: ASGIApp | None = None
    ) -> None:
        """`inner` is what a request meets on its way to the model's app, which it finds itself."""
        self.state = state
        self.control = control
        self.inner = inner
        self._working = 0
        self._paths_of: ASGIApp | None = None
        self._paths: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket."""
        state = self.state
        if scope.get("method") == "HEAD":
            # As GET, says HTTP; uvicorn, which knows what was asked, leaves the body out.
            scope = {**scope, "method": "GET"}
        if scope["type"] == "http" and scope["method"] == "GET":
            answer = self._health(scope["path"])
            if answer:
                status, body = answer
                headers = {"Cache-Control": "no-store"}
                await JSONResponse(body, status, headers)(scope, receive, send)
                return
        if state.can_answer and state.app is not None:
            if scope["type"] == "http" and (right := self._meant(scope, state.app)):
                response = error_response(404, f"There is no such path. Did you mean {right}?")
                await response(scope, receive, send)
                return
            await self._forward(self.inner or state.app, scope, receive, send)
        elif scope["type"] == "websocket":
            note_reason(_REASONS[state.phase])
            await WebSocketClose(code=1013, reason=str(state.phase))(scope, receive, send)
        else:
            phase = Phase.UNHEALTHY if state.phase is Phase.HEALTHY else state.phase
            text = f"The model cannot answer now ({phase}); see /health."
            later = RETRY_AFTER_S[phase]
            if state.resting:
                text, later = _RESTS, RETRY_AFTER_REST_S
            headers = {"Retry-After": later}
            # Else its next request would meet a connection that is closing, and get no answer.
            # While a body still comes a close would take this answer away from its client.
            if phase is Phase.DRAINING and not scope.get(UNREAD, bool)():
                headers["Connection"] = "close"
            response = error_response(503, text, headers=headers, reason=_REASONS[phase])
            await response(scope, receive, send)

    def _meant(self, scope: Scope, app: Any) -> str | None:
        """What was meant by a path that the app does not have."""
        if app is not self._paths_of:
            routes = getattr(app, "routes", ())
            self._paths_of, self._paths = app, {getattr(route, "path", "") for route in routes}
        path = scope["path"]
        if path in self._paths or path == "/":
            return None
        right = meant(path, self._paths)
        if right is None:
            return None
        there = any(route.matches(scope)[0] is not Match.NONE for route in app.routes)
        return None if there else right

    def _health(self, path: str) -> tuple[int, dict[str, object]] | None:
        if path in ("/health", "/health/ready"):
            return self.state.health()
        return self.state.live() if path == "/health/live" else None

    async def _forward(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        # What only asks for state is never too much: it takes no place in the engine.
        works = scope["type"] == "websocket" or scope["method"] == "POST"
        if works and self._working >= self.control.limits.max_requests:
            await self._full(scope, receive, send)
            return
        # Counted here, around everything: what SIGTERM waits for.
        self.state.in_flight += 1
        self._working += works
        record = current.get()
        if record is not None:
            record.inside = True
        used = is_use(scope, record.agent if record is not None else None)
        if used:
            self.state.idle.begin()
        try:
            await app(scope, receive, send)
        finally:
            if used:
                self.state.idle.end()
            self.state.in_flight -= 1
            self._working -= works
            if record is not None and record.gone:
                # What vLLM waited for ends whenever Python sees to it: too late to be counted.
                record.settle()

    async def _full(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            note_reason("full")
            await WebSocketClose(code=1013, reason="full")(scope, receive, send)
            return
        response = error_response(
            429,
            f"{self._working} requests run or wait already, which is all that this server takes"
            " (llm_server_limits.max_requests).",
            headers={"Retry-After": RETRY_AFTER_FULL_S},
            reason="full",
        )
        await response(scope, receive, send)
