# SPDX-License-Identifier: Apache-2.0
"""The outer app: health at any time, the model's app once it can answer."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from .errors import error_response
from .state import Phase, ServerState

RETRY_AFTER_S = {Phase.LOADING: "5", Phase.DRAINING: "10", Phase.UNHEALTHY: "10"}


class Gate:
    """Answers GET /health itself and forwards everything else while the model can answer."""

    def __init__(self, state: ServerState) -> None:
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket."""
        state = self.state
        if scope["type"] == "http" and scope["path"] == "/health" and scope["method"] == "GET":
            status, body = state.health()
            await JSONResponse(body, status, {"Cache-Control": "no-store"})(scope, receive, send)
        elif state.can_answer and state.app is not None:
            await self._forward(state.app, scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1013, reason=str(state.phase))(scope, receive, send)
        else:
            phase = Phase.UNHEALTHY if state.phase is Phase.HEALTHY else state.phase
            response = error_response(
                503,
                f"The model cannot answer now ({phase}); see /health.",
                headers={"Retry-After": RETRY_AFTER_S[phase]},
            )
            await response(scope, receive, send)

    async def _forward(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        # Counted here, around everything: what SIGTERM waits for.
        self.state.in_flight += 1
        try:
            await app(scope, receive, send)
        finally:
            self.state.in_flight -= 1
