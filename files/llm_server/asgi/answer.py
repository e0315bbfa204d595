# SPDX-License-Identifier: Apache-2.0
"""One answer on its way out: errors get their shape, and what is refused is ended."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Send

from ..errors import error_body, is_anthropic, whole_body
from ..record import Refusal, RequestRecord
from .error_shape import STREAM_ERROR, error_of, first_error, last_events, stream_error

REQUEST_ID = "x-request-id"
#: Of a stream that could not begin, its error keeps these.
_KEPT = (REQUEST_ID.encode(), b"x-content-type-options", b"x-ignored-fields")


class Answer:
    """Passes an answer on; one that is an error is held back until it is whole, and reshaped."""

    def __init__(self, record: RequestRecord, send: Send) -> None:
        self.record = record
        self.passed = self.complete = False
        self._send = send
        self._held: Message | None = None
        self._body = b""
        self._events = False
        self._begins: Message | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """What the app inside calls.

        Pieces of a stream that runs are most of what a server sends: for them this costs no
        coroutine of its own.
        """
        if (
            self._events
            and self._begins is None
            and message.get("more_body")
            and not self.complete
            and self.record.refusal is None
            and self._held is None
            and not message["body"].startswith(STREAM_ERROR)
        ):
            return self._send(message)
        return self._look(message)

    async def _look(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            await self._part(message)
        elif kind == "http.response.start":
            await self._start(message)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        if self.record.gone:  # nobody to tell, and what failed for that reason is no error
            self.passed = self.complete = True
            return
        if self.record.refusal is not None:
            await self.refuse(self.record.refusal)
            return
        self.record.status = message["status"]
        headers = MutableHeaders(raw=list(message["headers"]))
        self._name(headers)
        headers["X-Content-Type-Options"] = "nosniff"
        message["headers"] = headers.raw
        kind = headers.get("content-type", "")
        page = kind.startswith("text/html") and not self.record.inside
        if message["status"] >= 400 and not page:
            self._held = message
        elif kind.startswith("text/event-stream"):
            # Until its first event is there: one that cannot begin is an error like any other.
            self._events = self.record.stream = True
            self._begins = message
        else:
            self.passed = True
            await self._send(message)

    async def _part(self, message: Message) -> None:
        if self.complete:  # an answer that came after its time
            return
        last = not message.get("more_body", False)
        if self._held is None:
            if self._events and await self._is_over(message):
                return
            self.complete = last
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if last:
            record, status = self.record, self._held["status"]
            status, error = error_of(self._body, status, record.request_id, inside=record.inside)
            record.status = status
            await self._finish(status, error, Headers(raw=self._held["headers"]))

    async def _is_over(self, message: Message) -> bool:
        """Looks at a part of a stream; whether that was the last thing that is said."""
        chunk = message.get("body", b"")
        begins, self._begins = self._begins, None
        if begins is not None:
            if self.record.refusal is not None:
                await self.refuse(self.record.refusal)
                return True
            if found := first_error(chunk, self.record.request_id):
                status, error = found
                self.record.status = status
                kept = Headers(raw=[p for p in begins["headers"] if p[0] in _KEPT])
                await self._finish(status, error, kept)
                return True
            self.passed = True
            await self._send(begins)
        if self.record.refusal is not None:
            await self.end_stream()
            return True
        if chunk.startswith(STREAM_ERROR):
            message["body"] = stream_error(chunk, self.record.request_id)
        return False

    async def refuse(self, refusal: Refusal) -> None:
        """Answers with the refusal."""
        self.record.reason = refusal.reason or self.record.reason
        await self.fail(refusal.status, refusal.message, refusal.headers)

    async def fail(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """Answers with an error of this server's own."""
        self.record.status = status
        error = error_body(status, message)["error"] | {"request_id": self.record.request_id}
        await self._finish(status, error, Headers(headers))

    async def end_stream(self) -> None:
        """Tells a stream that has begun why it ends, and ends it; nothing for other answers."""
        refusal = self.record.refusal
        if refusal is None or not self._events or self.complete:
            return
        if self._begins is not None:
            await self.refuse(refusal)
            return
        await self.break_off(refusal.status, refusal.message)

    async def break_off(self, status: int, message: str) -> bool:
        """Ends a stream that has begun with an error; whether it was one that could be ended."""
        if not self._events or self._begins is not None or self.complete:
            return False
        self.complete = True
        error = error_body(status, message)["error"] | {"request_id": self.record.request_id}
        body = last_events(self.record.path, error, status)
        await self._send({"type": "http.response.body", "body": body})
        return True

    async def _finish(self, status: int, error: dict[str, Any], before: Headers) -> None:
        self.passed = self.complete = True
        body = json.dumps(whole_body(error, status, self.record.path)).encode()
        headers = MutableHeaders(raw=list(before.raw))
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(body))
        self._name(headers)
        await self._send({"type": "http.response.start", "status": status, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})

    def _name(self, headers: MutableHeaders) -> None:
        headers[REQUEST_ID] = self.record.request_id
        if is_anthropic(self.record.path):
            headers["request-id"] = self.record.request_id
