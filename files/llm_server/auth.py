# SPDX-License-Identifier: Apache-2.0
"""API keys for every path, with an allow-list of what needs none."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from .errors import error_response

#: What anyone may ask. An allow-list, so that a route which a new vLLM adds is closed.
OPEN = frozenset({("GET", "/health")})


class ApiKeyMiddleware:
    """Answers 401 unless the request carries a known key or is on the allow-list."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        # Digests have one length: comparing them tells nothing about a key's length.
        self._digests = [_digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, or refuses, one HTTP request or websocket."""
        kind = scope["type"]
        if kind == "lifespan" or self._is_open(scope) or self._has_key(scope):
            await self.app(scope, receive, send)
        elif kind == "websocket":
            await WebSocketClose(code=1008, reason="API key needed")(scope, receive, send)
        else:
            response = error_response(
                401,
                "An API key is needed: send the header 'Authorization: Bearer <key>'.",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await response(scope, receive, send)

    @staticmethod
    def _is_open(scope: Scope) -> bool:
        return scope["type"] == "http" and (scope["method"], scope["path"]) in OPEN

    def _has_key(self, scope: Scope) -> bool:
        values = Headers(scope=scope).getlist("authorization")
        if len(values) != 1:  # several are ambiguous: a proxy may have checked another one
            return False
        scheme, _, given = values[0].partition(" ")
        if scheme.lower() != "bearer":
            return False
        digest = _digest(given.strip())
        # No early exit: the time must not tell which key matched.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
