# SPDX-License-Identifier: Apache-2.0
"""API keys for every path, with an allow-list of what needs none."""

from __future__ import annotations

import base64
import binascii

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from .access import AccessControl, Key
from .errors import error_response
from .record import current, note_reason

#: What anyone may ask. An allow-list, so that a route which a new vLLM adds is closed.
OPEN = frozenset({("GET", "/health"), ("GET", "/health/live"), ("GET", "/health/ready")})
#: What a person opens in a browser, which asks for a password and sends that: the key. Nothing
#: else takes one, or every other site could have the browser spend the key's tokens.
_BROWSER = ("/docs", "/openapi.json")
_BROWSER_FILES = "/static/"
_ASK_A_PERSON = 'Basic realm="the API key is the password", Bearer'


class ApiKeyMiddleware:
    """Answers 401 without a known key, unless on the allow-list, and 429 above the key's rate."""

    def __init__(self, app: ASGIApp, control: AccessControl) -> None:
        self.app = app
        self.control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, or refuses, one HTTP request or websocket."""
        if scope["type"] == "lifespan" or self._is_open(scope):
            await self.app(scope, receive, send)
            return
        key = self._key(scope)
        if key is None:
            await self._refuse(scope, receive, send)
            return
        record = current.get()
        rates = self.control.rates(key)
        if record is not None:
            record.key, record.rates = key.name, rates
        seconds = rates.admit()
        if seconds and scope["type"] == "websocket":
            note_reason(rates.scarcer())
            await WebSocketClose(code=1013, reason="rate limit")(scope, receive, send)
            return
        if seconds:
            response = error_response(
                429,
                f"The key {key.name} has used up what it may ask in a minute"
                f" ({_bounds(key)}); try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
                reason=rates.scarcer(),
            )
            await response(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            if record is not None:
                record.done = True
                rates.settle(record.reserved, record.tokens_in + record.tokens_out)

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
        given = {"authorization", "x-api-key"} & set(Headers(scope=scope).keys())
        note_reason("wrong_key" if given else "no_key")
        if scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason="API key needed")(scope, receive, send)
            return
        headers = {"WWW-Authenticate": _ASK_A_PERSON if _for_browsers(scope) else "Bearer"}
        response = error_response(
            401,
            "An API key is needed: send the header 'Authorization: Bearer <key>'.",
            headers=headers,
        )
        await response(scope, receive, send)

    @staticmethod
    def _is_open(scope: Scope) -> bool:
        return scope["type"] == "http" and (scope["method"], scope["path"]) in OPEN

    def _key(self, scope: Scope) -> Key | None:
        headers = Headers(scope=scope)
        values = headers.getlist("authorization")
        if not values:
            # What clients of the Anthropic API send.
            tokens = headers.getlist("x-api-key")
            return self.control.find(tokens[0].strip()) if len(tokens) == 1 else None
        if len(values) != 1:  # several are ambiguous: a proxy may have checked another one
            return None
        scheme, _, given = values[0].partition(" ")
        if scheme.lower() == "basic" and _for_browsers(scope):
            return self.control.find(_password(given))
        return self.control.find(given.strip()) if scheme.lower() == "bearer" else None


def _for_browsers(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    return scope["path"] in _BROWSER or scope["path"].startswith(_BROWSER_FILES)


def _password(given: str) -> str:
    try:
        pair = base64.b64decode(given.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]


def _bounds(key: Key) -> str:
    known = {"requests": key.requests_per_minute, "tokens": key.tokens_per_minute}
    return ", ".join(f"{number} {unit}" for unit, number in known.items() if number)
