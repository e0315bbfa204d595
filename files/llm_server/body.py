# SPDX-License-Identifier: Apache-2.0
"""Bounds what a client may send: bytes, and the seconds that it takes to send them."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import AccessControl
from .errors import error_response
from .record import current

#: So much of a body is logged where that was switched on.
LOGGED_BYTES = 16_384


class BodyLimit:
    """Reads a body whole before the app sees it: also one of chunks that tells no length."""

    def __init__(self, app: ASGIApp, control: AccessControl, *, log_content: bool = False) -> None:
        self.app = app
        self.control = control
        self.log_content = log_content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 413 or 408."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limits = self.control.limits
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > limits.max_body_bytes:
            await self._refuse(413, scope, receive, send)
            return
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(limits.max_body_seconds):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return  # the client has gone
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    more = message.get("more_body", False)
                    if size > limits.max_body_bytes:
                        await self._refuse(413, scope, receive, send)
                        return
        except TimeoutError:
            await self._refuse(408, scope, receive, send)
            return
        body = b"".join(parts)
        record = current.get()
        if self.log_content and record is not None:
            record.content = body[:LOGGED_BYTES].decode("utf-8", "replace")
        await self.app(scope, _Replay(body, receive), send)

    async def _refuse(self, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self.control.limits
        text = (
            f"The body is larger than the {limits.max_body_bytes} bytes that this server takes."
            if status == 413
            else f"The body did not arrive within {limits.max_body_seconds:g} seconds."
        )
        # The rest of the body is not read: the connection is of no more use.
        response = error_response(status, text, headers={"Connection": "close"})
        await response(scope, receive, send)


class _Replay:
    """`receive` for the app: the body once, then whatever the client does next."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> Message:
        if self._message is None:
            return await self._receive()
        message, self._message = self._message, None
        return message
