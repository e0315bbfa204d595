# SPDX-License-Identifier: Apache-2.0
"""Bounds what a client may send: bytes, what is in them, and the seconds of sending them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import error_response
from ..keys.access import AccessControl
from ..reasons import Reason
from ..record import current
from .asked import model_asked
from .examine import SMALL_BYTES, Fine, Wrong, examine
from .reading import Reading, only_reads
from .trial import Trial

#: So much of a body is logged where that was switched on.
LOGGED_BYTES = 16_384
#: All bodies that are here may take as much memory as so many of the largest.
BODIES = 32
#: In an answer: fields of the request that its path does not know.
IGNORED = "x-ignored-fields"
#: Bodies that are no JSON.
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class BodyLimit:
    """Reads a body whole before the app sees it: also one of chunks that tells no length."""

    def __init__(self, app: ASGIApp, control: AccessControl, *, log_content: bool = False) -> None:
        self.app = app
        self.control = control
        self.log_content = log_content
        #: Bytes of all bodies that are here: each until its request has ended.
        self.held = 0
        self._reading = Reading()
        self._trial = Trial()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 400, 408, 413, 415 or 429."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        holding = _Holding(self)
        try:
            await self._serve(holding, scope, receive, send)
        except _RefusedError as refused:
            await refused.response(scope, receive, send)
        finally:
            self.held -= holding.size

    async def _serve(self, holding: _Holding, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            shown = "".join(c for c in encoding if c.isalnum() or c in "-, ")[:64]
            text = f"Content-Encoding: {shown} is not taken. Send the body as it is."
            raise _RefusedError(415, text, {"Accept-Encoding": "identity"}, reason="body_encoding")
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.control.max_body_bytes:
            raise self._too_large()
        body = await self._receive(holding, receive)
        if body is None:  # the client has gone
            return
        record = current.get()
        if record is not None:
            record.model = model_asked(body)
        if self.log_content and record is not None:
            record.content = body[:LOGGED_BYTES].decode("utf-8", "replace")
        found = await self._examine(scope["path"], headers.get("content-type", ""), body)
        if isinstance(found, Wrong):
            response = error_response(
                found.status, found.message, param=found.param, reason=found.reason
            )
            await response(scope, receive, send)
            return
        if found.ignored:
            send = _telling(send, ", ".join(found.ignored))
        if len(found.body) != len(body):
            length = (b"content-length", str(len(found.body)).encode())
            kept = [pair for pair in scope["headers"] if pair[0] != length[0]]
            scope["headers"] = [*kept, length]
        replay, data = _Replay(found.body, receive), None
        if only_reads(scope["path"]):
            data = found.data
        del body, found  # it can be large, and the app has its own
        if data is not None:
            await self._reading.serve(self.app, scope, replay, send, data)
        else:
            await self.app(scope, replay, send)

    async def _examine(self, path: str, kind: str, body: bytes) -> Wrong | Fine:
        if not body:
            return Fine(body)
        if kind.startswith(_FORMS):
            most = self.control.limits.max_elements
            fields = body.count(b"&") if "urlencoded" in kind else body.count(b"\r\n--")
            if fields <= most:
                return Fine(body)
            text = f"The form has {fields} fields; this server takes {most}."
            return Wrong(400, text, None, "too_many_elements")
        if len(body) <= SMALL_BYTES:
            found = examine(path, body, self.control)
        else:
            found = await asyncio.to_thread(examine, path, body, self.control)
        if isinstance(found, Wrong) or not found.many:
            return found
        return await self._trial.check(path, found.data, self.control.model.models) or found

    async def _receive(self, holding: _Holding, receive: Receive) -> bytes | None:
        """The whole body, None where the client leaves before its end."""
        limits, most = self.control.limits, self.control.max_body_bytes
        parts: list[bytes] = []
        more = True
        try:
            async with asyncio.timeout(limits.max_body_seconds):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    parts.append(message.get("body", b""))
                    more = message.get("more_body", False)
                    holding.add(len(parts[-1]))
                    if holding.size > most:
                        raise self._too_large()
                    if self.held > BODIES * most:
                        raise _RefusedError(
                            429,
                            "Too many large bodies are here at once; try again later.",
                            {"Retry-After": "2"},
                            reason="bodies_full",
                        )
        except TimeoutError:
            text = (
                f"The body did not arrive within {limits.max_body_seconds:g} seconds"
                " (llm_server_limits.max_body_seconds)."
            )
            raise _RefusedError(408, text, reason="body_slow") from None
        return b"".join(parts)

    def _too_large(self) -> _RefusedError:
        text = (
            f"The body is larger than the {self.control.max_body_bytes} bytes that this server"
            " takes (llm_server_limits.max_body_bytes)."
        )
        return _RefusedError(413, text, reason="body_too_large")


class _Holding:
    """What one request keeps of the bytes of all."""

    def __init__(self, limit: BodyLimit) -> None:
        self.size = 0
        self._limit = limit

    def add(self, size: int) -> None:
        self.size += size
        self._limit.held += size


def _telling(send: Send, names: str) -> Send:
    """Has the answer say which fields were ignored."""

    # No coroutine: it would cost each piece of a stream.
    def told(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (IGNORED.encode(), names.encode())]
            message = {**message, "headers": headers}
        return send(message)

    return told


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
