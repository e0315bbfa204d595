# SPDX-License-Identifier: Apache-2.0
"""API keys for every path, with an allow-list of what needs none."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ..errors import error_response
from ..limits.budgets import Over
from ..limits.rates import KeyRates
from ..record import current, note_reason
from .access import AccessControl, Key
from .credentials import UNKNOWN, Given, read

#: What anyone may ask. An allow-list, so that a route which a new vLLM adds is closed.
OPEN = frozenset(
    (method, path)
    for method in ("GET", "HEAD")
    for path in ("/health", "/health/live", "/health/ready")
)
#: What a person opens in a browser, which asks for a password and sends that: the key. Nothing
#: else takes one, or every other site could have the browser spend the key's tokens.
_BROWSER = ("/docs", "/openapi.json")
_BROWSER_FILES = "/static/"
_ASK_A_PERSON = 'Basic realm="the API key is the password"'


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
        given = read(Headers(scope=scope), password=_for_browsers(scope))
        key = None if given.token is None else self.control.find(given.token)
        if key is None:
            wrong = given if given.token is None else UNKNOWN
            await self._refuse(wrong, scope, receive, send)
            return
        record = current.get()
        rates, budget = self.control.rates(key), self.control.budget(key)
        if record is not None:
            record.key, record.rates, record.budget = key.name, rates, budget
        send = _telling(send, rates)
        over = budget.over() if _counts(scope) else None
        if over is not None:
            await self._over(over, key, scope, receive, send)
            return
        seconds = rates.admit() if _counts(scope) else 0
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
                budget.release(record.aside)

    @staticmethod
    async def _over(over: Over, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            note_reason(over.reason)
            await WebSocketClose(code=1013, reason="budget")(scope, receive, send)
            return
        response = error_response(429, over.message(key.name), reason=over.reason, **over.answer())
        await response(scope, receive, send)

    @staticmethod
    async def _refuse(given: Given, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            note_reason(given.reason)
            await WebSocketClose(code=1008, reason="API key needed")(scope, receive, send)
            return
        # Not both in one line: a browser takes that for one that it does not know.
        headers = {"WWW-Authenticate": _ASK_A_PERSON if _for_browsers(scope) else "Bearer"}
        response = error_response(
            401,
            given.problem,
            kind="invalid_request_error",
            code="invalid_api_key",
            headers=headers,
            reason=given.reason,
        )
        await response(scope, receive, send)

    @staticmethod
    def _is_open(scope: Scope) -> bool:
        return scope["type"] == "http" and (scope["method"], scope["path"]) in OPEN


def _counts(scope: Scope) -> bool:
    """Whether a request is one for the model, of which a key has so many in a minute."""
    return scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")


def _for_browsers(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    return scope["path"] in _BROWSER or scope["path"].startswith(_BROWSER_FILES)


def _telling(send: Send, rates: KeyRates) -> Send:
    """`send` that adds what is left to the key."""

    # No coroutine: it would cost each piece of a stream.
    def told(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and (left := rates.headers()):
            headers = MutableHeaders(raw=list(message["headers"]))
            headers.update(left)
            message = {**message, "headers": headers.raw}
        return send(message)

    return told


def _bounds(key: Key) -> str:
    known = {"requests": key.requests_per_minute, "tokens": key.tokens_per_minute}
    return ", ".join(f"{number} {unit}" for unit, number in known.items() if number)
