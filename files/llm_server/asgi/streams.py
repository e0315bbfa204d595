# SPDX-License-Identifier: Apache-2.0
"""Event streams that arrive: no proxy keeps them back, and none ends them for their silence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: A comment: clients of server-sent events pass over it.
COMMENT = b": keep-alive\n\n"
_END_OF_EVENT = b"\n\n"


class LiveStreams:
    """Has every event stream say something at least every so many seconds.

    vLLM can do so on two paths of many; here it is the same on all, also before the first token.
    """

    def __init__(self, app: ASGIApp, interval: float) -> None:
        """`interval` in seconds; 0 is never."""
        self.app = app
        self.interval = interval

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stream = _Stream(send, self.interval)
        try:
            await self.app(scope, receive, stream.send)
        finally:
            stream.end()


class _Stream:
    def __init__(self, send: Send, interval: float) -> None:
        self._send = send
        self._interval = interval
        self._one_at_a_time = asyncio.Lock()
        self._silent = False
        #: Whether a comment is on its way, behind which a piece waits.
        self._speaks = False
        self._between_events = True
        self._beat: asyncio.Task[None] | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """What the app calls; a piece of a stream that runs costs no coroutine of its own."""
        if self._beat is None or self._speaks or not message.get("more_body"):
            return self._look(message)
        self._silent = False
        if body := message["body"]:
            self._between_events = body.endswith(_END_OF_EVENT)
        return self._send(message)

    async def _look(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            if headers.get("content-type", "").startswith("text/event-stream"):
                headers.setdefault("Cache-Control", "no-cache")
                headers["X-Accel-Buffering"] = "no"
                message = {**message, "headers": headers.raw}
                if self._interval and message["status"] < 400:
                    self._beat = asyncio.create_task(self._keep_alive())
        if self._beat is None:
            await self._send(message)
            return
        self._silent = False
        async with self._one_at_a_time:
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                if body:
                    self._between_events = body.endswith(_END_OF_EVENT)
                if not message.get("more_body", False):
                    self.end()
            await self._send(message)

    def end(self) -> None:
        """No more of it."""
        if self._beat is not None:
            self._beat.cancel()

    async def _keep_alive(self) -> None:
        message = {"type": "http.response.body", "body": COMMENT, "more_body": True}
        # Whatever fails here fails for the app as well, which says so.
        with contextlib.suppress(Exception):
            while True:
                self._silent = True
                await asyncio.sleep(self._interval)
                # A client that does not take what it has been sent needs no more.
                if self._silent and self._between_events and not self._one_at_a_time.locked():
                    async with self._one_at_a_time:
                        self._speaks = True
                        try:
                            await self._send(message)
                        finally:
                            self._speaks = False
