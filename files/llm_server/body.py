# SPDX-License-Identifier: Apache-2.0
"""Bounds what a client may send: bytes, and the seconds that it takes to send them."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import AccessControl
from .batch import too_many
from .errors import error_response
from .reasons import Reason
from .record import current

#: So much of a body is logged where that was switched on.
LOGGED_BYTES = 16_384
#: All bodies that are being received may take as much memory as so many of the largest.
BODIES = 32


class BodyLimit:
    """Reads a body whole before the app sees it: also one of chunks that tells no length."""

    def __init__(self, app: ASGIApp, control: AccessControl, *, log_content: bool = False) -> None:
        self.app = app
        self.control = control
        self.log_content = log_content
        #: Bytes of all bodies that are being received.
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 400, 408, 413 or 429."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        try:
            if declared.isdecimal() and int(declared) > self.control.limits.max_body_bytes:
                raise self._too_large()
            body = await self._receive(receive)
        except _RefusedError as refused:
            await refused.response(scope, receive, send)
            return
        if body is None:  # the client has gone
            return
        record = current.get()
        if self.log_content and record is not None:
            record.content = body[:LOGGED_BYTES].decode("utf-8", "replace")
        most = self.control.limits.max_sequences
        batch = too_many(scope["path"], body, most)
        if batch:
            field, entries = batch
            text = (
                f"{field} has {entries} entries; this server takes {most} at once (prompts times"
                " n). Send several requests."
            )
            response = error_response(400, text, param=field, reason="too_many_sequences")
            await response(scope, receive, send)
            return
        await self.app(scope, _Replay(body, receive), send)

    async def _receive(self, receive: Receive) -> bytes | None:
        """The whole body, None where the client leaves before its end."""
        limits = self.control.limits
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(limits.max_body_seconds):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    parts.append(message.get("body", b""))
                    more = message.get("more_body", False)
                    size += len(parts[-1])
                    self.held += len(parts[-1])
                    if size > limits.max_body_bytes:
                        raise self._too_large()
                    if self.held > BODIES * limits.max_body_bytes:
                        raise _RefusedError(
                            429,
                            "Too many large bodies are being sent at once; try again later.",
                            {"Retry-After": "2"},
                            reason="bodies_full",
                        )
        except TimeoutError:
            seconds = f"{limits.max_body_seconds:g} seconds"
            text = f"The body did not arrive within {seconds}."
            raise _RefusedError(408, text, reason="body_slow") from None
        finally:
            self.held -= size
        return b"".join(parts)

    def _too_large(self) -> _RefusedError:
        most = self.control.limits.max_body_bytes
        text = f"The body is larger than the {most} bytes that this server takes."
        return _RefusedError(413, text, reason="body_too_large")


class _RefusedError(Exception):
    def __init__(
        self,
        status: int,
        text: str,
        headers: dict[str, str] | None = None,
        *,
        reason: Reason,
    ) -> None:
        # The rest of the body is not read: the connection is of no more use.
        headers = {"Connection": "close"} | (headers or {})
        self.response = error_response(status, text, headers=headers, reason=reason)


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
