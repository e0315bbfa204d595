# SPDX-License-Identifier: Apache-2.0
"""GET /metrics in every phase: this server's own, and vLLM's once its app is there."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..keys.rights import METRICS_PATH
from ..state import ServerState
from .metrics import Metrics

logger = logging.getLogger("llm_server")

#: What each Prometheus reads.
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsPage:
    """Stands before the gate, which is closed while the model cannot answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics, state: ServerState) -> None:
        self.app = app
        self.metrics = metrics
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        asked = scope["type"] == "http" and path == METRICS_PATH
        if not asked or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        names = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("name[]")
        inner = await self._of_model(scope)
        text = self.metrics.text(set(names) if names else None) + inner
        await Response(text, media_type=_TYPE)(scope, receive, send)

    async def _of_model(self, scope: Scope) -> bytes:
        """vLLM's part; nothing where that is not there or fails."""
        if self.state.app is None:
            return b""
        parts: list[bytes] = []
        status = 0
        encoding = ""

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, encoding
            if message["type"] == "http.response.start":
                status = message["status"]
                encoding = Headers(raw=message["headers"]).get("content-encoding", "")
            else:
                parts.append(message.get("body", b""))

        # Its text format: OpenMetrics has an end that nothing can follow.
        plain = {**scope, "method": "GET", "headers": [(b"accept", b"text/plain")]}
        try:
            await self.state.app(plain, receive, send)
        except Exception as error:
            logger.error("vLLM's metrics could not be read: %s", type(error).__name__)
            return b""
        return b"".join(parts) if status == 200 and not encoding else b""
