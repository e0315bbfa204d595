# SPDX-License-Identifier: Apache-2.0
"""The outermost app: every request gets an id, a log line, and errors of one shape."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import AccessControl
from .auth import OPEN
from .errors import error_body
from .record import RequestRecord, accept_id, current

logger = logging.getLogger("llm_server.edge")
access_log = logging.getLogger("llm_server.access")

REQUEST_ID = "x-request-id"
CLIENT_CLOSED_REQUEST = 499
#: Files of Python that a library's message may name.
_PATHS = re.compile(r"(?:/[\w.@+-]+)+\.pyc?\b")


class Edge:
    """Wraps everything else."""

    def __init__(self, app: ASGIApp, control: AccessControl) -> None:
        self.app = app
        self.control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket; no exception of an app gets out."""
        if scope["type"] == "lifespan" or (scope.get("method"), scope["path"]) in OPEN:
            await self.app(scope, receive, send)
            return
        request_id = accept_id(Headers(scope=scope).get(REQUEST_ID))
        kept = [pair for pair in scope["headers"] if pair[0] != REQUEST_ID.encode()]
        # vLLM names the request in its engine after this header.
        scope["headers"] = [*kept, (REQUEST_ID.encode(), request_id.encode())]
        record = RequestRecord(request_id, scope.get("method", "WEBSOCKET"), scope["path"])
        current.set(record)
        timer = asyncio.get_running_loop().call_later(
            self.control.limits.max_request_seconds, record.expire
        )
        answer = _Answer(record, send)
        try:
            await self.app(scope, receive, answer.send)
        except Exception:
            logger.exception("request %s failed", request_id)
            if scope["type"] == "http" and not answer.complete:
                if answer.passed:
                    raise  # too late for an error: the connection is closed instead
                await answer.fail(500, "The server failed.")
        finally:
            timer.cancel()
            if record.status is None and scope["type"] == "http":
                record.status = CLIENT_CLOSED_REQUEST
            access_log.info("%s", json.dumps(record.line()))


class _Answer:
    """Passes an answer on; one that is an error is held back until it is whole, and reshaped."""

    def __init__(self, record: RequestRecord, send: Send) -> None:
        self.record = record
        self.passed = self.complete = False
        self._send = send
        self._held: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """What the app inside calls."""
        kind = message["type"]
        if kind == "http.response.start":
            await self._start(message)
        elif kind == "http.response.body":
            await self._part(message)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        if self.record.expired and message["status"] < 500:
            await self.fail(504, "The request took longer than this server allows.")
            return
        self.record.status = message["status"]
        headers = MutableHeaders(raw=list(message["headers"]))
        headers[REQUEST_ID] = self.record.request_id
        headers["X-Content-Type-Options"] = "nosniff"
        message["headers"] = headers.raw
        html = headers.get("content-type", "").startswith("text/html")
        if message["status"] >= 400 and not html:
            self._held = message
        else:
            self.passed = True
            await self._send(message)

    async def _part(self, message: Message) -> None:
        if self.complete:  # an answer that came after its time
            return
        last = not message.get("more_body", False)
        if self._held is None:
            self.complete = last
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if last:
            status = self._held["status"]
            error = _error_of(self._body, status)
            await self._finish(status, error, Headers(raw=self._held["headers"]))

    async def fail(self, status: int, message: str) -> None:
        """Answers with an error of this server's own."""
        self.record.status = status
        await self._finish(status, error_body(status, message)["error"], Headers())

    async def _finish(self, status: int, error: dict[str, Any], before: Headers) -> None:
        self.passed = self.complete = True
        error["request_id"] = self.record.request_id
        body = json.dumps({"error": error}).encode()
        headers = MutableHeaders(raw=list(before.raw))
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(body))
        headers[REQUEST_ID] = self.record.request_id
        await self._send({"type": "http.response.start", "status": status, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


def _error_of(body: bytes, status: int) -> dict[str, Any]:
    """The error in any app's answer, as `message`, `type`, `param`, `code`."""
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    found = data.get("error", data) if isinstance(data, dict) else {}
    found = found if isinstance(found, dict) else {"message": found}
    message = found.get("message") or found.get("detail") or HTTPStatus(status).phrase
    if not isinstance(message, str):
        message = json.dumps(message)
    if status == 500:
        # Whatever it says is for who runs the server.
        logger.error("an app answered 500: %s", message)
        message = "The server failed."
    message = _PATHS.sub("a file", message.split("Traceback (most recent call last)")[0])
    return error_body(status, message.strip(), param=found.get("param"), kind=found.get("type"))[
        "error"
    ]
